"""A serving replica under load, for many batch sizes at once.

Requests of equal lengths come at random. With b sequences running, each for `osl` steps,
b / osl prompts come per step; a step's time is averaged over steps with and without prompts
(Poisson). A replica at batch b serves b / (osl x step time) requests per second (Little's
law). `sim.validation.load` holds the same steady state against measured rows; tests hold both
equal, and the times against requests that the reference replica serves one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.capacity import cache_tokens
from sim.errors import CapacityError
from sim.flops.features import BATCH_FEATURES, batch_feature

if TYPE_CHECKING:
    from sim.cost.steps import StepModel, Steps

Floats = NDArray[np.float64]
FULL_HOUSE_SIGMAS: Final = 2.33
"""Room kept for b running sequences: b + 2.33 sqrt(b), the 99 % point of their number when
arrivals are random (Poisson)."""
GROWTH: Final = 1.125
"""Ratio of neighbouring batch sizes above 16."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a request: prompt, output."""

    isl: int
    osl: int

    @property
    def held_tokens(self) -> float:
        """Tokens in the cache of a running sequence, on average."""
        return self.isl + 0.5 * self.osl


@dataclass(frozen=True, slots=True, eq=False)
class LoadCurve:
    """One replica at each batch size; arrays of shape (n,), rising batch.

    Attributes:
        batch: mean running sequences. fits: whether they fit into memory, with room.
        tpot_s: mean time of a step, and so per output token. ttft_s: mean, from arrival.
        requests_per_s: of the replica. power_w: of one GPU, mean over time.
        link_share, host_share: parts of a mean step.
        saturated: prompts come faster than they can be passed.
    """

    batch: Floats
    fits: NDArray[np.bool_]
    tpot_s: Floats
    ttft_s: Floats
    requests_per_s: Floats
    power_w: Floats
    link_share: Floats
    host_share: Floats
    saturated: NDArray[np.bool_]


def batch_grid(most: int) -> NDArray[np.int64]:
    """Batch sizes to try: all to 16, then a twelfth apart, and the largest."""
    grid = list(range(1, min(most, 16) + 1))
    while grid[-1] < most:
        grid.append(min(most, max(grid[-1] + 1, int(grid[-1] * GROWTH))))
    return np.array(grid)


def load_curve(model: StepModel, lengths: Lengths, batch: NDArray[np.int64]) -> LoadCurve:
    """The replica at each batch size."""
    running = batch.astype(float)
    arriving = running / lengths.osl
    together = arriving / -np.expm1(-arriving)
    most = max(1.0, model.engine.max_batched_tokens / lengths.isl)
    prompts = np.minimum(together, most)
    share = arriving / prompts
    steps = _three_steps(model, lengths, running, prompts, min(1.0, most))
    count = len(running)
    decode, mixed, alone = slice(0, count), slice(count, 2 * count), slice(2 * count, None)

    def mean(values: Floats) -> Floats:
        return np.asarray((1 - share) * values[decode] + share * values[mixed])

    tpot_s = mean(steps.time_s)
    passes = max(1.0, lengths.isl / model.engine.max_batched_tokens)
    # A prompt comes in a long step rather than in a short one: the interval that it finds has
    # the mean E[s^2] / E[s], half of it is left, and others come in it, to share the pass.
    interval_s = mean(steps.time_s**2) / tpot_s
    prompt_s = (steps.time_s[mixed] - steps.time_s[decode]) / prompts
    others_s = interval_s * arriving / tpot_s * prompt_s
    ttft_s = interval_s / 2 + steps.time_s[alone] * passes + others_s
    return LoadCurve(
        batch=running,
        fits=fitting(model, lengths, batch),
        tpot_s=tpot_s,
        ttft_s=ttft_s + model.engine.request_s,
        requests_per_s=running / (lengths.osl * tpot_s),
        power_w=mean(steps.energy_j) / tpot_s,
        link_share=mean(steps.link_s) / tpot_s,
        host_share=mean(steps.host_s) / tpot_s,
        saturated=share > 1,
    )


def _three_steps(
    model: StepModel, lengths: Lengths, running: Floats, prompts: Floats, one: float
) -> Steps:
    """Of each batch: a step without prompts, one with the usual number, one with one."""
    alone = np.full_like(running, one)
    rest = [np.maximum(running - p, 0.0) for p in (prompts, alone)]
    decodes = np.concatenate([running, *rest])
    chunks = np.concatenate([np.zeros_like(running), prompts, alone])
    return model.evaluate(mixed_features(model, lengths, decodes, chunks))


def mixed_features(model: StepModel, lengths: Lengths, decodes: Floats, prompts: Floats) -> Floats:
    """Features of steps of equal decodes and equal prompts; counts may be fractions.

    Returns:
        shape (n_steps, n_features).
    """
    program = model.program
    isl = max(2, lengths.isl)
    one = program.uniform_features(
        np.array([1, 1]), np.array([1, isl]), np.array([round(lengths.held_tokens), 0])
    )
    features = decodes[:, None] * one[0] + prompts[:, None] * one[1]
    tokens, logits = decodes + prompts * isl, decodes + prompts
    longest = isl * (prompts > 0).astype(float)
    for index, feature in enumerate(program.features):
        if feature.kind in BATCH_FEATURES:
            features[:, index] = batch_feature(feature, tokens, logits, longest)
    return np.asarray(features)


def full_house(batch: int) -> int:
    """Sequences to keep room for when `batch` run on average."""
    return math.ceil(batch + FULL_HOUSE_SIGMAS * math.sqrt(batch))


def fitting(model: StepModel, lengths: Lengths, batch: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which batch sizes fit into memory; a larger one never fits where a smaller does not."""
    low, high = 0, len(batch)
    while low < high:
        middle = (low + high) // 2
        if _fits(model, lengths, int(batch[middle])):
            low = middle + 1
        else:
            high = middle
    return np.arange(len(batch)) < low


def _fits(model: StepModel, lengths: Lengths, batch: int) -> bool:
    sequences = full_house(batch)
    try:
        room = cache_tokens(
            model.program, model.layout, model.node.device, sequences, lengths.isl + lengths.osl
        )
    except CapacityError:
        return False
    return sequences * lengths.held_tokens <= room
