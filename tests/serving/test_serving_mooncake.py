"""Real block hashes: from the reader to the prefix store, against a plain LRU beside it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.coster import LinearCoster
from sim.control.serving import BatchRules
from sim.cost.tables import StepTables, build_tables
from sim.workload.requests import RequestTable
from sim.workload.traces import BLOCK_TOKENS, read_trace


def lru_hit_tokens(table: RequestTable, room: int) -> int:
    """Prompt tokens in leading blocks that a store of `room` blocks has; all prompts go to it."""
    store: OrderedDict[int, None] = OrderedDict()
    hit = 0
    for prompt, blocks in zip(table.input_tokens.tolist(), table.blocks or [], strict=True):
        found = 0
        while found < len(blocks) and blocks[found] in store:
            found += 1
        hit += min(found * BLOCK_TOKENS, prompt - 1)
        for block in blocks:
            store[block] = None
            store.move_to_end(block)
            if len(store) > room:
                store.popitem(last=False)
    return hit


def engine_hit_tokens(table: RequestTable, room: int) -> tuple[int, int]:
    """The same of one compiled replica that serves them all, and the requests it served."""
    how = BatchRules(
        max_num_seqs=64,
        max_num_batched_tokens=512,
        prefix_blocks=room,
        prefix_block_tokens=BLOCK_TOKENS,
    )
    replica = CompiledReplicas(roomy(), how)
    end_ps = int(table.arrival_ps[-1]) + 1
    replica.bring(table, np.zeros((len(table), 2)), end_ps)
    replica.check_laws(end_ps)
    totals = replica.totals(end_ps)
    return totals.prefix_tokens, totals.arrived - totals.dropped


def roomy() -> StepTables:
    """Costs of a replica whose cache takes every prompt."""
    return build_tables(LinearCoster(0.001, kv_capacity_tokens=10**6), 64, 512)


def test_a_repeated_prompt_hits() -> None:
    tokens = np.array([1300, 1300, 1536, 1300])
    blocks = [(1, 2, 3), (1, 2, 3), (1, 2, 9), (7, 2, 3)]
    table = RequestTable(np.arange(4) * 10**15, tokens, np.full(4, 2), blocks=blocks)
    assert lru_hit_tokens(table, 100) == 1299 + 1024
    assert engine_hit_tokens(table, 100) == (1299 + 1024, 4)


@pytest.mark.facts
@pytest.mark.parametrize("room", [500, 5000, 300_000])
def test_the_hit_rate_of_the_published_sample(facts: Path, room: int) -> None:
    trace = read_trace(facts / "traces" / "mooncake_conversation_trace.jsonl", "skip")
    table = trace.requests
    assert table.blocks is not None
    hit = lru_hit_tokens(table, room)
    assert engine_hit_tokens(table, room) == (hit, len(table))
    rate = hit / int(table.input_tokens.sum())
    assert {500: 0.04, 5000: 0.1, 300_000: 0.3}[room] < rate < 0.5
    # The order of rows matters: the check would see blocks that belong to other prompts.
    mixed = replace(table, blocks=table.blocks[::-1])
    assert lru_hit_tokens(mixed, room) != hit
