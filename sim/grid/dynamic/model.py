"""What an interconnection is to its frequency: inertia, load, governors, relays.

Signs: a disturbance > 0 is load that arrives or generation that leaves, so frequency falls.
Governor output > 0 is more generation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from sim.errors import InputError

NOMINAL_HZ: Final = 60.0


@dataclass(frozen=True, slots=True)
class Governor:
    """Machines of one class.

    Args:
        capacity_mw: rating of the machines on line.
        share_up, share_down: share of them that responds when frequency is low, high.
        headroom_mw, down_mw: most that they add, take off.
        rate_mw_per_s: fastest change of their output.
    """

    name: str
    capacity_mw: float
    droop_frac: float = 0.05
    dead_band_hz: float = 0.036
    share_up: float = 1.0
    share_down: float = 1.0
    headroom_mw: float = math.inf
    down_mw: float = math.inf
    rate_mw_per_s: float = math.inf
    time_s: float = 5.0

    def __post_init__(self) -> None:
        figures = (
            self.capacity_mw,
            self.dead_band_hz,
            self.headroom_mw,
            self.down_mw,
            self.share_up,
            self.share_down,
        )
        bad = any(not x >= 0 for x in figures)
        if bad or min(self.droop_frac, self.time_s, self.rate_mw_per_s) <= 0:
            raise InputError(f"governor {self.name}: a figure is out of range", "give >= 0")

    def slope_mw_per_hz(self, *, up: bool) -> float:
        """Response beyond the dead band."""
        share = self.share_up if up else self.share_down
        return self.capacity_mw * share / (self.droop_frac * NOMINAL_HZ)


@dataclass(frozen=True, slots=True)
class Relay:
    """Load (`under`) or generation (`over`) that leaves for good past a threshold.

    Args:
        delay_s: time past the threshold without a break.
    """

    name: str
    kind: Literal["under", "over"]
    threshold_hz: float
    mw: float
    delay_s: float = 0.0
    is_ufls: bool = False


@dataclass(frozen=True, slots=True)
class FastResponse:
    """A battery or a data centre that gives `mw` when frequency passes a threshold.

    Args:
        full_s: time from the trigger to full power, a ramp after `delay_s`.
        hold_s: how long it lasts.
    """

    name: str
    threshold_hz: float
    mw: float
    delay_s: float = 0.2
    full_s: float = 0.3
    hold_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the balance at a time: > 0 load arrives or generation leaves, MW."""

    at_s: float
    mw: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """A load that goes up and down by `mw` (peak to peak) around its mean.

    Args:
        duty_frac: share of the period at the upper level.
        sine: a sine instead of a square.
    """

    mw: float
    period_s: float
    start_s: float = 0.0
    end_s: float = math.inf
    duty_frac: float = 0.5
    sine: bool = False

    def __post_init__(self) -> None:
        if not (self.period_s > 0 and 0 < self.duty_frac < 1 and self.mw >= 0):
            raise InputError(
                f"pulse of {self.mw:g} MW, period {self.period_s:g} s, duty {self.duty_frac:g}",
                "give mw >= 0, period_s > 0, 0 < duty < 1",
            )

    def at(self, time_s: float) -> float:
        """Load above its mean, MW."""
        if not self.start_s <= time_s < self.end_s:
            return 0.0
        phase = ((time_s - self.start_s) / self.period_s) % 1.0
        if self.sine:
            return self.mw / 2 * math.sin(2 * math.pi * phase)
        return (
            self.mw * (1 - self.duty_frac) if phase < self.duty_frac else -self.mw * self.duty_frac
        )


@dataclass(frozen=True, slots=True)
class Island:
    """A synchronous area: an interconnection, or what a cascade leaves.

    Args:
        inertia_mws: kinetic energy of the machines on line, MW s.
        damping: per cent of load per per cent of frequency.

    Raises:
        InputError: no inertia, or a load below 0.
    """

    name: str
    inertia_mws: float
    load_mw: float
    damping: float = 1.0
    governors: tuple[Governor, ...] = ()
    relays: tuple[Relay, ...] = ()
    fast: tuple[FastResponse, ...] = ()
    assumptions: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not (self.inertia_mws > 0 and self.load_mw >= 0 and self.damping >= 0):
            raise InputError(
                f"{self.name}: inertia {self.inertia_mws:g} MW s, load {self.load_mw:g} MW",
                "give inertia > 0 and load >= 0",
            )

    @property
    def damping_mw_per_hz(self) -> float:
        """Load that goes with each Hz."""
        return self.damping * self.load_mw / NOMINAL_HZ

    def response_mw_per_tenth_hz(self, loss_mw: float) -> float:
        """Loss over its settled deviation, no limits but the dead bands, MW per 0.1 Hz."""
        return abs(loss_mw) / max(1e-12, self.settled_hz(loss_mw)) * 0.1

    def settled_hz(self, loss_mw: float) -> float:
        """Deviation at which governors and load damping make up for a loss (> 0: it falls).

        Closed form of the steady state, headroom counted, relays and fast response not.
        """
        size, up = abs(loss_mw), loss_mw >= 0
        low, high = 0.0, 10.0
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self._given(middle, up=up) < size else (low, middle)
        return high

    def _given(self, deviation_hz: float, *, up: bool) -> float:
        given = self.damping_mw_per_hz * deviation_hz
        for governor in self.governors:
            beyond = max(0.0, deviation_hz - governor.dead_band_hz)
            room = governor.headroom_mw if up else governor.down_mw
            given += min(governor.slope_mw_per_hz(up=up) * beyond, room)
        return given
