"""The compiled engine against the reference, on the same tables: equal to the picosecond."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, World, rules, world
from simpy.events import Event
from test_serving_properties import batch_rules, workloads

from sim.cluster.serving.cell_log import held_rows, shares
from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.state import Watch
from sim.control.serving import ROUTERS, BatchRules, ClassRule
from sim.cost.tables import StepTables, TableCoster, build_tables
from sim.errors import InputError
from sim.randomness import stream
from sim.workload.requests import Request, RequestTable

LINEAR = LinearCoster(
    0.001,
    3e-6,
    7e-8,
    kv_capacity_tokens=1000,
    token_flops=1e9,
    pair_flops=1e5,
    weight_bytes=1e10,
    cached_bytes=1e5,
)
TABLES = build_tables(LINEAR, 64, 512)
TICKS = build_tables(LinearCoster(0.001, kv_capacity_tokens=1000), 64, 512)


def bent(cache: int, *, ticks: bool) -> StepTables:
    """Tables with segments from 10 and 30 tokens a sequence on, or without any slope."""
    if ticks:
        return replace(TICKS, kv_capacity_tokens=cache)
    base, slope = np.repeat(TABLES.base, 3, axis=2), np.repeat(TABLES.slope, 3, axis=2)
    base[:, 1:, 1] += 1234 * np.arange(1, 65)
    slope[:, 1:, 2] += 17
    alone = TABLES.alone + 99 * np.arange(65) ** 2
    edge = np.arange(65)[:, None] * np.array([0, 10, 30])
    return replace(TABLES, edge=edge, base=base, slope=slope, alone=alone, kv_capacity_tokens=cache)


def table_of(requests: list[Request]) -> RequestTable:
    rows = np.array(
        [(r.arrival_ps, r.input_tokens, r.output_tokens, r.priority, r.session) for r in requests]
    )
    return RequestTable(*(np.ascontiguousarray(column) for column in rows.T))


@st.composite
def classes(draw: st.DrawFn) -> tuple[ClassRule, ...]:
    """One to four classes, some of which shed."""
    most = st.one_of(st.none(), st.integers(1, 200))
    return tuple(ClassRule(m) for m in draw(st.lists(most, min_size=1, max_size=4)))


def dealt(requests: list[Request], kinds: int, seed: int) -> list[Request]:
    """The requests with a class and a session each."""
    rng = np.random.default_rng(seed)
    return [
        replace(r, priority=int(rng.integers(kinds)), session=int(rng.integers(100)))
        for r in requests
    ]


def slower(tables: StepTables) -> StepTables:
    """The same work at a lower clock."""
    base, token = tables.base.copy(), tables.token.copy()
    base[:2, 1:] = base[:2, 1:] * 3 // 2
    token[0, 1:] += 10**8
    return replace(tables, base=base, token=token)


@settings(max_examples=150, deadline=None)
@given(
    workloads,
    batch_rules(),
    classes(),
    st.integers(32, 400),
    st.integers(1, 3),
    st.sampled_from(sorted(ROUTERS)),
    st.booleans(),
    st.booleans(),
)
def test_both_engines_tell_the_same(
    requests: list[Request],
    how: BatchRules,
    kinds: tuple[ClassRule, ...],
    cache: int,
    replicas: int,
    route: str,
    ticks: bool,
    capped: bool,
) -> None:
    """Times, counts and drops exactly; energy to 1e-9, also in the middle of a run.

    In the middle, and half of the time at once with an arrival, the clock may change.
    """
    tables, how = bent(cache, ticks=ticks), replace(how, classes=kinds)
    requests = dealt(requests, len(kinds), cache)
    slow = world(requests, TableCoster(tables), how, replicas, ROUTERS[route])
    watch = Watch(bin_s=0.01, bins=40, log=True, shares=True)
    fast = CompiledReplicas(tables, how, replicas, route, watch)
    draws = stream(7, "router").random((len(requests), 2))
    middle_ps = max(1, requests[len(requests) // 2].arrival_ps + (5 * MS // 2 if ticks else 0))
    end_ps = requests[-1].arrival_ps + 10_000 * MS
    table, done = table_of(requests), 0
    if capped:
        slow.env.process(change_later(slow, middle_ps, slower(tables)))
    for until_ps in (middle_ps, end_ps):
        slow.run(until_ps)
        done = fast.bring(table, draws, until_ps, done)
        totals = fast.totals(until_ps)
        metered_j = sum(meter.at(until_ps) for meter in slow.meters)
        assert totals.energy_j == pytest.approx(metered_j, rel=1e-9, abs=1e-8)
        if ticks or until_ps == end_ps:  # else steps may end then, which one has seen
            assert fast.cell.load.tolist() == [replica.load for replica in slow.replicas]
            check_shares(slow, fast)
            check_shares(slow, fast)
        fast.check_laws(until_ps)
        if capped and until_ps == middle_ps:
            fast.set_costs(slower(tables), until_ps)
    assert done == len(requests)
    check_counts(slow, fast, end_ps)
    check_requests(slow, fast)


def test_shares_change_nothing_else_and_are_told_only_where_asked() -> None:
    """Long outputs in a small cache, so that requests are preempted; some are still there."""
    each = np.arange(40)
    table = RequestTable(each * MS, 20 + each, np.full(40, 60))
    draws, how = stream(7, "router").random((40, 2)), rules(max_num_batched_tokens=512)
    found = []
    for kept in (False, True):
        watch = Watch(log=True, shares=kept)
        fast = CompiledReplicas(bent(400, ticks=False), how, 2, "round-robin", watch)
        fast.bring(table, draws, 150 * MS)
        fast.check_laws(150 * MS)
        rows = np.concatenate([fast.log(), held_rows(fast)])
        assert (np.isfinite(shares(rows)) == kept).all()
        assert len(fast.cell.paid) > 0 if kept else not len(fast.cell.paid)
        found.append((rows[:, : at.L_SHARES].tolist(), fast.totals(150 * MS)))
    assert found[0] == found[1]
    assert found[0][1].preempted > 0
    assert 0 < found[0][1].completed < 40
    with pytest.raises(InputError, match="shares of requests need a log"):
        Watch(shares=True)


def check_counts(slow: World, fast: CompiledReplicas, end_ps: int) -> None:
    """Everything that is counted: exactly, sums of FLOPs and bytes to 1e-12."""
    counter, totals = slow.counter, fast.totals(end_ps)
    assert (totals.arrived, totals.completed, totals.preempted, totals.steps) == (
        counter.arrived,
        counter.completed,
        counter.preempted,
        counter.steps,
    )
    work = [(step.cost.flops, step.cost.hbm_bytes) for step in slow.steps.steps]
    assert totals.flops == pytest.approx(sum(flops for flops, _ in work), rel=1e-12)
    assert totals.hbm_bytes == pytest.approx(sum(moved for _, moved in work), rel=1e-12)
    assert totals.sequences == sum(len(step.decode_contexts) for step in slow.steps.steps)
    assert totals.swapped_blocks == sum(replica.swapped_blocks for replica in slow.replicas)


def check_requests(slow: World, fast: CompiledReplicas) -> None:
    """Each request: dropped for the same reason, or the same times on the same replica."""
    assert refused(fast) == sorted((d.request.request_id, d.reason) for d in slow.log.dropped)
    assert told(fast) == told_by_reference(slow)


def check_shares(slow: World, fast: CompiledReplicas) -> None:
    """Each request's share of time, FLOPs, bytes and energy."""
    log = fast.log()
    rows = np.concatenate([log[log[:, at.L_REASON] == at.SERVED], held_rows(fast)])
    left = [record for replica in slow.replicas for record in replica.unfinished()]
    theirs = {r.request.request_id: astuple(r.cost) for r in left}
    theirs |= {r.request.request_id: astuple(r.cost) for r in slow.log.completed}
    assert len(theirs) == len(rows)
    for number, mine in zip(rows[:, at.L_ID].tolist(), shares(rows).tolist(), strict=True):
        for one, other, least in zip(mine, theirs[number], (2e-12, 1.0, 1.0, 2e-9), strict=True):
            assert one == pytest.approx(other, rel=1e-9, abs=least * 1e-3), (number, mine)


def change_later(slow: World, time_ps: int, tables: StepTables) -> Generator[Event, None, None]:
    """Change the clock of all reference replicas ahead of what begins at an instant."""
    yield At(slow.env, Phase.STEP_END, time_ps)
    for replica in slow.replicas:
        replica.set_coster(TableCoster(tables))


REASONS = {at.TOO_LONG: "exceeds-kv-cache", at.OVER_BUDGET: "exceeds-token-budget"}


def refused(fast: CompiledReplicas) -> list[tuple[int, str]]:
    """Numbers and reasons of the requests that were refused."""
    log = fast.log()
    rows = log[log[:, at.L_REASON] != at.SERVED][:, [at.L_ID, at.L_REASON]].tolist()
    return sorted((row, REASONS.get(why, "queue-full")) for row, why in rows)


def told(fast: CompiledReplicas) -> list[tuple[int, ...]]:
    """What the log says of each completed request, by its number."""
    log = fast.log()
    names = (at.L_ID, at.L_REPLICA, at.L_START, at.L_FIRST, at.L_END)
    columns = [*names, at.L_PREEMPTIONS, at.L_RECOMPUTED]
    return sorted(map(tuple, log[log[:, at.L_REASON] == 0][:, columns].tolist()))


def told_by_reference(slow: World) -> list[tuple[int, ...]]:
    """The same of the reference engine's completed requests."""
    return [
        (
            record.request.request_id,
            record.replica,
            record.start_ps,
            record.first_token_ps,
            record.end_ps,
            record.preemptions,
            record.recomputed_tokens,
        )
        for record in sorted(slow.log.completed, key=lambda r: r.request.request_id)
    ]


def test_the_pool_grows() -> None:
    count = 3 * 1024
    table = RequestTable(*(np.full(count, n, dtype=np.int64) for n in (0, 3, 2)))
    fast = CompiledReplicas(TABLES, rules(max_num_batched_tokens=512))
    fast.bring(table, np.zeros((count, 2)))
    fast.settle(10**17)
    assert fast.totals(10**17).completed == count


def test_tables_that_are_too_small_are_refused() -> None:
    with pytest.raises(InputError, match="the rules allow 64 and 8192"):
        CompiledReplicas(TABLES, rules())
