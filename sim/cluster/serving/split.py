"""Prefill and decode on replicas of their own, in steady state.

Replicas that only read prompts hand the cache over a link to replicas that only decode. A fleet
is split so that both kinds saturate together, if it is not told how. The time of the transfer
stands between a request's first two tokens; a link slower than the prompts it carries bounds the
rate. A transfer's energy is left out (a few J per GB against kJ per request).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.cluster.serving.steady import SteadyCurve, steady_curve
from sim.cost.coster import StepCoster
from sim.errors import CapacityError

POINTS = 64


@dataclass(frozen=True, slots=True)
class Split:
    """A fleet split in two.

    Attributes:
        prefill_frac: share of the replicas that read prompts.
        curve: of the mean replica of the fleet, both kinds together.
    """

    prefill_frac: float
    curve: SteadyCurve


@dataclass(frozen=True, slots=True)
class Reading:
    """How prompts are read.

    Attributes:
        coster: of the replicas that read them; None for the same as decode.
        prefill_frac: share of the replicas; None for that with which both kinds saturate together.
        transfer_s: of a mean prompt's cache on the link of its replica.
    """

    coster: StepCoster | None = None
    prefill_frac: float | None = None
    transfer_s: float = 0.0


def split_curve(
    coster: StepCoster,
    mean_tokens: tuple[float, float],
    max_num_seqs: int,
    max_num_batched_tokens: int,
    replicas: int | None = None,
    read_frac: float = 1.0,
    reading: Reading | None = None,
) -> Split:
    """The curve of a fleet that reads prompts and decodes on different replicas.

    Args:
        coster: of the replicas that decode.
        replicas: of the fleet, at least 2: both kinds are whole replicas; None for any share.

    Raises:
        CapacityError: one mean request does not fit into the cache of a replica, or there is
            only one replica.
    """
    if replicas is not None and replicas < 2:
        raise CapacityError(
            "one replica cannot be split into prefill and decode",
            "give GPUs for two replicas or more",
            path="gpus",
        )
    reading = reading or Reading()
    reader = reading.coster or coster
    inputs, outputs = mean_tokens
    # The first token comes from the prefill replica; those of one token are never handed over.
    handed = (inputs + 1, max(1.0, outputs - 1))
    decode = steady_curve(coster, handed, max_num_seqs, max_num_batched_tokens, 0.0)
    prompt_s, prompt_j = _prompt(reader, inputs, max_num_batched_tokens, read_frac)
    each_s = max(prompt_s, reading.transfer_s)
    wanted = decode.saturation_per_s * each_s
    share = reading.prefill_frac if reading.prefill_frac is not None else wanted / (1 + wanted)
    if replicas is not None:
        share = min(max(1, round(share * replicas)), replicas - 1) / replicas
    most = min(share / each_s, (1 - share) * decode.saturation_per_s)
    rates = np.linspace(0.0, most, POINTS)
    busy = rates / share * prompt_s
    reading_w = busy * prompt_j / prompt_s + (1 - busy) * reader.idle_power_w
    decoding = rates / (1 - share)
    power_w = share * reading_w + (1 - share) * np.interp(
        decoding, decode.rate_per_s, decode.power_w
    )
    return Split(
        share,
        SteadyCurve(
            rates,
            np.maximum.accumulate(power_w),
            np.interp(decoding, decode.rate_per_s, decode.tpot_s),
            np.interp(decoding, decode.rate_per_s, decode.batch),
        ),
    )


def _prompt(
    coster: StepCoster, inputs: float, budget: int, read_frac: float
) -> tuple[float, float]:
    """Replica time and energy of reading one mean prompt, prompts packed into full steps."""
    cached = round(inputs * (1 - read_frac))
    new = max(1, round(inputs - cached))
    if new <= budget:
        together = budget // new
        step = coster.cost([(new, cached)] * together, [])
        return step.time_s / together, step.energy_j / together
    starts = range(0, new, budget)
    steps = [coster.cost([(min(budget, new - s), cached + s)], []) for s in starts]
    return sum(s.time_s for s in steps), sum(s.energy_j for s in steps)
