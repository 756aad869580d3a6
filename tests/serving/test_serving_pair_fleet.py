"""Fleets in two pools: power, counts, control at run time, cells that speak for all."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import simpy
from test_serving_compiled_fleet import RULES, WHOLE, run, tables

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.compiled_spec import CompiledFleetSpec, PoolSplit
from sim.cluster.serving.disaggregated import CacheLink
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.pair import PairedReplicas
from sim.control.serving import ClassRule
from sim.cost.tables import StepTables
from sim.errors import InputError, LawViolation
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.requests import draw_requests
from sim.workload.sessions import SessionShape

SPLIT = PoolSplit(4, CacheLink(1e-3, 2e-6))
PAIR = replace(WHOLE, split=SPLIT)
END_PS = 20 * PS_PER_S


def pairs(fleet: CompiledFleet) -> list[PairedReplicas]:
    return [cell for cell in fleet.cells if isinstance(cell, PairedReplicas)]


def test_both_pools_draw_the_power_of_the_signal() -> None:
    fleet, meter, _ = run(PAIR)
    result = fleet.result()
    assert fleet.gpus == 48
    sizes = [len(pool.cell.due) for cell in pairs(fleet) for pool in cell.pools]
    assert sizes == [1, 2, 1, 2, 2, 4]
    assert meter.at(END_PS) == pytest.approx(result.energy_j.value, rel=1e-9)
    assert sum(own.window_j for own in fleet.meters) == pytest.approx(result.energy_j.value)
    assert all(own.window_j > own.idle_w * 15.5 for own in fleet.meters)
    assert 300 < result.completed.value < 600
    assert sum(cell.handed for cell in pairs(fleet)) > 300


@pytest.mark.parametrize("tick_s", [0.25, 4.5])
def test_ticks_change_the_resolution_and_nothing_else(tick_s: float) -> None:
    first, second = run(PAIR)[0].result(), run(replace(PAIR, tick_s=tick_s))[0].result()
    assert first.energy_j.value == pytest.approx(second.energy_j.value, rel=1e-9)
    assert first.completed == second.completed
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        one, other = getattr(first, name), getattr(second, name)
        assert (one.p50, one.p99) == (other.p50, other.p99)
        assert one.mean.value == pytest.approx(other.mean.value, rel=1e-12)


def test_a_slow_link_delays_the_second_token_only() -> None:
    slow = replace(PAIR, split=replace(SPLIT, link=CacheLink(0.5, 2e-6)))
    fast, late = run(PAIR)[0].result(), run(slow)[0].result()
    assert fast.ttft_s is not None
    assert late.ttft_s is not None
    assert fast.e2e_s is not None
    assert late.e2e_s is not None
    assert fast.ttft_s.mean.value == pytest.approx(late.ttft_s.mean.value, rel=0.05)
    assert late.e2e_s.p50.value - fast.e2e_s.p50.value == pytest.approx(0.5, abs=0.1)


def test_a_cap_slows_both_pools_from_its_tick_on() -> None:
    busy = replace(PAIR, arrivals=PoissonArrivals(400.0))
    free, _, free_late = run(busy)
    held, _, held_late = run(busy, lambda f: f.set_cap(10 * PS_PER_S, 300.0))
    assert held_late.at(END_PS) < 0.7 * free_late.at(END_PS)
    assert held.result().completed.value < free.result().completed.value
    for cell in pairs(held):
        for pool in cell.pools:
            np.testing.assert_array_equal(pool.tables.token, tables(300.0).token)


def test_admission_sheds_before_the_prefill_router() -> None:
    fleet, _, _ = run(PAIR, lambda f: f.set_admission(0, 0.25))
    whole, some = run(PAIR)[0].result(), fleet.result()
    assert some.requests.value == whole.requests.value
    assert some.shed.value == pytest.approx(0.75 * some.requests.value, rel=0.1)


def test_classes_shed_and_meet_objectives_as_whole_requests() -> None:
    kinds = (ClassRule(max_queue_tokens=2000, slo_ttft_s=1.0), ClassRule(slo_ttft_s=1e-6))
    spec = replace(
        PAIR,
        arrivals=PoissonArrivals(150.0),
        rules=replace(RULES, classes=kinds),
        class_shares=(0.5, 0.5),
    )
    first, second = run(spec)[0].result().classes
    assert first.shed.value > 0
    assert (second.shed.value, second.met.value) == (0, 0)
    assert 0 < first.met.value <= first.completed.value
    assert second.ttft_s is not None
    assert first.ttft_s is not None
    assert first.ttft_s.p50.value < second.ttft_s.p50.value


def test_prefill_replicas_may_cost_otherwise() -> None:
    """Half as fast, a GPU more each: the GPUs and the first tokens tell it."""

    def other(cap_w: float | None) -> StepTables:
        return replace(tables(300.0 if cap_w is None else cap_w), gpus=5)

    fleet, _, _ = run(replace(PAIR, split=replace(SPLIT, tables=other)))
    assert fleet.gpus == 48 + 4
    alike, slower = run(PAIR)[0].result().ttft_s, fleet.result().ttft_s
    assert alike is not None
    assert slower is not None
    assert slower.p50.value > 1.3 * alike.p50.value


def test_turns_of_sessions_wait_for_answers_of_the_decode_pool() -> None:
    shape = SessionShape(3.0, 2.0, 1.0)
    spec = replace(PAIR, arrivals=PoissonArrivals(5.0), sessions=shape, router="session-sticky")
    fleet, _, _ = run(spec)
    counts = fleet.sessions
    assert counts is not None
    assert counts.turns > counts.started > counts.ended > 0


def test_what_nobody_is_told_is_not_kept() -> None:
    """Rows of whole requests go tick by tick, and no share is worked out for them."""
    fleet = run(PAIR)[0]
    for cell in pairs(fleet):
        assert cell.cell.tally[:, at.COMPLETED].sum() > 100
        assert len(cell.take_log()) == 0
        assert not any(len(pool.cell.paid) for pool in cell.pools)


def test_whole_requests_are_told() -> None:
    """Each once, its times in order over both pools; in cells of a fleet and in parts of one."""
    table = draw_requests(PAIR.arrivals, PAIR.lengths, 20.0, 3, "same")
    table.output_tokens[::7] = 1
    env = simpy.Environment()
    fleet = CompiledFleet(env, replace(PAIR, tell_requests=True), tables, 1, table)
    rows: list[list[np.ndarray]] = [[], [], []]
    fleet.ended.subscribe(lambda piece: rows[piece.cell].append(piece.rows))
    env.run(END_PS)
    done = 0
    for cell, pieces in zip(pairs(fleet), rows, strict=True):
        told = np.concatenate([*pieces, cell.held()])
        assert sorted(told[:, at.L_ID]) == list(range(len(told)))
        done += len(told)
        served = told[told[:, at.L_REASON] == at.SERVED]
        times = served[:, [at.L_ARRIVAL, at.L_START, at.L_FIRST, at.L_END]]
        assert all((late >= early).all() for early, late in pairwise(times.T))
        single = served[:, at.L_OUTPUT] == 1
        prefills = len(cell.prefill.cell.due)
        assert ((served[:, at.L_REPLICA] < prefills) == single).all()
    assert done == len(table)


LARGE = replace(
    WHOLE, replicas=60, arrivals=PoissonArrivals(150.0), split=replace(SPLIT, prefill=24)
)


def test_cells_speak_for_a_fleet_in_two_pools() -> None:
    """Four of twelve cells: the fleet's own figures lie within twice the 95 % interval."""
    env = simpy.Environment()
    cells, whole = CellFleet(env, LARGE, tables, 1), CompiledFleet(env, LARGE, tables, 1)
    env.run(END_PS)
    cells.check_laws()
    found, exact = cells.result(), whole.result()
    assert [(p.spec.replicas, p.spec.split and p.spec.split.prefill) for p in cells.parts] == [
        (5, 2)
    ] * 4
    assert cells.gpus == whole.gpus == 240
    for name in ("requests", "completed", "tokens_out", "energy_j"):
        one = getattr(found, name)
        apart = abs(getattr(exact, name).value - one.value)
        assert apart < 2 * (one.high - one.value), name
    assert found.ttft_s is not None
    assert exact.ttft_s is not None
    assert found.ttft_s.mean.value == pytest.approx(exact.ttft_s.mean.value, rel=0.1)


def test_every_cell_has_both_kinds() -> None:
    few = replace(LARGE, split=replace(SPLIT, prefill=3))
    assert few.cells == 3
    assert [few.prefill_size(n) for n in range(3)] == [1, 1, 1]
    assert sum(few.size(n) for n in range(3)) == 60


@pytest.mark.parametrize("prefill", [15, 16, 37, 127, 500, 900, 963, 999])
def test_a_cell_has_as_much_of_both_kinds_as_of_the_load(prefill: int) -> None:
    """What is dealt by all replicas is what either kind gets; few are not dealt at all."""
    spec = replace(WHOLE, replicas=1000, cell_replicas=125, split=replace(SPLIT, prefill=prefill))
    sizes = np.array([spec.size(n) for n in range(spec.cells)])
    reads = np.array([spec.prefill_size(n) for n in range(spec.cells)])
    assert (sizes.sum(), reads.sum()) == (1000, prefill)
    assert spec.cells == min(8, max(1, min(prefill, 1000 - prefill) // 15))
    np.testing.assert_allclose(reads / prefill, sizes / 1000, rtol=0.02)
    np.testing.assert_allclose((sizes - reads) / (1000 - prefill), sizes / 1000, rtol=0.02)


def test_one_prefill_replica_less_is_not_another_fleet() -> None:
    """15 or 16 of 320 read prompts, almost all of the time: first tokens come about as fast."""
    late = []
    for prefill in (15, 16):
        spec = replace(
            WHOLE,
            replicas=320,
            cell_replicas=40,
            horizon_s=12.0,
            warmup_s=4.0,
            arrivals=PoissonArrivals(300.0),
            split=replace(SPLIT, prefill=prefill),
        )
        ttft = run(spec)[0].result().ttft_s
        assert ttft is not None
        late.append(ttft.p99.value)
    assert late[0] < 2 * late[1]


def test_each_law_can_fail() -> None:
    for column in ("load", "bins", "tally"):
        fleet, _, _ = run(replace(PAIR, horizon_s=6.0))
        cell = pairs(fleet)[1]
        if column == "load":
            cell.decode.cell.load[0] += 1
        elif column == "bins":
            cell.prefill.cell.bins[0, 0] += 10**9
        else:
            cell.handed_tokens += 1
            cell.prefill.cell.tally[0, at.TOKENS_IN] += 1
        with pytest.raises(LawViolation):
            fleet.check_laws()


def bad_specs() -> list[tuple[dict[str, object], str]]:
    return [
        ({"split": replace(SPLIT, prefill=12)}, "none is left to decode"),
        ({"rules": replace(RULES, preemption="swap", swap_s_per_block=1e-6)}, "preemption swap"),
    ]


@pytest.mark.parametrize(("changes", "words"), bad_specs())
def test_what_two_pools_cannot_do_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(PAIR, **changes)  # type: ignore[arg-type]


def test_requests_move_between_fleets_of_any_kind() -> None:
    """A pair hands a third of its requests to another, and both tell how many."""
    env = simpy.Environment()
    spec: CompiledFleetSpec = replace(PAIR, horizon_s=8.0, warmup_s=0.0)
    first = CompiledFleet(env, spec, tables, 1)
    second = CompiledFleet(env, replace(spec, name="other"), tables, 1)
    first.set_moves({second: 0.3}, 0.05)
    env.run(8 * PS_PER_S)
    for fleet in (first, second):
        fleet.check_laws()
    moved = first.moved(8 * PS_PER_S)
    assert moved == second.received > 0.2 * first.result().requests.value
