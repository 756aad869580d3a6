"""The pipeline formulas against a schedule that is played out, pass by pass.

Each GPU runs its passes in the order of Megatron's 1F1B schedule (Narayanan et al. 2021,
doi:10.1145/3458817.3476209, figure 4); a pass starts when its GPU is free and what it needs
from other stages has arrived.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sim import arch
from sim.cost.layout import Layout
from sim.cost.plan_training import plan_training, setups
from sim.cost.training import training_step
from sim.cost.training_memory import _in_flight
from sim.cost.training_setup import TrainingSetup
from sim.errors import CapacityError
from sim.hardware.node import load_node

NODE = load_node()
Pass = tuple[str, int, int]
"""(forward or backward, micro-batch, chunk of this GPU)."""


def order(rank: int, pp: int, v: int, m: int) -> list[Pass]:
    """Passes of one GPU: warm-up, one forward and one backward in turn, cool-down."""
    total = m * v
    if v == 1:
        warm = min(pp - rank - 1, total)
    else:
        warm = total if m == pp else min((pp - rank - 1) * 2 + (v - 1) * pp, total)

    def nth(n: int, *, forward: bool) -> Pass:
        group, inside = divmod(n, pp * v)
        chunk, micro = divmod(inside, pp)
        chunk = chunk if forward else v - 1 - chunk
        return ("f" if forward else "b", group * pp + micro, chunk)

    found = [nth(n, forward=True) for n in range(warm)]
    for n in range(total - warm):
        found += [nth(warm + n, forward=True), nth(n, forward=False)]
    return found + [nth(n, forward=False) for n in range(total - warm, total)]


def play(pp: int, v: int, m: int, f_s: float, b_s: float) -> tuple[float, list[int]]:
    """Length of the schedule, and the most chunks of activations that each GPU held."""
    queues = [order(rank, pp, v, m) for rank in range(pp)]
    free = [0.0] * pp
    ends: dict[tuple[str, int, int], float] = {}
    held, most = [0] * pp, [0] * pp
    stages = pp * v
    while any(queues):
        moved = False
        for rank, queue in enumerate(queues):
            if not queue:
                continue
            kind, micro, chunk = queue[0]
            stage = chunk * pp + rank
            needs = []
            if kind == "f" and stage:
                needs = [("f", micro, stage - 1)]
            elif kind == "b":
                needs = [("f", micro, stage)] if stage == stages - 1 else [("b", micro, stage + 1)]
            if any(need not in ends for need in needs):
                continue
            start = max([free[rank], *(ends[need] for need in needs)])
            free[rank] = start + (f_s if kind == "f" else b_s) / v
            ends[kind, micro, stage] = free[rank]
            held[rank] += 1 if kind == "f" else -1
            most[rank] = max(most[rank], held[rank])
            queue.pop(0)
            moved = True
        assert moved, "the schedule is stuck"
    return max(free), most


@given(st.integers(1, 8), st.integers(1, 4), st.integers(1, 6), st.floats(0.1, 2.0))
def test_the_bubble_is_that_of_the_schedule_played_out(
    pp: int, v: int, groups: int, forward_s: float
) -> None:
    """Passes of equal length in each direction; m a multiple of pp, as interleaving needs."""
    assume(v == 1 or pp > 1)
    m = groups * pp
    backward_s = 2 * forward_s
    length_s, _ = play(pp, v, m, forward_s, backward_s)
    busy_s = m * (forward_s + backward_s)
    assert length_s == pytest.approx(busy_s * (1 + (pp - 1) / (v * m)))


@given(st.integers(2, 8), st.integers(1, 4), st.integers(2, 6))
def test_the_first_stage_never_holds_more_than_the_memory_formula_says(
    pp: int, v: int, groups: int
) -> None:
    m = groups * pp
    _, most = play(pp, v, m, 1.0, 2.0)
    model = arch.load("llama-3.1-405b")
    layout = Layout(8, pp, 8, virtual_stages=v)
    setup = TrainingSetup(model, layout, 8192, m * 8 * 8192)
    assert setup.micro_batches == m
    assert max(most) / v <= _in_flight(setup) * pp + 1e-9
    assert max(most) == most[0]


def test_1f1b_holds_exactly_pp_micro_batches() -> None:
    _, most = play(6, 1, 18, 1.0, 2.0)
    assert most == [6, 5, 4, 3, 2, 1]


def test_a_long_sequence_is_searched_over_context_ways_as_brute_force_does() -> None:
    model = arch.load("llama-3-8b")
    batch = 2**20
    plan = plan_training(model, NODE, 16, sequence_tokens=32_768, global_batch_tokens=batch)
    base = TrainingSetup(model, Layout(), 32_768, batch)
    best = 0.0
    for setup in setups(base, NODE, 16):
        if setup.replicas * setup.micro_batch_sequences * 32_768 > 1.5 * batch:
            continue
        for zero in range(4):
            for recompute in ("none", "selective", "full"):
                trial = replace(
                    setup,
                    layout=replace(setup.layout, zero=zero),
                    recompute=recompute,
                )
                try:
                    cost = training_step(trial, NODE)
                except CapacityError:
                    continue
                best = max(best, cost.tokens / cost.time_s)
    assert plan.best[0].tokens_per_s == pytest.approx(best)
    assert {c.setup.context_parallel for c in plan.best} > {1}
