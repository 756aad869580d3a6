"""How long the wires take: python benchmarks/grid_nodal.py [NAME...] [--json].

NAMES: factorise n1 hosting opf secure. Wall seconds of the best of three (hosting: once), on the
synthetic Texas case; set OPENBLAS_NUM_THREADS=1 for figures that can be compared.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from sim.grid.nodal.batch import host_all, single
from sim.grid.nodal.cases import TEXAS, load_case
from sim.grid.nodal.contingency import screen
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study

NETWORK = load_case(TEXAS)


def factorise() -> str:
    """Build and factorise the susceptance matrix (target: 3 ms)."""
    return f"{DcGrid(NETWORK).n_islands} island"


def n1() -> str:
    """All single outages of branches and generators (target: 0.25 s)."""
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
    """N-1-secure hosting at one bus (target: 1 s)."""
    study = Study(NETWORK, Settings(redispatch="n1-secure", security="n1"))
    found = host_all(study, single(np.array([NETWORK.bus_index(5049)])), workers=1)
    return f"{found[0].hosting_mw:.1f} MW"


PARTS: dict[str, tuple[Callable[[], str], int]] = {
    "factorise": (factorise, 3), "n1": (n1, 3), "hosting": (hosting, 1),
    "opf": (opf, 3), "secure": (secure, 1),
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Time the parts that are named, or all."""
    names = [a for a in arguments if a != "--json"] or list(PARTS)
    if unknown := sorted(set(names) - set(PARTS)):
        print(f"no benchmark {unknown}; there are {list(PARTS)}", file=sys.stderr)
        return 2
    rows = []
    for name in names:
        part, repeats = PARTS[name]
        times_s = []
        for _ in range(repeats):
            start = time.perf_counter()
            what = part()
            times_s.append(time.perf_counter() - start)
        rows.append({"name": name, "wall_s": min(times_s), "what": what})
        if "--json" not in arguments:
            print(f"{name:10} {min(times_s):8.4f} s  {what}", flush=True)
    if "--json" in arguments:
        print(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
