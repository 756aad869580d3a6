"""Prefix stores of replicas that break: both engines tell the same; what is lost, by hand."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, World, requests, rules, world
from test_serving_availability import REPLICAS, act_later, acts, breaks, on_the_clock
from test_serving_engine import bent, check_shares, told, told_by_reference
from test_serving_prefix import table, with_blocks
from test_serving_properties import batch_rules, workloads

from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.state import Watch
from sim.control.serving import ROUTERS, BatchRules
from sim.cost.tables import TableCoster
from sim.randomness import stream
from sim.workload.requests import Request

Plan = list[tuple[int, str, int]]


def both(
    stream_of: list[Request], how: BatchRules, route: str, replicas: int, plan: Plan, cache: int
) -> tuple[CompiledReplicas, World]:
    """The same requests and failures on both engines, long after the last of them."""
    tables = bent(cache, ticks=False)
    end_ps = max(stream_of[-1].arrival_ps, plan[-1][0]) + 10_000 * MS
    slow = world(stream_of, TableCoster(tables), how, replicas, ROUTERS[route])
    slow.env.process(act_later(slow, plan))
    fast = CompiledReplicas(tables, how, replicas, route, Watch(log=True, shares=True))
    draws, done = stream(7, "router").random((len(stream_of), 2)), 0
    for time_ps, what, index in plan:
        done = fast.bring(table(stream_of), draws, time_ps, done)
        getattr(fast, what)(index, time_ps)
    fast.bring(table(stream_of), draws, end_ps, done)
    slow.run(end_ps)
    fast.check_laws(end_ps)
    slow.check_laws()
    return fast, slow


@settings(max_examples=80, deadline=None)
@given(
    workloads,
    batch_rules(),
    st.integers(32, 400),
    st.sampled_from(sorted(ROUTERS)),
    st.integers(1, 30),
    st.integers(1, 12),
    st.one_of(acts, breaks),
)
def test_both_engines_tell_the_same(
    stream_of: list[Request],
    how: BatchRules,
    cache: int,
    route: str,
    blocks: int,
    size: int,
    gaps: Plan,
) -> None:
    how = replace(how, preemption="recompute", prefix_blocks=blocks, prefix_block_tokens=size)
    plan = on_the_clock(gaps)
    plan.append((max(stream_of[-1].arrival_ps, plan[-1][0]) + 5_000 * MS, "join", 0))
    fast, slow = both(with_blocks(stream_of, size, cache), how, route, REPLICAS, plan, cache)
    assert told(fast) == told_by_reference(slow)
    lost = sum(row[-1] for row in told(fast))
    assert lost == fast.totals(slow.env.now).recomputed_tokens
    check_shares(slow, fast)


def test_what_a_store_gave_is_not_lost_where_nothing_was_computed_on_it() -> None:
    """The second prompt finds 30 tokens; its replica breaks in its first step, then in its
    second: 30 + 8 are lost then.
    """
    rows = [replace(r, blocks=(1, 2, 3)) for r in requests((0, 31, 1), (80 * MS, 60, 1))]
    how = rules(max_num_seqs=8, max_num_batched_tokens=8, prefix_blocks=9, prefix_block_tokens=10)
    for fail_ps, lost in ((80 * MS + 1, 0), (82 * MS, 38)):
        plan = [(fail_ps, "fail", 0), (90 * MS, "join", 0)]
        fast, slow = both(rows, how, "round-robin", 1, plan, 400)
        assert told(fast) == told_by_reference(slow)
        assert told(fast)[1][-1] == lost


def given_tokens(join_ms: int) -> list[int]:
    """One prompt twice, the replica breaking between: its store is lost, back up or not."""
    rows = [replace(r, blocks=(1, 2, 3, 4)) for r in requests((0, 40, 1), (80 * MS, 40, 1))]
    how = rules(max_num_batched_tokens=64, prefix_blocks=9, prefix_block_tokens=10)
    plan = [(60 * MS, "fail", 0), (join_ms * MS, "join", 0)]
    fast, slow = both(rows, how, "round-robin", 1, plan, 400)
    assert told(fast) == told_by_reference(slow)
    return [record.given_tokens for record in slow.log.completed]


def test_a_store_is_lost_when_its_replica_breaks_even_for_those_who_wait_for_it() -> None:
    assert given_tokens(70) == [0, 0]
    assert given_tokens(100) == [0, 0]
