"""A few whole cells that speak for a fleet."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import simpy
from test_serving_compiled_fleet import RULES, WHOLE, tables

from sim.cluster.serving.cell_fleet import CellFleet, build_cell_fleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.compiled_spec import CompiledFleetSpec
from sim.cluster.serving.estimate import Estimate
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.observe import Integral
from sim.control.serving import ClassRule
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.requests import RequestTable, draw_requests

LARGE = replace(WHOLE, replicas=60, arrivals=PoissonArrivals(150.0))
END_PS = round(LARGE.horizon_s * PS_PER_S)


def cells(
    spec: CompiledFleetSpec = LARGE, least: int = 20, recorded: RequestTable | None = None
) -> tuple[CellFleet, float]:
    """A fleet that has run, and the energy of its signal in the window."""
    env = simpy.Environment()
    fleet = CellFleet(env, spec, tables, 1, recorded, least)
    meter = Integral(fleet.power_w, round(spec.warmup_s * PS_PER_S), END_PS)
    env.run(END_PS)
    fleet.check_laws()
    return fleet, meter.at(END_PS)


def whole(spec: CompiledFleetSpec = LARGE, recorded: RequestTable | None = None) -> FleetResult:
    env = simpy.Environment()
    fleet = CompiledFleet(env, spec, tables, 1, recorded)
    env.run(END_PS)
    return fleet.result()


def test_whole_cells_are_simulated_and_scaled() -> None:
    fleet, energy_j = cells()
    result = fleet.result()
    assert [part.spec.replicas for part in fleet.parts] == [5, 5, 5, 5]
    assert (fleet.simulated, fleet.scale, fleet.gpus) == (20, 3.0, 240)
    assert result.energy_j.value == pytest.approx(energy_j, rel=1e-9)
    assert result.basis.startswith("20 of 60 replicas simulated and scaled")
    assert result.counted is not None
    assert json.loads(json.dumps(asdict(result.counted)))["shed"] == 0


def test_the_interval_holds_the_whole_fleet() -> None:
    """Four of twelve cells: the fleet's own figures lie within twice the 95 % interval."""
    exact, found = whole(), cells()[0].result()
    for name in ("requests", "completed", "tokens_out", "energy_j"):
        one: Estimate = getattr(found, name)
        assert one.low is not None
        assert one.high is not None
        apart = abs(getattr(exact, name).value - one.value)
        assert one.high - one.value > 0
        assert apart < 2 * (one.high - one.value), name
    assert found.ttft_s is not None
    assert exact.ttft_s is not None
    assert found.ttft_s.p50.value == pytest.approx(exact.ttft_s.p50.value, rel=0.1)


def test_classes_are_scaled_like_all_requests() -> None:
    """Each class has its share; with every cell simulated their sums are those of the cells."""
    rules = replace(RULES, classes=(ClassRule(slo_ttft_s=0.05), ClassRule()))
    spec = replace(LARGE, rules=rules, class_shares=(0.25, 0.75))
    few, every = cells(spec)[0].result(), cells(spec, least=60)[0]
    first, second = few.classes
    assert first.requests.value + second.requests.value == pytest.approx(few.requests.value)
    assert first.requests.value / few.requests.value == pytest.approx(0.25, abs=0.02)
    assert 0 < first.met.value < first.completed.value
    assert second.met.value == second.completed.value
    parts = [part.result() for part in every.parts]
    for number, found in enumerate(every.result().classes):
        for name in ("requests", "completed", "tokens_out", "met"):
            summed = sum(getattr(part.classes[number], name).value for part in parts)
            assert getattr(found, name).value == pytest.approx(summed), name
        assert found.ttft_s is not None
        assert few.ttft_s is not None
        assert found.ttft_s.p50.value == pytest.approx(few.ttft_s.p50.value, rel=0.2)


def test_cells_that_differ_in_size_are_weighed() -> None:
    spec = replace(LARGE, replicas=58)
    fleet, energy_j = cells(spec, 5)
    assert [part.spec.replicas for part in fleet.parts] == [4, 5, 5, 5]
    assert fleet.scale * fleet.simulated == pytest.approx(58)
    assert fleet.result().energy_j.value == pytest.approx(energy_j, rel=0.02)


def test_a_small_fleet_is_simulated_whole() -> None:
    env = simpy.Environment()
    small = replace(LARGE, replicas=20)
    assert isinstance(build_cell_fleet(env, small, tables, 1), CompiledFleet)
    assert isinstance(build_cell_fleet(env, LARGE, tables, 1, None, 60), CompiledFleet)
    assert isinstance(build_cell_fleet(env, LARGE, tables, 1), CellFleet)
    assert len(build_cell_fleet(env, LARGE, tables, 1, None, 21).parts) == 5  # type: ignore[union-attr]


def test_rows_of_a_trace_are_dealt_to_all_cells_once() -> None:
    table = draw_requests(LARGE.arrivals, LARGE.lengths, LARGE.horizon_s, 3, "same")
    spec = replace(LARGE, replicas=10, cell_replicas=5, warmup_s=0.0)
    both, _ = cells(spec, 10, table)
    assert both.scale == 1.0
    assert both.result().requests.value == len(table)


def test_rules_at_run_time_reach_every_cell() -> None:
    env = simpy.Environment()
    fleet = CellFleet(env, LARGE, tables, 1, None, 10)
    fleet.set_cap(5 * PS_PER_S, 100.0)
    fleet.set_admission(10 * PS_PER_S, 0.5)
    env.run(END_PS)
    result = fleet.result()
    assert result.shed.value > 0.2 * result.requests.value
    capped, free = (Integral(f.power_w, 0, END_PS) for f in (fleet, cells()[0]))
    assert capped.at(END_PS) != free.at(END_PS)


def test_fewer_replicas_behind_a_router_wait_longer() -> None:
    """Why cells are whole: 60 cells of one at high load, against 4 of fifteen."""
    busy = replace(LARGE, arrivals=PoissonArrivals(60 * 4.4), horizon_s=60.0, warmup_s=20.0)
    found = []
    for size in (1, 15):
        env = simpy.Environment()
        fleet = CompiledFleet(env, replace(busy, cell_replicas=size), tables, 1)
        env.run(60 * PS_PER_S)
        ttft = fleet.result().ttft_s
        assert ttft is not None
        found.append(ttft.p99.value)
    assert found[0] > 1.05 * found[1]
    assert np.isfinite(found).all()
