"""A fleet simulated in full on the compiled engine, tick by tick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_serving_fleet import COSTER, SPEC

from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.compiled_spec import CompiledFleetSpec
from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.fleet import ServingFleet
from sim.cluster.serving.observe import Integral
from sim.control.serving import BatchRules
from sim.cost.tables import StepTables, TableCoster, build_tables
from sim.errors import InputError, LawViolation
from sim.units import PS_PER_S
from sim.workload.arrivals import GammaArrivals, PoissonArrivals
from sim.workload.lengths import ConstantLengths, trace_lengths
from sim.workload.requests import RequestTable, draw_requests

RULES = BatchRules(max_num_seqs=64, max_num_batched_tokens=512)
FREE = build_tables(COSTER, 64, 512)


def tables(cap_w: float | None) -> StepTables:
    """A cap slows steps and lowers the power."""
    if cap_w is None:
        return FREE
    slow: LinearCoster = replace(COSTER, step_s=0.016, power_w=4 * cap_w)
    return build_tables(slow, 64, 512, like=FREE)


WHOLE = CompiledFleetSpec(
    name="chat",
    replicas=12,
    arrivals=PoissonArrivals(30.0),
    lengths=trace_lengths("azure-conv-2023"),
    horizon_s=20.0,
    warmup_s=4.5,
    rules=RULES,
    cell_replicas=5,
)


def run(
    spec: CompiledFleetSpec, change: object = None, recorded: RequestTable | None = None
) -> tuple[CompiledFleet, Integral, Integral]:
    env = simpy.Environment()
    fleet = CompiledFleet(env, spec, tables, 1, recorded)
    start_ps, end_ps = (int(t * PS_PER_S) for t in (spec.warmup_s, spec.horizon_s))
    whole, late = Integral(fleet.power_w, start_ps, end_ps), Integral(fleet.power_w, 10 * PS_PER_S)
    if change:
        change(fleet)  # type: ignore[operator]
    env.run(end_ps)
    fleet.check_laws()
    return fleet, whole, late


def test_the_power_integrates_to_the_energy_of_the_window() -> None:
    fleet, meter, _ = run(WHOLE)
    result = fleet.result()
    assert fleet.gpus == 48
    assert [len(cell.cell.due) for cell in fleet.cells] == [4, 4, 4]
    assert meter.at(20 * PS_PER_S) == pytest.approx(result.energy_j.value, rel=1e-9)
    assert result.energy_j.low == result.energy_j.high
    assert 300 < result.completed.value < 600
    assert result.basis == "all 12 replicas simulated request by request"


def test_one_cell_is_the_reference_fleet_on_the_same_requests() -> None:
    """Counts exactly, energy to 1e-9, quantiles within the histogram's error."""
    table = draw_requests(WHOLE.arrivals, WHOLE.lengths, 20.0, 3, "same")
    spec = replace(WHOLE, replicas=3, cell_replicas=3, router="round-robin")
    fast = run(spec, recorded=table)[0].result()
    env = simpy.Environment()
    small = replace(
        SPEC, n_replicas=3, horizon_s=20.0, warmup_s=4.5, rules=RULES, router="round-robin"
    )
    slow_fleet = ServingFleet(env, small, TableCoster(FREE), 1, recorded=table)
    env.run(20 * PS_PER_S)
    slow = slow_fleet.result()
    for name in ("requests", "completed", "tokens_in", "tokens_out", "dropped", "shed"):
        assert getattr(fast, name).value == getattr(slow, name).value, name
    assert fast.energy_j.value == pytest.approx(slow.energy_j.value, rel=1e-9)
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        for quantile in ("p50", "p90", "p99", "mean"):
            found = getattr(getattr(fast, name), quantile).value
            true = getattr(getattr(slow, name), quantile).value
            assert found == pytest.approx(true, rel=0.05), (name, quantile)


@pytest.mark.parametrize("tick_s", [0.25, 4.5, 3600.0])
def test_ticks_change_the_resolution_and_nothing_else(tick_s: float) -> None:
    first, second = run(WHOLE)[0].result(), run(replace(WHOLE, tick_s=tick_s))[0].result()
    if tick_s < 3600:
        assert first.energy_j.value == pytest.approx(second.energy_j.value, rel=1e-9)
        assert first.completed == second.completed
        assert first.e2e_s == second.e2e_s


def test_a_cap_slows_and_saves() -> None:
    busy = replace(WHOLE, arrivals=PoissonArrivals(400.0))
    free, _, free_late = run(busy)
    held, _, held_late = run(busy, lambda f: f.set_cap(10 * PS_PER_S, 300.0))
    end_ps = 20 * PS_PER_S
    assert held_late.at(end_ps) == pytest.approx(12 * 4 * 300.0 * 10, rel=0.02)
    assert held_late.at(end_ps) < 0.6 * free_late.at(end_ps)
    assert held.result().completed.value < free.result().completed.value


def test_shedding_is_counted_and_nested() -> None:
    fleet, _, _ = run(WHOLE, lambda f: f.set_admission(0, 0.25))
    whole, some = run(WHOLE)[0].result(), fleet.result()
    assert some.requests.value == whole.requests.value
    assert some.shed.value == pytest.approx(0.75 * some.requests.value, rel=0.1)


def test_other_arrivals_and_lengths() -> None:
    spec = replace(WHOLE, arrivals=GammaArrivals(30.0, 2.0), lengths=ConstantLengths(100, 20))
    result = run(spec)[0].result()
    assert result.tokens_out.value == 20 * result.completed.value
    assert 300 < result.completed.value < 650


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 13))
def test_cells_share_the_replicas(cell: int) -> None:
    spec = replace(WHOLE, cell_replicas=cell)
    sizes = [spec.size(i) for i in range(spec.cells)]
    assert sum(sizes) == 12
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= cell


def test_each_law_can_fail() -> None:
    for column in ("load", "bins", "area"):
        fleet, _, _ = run(replace(WHOLE, horizon_s=6.0))
        cell = fleet.cells[1].cell
        if column == "load":
            cell.load[0] += 1
        elif column == "bins":
            cell.bins[0, 0] += 10**9
        else:
            cell.rep[0, 36] += 1
        with pytest.raises(LawViolation):
            fleet.check_laws()


def test_bad_input_is_refused() -> None:
    fleet, _, _ = run(WHOLE)
    with pytest.raises(InputError, match=r"share -0\.5"):
        fleet.set_admission(20 * PS_PER_S, -0.5)
    with pytest.raises(InputError, match="asked after"):
        fleet.set_cap(PS_PER_S, None)
    for bad in ({"replicas": 0}, {"tick_s": 0.0}, {"warmup_s": 99.0}):
        with pytest.raises(InputError):
            replace(WHOLE, **bad)
    early = CompiledFleet(simpy.Environment(), WHOLE, tables, 1)
    with pytest.raises(InputError, match="before the window"):
        early.result()
    assert np.isfinite(early.power_w.value)
