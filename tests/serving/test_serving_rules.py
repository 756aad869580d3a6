"""The per-request rules as plain functions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.control.serving import (
    BATCHERS,
    BatchRules,
    Limits,
    RouterView,
    StepPlan,
    admits,
    blocks_for,
    chunked_prefill,
    drop_reason,
    join_shortest_queue,
    power_of_two,
    prefill_priority,
    replica_limits,
    round_robin,
    router,
)
from sim.errors import CapacityError, InputError, UnknownNameError


@dataclass
class View:
    cached: int
    target: int
    blocks: int


def limits(**changes: int | bool) -> Limits:
    values = {
        "chunked": True,
        "max_seqs": 8,
        "max_tokens": 16,
        "block_size": 4,
        "total_blocks": 10,
        "watermark_blocks": 1,
    }
    return Limits(**{**values, **changes})  # type: ignore[arg-type]


def waiting(*targets: int) -> list[View]:
    return [View(0, target, 0) for target in targets]


@pytest.mark.parametrize(("tokens", "blocks"), [(0, 0), (1, 1), (16, 1), (17, 2), (32, 2)])
def test_blocks_are_rounded_up(tokens: int, blocks: int) -> None:
    assert blocks_for(tokens, 16) == blocks


def test_drop_counts_all_tokens_but_the_last() -> None:
    """Rule 5: 9 blocks of 4 tokens beside the watermark."""
    assert drop_reason(30, 7, limits()) is None
    assert drop_reason(30, 8, limits()) == "exceeds-kv-cache"
    assert drop_reason(10, 8, limits(chunked=False)) == "exceeds-token-budget"


def test_admission_leaves_the_watermark() -> None:
    assert admits(8, 3, limits())
    assert not admits(9, 3, limits())


def test_chunked_admits_until_the_budget_is_spent() -> None:
    assert chunked_prefill([], waiting(6, 7, 8, 1), 10, limits()) == StepPlan((), 0, (6, 7, 3))


def test_chunked_does_not_look_past_a_prompt_that_does_not_fit() -> None:
    assert chunked_prefill([], waiting(4, 33, 1), 9, limits()) == StepPlan((), 0, (4,))


def test_chunked_serves_the_running_first() -> None:
    running = [View(5, 4, 2), View(4, 20, 1)]
    assert chunked_prefill(running, waiting(1), 9, limits()) == StepPlan((1, 15), 0, ())


def test_preemption_takes_from_the_end_until_it_fits() -> None:
    """Rule 7: the first needs a block, none is free; the two newest hold one each."""
    running = [View(4, 4, 1), View(8, 8, 2), View(3, 3, 1)]
    assert chunked_prefill(running, waiting(1), 0, limits()) == StepPlan((1,), 2)


def test_a_sequence_may_have_to_preempt_itself() -> None:
    running = [View(5, 4, 2), View(8, 8, 2)]
    assert chunked_prefill(running, waiting(1), 0, limits()) == StepPlan((1,), 1)


def test_prefill_priority_takes_whole_prompts_only() -> None:
    running = [View(5, 4, 2)]
    plan = prefill_priority(running, waiting(10, 6, 1), 9, limits(chunked=False))
    assert plan == StepPlan((), 0, (10, 6))
    plan = prefill_priority(running, waiting(10, 7), 9, limits(chunked=False))
    assert plan == StepPlan((), 0, (10,))


def test_prefill_priority_decodes_when_nothing_can_enter() -> None:
    running = [View(5, 4, 2), View(6, 5, 2)]
    plan = prefill_priority(running, waiting(16), 4, limits(chunked=False))
    assert plan == StepPlan((1, 1), 0, ())


def test_full_seats_admit_nobody() -> None:
    running = [View(5, 4, 2), View(6, 5, 2)]
    for batcher in BATCHERS.values():
        assert batcher(running, waiting(1), 6, limits(max_seqs=2)).admit_tokens == ()


def test_limits_come_from_rules_and_cache() -> None:
    assert replica_limits(BatchRules(), 16_015, 100) == Limits(True, 100, 8192, 16, 1000, 10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_num_seqs": 0}, "max_num_seqs = 0"),
        ({"max_num_batched_tokens": -1}, "max_num_batched_tokens = -1"),
        ({"block_size_tokens": 0}, "block_size_tokens = 0"),
        ({"watermark_frac": 1.0}, "watermark_frac = 1.0"),
        ({"watermark_frac": float("nan")}, "watermark_frac = nan"),
    ],
)
def test_rules_out_of_range(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BatchRules(**changes)  # type: ignore[arg-type]


def test_unknown_names_answer_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'chunked-prefill'"):
        BatchRules("chunked-prefil")
    with pytest.raises(UnknownNameError, match="round-robin"):
        router("round-robbin")


def test_limits_that_hold_nothing() -> None:
    with pytest.raises(CapacityError, match="max_sequences = 0"):
        replica_limits(BatchRules(), 1000, 0)
    with pytest.raises(CapacityError, match="15 tokens"):
        replica_limits(BatchRules(), 15, 10)
    with pytest.raises(InputError, match="below the 10 sequences"):
        replica_limits(BatchRules(max_num_batched_tokens=9, max_num_seqs=10), 1000, 10)


def view(loads: list[int], sequence: int = 0, draw: tuple[float, float] = (0.0, 0.0)) -> RouterView:
    return RouterView(loads, sequence, draw)


def test_round_robin_takes_turns() -> None:
    assert [round_robin(view([9, 0, 0], i)) for i in range(5)] == [0, 1, 2, 0, 1]


def test_the_shortest_queue_with_the_lowest_index_on_a_tie() -> None:
    """Rule 10."""
    assert join_shortest_queue(view([3, 1, 2])) == 1
    assert join_shortest_queue(view([3, 2, 2])) == 1


def test_power_of_two_compares_two_different_replicas() -> None:
    """Rule 10: a tie goes to the first draw."""
    assert power_of_two(view([5, 1], draw=(0.0, 0.0))) == 1
    assert power_of_two(view([2, 2], draw=(0.9, 0.0))) == 1
    assert power_of_two(view([4], draw=(0.9, 0.9))) == 0


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=6),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
)
def test_power_of_two_never_takes_the_busiest_alone(
    loads: list[int], first: float, second: float
) -> None:
    index = power_of_two(view(loads, draw=(first, second)))
    assert 0 <= index < len(loads)
    others = [load for i, load in enumerate(loads) if i != index]
    assert loads[index] <= max(others)


def test_power_of_two_draws_each_pair_alike() -> None:
    pairs = set()
    for a in range(4):
        for b in range(3):
            draw = ((a + 0.5) / 4, (b + 0.5) / 3)
            loads = [0, 0, 0, 0]
            first = power_of_two(view(loads, draw=draw))
            loads[first] = 1
            pairs.add((first, power_of_two(view(loads, draw=draw))))
    assert len(pairs) == 12
    assert all(a != b for a, b in pairs)
