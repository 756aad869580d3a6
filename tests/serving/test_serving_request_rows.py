"""Rows of `requests.parquet`: the compiled engine tells the same as the step-by-step one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow.parquet as pq
import pytest
import simpy
from test_serving_classes import SHARES, TWO
from test_serving_compiled_fleet import FREE, WHOLE, tables
from test_serving_fleet import SPEC

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fleet import ServingFleet
from sim.cost.tables import TableCoster
from sim.scenario.build import Simulation
from sim.scenario.requests_table import requests_file
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import ConstantLengths
from sim.workload.requests import draw_requests

END_PS = 10 * PS_PER_S
CLASSES = [SimpleNamespace(name="chat"), SimpleNamespace(name="batch")]
SHARES_OF_STEPS = ("time_s", "flops", "hbm_bytes", "energy_chip_j")
SHARED = {"horizon_s": 10.0, "rules": TWO, "class_shares": SHARES, "router": "round-robin"}


def rows_of(env: simpy.Environment, fleet: Any, folder: Path, end_ps: int) -> list[dict[str, Any]]:
    """What is written of a fleet that runs until an instant."""
    costs = SimpleNamespace(spec=SimpleNamespace(classes=CLASSES))
    one = SimpleNamespace(fleet=fleet, costs=costs)
    site = SimpleNamespace(spec=SimpleNamespace(name="campus"), fleets={"chat": one})
    simulation = cast("Simulation", SimpleNamespace(sites=[site]))
    with requests_file(folder) as file:
        file.follow(simulation)
        env.run(end_ps)
        file.finish(simulation)
    rows: list[dict[str, Any]] = pq.read_table(folder / "requests.parquet").to_pylist()
    return sorted(rows, key=lambda row: int(row["request"]))


def test_both_engines_write_the_same_rows(tmp_path: Path) -> None:
    """Every column, the shares to 1e-9; in the middle of work, with refusals, single tokens and
    requests that are still there.
    """
    table = draw_requests(PoissonArrivals(150.0), WHOLE.lengths, 10.0, 3, "same")
    table.output_tokens[::7] = 1
    env = simpy.Environment()
    spec = replace(WHOLE, replicas=3, cell_replicas=3, tell_requests=True, **SHARED)
    fast = rows_of(env, CompiledFleet(env, spec, tables, 1, table), tmp_path, END_PS)
    env = simpy.Environment()
    small = replace(SPEC, n_replicas=3, simulated_replicas=3, warmup_s=4.5, **SHARED)
    slow_fleet = ServingFleet(env, small, TableCoster(FREE), 1, recorded=table)
    slow = rows_of(env, slow_fleet, tmp_path, END_PS)
    assert {row["status"] for row in fast} == {"completed", "dropped", "unfinished"}
    assert {row["class"] for row in fast} == {"chat", "batch"}
    for one, other in zip(fast, slow, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - {*SHARES_OF_STEPS, "tpot_s"}:
            assert one[name] == other[name], (name, one, other)
        for name in (*SHARES_OF_STEPS, "tpot_s"):
            assert (one[name] is None) == (other[name] is None)
            close = 1e-12 if name == "tpot_s" else 1e-9
            assert (one[name] or 0.0) == pytest.approx(other[name] or 0.0, rel=close)


def test_numbers_go_through_all_cells(tmp_path: Path) -> None:
    """Each request once, each replica in its cell, of a fleet and of cells that speak for one."""
    plain = replace(
        WHOLE,
        arrivals=PoissonArrivals(60.0),
        lengths=ConstantLengths(50, 20),
        horizon_s=3.0,
        warmup_s=0.0,
        cell_replicas=2,
        tell_requests=True,
    )
    for build, cells in ((CompiledFleet, 6), (CellFleet, 4)):
        env = simpy.Environment()
        fleet = build(env, plain, tables, 1)
        rows = rows_of(env, fleet, tmp_path, 3 * PS_PER_S)
        counted = fleet.result().counted
        assert counted is not None
        assert len({row["request"] for row in rows}) == len(rows) == counted.requests
        assert {row["replica"] for row in rows} == set(range(2 * cells))
        assert all(row["request"] % cells == row["replica"] // 2 for row in rows)
