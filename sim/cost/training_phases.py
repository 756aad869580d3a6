"""A step's parts on one GPU, and the stretches of constant power that they make of a job.

While a pipeline fills, its stages start one after the other, and while it drains they stop
one after the other: the job's power climbs and falls in stairs. In between all stages work,
with the waiting that 1F1B spreads over them. Energy and time are exactly those of the parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MOST_STAIRS: Final = 8
"""Stairs of a filling or draining pipeline; more stages are drawn together."""
PIPELINE: Final = "pipeline"
WAITS: Final = ("bubble", "uneven stages")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a step, on one GPU (the mean over the job's GPUs)."""

    name: str
    phase: str
    time_s: float
    gpu_power_w: float
    matmul_flops: float = 0.0
    hbm_bytes: float = 0.0
    link_bytes: float = 0.0

    @property
    def energy_j(self) -> float:
        """Chip energy of one GPU."""
        return self.time_s * self.gpu_power_w


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a step during which the job's power is taken as constant.

    Args:
        gpu_power_w: mean over the job's GPUs.
    """

    name: str
    time_s: float
    gpu_power_w: float

    @property
    def energy_j(self) -> float:
        """Chip energy of one GPU."""
        return self.time_s * self.gpu_power_w


def phases_of(parts: tuple[Part, ...], stages: int, forward_frac: float) -> tuple[Phase, ...]:
    """The parts as stretches of constant power, in order.

    Args:
        stages: of the pipeline. forward_frac: share of forward in a micro-batch's time: of
            the bubble's length that much goes to filling, the rest to draining.
    """
    phases: list[Phase] = []
    for name in dict.fromkeys(p.phase for p in parts):
        members = [p for p in parts if p.phase == name]
        time_s = math.fsum(p.time_s for p in members)
        if time_s <= 0:
            continue
        if name == PIPELINE and stages > 1:
            phases += _pipeline(members, stages, forward_frac)
        else:
            phases.append(Phase(name, time_s, math.fsum(p.energy_j for p in members) / time_s))
    return tuple(phases)


def _pipeline(parts: list[Part], stages: int, forward_frac: float) -> list[Phase]:
    """Filling, steady, draining."""
    busy = [p for p in parts if p.name not in WAITS]
    bubble_s = math.fsum(p.time_s for p in parts if p.name == "bubble")
    busy_w = math.fsum(p.energy_j for p in busy) / math.fsum(p.time_s for p in busy)
    wait_w = next((p.gpu_power_w for p in parts if p.name == "bubble"), busy_w)
    stairs = min(stages - 1, MOST_STAIRS)
    levels_w = [wait_w + (busy_w - wait_w) * n / (stairs + 1) for n in range(1, stairs + 1)]
    fill = [Phase("fill", bubble_s * forward_frac / stairs, w) for w in levels_w]
    drain_s = bubble_s * (1 - forward_frac) / stairs
    drain = [Phase("drain", drain_s, w) for w in reversed(levels_w)]
    ends_j = math.fsum(p.energy_j for p in (*fill, *drain))
    steady_s = math.fsum(p.time_s for p in parts) - bubble_s
    steady_w = (math.fsum(p.energy_j for p in parts) - ends_j) / steady_s
    found = [*fill, Phase("steady", steady_s, steady_w), *drain]
    return [p for p in found if p.time_s > 0]
