"""Generators behind the meter: gas, diesel, fuel cells; ramp, least load, start time, fuel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sim.errors import CapacityError

GeneratorRule = Literal["backup", "baseload", "price"]
"""`backup`: only what the grid may not give. `baseload`: always as much as the load takes.
`price`: while the market price is above the cost of its fuel."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A generating set, or several that run as one.

    Attributes:
        capacity_w: largest electrical output.
        min_load_frac: least output while it runs, over capacity.
        ramp_frac_per_s: largest change of output per second, over capacity.
        start_s: from the order until it can give power.
        efficiency_frac: electricity out over fuel in (lower heating value).
        fuel_usd_per_mwh: price of fuel, per MWh of fuel.
    """

    name: str
    capacity_w: float
    min_load_frac: float = 0.0
    ramp_frac_per_s: float = 1.0
    start_s: float = 0.0
    efficiency_frac: float = 0.4
    fuel_usd_per_mwh: float = 0.0
    rule: GeneratorRule = "backup"

    def __post_init__(self) -> None:
        if self.capacity_w < 0 or not 0 <= self.min_load_frac <= 1:
            raise CapacityError(
                f"generator {self.name}: capacity {self.capacity_w:g} W, least load "
                f"{self.min_load_frac:g} of it",
                "give a capacity >= 0 and a least load of 0 to 1",
            )
        if not 0 < self.efficiency_frac <= 1 or self.ramp_frac_per_s <= 0 or self.start_s < 0:
            raise CapacityError(
                f"generator {self.name}: efficiency {self.efficiency_frac:g}, ramp "
                f"{self.ramp_frac_per_s:g} 1/s, start {self.start_s:g} s",
                "give an efficiency of 0 to 1, a ramp above 0, a start time >= 0",
            )

    @property
    def cost_usd_per_mwh(self) -> float:
        """Cost of fuel for a MWh of electricity."""
        return self.fuel_usd_per_mwh / self.efficiency_frac


@dataclass(frozen=True, slots=True)
class GeneratorState:
    """What a generator did last.

    Attributes:
        output_w: its power.
        ready_s: when it can give power; None while it is off.
    """

    output_w: float = 0.0
    ready_s: float | None = None


OFF = GeneratorState()


@dataclass(frozen=True, slots=True)
class Reach:
    """Least and largest mean output over an interval, if it is to run."""

    least_w: float
    most_w: float
    ready_s: float


def reach(generator: Generator, state: GeneratorState, time_s: float, duration_s: float) -> Reach:
    """What a generator can give as a mean over an interval.

    The output may rise by the ramp over the interval; it may fall at once (a breaker opens).
    """
    ready_s = time_s + generator.start_s if state.ready_s is None else state.ready_s
    up_s = min(duration_s, max(0.0, time_s + duration_s - ready_s))
    share = up_s / duration_s
    change_w = generator.capacity_w * generator.ramp_frac_per_s * up_s
    most_w = min(generator.capacity_w * share, state.output_w + change_w)
    return Reach(generator.min_load_frac * generator.capacity_w * share, most_w, ready_s)


def run(generator: Generator, reach: Reach, asked_w: float, most_w: float) -> GeneratorState:
    """Run for what is asked, at least load or more; off where nothing is asked.

    Args:
        asked_w: wanted output.
        most_w: what load and export can take in all; a least load above it stays off.
    """
    if asked_w <= 0 or not generator.capacity_w:
        return OFF
    output_w = min(max(asked_w, reach.least_w), reach.most_w, most_w)
    if output_w < min(reach.least_w, reach.most_w):
        output_w = 0.0  # warm, but the load is below its least; a set that ramps up may be below
    return GeneratorState(output_w, reach.ready_s)
