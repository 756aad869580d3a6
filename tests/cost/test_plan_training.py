"""The planner of training layouts: brute force on small cases, bounds, reasons."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from sim import arch
from sim.cost.layout import Layout
from sim.cost.plan_training import (
    best_training,
    candidates,
    most_tokens_per_s,
    plan_training,
    stage_counts,
    why_slower,
)
from sim.cost.training import training_step
from sim.cost.training_setup import TrainingSetup
from sim.errors import CapacityError
from sim.hardware.node import load_node

NODE = load_node()
LLAMA_70B = arch.load("llama-3-70b")


def test_the_planner_finds_what_brute_force_finds() -> None:
    model = arch.load("mixtral-8x7b")
    plan = plan_training(model, NODE, 16, sequence_tokens=2048, global_batch_tokens=2**18)
    every = []
    for (layout, micro), zero, recompute in itertools.product(
        candidates(model, NODE, 16), range(4), ("none", "selective", "full")
    ):
        setup = TrainingSetup(
            model, replace(layout, zero=zero), 2048, 2**18, micro, cast("Any", recompute)
        )
        if layout.dp * micro * 2048 <= 1.5 * 2**18:
            with contextlib.suppress(CapacityError):
                cost = training_step(setup, NODE)
                every.append(cost.tokens / cost.time_s)
    assert plan.best[0].tokens_per_s == pytest.approx(max(every))
    speeds = [candidate.tokens_per_s for candidate in plan.best]
    assert speeds == sorted(speeds, reverse=True)
    assert all(c.memory_bytes <= NODE.device.usable_bytes for c in plan.best)


def every_pipeline(model: arch.Architecture, gpus: int, batch: int) -> Iterator[TrainingSetup]:
    """All stage counts of two and more, whether they divide the layers or not."""
    layers = model.n_layers
    for tp, pp, v, micro in itertools.product(
        (1, 2, 4, 8), range(2, layers + 1), range(1, 13), (1, 2, 4, 8)
    ):
        dp = gpus // (tp * pp)
        fits = pp * v <= layers + 2 * (v > 1) and math.ceil(layers / pp) % v == 0
        if dp and fits and dp * micro * 8192 <= 1.5 * batch:
            for zero, again in itertools.product(range(4), ("none", "selective", "full")):
                layout = Layout(tp, pp, dp, 1, zero, v)
                yield TrainingSetup(model, layout, 8192, batch, micro, cast("Any", again))


@pytest.mark.parametrize(("layers", "gpus"), [(11, 32), (7, 64)])
def test_uneven_stages_are_searched_as_brute_force_over_all_stage_counts(
    layers: int, gpus: int
) -> None:
    """The stage counts that the planner leaves out are never the best pipeline."""
    model = LLAMA_70B
    model = replace(model, layers=(replace(model.layers[0], count=layers),))
    plan = plan_training(model, NODE, gpus, global_batch_tokens=2**19)
    piped = [c for c in plan.best if c.setup.layout.pp > 1]
    best = 0.0
    for setup in every_pipeline(model, gpus, 2**19):
        with contextlib.suppress(CapacityError):
            cost = training_step(setup, NODE)
            best = max(best, cost.tokens / cost.time_s)
    assert piped[0].tokens_per_s == pytest.approx(best)
    assert any(layers % c.setup.layout.pp for c in piped)


def test_llama_3_405b_is_planned_in_16_stages_too() -> None:
    """126 layers, 16 stages: the published layout (Llama 3 report, section 3.3.2)."""
    plan = plan_training(arch.load("llama-3.1-405b"), NODE, 16_384)
    assert {(8, 16), (8, 14)} <= {(c.setup.layout.tp, c.setup.layout.pp) for c in plan.best}
    assert stage_counts(126)[-3:] == [63, 64, 126]


@pytest.mark.parametrize("layers", [11, 61, 94])
def test_dualpipe_has_the_fewest_even_stages_of_each_size(layers: int) -> None:
    """61 layers, three in the fullest stage: 21 stages, or 22 if they must be even."""
    counts = stage_counts(layers, even=True)
    sizes = {math.ceil(layers / n) for n in range(2, layers + 1, 2)}
    assert {math.ceil(layers / n) for n in counts if n % 2 == 0} == sizes
    for size in sizes:
        fewest = min(n for n in range(2, layers + 1, 2) if math.ceil(layers / n) == size)
        assert fewest in counts
    assert 22 in stage_counts(61, even=True)
    assert 22 not in stage_counts(61)


@pytest.mark.parametrize(
    ("name", "gpus", "tokens", "batch"),
    [
        ("mixtral-8x7b", 16, 2048, 2**18),
        ("llama-3-8b", 16, 32_768, 2**20),
        ("deepseek-v3", 2048, 4096, 2**24),
        ("mamba-2.8b", 8, 2048, 2**18),
    ],
)
def test_the_quick_search_finds_the_first_of_the_whole_one(
    name: str, gpus: int, tokens: int, batch: int
) -> None:
    model = arch.load(name)
    plan = plan_training(model, NODE, gpus, sequence_tokens=tokens, global_batch_tokens=batch)
    best = best_training(model, NODE, gpus, sequence_tokens=tokens, global_batch_tokens=batch)
    assert best.setup == plan.best[0].setup
    assert best.cost == plan.best[0].cost
    bounds = [most_tokens_per_s(c.setup, NODE) for c in plan.best]
    assert all(b >= c.tokens_per_s for b, c in zip(bounds, plan.best, strict=True))
    assert bounds[0] < 3 * best.tokens_per_s  # a bound that is never near would prune nothing


def test_a_bound_that_is_too_low_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above can fail: with a wrong bound the quick search stops at the wrong layout."""
    model = arch.load("mixtral-8x7b")
    right = best_training(model, NODE, 16, sequence_tokens=2048, global_batch_tokens=2**18)

    def wrong(setup: TrainingSetup, _node: object, _others_s: float = 0.0) -> float:
        return 1e-3 * setup.layout.pp * setup.layout.tp

    monkeypatch.setattr("sim.cost.plan_training.most_tokens_per_s", wrong)
    found = best_training(model, NODE, 16, sequence_tokens=2048, global_batch_tokens=2**18)
    assert found.setup != right.setup


def test_the_quick_search_says_what_the_nearest_layout_lacks() -> None:
    with pytest.raises(CapacityError, match=r"no layout of llama-3\.1-405b fits on 8 GPUs.*GiB"):
        best_training(arch.load("llama-3.1-405b"), NODE, 8)


def test_the_planner_says_what_the_nearest_layout_lacks() -> None:
    with pytest.raises(CapacityError, match=r"no layout of llama-3\.1-405b fits on 8 GPUs.*GiB"):
        plan_training(arch.load("llama-3.1-405b"), NODE, 8)


def test_losing_layouts_name_the_part_on_which_they_lose() -> None:
    plan = plan_training(LLAMA_70B, NODE, 512)
    reasons = {why_slower(other, plan.best[0]) for other in plan.best[1:]}
    assert any("bubble" in reason or "exchange" in reason for reason in reasons)
    assert why_slower(plan.best[0], plan.best[0]) == "the same"
