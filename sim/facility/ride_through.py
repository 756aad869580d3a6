"""Ride-through: what leaves the grid when voltage or frequency leave their band, and returns.

Each UPS block watches its input. A dip below its setting for longer than the detection time,
or a frequency outside its window, sends it to battery: its MW leave the grid, the servers do
not notice. It comes back after a healthy time, with a walk-in ramp. A block that has
transferred too often within a window stays on battery until someone returns it by hand; if
battery and generators do not last that long, the load is lost. The blocks' settings lie apart,
so a shallow dip takes only some of them.

The ITIC curve says what the servers themselves stand: it decides for load without a UPS.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sim.datum import Datum, data
from sim.errors import InputError
from sim.units import MEGA

FIGURES = "facility/ride_through.yaml"
NOMINAL_HZ = 60.0

ITIC_LOW = ((0.02, 0.0), (0.5, 0.7), (10.0, 0.8), (float("inf"), 0.9))
"""Up to this duration [s] equipment stands a voltage down to this [pu] (ITI curve, 2000)."""
ITIC_HIGH = ((0.003, 1.4), (0.5, 1.2), (float("inf"), 1.1))
"""Up to this duration [s] equipment stands a voltage up to this [pu] (ITI curve, 2000)."""


def stands(duration_s: float, voltage_pu: float) -> bool:
    """Whether equipment on the ITIC curve rides through a voltage of a duration."""
    low = ITIC_LOW[bisect.bisect_left([d for d, _ in ITIC_LOW], duration_s)][1]
    high = ITIC_HIGH[bisect.bisect_left([d for d, _ in ITIC_HIGH], duration_s)][1]
    return low <= voltage_pu <= high


@dataclass(frozen=True, slots=True)
class Excursion:
    """A time outside the normal band.

    Attributes:
        start_s, duration_s: when, and how long.
        voltage_pu: voltage at the site's terminals.
        frequency_hz: frequency of the grid.
    """

    start_s: float
    duration_s: float
    voltage_pu: float = 1.0
    frequency_hz: float = NOMINAL_HZ

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class RideThroughSettings:
    """How the blocks of a site are set.

    Attributes:
        blocks: UPS blocks, of equal load.
        low_pu: transfer voltage of the most sensitive block; the others lie evenly down to
            `low_pu - low_spread_pu`.
        back: `staged` walks in by itself; `manual` waits for someone after every transfer.
        autonomy_s: how long battery (and generators) carry the load.
        without_ups_frac: part of the load that has no UPS (cooling, for one).
    """

    blocks: int
    low_pu: float
    low_spread_pu: float
    high_pu: float
    detect_s: float
    low_hz: float
    high_hz: float
    faults: int
    window_s: float
    delay_s: float
    ramp_s: float
    manual_s: float
    autonomy_s: float
    back: Literal["staged", "manual"] = "staged"
    without_ups_frac: float = 0.0

    def __post_init__(self) -> None:
        if self.blocks < 1 or self.faults < 1 or not 0 <= self.without_ups_frac <= 1:
            raise InputError(
                f"{self.blocks} blocks, {self.faults} faults, {self.without_ups_frac:g} of the "
                "load without UPS",
                "give at least one block and one fault, and a fraction of 0 to 1",
            )

    def transfer_pu(self, block: int) -> float:
        """Voltage below which a block transfers."""
        if self.blocks == 1:
            return self.low_pu
        return self.low_pu - self.low_spread_pu * block / (self.blocks - 1)


def ride_through_settings(
    blocks: int = 20,
    figures: Mapping[str, Datum] | None = None,
    back: Literal["staged", "manual"] = "staged",
    generators: bool = True,
    without_ups_frac: float = 0.0,
) -> RideThroughSettings:
    """Settings from the data file; with generators the autonomy is unlimited."""
    f = {name: d.value for name, d in (figures or data(FIGURES)).items()}
    return RideThroughSettings(
        blocks=blocks,
        low_pu=f["ups.low_pu"],
        low_spread_pu=f["ups.low_spread_pu"],
        high_pu=f["ups.high_pu"],
        detect_s=f["ups.detect_s"],
        low_hz=f["ups.low_hz"],
        high_hz=f["ups.high_hz"],
        faults=int(f["counter.faults"]),
        window_s=f["counter.window_s"],
        delay_s=f["back.delay_s"],
        ramp_s=f["back.ramp_s"],
        manual_s=f["back.manual_s"],
        autonomy_s=float("inf") if generators else f["ups.battery_s"],
        back=back,
        without_ups_frac=without_ups_frac,
    )


@dataclass(frozen=True, slots=True)
class Absence:
    """A time in which a part of the load is off the grid.

    Attributes:
        walk_in_s: after `end_s` the load comes back evenly over this time.
        locked: the fault counter holds it until it is returned by hand.
        lost_s: when the load itself was lost; None if it was carried through.
    """

    load_frac: float
    start_s: float
    end_s: float
    walk_in_s: float
    locked: bool
    lost_s: float | None


@dataclass(frozen=True, slots=True)
class RideThrough:
    """What a site does in a series of excursions."""

    absences: tuple[Absence, ...]

    def off_grid_frac(self, time_s: float) -> float:
        """Part of the load that is off the grid at a time."""
        total = 0.0
        for absence in self.absences:
            if absence.start_s <= time_s < absence.end_s:
                total += absence.load_frac
            elif absence.end_s <= time_s < absence.end_s + absence.walk_in_s:
                total += absence.load_frac * (1 - (time_s - absence.end_s) / absence.walk_in_s)
        return min(total, 1.0)

    def steps(self, load_w: float) -> list[tuple[float, float]]:
        """(time [s], power off the grid [W]) at every moment at which something changes."""
        moments = {a.start_s for a in self.absences}
        moments |= {a.end_s for a in self.absences}
        moments |= {a.end_s + a.walk_in_s for a in self.absences}
        return [(t, self.off_grid_frac(t) * load_w) for t in sorted(moments)]

    @property
    def largest_frac(self) -> float:
        """Largest part of the load off the grid at once."""
        return max((self.off_grid_frac(a.start_s) for a in self.absences), default=0.0)

    @property
    def back_s(self) -> float:
        """When everything is back on the grid; 0 if nothing left."""
        return max((a.end_s + a.walk_in_s for a in self.absences), default=0.0)

    @property
    def locked_frac(self) -> float:
        """Part of the load that the fault counter holds off the grid."""
        return sum(a.load_frac for a in self.absences if a.locked)

    @property
    def lost_frac(self) -> float:
        """Part of the load that was lost to the servers."""
        return sum(a.load_frac for a in self.absences if a.lost_s is not None)


def ride_through(settings: RideThroughSettings, excursions: Sequence[Excursion]) -> RideThrough:
    """What a site does in excursions, one after another.

    Raises:
        InputError: they overlap, stand out of order, or last no time.
    """
    _check_order(excursions)
    absences: list[Absence] = []
    share = (1 - settings.without_ups_frac) / settings.blocks
    for block in range(settings.blocks):
        absences += _block(settings, excursions, block, share)
    if settings.without_ups_frac:
        absences += _bare(settings, excursions)
    return RideThrough(tuple(a for a in absences if a.load_frac > 0))


def _check_order(excursions: Sequence[Excursion]) -> None:
    end_s = float("-inf")
    for excursion in excursions:
        if excursion.duration_s <= 0 or excursion.start_s < end_s:
            raise InputError(
                f"an excursion of {excursion.duration_s:g} s at {excursion.start_s:g} s",
                "give lengths above 0, one after another",
            )
        end_s = excursion.end_s


def _block(
    settings: RideThroughSettings, excursions: Sequence[Excursion], block: int, share: float
) -> list[Absence]:
    """One UPS block: transfers, returns, and the fault counter."""
    absences: list[Absence] = []
    faults: list[float] = []
    away_until_s = float("-inf")
    for excursion in excursions:
        if not _transfers(settings, excursion, block):
            continue
        start_s = excursion.start_s + settings.detect_s
        faults = [t for t in faults if t > start_s - settings.window_s] + [start_s]
        locked = len(faults) >= settings.faults
        if absences and absences[-1].locked:
            continue  # already held off the grid
        wait_s = settings.manual_s if locked or settings.back == "manual" else settings.delay_s
        end_s = excursion.end_s + wait_s
        if start_s < away_until_s:  # still away, or walking in: the absence goes on
            start_s = absences.pop().start_s
        lost_s = start_s + settings.autonomy_s
        absences.append(
            Absence(
                share, start_s, end_s, settings.ramp_s, locked, lost_s if lost_s < end_s else None
            )
        )
        away_until_s = end_s + settings.ramp_s
    return absences


def _transfers(settings: RideThroughSettings, excursion: Excursion, block: int) -> bool:
    if excursion.duration_s <= settings.detect_s:
        return False
    low_pu = settings.transfer_pu(block)
    voltage = not low_pu <= excursion.voltage_pu <= settings.high_pu
    return voltage or not settings.low_hz <= excursion.frequency_hz <= settings.high_hz


def _bare(settings: RideThroughSettings, excursions: Sequence[Excursion]) -> list[Absence]:
    """Load without a UPS trips off the ITIC curve and is started again by hand or in stages."""
    wait_s = settings.manual_s if settings.back == "manual" else settings.delay_s
    found: list[Absence] = []
    for excursion in excursions:
        if stands(excursion.duration_s, excursion.voltage_pu):
            continue
        end_s = excursion.end_s + wait_s
        start_s = excursion.start_s
        if found and start_s < found[-1].end_s + settings.ramp_s:
            start_s = found.pop().start_s
        share = settings.without_ups_frac
        found.append(Absence(share, start_s, end_s, settings.ramp_s, False, start_s))
    return found


def describe(result: RideThrough, load_w: float) -> str:
    """One line: MW that leave, when they are back."""
    if not result.absences:
        return "rides through: nothing leaves the grid"
    return (
        f"{result.largest_frac * load_w / MEGA:.1f} MW leave the grid, all back after "
        f"{result.back_s:,.0f} s; {result.locked_frac:.0%} held by the fault counter, "
        f"{result.lost_frac:.0%} of the load lost"
    )
