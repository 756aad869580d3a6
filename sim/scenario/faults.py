"""Faults of the grid, fed back into the run: who leaves, who goes dark, what the grid sees.

A fault is known from the scenario, so what each site does in it (`sim.facility.ride_through`)
is known before the run: which share of its load leaves the grid for how long, and which share
loses its power because it has no UPS, or because battery and generators end. The first moves
the site's meter, the second the workloads.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import simpy

from sim.cluster.serving.fluid import FluidFleet
from sim.cluster.training import Outage
from sim.errors import InputError, UnknownNameError
from sim.facility.meter import SiteMeter
from sim.facility.ride_through import (
    Absence,
    Excursion,
    RideThrough,
    RideThroughSettings,
    ride_through,
    ride_through_settings,
)
from sim.scenario.schema.control import Control, RidesThrough, VoltageSag
from sim.units import MEGA, to_ps, to_s

WALK_IN_STEPS: Final = 6
"""Steps in which a load walks back in, each at its mean."""
Change = tuple[float, float]
"""Time [s], and the value from then on."""


@dataclass(frozen=True, slots=True)
class Darkness:
    """A share of a site without power, counted from the workloads named last.

    Attributes:
        low_frac, high_frac: the GPUs from this share of the site's to that one.
    """

    at_s: float
    until_s: float
    low_frac: float
    high_frac: float


@dataclass(frozen=True, slots=True)
class SiteFaults:
    """What a site does in all faults of a scenario.

    Attributes:
        off_grid: share of the load that the grid does not see, from each time on.
        darkness: shares that lose their power. restart_s: from power to work.
    """

    off_grid: tuple[Change, ...]
    darkness: tuple[Darkness, ...]
    restart_s: float

    def dark_frac(self, held: tuple[float, float], dark: Darkness) -> float:
        """Share of a workload that an outage takes; it holds the site's GPUs from share to share.

        The site's GPUs go dark from the last one on.
        """
        low, high = 1.0 - dark.high_frac, 1.0 - dark.low_frac
        shared = min(high, held[1]) - max(low, held[0])
        return max(0.0, shared) / (held[1] - held[0])

    def outages(self, held: tuple[float, float]) -> tuple[Outage, ...]:
        """Outages of a training job that holds these shares of the site's GPUs."""
        found = [(d, self.dark_frac(held, d)) for d in self.darkness]
        return tuple(
            Outage(to_ps(d.at_s), to_ps(d.until_s), frac, self.restart_s)
            for d, frac in found
            if frac > 0
        )

    def lost(self, held: tuple[float, float]) -> list[tuple[float, float, float]]:
        """(time [s], share dark, share that starts again) of a fleet, at each change."""
        parts = [(d, self.dark_frac(held, d)) for d in self.darkness]
        parts = [(d, frac) for d, frac in parts if frac > 0]
        moments = {t for d, _ in parts for t in (d.at_s, d.until_s, d.until_s + self.restart_s)}
        return [(t, *self._states(parts, t)) for t in sorted(moments)]

    def _states(self, parts: list[tuple[Darkness, float]], time_s: float) -> tuple[float, float]:
        dark = min(1.0, sum(f for d, f in parts if d.at_s <= time_s < d.until_s))
        back = sum(f for d, f in parts if d.until_s <= time_s < d.until_s + self.restart_s)
        return dark, min(1.0 - dark, back)


def site_faults(control: Control, site: str, has_generators: bool) -> SiteFaults | None:
    """What a site does in the faults that it feels; None if it feels none.

    Raises:
        InputError: faults overlap or stand out of order.
    """
    felt = [fault for fault in control.faults if not fault.sites or site in fault.sites]
    if not felt:
        return None
    spec = control.ride_through
    excursions = [
        Excursion(f.at_s, f.duration_s, voltage_pu=f.voltage_pu)
        if isinstance(f, VoltageSag)
        else Excursion(f.at_s, f.duration_s, frequency_hz=f.frequency_hz)
        for f in felt
    ]
    try:
        found = ride_through(_settings(spec, has_generators), excursions)
    except InputError as error:
        raise error.at(None, "control.faults") from None
    leaving = [replace(a, load_frac=a.load_frac * (1 - spec.stay_frac)) for a in found.absences]
    leaving = [a for a in leaving if a.load_frac > 0]
    return SiteFaults(_off_grid(leaving), _darkness(leaving), spec.restart_s)


def _settings(spec: RidesThrough, has_generators: bool) -> RideThroughSettings:
    settings = ride_through_settings(
        blocks=spec.ups_blocks,
        back=spec.back,
        generators=spec.generators or has_generators,
        without_ups_frac=spec.without_ups_frac,
    )
    if spec.off_grid_s is None:
        return settings
    return replace(settings, delay_s=spec.off_grid_s, manual_s=spec.off_grid_s)


def _off_grid(absences: Sequence[Absence]) -> tuple[Change, ...]:
    """The share off the grid, walking back in in steps; the middle of each step stands for it."""
    moments: dict[float, float] = {}
    for a in absences:
        step_s = a.walk_in_s / WALK_IN_STEPS
        moments |= {a.start_s: a.start_s, a.end_s + a.walk_in_s: a.end_s + a.walk_in_s}
        for k in range(WALK_IN_STEPS if step_s else 0):
            start_s = a.end_s + k * step_s
            moments[start_s] = start_s + step_s / 2
    whole = RideThrough(tuple(absences))
    return tuple((t, whole.off_grid_frac(middle)) for t, middle in sorted(moments.items()))


def _darkness(absences: Sequence[Absence]) -> tuple[Darkness, ...]:
    """Shares that lose their power, those of the same times together."""
    shares: dict[tuple[float, float], float] = {}
    for a in absences:
        if a.lost_s is not None:
            key = (a.lost_s, a.end_s + a.walk_in_s)
            shares[key] = shares.get(key, 0.0) + a.load_frac
    found, low = [], 0.0
    for (at_s, until_s), frac in sorted(shares.items()):
        high = min(1.0, low + frac)
        found.append(Darkness(at_s, until_s, low, high))
        low = high if high < 1.0 else 0.0
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Loss:
    """A moment at which a site's part off the grid changed."""

    time_s: float
    site: str
    off_grid_mw: float


def check_faults(control: Control, sites: Sequence[str], horizon_s: float) -> None:
    """Refuse a fault after the run's end, or at a site that there is not.

    Raises:
        InputError: with the path of the fault.
    """
    for number, fault in enumerate(control.faults):
        path = f"control.faults[{number}]"
        if unknown := sorted(set(fault.sites) - set(sites)):
            raise UnknownNameError("site", unknown[0], sites, path=f"{path}.sites")
        if fault.at_s >= horizon_s:
            raise InputError(
                f"a fault at {fault.at_s:g} s in a run of {horizon_s:g} s",
                "let it happen earlier, or run longer",
                path=f"{path}.at_s",
            )


def held_shares(gpus: Sequence[int]) -> list[tuple[float, float]]:
    """Which share of a site's busy GPUs each workload holds, in the order of their names."""
    total, before, found = sum(gpus), 0, []
    for count in gpus:
        found.append((before / total, (before + count) / total))
        before += count
    return found


class FaultLog:
    """What the sites took off the grid, moment by moment, and which of them were touched."""

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self.sites: dict[str, SiteFaults] = {}

    def feel(self, env: simpy.Environment, name: str, faults: SiteFaults, meter: SiteMeter) -> None:
        """Let a site's meter leave the grid and come back."""
        self.sites[name] = faults
        env.process(self._leave_and_return(env, name, faults, meter))

    def _leave_and_return(
        self, env: simpy.Environment, name: str, faults: SiteFaults, meter: SiteMeter
    ) -> Generator[simpy.Event, None, None]:
        for time_s, frac in faults.off_grid:
            yield env.timeout(max(0, to_ps(time_s) - int(env.now)))
            meter.leave_grid(int(env.now), frac)
            self.losses.append(Loss(to_s(int(env.now)), name, frac * meter.facility_w.value / MEGA))


def darken(fleet: object, faults: SiteFaults, held: tuple[float, float]) -> None:
    """Let a fleet lose its replicas and get them back.

    Raises:
        InputError: a fleet of a fidelity that cannot lose them.
    """
    changes = faults.lost(held)
    if not changes:
        return
    if not isinstance(fleet, FluidFleet):
        raise InputError(
            "a fault takes the power of replicas that are simulated one by one",
            "give fidelity: fluid, or ride_through.without_ups_frac: 0 with generators",
            path="fidelity",
        )
    for time_s, dark, back in changes:
        fleet.set_power(to_ps(time_s), dark, back)
