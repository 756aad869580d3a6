"""Prefix stores: both engines tell the same; hits, order of use and limits by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, requests, rules, world
from test_serving_engine import bent, table_of, told, told_by_reference
from test_serving_properties import batch_rules, workloads

from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.state import Watch
from sim.control.serving import ROUTERS, BatchRules, ClassRule, round_robin
from sim.cost.tables import TableCoster
from sim.errors import InputError
from sim.randomness import stream
from sim.workload.requests import Request, RequestTable


def with_blocks(stream_of: list[Request], size: int, seed: int) -> list[Request]:
    """Prompts that share beginnings: block numbers from a small tree."""
    rng = np.random.default_rng(seed)
    dealt = []
    for request in stream_of:
        count, key, blocks = request.input_tokens // size, 0, []
        for _ in range(count):
            key = (3 * key + 1 + int(rng.integers(2))) % 1_000_003
            blocks.append(key)
        dealt.append(replace(request, blocks=tuple(blocks)))
    return dealt


def table(stream_of: list[Request]) -> RequestTable:
    plain = table_of(stream_of)
    return replace(plain, blocks=[request.blocks for request in stream_of])


@settings(max_examples=100, deadline=None)
@given(
    workloads,
    batch_rules(),
    st.integers(32, 400),
    st.sampled_from(sorted(ROUTERS)),
    st.integers(1, 30),
    st.integers(1, 12),
    st.one_of(st.none(), st.integers(10, 150)),
)
def test_both_engines_tell_the_same(
    stream_of: list[Request],
    how: BatchRules,
    cache: int,
    route: str,
    blocks: int,
    size: int,
    most: int | None,
) -> None:
    how = replace(how, preemption="recompute", prefix_blocks=blocks, prefix_block_tokens=size)
    how = replace(how, classes=(ClassRule(most),))
    stream_of = with_blocks(stream_of, size, cache)
    tables = bent(cache, ticks=False)
    slow = world(stream_of, TableCoster(tables), how, 2, ROUTERS[route]).run()
    slow.check_laws()
    fast = CompiledReplicas(tables, how, 2, route, Watch(log=True))
    end_ps = stream_of[-1].arrival_ps + 50_000 * MS
    fast.bring(table(stream_of), stream(7, "router").random((len(stream_of), 2)), end_ps)
    fast.check_laws(end_ps)
    assert told(fast) == told_by_reference(slow)
    given_tokens = sum(record.given_tokens for record in slow.log.completed)
    assert fast.totals(end_ps).prefix_tokens == given_tokens
    assert fast.totals(end_ps).steps == slow.counter.steps


def hit_tokens(prompts: list[tuple[int, ...]], store: int, tokens: int = 40) -> list[int]:
    """Tokens from the store of each of some prompts that come one after the other."""
    rows = [Request(i, 100 * i * MS, tokens, 1, blocks=b) for i, b in enumerate(prompts)]
    how = rules(max_num_batched_tokens=512, prefix_blocks=store, prefix_block_tokens=10)
    ran = world(rows, TableCoster(bent(400, ticks=True)), how, 1, round_robin).run()
    return [record.given_tokens for record in ran.log.completed]


def test_only_leading_blocks_hit() -> None:
    assert hit_tokens([(1, 2, 3), (1, 2, 9), (7, 2, 3), (1, 2, 3)], 50) == [0, 20, 0, 30]


def test_the_last_token_is_always_computed() -> None:
    assert hit_tokens([(1, 2, 3, 4), (1, 2, 3, 4)], 50) == [0, 39]


def test_the_block_unused_for_longest_goes_first() -> None:
    prompts = [(1,), (2,), (1,), (3,), (1,), (2,)]
    assert hit_tokens(prompts, 2) == [0, 0, 10, 0, 10, 0]


def test_a_hit_saves_its_prefill() -> None:
    rows = [replace(r, blocks=(1, 2)) for r in requests((0, 40, 1), (50 * MS, 40, 1))]
    how = rules(max_num_batched_tokens=10, max_num_seqs=1, prefix_blocks=9, prefix_block_tokens=10)
    ran = world(rows, TableCoster(bent(400, ticks=True)), how).run()
    assert [r.end_ps - r.request.arrival_ps for r in ran.log.completed] == [4 * MS, 2 * MS]


def test_a_store_with_swap_is_refused() -> None:
    with pytest.raises(InputError, match="prefix_blocks"):
        BatchRules(preemption="swap", prefix_blocks=3)
