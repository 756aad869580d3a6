"""A replica in steady state: from the rate of its requests to batch, power and latency.

With N requests in the decode phase on average and each of them making one token per step, a
replica serves N / (o T) requests per second, where o is their output and T the mean time of a
step. A request also brings its prompt, which the steps carry in chunks: i / o prompt tokens per
decoded token. Below about one request at a time the replica stands idle in between; the number
present is then taken as Poisson, so it is busy for 1 - exp(-N) of the time with a mean batch of
N / (1 - exp(-N)) (M/G/infinity). Mean lengths stand for their distribution; the benchmark of
the fidelities prints what that costs against the request-exact engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.cost.coster import StepCoster
from sim.cost.step import StepCost
from sim.errors import CapacityError

FloatArray = NDArray[np.float64]
LEAST_PRESENT = 1e-3
POINTS_PER_DOUBLING = 6


@dataclass(frozen=True, slots=True)
class SteadyCurve:
    """What a replica does at the request rates between nothing and saturation.

    All arrays have shape (n,) and rise with `rate_per_s`, whose first value is 0.

    Attributes:
        rate_per_s: requests per second of one replica.
        power_w: mean chip power of its GPUs.
        tpot_s: mean time per output token; the first entry is that of a lone request.
        batch: mean running batch while a step runs.
    """

    rate_per_s: FloatArray
    power_w: FloatArray
    tpot_s: FloatArray
    batch: FloatArray

    @property
    def saturation_per_s(self) -> float:
        """Most requests per second that a replica can serve."""
        return float(self.rate_per_s[-1])

    def power_at_w(self, rate_per_s: float) -> float:
        """Mean power at a rate, at most that of saturation."""
        return float(np.interp(rate_per_s, self.rate_per_s, self.power_w))

    def tpot_at_s(self, rate_per_s: float) -> float:
        """Mean time per output token at a rate."""
        return float(np.interp(rate_per_s, self.rate_per_s, self.tpot_s))


def steady_curve(
    coster: StepCoster,
    mean_tokens: tuple[float, float],
    max_num_seqs: int,
    max_num_batched_tokens: int,
    read_frac: float = 1.0,
) -> SteadyCurve:
    """The curve of a replica whose requests have these mean input and output tokens.

    Args:
        read_frac: share of a prompt that has to be read here; the rest is in the cache already
            (from an earlier request, or from a replica that reads prompts only).

    Raises:
        CapacityError: one mean request does not fit into the cache.
    """
    inputs, outputs = mean_tokens
    most = min(
        max_num_seqs, coster.max_sequences, int(coster.kv_capacity_tokens // sum(mean_tokens))
    )
    if most < 1:
        raise CapacityError(
            f"one request of {sum(mean_tokens):,.0f} tokens does not fit into the cache of a "
            f"replica, {coster.kv_capacity_tokens:,} tokens",
            "raise tp, or shorten the requests",
            path="layout.tp",
        )
    points = max(2, round(math.log2(most / LEAST_PRESENT) * POINTS_PER_DOUBLING))
    context = round(inputs + outputs / 2)
    rates, powers, steps, batches = [0.0], [coster.idle_power_w], [], []
    for present in np.geomspace(LEAST_PRESENT, most, points):
        busy = -math.expm1(-present)
        batch = float(present / busy)
        prompt = _Prompt(inputs * read_frac, round(inputs * (1 - read_frac)), outputs)
        time_s, energy_j = _mean_step(coster, batch, context, prompt, max_num_batched_tokens)
        rate = present / (outputs * time_s)
        if rate <= rates[-1]:
            break  # more in the batch serves no more: the replica saturates here
        rates.append(float(rate))
        powers.append(busy * energy_j / time_s + (1 - busy) * coster.idle_power_w)
        steps.append(time_s)
        batches.append(batch)
    return SteadyCurve(
        np.array(rates),
        np.maximum.accumulate(np.array(powers)),
        np.array([steps[0], *steps]),
        np.array([batches[0], *batches]),
    )


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What a mean request brings: tokens to read, tokens cached already, tokens to make."""

    new: float
    cached: int
    outputs: float


def _mean_step(
    coster: StepCoster, batch: float, context: int, prompt: _Prompt, budget: int
) -> tuple[float, float]:
    """Mean time and energy of a step with `batch` decoding sequences, prompts included."""
    decode = _between(batch, lambda n: coster.cost([], [context] * n))
    room = max(1, budget - math.ceil(batch))
    chunks = math.ceil(prompt.new / room)
    if not chunks:
        return decode
    with_prompt = batch / prompt.outputs * chunks
    share, chunk = min(1.0, with_prompt), prompt.new / chunks * max(1.0, with_prompt)
    part = [(max(1, round(min(chunk, room))), prompt.cached)]
    mixed = _between(batch, lambda n: coster.cost(part, [context] * (n - 1)))
    # Where prompts fill every step and more, each takes more steps than it decodes in.
    stretch = max(1.0, chunk / room)
    time_s = stretch * ((1 - share) * decode[0] + share * mixed[0])
    return time_s, stretch * ((1 - share) * decode[1] + share * mixed[1])


def _between(batch: float, price: Callable[[int], StepCost]) -> tuple[float, float]:
    """Time and energy at a batch that is no whole number."""
    low = math.floor(batch)
    left = price(low)
    if low == batch:
        return left.time_s, left.energy_j
    right, part = price(low + 1), batch - low
    return (
        left.time_s + part * (right.time_s - left.time_s),
        left.energy_j + part * (right.energy_j - left.energy_j),
    )
