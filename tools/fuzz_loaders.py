"""The loaders under attack, each with the files that the attack starts from."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from fuzz_cases import changed_case, tame
from fuzz_folders import load_folder
from fuzz_guard import LIMIT_S, Finding, judge
from fuzz_mutate import mutated
from fuzz_runs import POLICY, SAMPLE, load_little, load_run

ROOT: Final = Path(__file__).resolve().parents[1]
CASES: Final = ROOT / "tests" / "cases"
IMPORTS: Final = ROOT / "tests" / "grid_nodal" / "imports"
FINDS: Final = ROOT / "tests" / "fuzz" / "found"
"""Files that broke a loader once, by target: a regression test, and seeds from then on."""


@dataclass(frozen=True, slots=True)
class Target:
    """A loader.

    Args:
        suffixes: the file names under which it reads, chosen at random.
        load: reads a file.
        seeds: whole files to start from.
        place: folder of the file below the working folder.
        decode: what the file says, from bytes that only choose; by default those bytes.
        limit_s: processor time that a file may take.
        in_ci: how many files the tests shoot; 0: a test of its own does.
    """

    name: str
    suffixes: tuple[str, ...]
    load: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]
    place: str = "."
    decode: Callable[[bytes], bytes] | None = None
    limit_s: float = LIMIT_S
    in_ci: int = 25


def load_scenario(path: Path) -> object:
    """Read, check, resolve, name and build, as `flopgrid run -n` and the start of a run do."""
    from sim.scenario.build import build
    from sim.scenario.run import load_scenario, located, run_id

    document, scenario = load_scenario(path)
    with located(document):
        run_id(scenario, 1)
        return build(scenario, seed=1)


def load_sweep(path: Path) -> object:
    """All points of a sweep file."""
    from sim.sweep.expand import load_sweep

    return load_sweep(path)


def load_config(path: Path) -> object:
    """An architecture, and the figures that `flopgrid arch show` gives for it."""
    from sim.report.arch_tables import show

    return show(str(path), 1, 1, 0, "bf16")


def load_device(path: Path) -> object:
    """A node around the GPU of a device file."""
    from sim.hardware.node import load_node

    return load_node(str(path))


def load_case(path: Path) -> object:
    """A MATPOWER case."""
    from sim.grid.nodal.cases import load_case

    return load_case(str(path))


def load_trace(path: Path) -> object:
    """A trace, both ways to treat bad rows."""
    from sim.errors import InputError
    from sim.workload.traces import read_trace

    try:
        return read_trace(path)
    except InputError:
        return read_trace(path, "skip")


def load_weather(path: Path) -> object:
    """A year of weather as a plant uses it."""
    from sim.facility.weather import read_weather

    weather = read_weather(path)
    return weather.utc(weather.wet_bulb_c)


def load_series(path: Path) -> object:
    """A profile of wind, or any series by the hour."""
    from sim.facility.series import read_profile

    return read_profile(path)


def drawn(write: Callable[..., bytes], *names: str) -> Callable[[bytes], bytes]:
    """A decoder: the bytes choose what strategies of `sim.testing` draw, and it is written."""
    told: list[bytes] = []

    @cache
    def chooser() -> Callable[[bytes], object]:
        from hypothesis import HealthCheck, given, settings, strategies

        from sim import testing

        quiet = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
        parts = strategies.tuples(*[getattr(testing, name)() for name in names])
        take = quiet(given(parts)(lambda values: told.append(write(*values))))
        choose: Callable[[bytes], object] = take.hypothesis.fuzz_one_input
        return choose

    def decode(data: bytes) -> bytes:
        told.clear()
        chooser()(data)
        return told[-1] if told else b""

    return decode


def _as_yaml(value: Any) -> bytes:
    from sim.scenario.canonical import to_yaml

    return to_yaml(value).encode("utf-8")


def _as_run(scenario: Any, policy: str) -> bytes:
    """A scenario; one of some also asks a policy, which stands in its first line."""
    asked = scenario["seeds"][0] % SAMPLE == 0
    return (f"{POLICY}{policy}\n".encode() if asked else b"") + _as_yaml(scenario)


def _as_little(scenario: Any, policy: str) -> bytes:
    """The same, so small that it runs in a second."""
    scenario = json.loads(json.dumps(scenario))
    tame(scenario, random.Random(scenario["seeds"][0]))  # noqa: S311 - repeatable on purpose
    return _as_run(scenario, policy)


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8")


def _as_text(value: str) -> bytes:
    return value.encode("utf-8")


def _files(*patterns: str) -> list[bytes]:
    return [path.read_bytes() for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def _configs() -> list[bytes]:
    from sim import arch
    from sim.datum import read_yaml

    return [json.dumps(read_yaml(f"zoo/{n}.yaml")["config"]).encode() for n in arch.names()]


def _cases() -> list[bytes]:
    return [path.read_bytes() for path in sorted((FINDS.parent / "seeds").glob("*.m"))]


def _pypsa() -> list[bytes]:
    """The PyPSA network of the tests as netCDF (of the form that needs no library)."""
    import xarray

    variables: dict[str, Any] = {}
    for file in sorted((IMPORTS / "pypsa_small").glob("*.csv")):
        head, *body = [line.split(",") for line in file.read_text("utf-8").splitlines()]
        variables[f"{file.stem}_i"] = ((f"{file.stem}_i",), [row[0] for row in body])
        for number, column in enumerate(head[1:], 1):
            cells = [row[number] for row in body]
            variables[f"{file.stem}_{column}"] = ((f"{file.stem}_i",), cells)
    return [bytes(xarray.Dataset(variables).to_netcdf(engine="scipy"))]


def _trace_tables() -> list[bytes]:
    """Traces as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = []
    for times in ([0.5, 1.0, 2.5], ["2024-05-01 00:00:01", "2024-05-01 00:00:02", None]):
        table = pa.table(
            {"TIMESTAMP": times, "ContextTokens": [1, 20, 3], "GeneratedTokens": [2.0, 3.0, 4.0]}
        )
        sink = io.BytesIO()
        pq.write_table(table, sink)
        found.append(sink.getvalue())
    return found


def _stamps() -> list[tuple[int, int, int]]:
    """Month, day and hour from 0 of every hour of a year."""
    days = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return [(m, d, h) for m, n in enumerate(days, 1) for d in range(1, n + 1) for h in range(24)]


def _series() -> list[bytes]:
    rows = [f"2023-{m:02d}-{d:02d} {h:02d}:00,0.5" for m, d, h in _stamps()]
    return ["\n".join(["time,output", *rows[:size]]).encode() for size in (8760, 72)]


def _epw(hours: int = 8760) -> bytes:
    head = ["LOCATION,Somewhere,ST,USA,TMY,000000,40.0,-105.0,-7.0,1600.0"]
    head += [f"HEADER {n}" for n in range(2, 9)]
    rows = [f"2020,{m},{d},{h + 1},60,A,10.0,5.0,50,84000,0,0,0,300,500,100,0,0,0,0,180,3.5,0,0"
            for m, d, h in _stamps()[:hours]]  # fmt: skip
    return "\n".join([*head, *rows]).encode()


TARGETS: Final = {
    target.name: target
    for target in (
        Target("scenario", (".yaml",), load_scenario,
               lambda: _files("tests/cases/valid/*.yaml", "scenarios/base/*.yaml"), "cases/valid"),
        Target("sweep", (".yaml",), load_sweep,
               lambda: _files("tests/cases/sweeps/*.yaml"), "cases/sweeps"),
        Target("config", (".json",), load_config, _configs),
        Target("case", (".m",), load_case, _cases),
        Target("trace", (".csv", ".jsonl"), load_trace, lambda: _files("tests/cases/traces/*.*")),
        Target("device", (".yaml",), load_device,
               lambda: _files("sim/data/hardware/[hb]*-sxm.yaml")),
        Target("scenario-form", (".yaml",), load_scenario, lambda: [b"\0" * 4000], "cases/valid",
               drawn(_as_yaml, "scenario_data")),
        Target("sweep-form", (".yaml",), load_sweep, lambda: [b"\0" * 4000], "cases/sweeps",
               drawn(_as_yaml, "sweep_data")),
        Target("config-form", (".json",), load_config, lambda: [b"\0" * 4000],
               decode=drawn(_as_json, "config_data")),
        Target("trace-form", (".csv",), load_trace, lambda: [b"\0" * 4000],
               decode=drawn(_as_text, "trace_text")),
        Target("case-form", (".m",), load_case, lambda: [b"\0" * 4000],
               decode=drawn(_as_text, "case_text")),
        Target("weather", (".csv",), load_weather, lambda: [_epw(), _epw(48)]),
        Target("series", (".csv",), load_series, _series),
        Target("pandapower", (".json",), load_case,
               lambda: _files("tests/grid_nodal/imports/pandapower_small.json")),
        Target("pypsa", (".nc",), load_case, _pypsa),
        Target("trace-table", (".parquet",), load_trace, _trace_tables),
        Target("run", (".yaml",), load_run, lambda: [b"\0" * 4000], "cases/valid",
               drawn(_as_run, "run_data", "policy_text"), limit_s=60.0, in_ci=1),
        Target("run-little", (".yaml",), load_little, lambda: [b"\0" * 4000], "cases/valid",
               drawn(_as_little, "run_data", "policy_text"), limit_s=60.0, in_ci=0),
        Target("run-case", (".yaml",), load_little, lambda: [b"\0" * 8], "cases/valid",
               changed_case, limit_s=60.0, in_ci=2),
        Target("folder", (".bin",), load_folder, lambda: [b"\0" * 8], limit_s=60.0, in_ci=0),
    )
}  # fmt: skip


class Range:
    """A folder in which one target is attacked, file after file."""

    def __init__(self, target: Target, folder: Path):
        self.target = target
        self.folder = folder / target.place
        if target.place != ".":
            shutil.copytree(CASES, folder / "cases", dirs_exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        found = sorted((FINDS / target.name).glob("*"))
        self.seeds = target.seeds() + [path.read_bytes() for path in found]
        self._warm()

    def _warm(self) -> None:
        """The first reading loads packages and tables: it is no measure of time."""
        import matplotlib.font_manager  # noqa: F401 - keeps a list of fonts in its own folder

        self.shoot(self.seeds[0], self.target.suffixes[0], limit_s=120)

    def shoot(
        self, data: bytes, suffix: str = "", limit_s: float = 0.0
    ) -> tuple[str, Finding | None]:
        """Write a file and let the loader have it."""
        path = self.folder / f"shot{suffix or self.target.suffixes[len(data) % self._kinds]}"
        path.write_bytes(self.target.decode(data) if self.target.decode else data)
        return judge(lambda: self.target.load(path), self.folder, limit_s or self.target.limit_s)

    @property
    def _kinds(self) -> int:
        return len(self.target.suffixes)

    def next(self, rng: random.Random) -> bytes:
        """A seed with changes, or bytes to choose by."""
        if self.target.decode:
            return rng.randbytes(rng.choice((400, 4000)))
        return mutated(rng.choice(self.seeds), rng, self.seeds)


def unlike(findings: Sequence[Finding]) -> dict[tuple[str, str], Finding]:
    """One finding for each kind and place."""
    return {(finding.kind, finding.where): finding for finding in findings}
