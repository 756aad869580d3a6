"""Replicas that fail, drain and start: both engines tell the same."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, World, requests, rules, world
from simpy.events import Event
from test_serving_engine import bent, check_shares, table_of, told, told_by_reference
from test_serving_properties import batch_rules, workloads

from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.state import Watch
from sim.control.serving import ROUTERS, BatchRules, power_of_two
from sim.cost.tables import TableCoster
from sim.errors import InputError
from sim.randomness import stream
from sim.workload.requests import Request

REPLICAS = 4
acts = st.lists(
    st.tuples(
        st.integers(0, 40 * MS), st.sampled_from(["fail", "drain", "join"]), st.integers(1, 3)
    ),
    min_size=1,
    max_size=6,
)
"""(gap, what, replica); replica 0 is always up."""


def on_the_clock(gaps: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    time_ps, told_at = 0, []
    for gap_ps, what, index in gaps:
        time_ps += 1 + (gap_ps // MS * MS if gap_ps % 2 else gap_ps)
        told_at.append((time_ps, what, index))
    return told_at


def act_later(slow: World, plan: list[tuple[int, str, int]]) -> Generator[Event, None, None]:
    for time_ps, what, index in plan:
        yield At(slow.env, Phase.STEP_END, time_ps - int(slow.env.now))
        getattr(slow.routed, what)(index)


breaks = st.lists(
    st.tuples(st.integers(0, 40 * MS), st.sampled_from(["fail", "join"]), st.integers(0, 3)),
    min_size=1,
    max_size=9,
)
"""Any replica may break, and all of them."""


@settings(max_examples=110, deadline=None)
@given(
    workloads,
    batch_rules(),
    st.integers(32, 400),
    st.sampled_from(sorted(ROUTERS)),
    st.one_of(acts, breaks),
)
def test_both_engines_tell_the_same(
    stream_of: list[Request],
    how: BatchRules,
    cache: int,
    route: str,
    gaps: list[tuple[int, str, int]],
) -> None:
    tables, how = bent(cache, ticks=False), replace(how, preemption="recompute")
    plan = on_the_clock(gaps)
    end_ps = max(stream_of[-1].arrival_ps, plan[-1][0]) + 10_000 * MS
    plan.append((end_ps // 2, "join", 0))
    slow = world(stream_of, TableCoster(tables), how, REPLICAS, ROUTERS[route])
    slow.env.process(act_later(slow, plan))
    watch = Watch(bin_s=0.01, bins=40, log=True, shares=True)
    fast = CompiledReplicas(tables, how, REPLICAS, route, watch)
    draws = stream(7, "router").random((len(stream_of), 2))
    table, done = table_of(stream_of), 0
    for time_ps, what, index in plan:
        done = fast.bring(table, draws, time_ps, done)
        getattr(fast, what)(index, time_ps)
        fast.check_laws(time_ps)
    fast.bring(table, draws, end_ps, done)
    slow.run(end_ps)
    slow.check_laws()
    fast.check_laws(end_ps)
    assert told(fast) == told_by_reference(slow)
    check_shares(slow, fast)
    totals = fast.totals(end_ps)
    assert totals.steps == slow.counter.steps
    assert fast.requeued == slow.routed.requeued
    metered_j = sum(meter.at(end_ps) for meter in slow.meters)
    assert totals.energy_j == pytest.approx(metered_j, rel=1e-9, abs=1e-7)


def test_a_failure_moves_the_requests_and_darkens_the_replica() -> None:
    """Counted by hand: the lost step is paid, the prompt is read again elsewhere."""
    how = rules(max_num_batched_tokens=512)
    table, draws = table_of(requests((0, 100, 5))), stream(7, "router").random((1, 2))
    fast = CompiledReplicas(bent(400, ticks=True), how, 2, "round-robin", Watch(log=True))
    fast.bring(table, draws, 5 * MS // 2)
    fast.fail(0, 5 * MS // 2)
    fast.settle(100 * MS)
    fast.check_laws(100 * MS)
    (row,) = told(fast)
    assert row == (0, 1, 0, MS, 5 * MS // 2 + 3 * MS, 1, 101)
    watts, idle, off = 700.0, 120.0, 70.0
    energy_j = watts * 0.0055 + idle * (0.1 - 0.003)
    energy_j += off * 0.0975  # replica 0 is dark from 2.5 ms on
    assert fast.totals(100 * MS).energy_j == pytest.approx(energy_j, rel=1e-9)


def test_a_drained_replica_finishes_and_goes_dark() -> None:
    how = rules(max_num_batched_tokens=512)
    table, draws = table_of(requests((0, 10, 4), (2 * MS, 10, 1))), stream(1).random((2, 2))
    fast = CompiledReplicas(bent(400, ticks=True), how, 2, "round-robin", Watch(log=True))
    done = fast.bring(table, draws, MS)
    fast.drain(0, MS)
    fast.bring(table, draws, 100 * MS, done)
    assert [row[1] for row in told(fast)] == [0, 1]
    busy_j = 700.0 * 0.005 + 70.0 * 0.096
    assert fast.totals(100 * MS).energy_j == pytest.approx(busy_j + 120.0 * 0.099, rel=1e-9)
    fast.join(0, 100 * MS)
    fast.settle(200 * MS)
    assert fast.totals(200 * MS).energy_j == pytest.approx(busy_j + 120.0 * 0.299, rel=1e-9)


def test_what_cannot_be_is_refused() -> None:
    swapping = CompiledReplicas(
        bent(400, ticks=True), rules(max_num_batched_tokens=512, preemption="swap"), 2
    )
    with pytest.raises(InputError, match="recompute"):
        swapping.fail(0, 1)
    table, draws = table_of(requests((0, 10, 4))), stream(1).random((1, 2))
    lone = CompiledReplicas(bent(400, ticks=True), rules(max_num_batched_tokens=512))
    lone.bring(table, draws, MS // 2)
    lone.drain(0, MS // 2)
    with pytest.raises(InputError, match="no replica is up"):
        lone.fail(0, MS // 2)
    slow = world(requests((0, 10, 4)), TableCoster(bent(400, ticks=True)), rules(), 1, power_of_two)
    slow.run(MS // 2)
    slow.routed.drain(0)
    with pytest.raises(InputError, match="no replica is up"):
        slow.routed.fail(0)


def test_requests_wait_with_the_last_replica_until_one_is_back() -> None:
    """Counted by hand: both broke; what waits goes to the first that is back, at 9 ms."""
    table, draws = table_of(requests((0, 100, 5), (4 * MS, 10, 1))), stream(7).random((2, 2))
    how = rules(max_num_batched_tokens=512)
    fast = CompiledReplicas(bent(400, ticks=True), how, 2, "round-robin", Watch(log=True))
    done = fast.bring(table, draws, 2 * MS)
    fast.fail(1, 2 * MS)
    done = fast.bring(table, draws, 5 * MS // 2, done)
    fast.fail(0, 5 * MS // 2)
    fast.bring(table, draws, 9 * MS, done)
    fast.check_laws(9 * MS)
    assert fast.totals(9 * MS).completed == 0
    fast.join(1, 9 * MS)
    fast.settle(20 * MS)
    fast.check_laws(20 * MS)
    assert [(row[0], row[1], row[4]) for row in told(fast)] == [(0, 1, 12 * MS), (1, 1, 10 * MS)]
    assert fast.requeued == 3
