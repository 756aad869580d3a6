"""Breakers: how long an overload may last, for steady and for changing power.

A thermal element follows the square of the load with a time constant and trips at the square
of what it holds for ever:

    d heat / dt = (r^2 - heat) / tau,   trip when heat >= hold^2,   r = power / rating

so a steady overload r from a load r0 trips after tau * ln((r^2 - r0^2) / (r^2 - hold^2)).
Above the magnetic release it trips at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sim.datum import Datum
from sim.errors import CapacityError
from sim.facility.chain import chain_figures

WARM_FRAC = 0.9
"""Load over rating from which a breaker is warm before an overload, if nothing is known."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """A thermal-magnetic breaker (or an electronic trip that imitates one).

    Attributes:
        rating_w: rated power.
        hold_frac: load over rating that it carries for ever.
        time_constant_s: of its thermal element.
        instant_frac: load over rating at which it trips at once.
    """

    rating_w: float
    hold_frac: float
    time_constant_s: float
    instant_frac: float

    def __post_init__(self) -> None:
        if self.rating_w <= 0 or self.hold_frac < 1 or self.time_constant_s <= 0:
            raise CapacityError(
                f"a breaker of {self.rating_w:g} W that holds {self.hold_frac:g} of it with a "
                f"time constant of {self.time_constant_s:g} s",
                "give a rating > 0, a holding load >= 1, a time constant > 0",
            )

    def trip_s(self, load_frac: float, before_frac: float = 0.0) -> float:
        """Time to trip at a steady load over rating, warm from another; infinity if never."""
        if load_frac >= self.instant_frac or before_frac > self.hold_frac:
            return 0.0
        if load_frac <= self.hold_frac:
            return math.inf
        gap = load_frac**2 - self.hold_frac**2
        return self.time_constant_s * math.log((load_frac**2 - before_frac**2) / gap)

    def first_trip_s(self, story: Iterable[tuple[float, float]]) -> float | None:
        """When a changing power trips it, exactly; None if it never does.

        Args:
            story: (duration [s], power [W]) one after another; the breaker is warm from the
                first power, or from `WARM_FRAC` of its rating if that is less.
        """
        heat: float | None = None
        time_s = 0.0
        for duration_s, power_w in story:
            load = power_w / self.rating_w
            if heat is None:
                heat = min(load, WARM_FRAC) ** 2
            wait_s = self.trip_s(load, math.sqrt(heat))
            if wait_s <= duration_s:
                return time_s + wait_s
            heat = load**2 + (heat - load**2) * math.exp(-duration_s / self.time_constant_s)
            time_s += duration_s
        return None


def breaker(rating_w: float, figures: Mapping[str, Datum] | None = None) -> Breaker:
    """A breaker of a rating with the curve of the data file."""
    f = figures or chain_figures()
    return Breaker(
        rating_w,
        f["breaker.hold_frac"].value,
        f["breaker.time_constant_s"].value,
        f["breaker.instant_frac"].value,
    )
