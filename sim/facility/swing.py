"""Swings of training steps, and what takes them off the meter inside the servers.

A step is a list of phases of constant power. Energy stored in power supplies flattens it: the
flattest power that a store of E joules allows is a band [low, high] that cuts off no more than
E above and fills no more than E below, within one step. A floor under the GPUs' power narrows
the swing too, but burns what it adds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim.errors import InputError

HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Swing:
    """A step's power after smoothing.

    Attributes:
        low_w, high_w: band in which the power stays.
        mean_w: mean power, above the load's own where a floor burns energy.
        burnt_w: mean power that a floor adds.
    """

    low_w: float
    high_w: float
    mean_w: float
    burnt_w: float

    @property
    def swing_w(self) -> float:
        """Peak to peak."""
        return self.high_w - self.low_w


Phases = Sequence[tuple[float, float]]
"""(duration [s], power [W]) of the parts of a step, which repeats."""


def smooth_swing(phases: Phases, store_j: float = 0.0, floor_w: float = 0.0) -> Swing:
    """The flattest power of a repeated step with a lossless store and a power floor.

    The store moves energy from the phases above the band to those below; neither part may be
    more than it holds. With phases that alternate several times within a step the store is
    used several times, so the true band may be narrower: this is the safe side.

    Raises:
        InputError: no phases, or a duration, power, store or floor below 0.
    """
    _check(phases, store_j, floor_w)
    held = [(t, max(w, floor_w)) for t, w in phases if t > 0]
    time_s = sum(t for t, _ in held)
    mean_w = sum(t * w for t, w in held) / time_s
    before_w = sum(t * w for t, w in phases) / time_s
    return Swing(
        low_w=_edge(held, mean_w, store_j, above=False),
        high_w=_edge(held, mean_w, store_j, above=True),
        mean_w=mean_w,
        burnt_w=mean_w - before_w,
    )


def _edge(phases: Phases, mean_w: float, store_j: float, *, above: bool) -> float:
    """Edge of the band: beyond it lies just what the store takes (or the mean is reached)."""
    outer = max(w for _, w in phases) if above else min(w for _, w in phases)
    inner = mean_w
    if _beyond_j(phases, inner, above=above) <= store_j:
        return inner
    for _ in range(HALVINGS):
        middle = (outer + inner) / 2
        if _beyond_j(phases, middle, above=above) <= store_j:
            outer = middle
        else:
            inner = middle
    return outer


def _beyond_j(phases: Phases, edge_w: float, *, above: bool) -> float:
    sign = 1.0 if above else -1.0
    return sum(t * max(sign * (w - edge_w), 0.0) for t, w in phases)


def _check(phases: Phases, store_j: float, floor_w: float) -> None:
    if not any(t > 0 for t, _ in phases) or store_j < 0 or floor_w < 0:
        raise InputError(
            f"{len(phases)} phases, a store of {store_j:g} J, a floor of {floor_w:g} W",
            "give phases of some length, a store and a floor >= 0",
        )
    if any(t < 0 or w < 0 for t, w in phases):
        raise InputError("a phase with a length or power below 0", "mend the phases")


def filtered_swing_w(phases: Phases, time_constant_s: float, battery_w: float) -> float:
    """Peak to peak of a repeated step behind a battery that smooths with a time constant.

    The import follows the load as a first-order filter; its extremes lie at the ends of phases.
    A battery can shift the load by its power up and down: what is beyond stays.

    Raises:
        InputError: no phases, a time constant or power that is not positive.
    """
    _check(phases, battery_w, 0.0)
    if time_constant_s <= 0:
        raise InputError(f"a time constant of {time_constant_s:g} s", "give one above 0")
    whole_s = sum(t for t, _ in phases)
    # The filter's value at the start of a cycle that repeats: x = a + b x.
    reached = 0.0
    for duration_s, power_w in phases:
        kept = math.exp(-duration_s / time_constant_s)
        reached = power_w + (reached - power_w) * kept
    value = reached / -math.expm1(-whole_s / time_constant_s)
    values = [value]
    for duration_s, power_w in phases:
        value = power_w + (value - power_w) * math.exp(-duration_s / time_constant_s)
        values.append(value)
    powers = [w for t, w in phases if t > 0]
    left_w = max(powers) - min(powers) - 2 * battery_w
    return max(max(values) - min(values), left_w, 0.0)
