"""The swing equation of one island, step by step.

df/dt = f0 / (2 E) x (governors + relays + fast response - disturbance - damping x deviation).
Governors follow their target with one time constant, exactly over a step (their target is held
for it), within their rate; frequency takes the mean of their output over the step. The step is
10 ms for the first 15 s after the last change, then 50 ms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.errors import InputError
from sim.grid.dynamic.model import NOMINAL_HZ, FastResponse, Governor, Island, Pulse, Relay, Step
from sim.grid.network import FloatArray

FINE_S: Final = 0.01
COARSE_S: Final = 0.05
FINE_FOR_S: Final = 15.0
ROCOF_WINDOW_S: Final = 0.5
SETTLED_FROM_S: Final = 20.0
SETTLED_TO_S: Final = 52.0
"""NERC's value B: the mean of 20 to 52 s after the event."""
COLLAPSE_HZ: Final = 5.0


@dataclass(frozen=True, slots=True)
class Trip:
    """A relay that acted."""

    name: str
    time_s: float
    mw: float
    is_ufls: bool


@dataclass(frozen=True, slots=True)
class FrequencyRun:
    """Frequency over time and what it says.

    Args:
        nadir_hz, zenith_hz: lowest and highest frequency, with their times.
        settled_hz: mean of 20 to 52 s after the last step; the mean of the end if shorter.
        rocof_hz_per_s: mean over the first half second after the first step.
        peak_to_peak_hz: over the last third of the run, for a pulsing load.
        ufls_mw: load shed by UFLS.
    """

    time_s: FloatArray
    frequency_hz: FloatArray
    governor_mw: FloatArray
    nadir_hz: float
    nadir_s: float
    zenith_hz: float
    zenith_s: float
    settled_hz: float
    rocof_hz_per_s: float
    peak_to_peak_hz: float
    trips: tuple[Trip, ...]
    ufls_mw: float
    collapsed: bool


def simulate(
    island: Island,
    steps: Sequence[Step] = (),
    pulses: Sequence[Pulse] = (),
    duration_s: float = 60.0,
    *,
    coarse: bool = False,
    start_hz: float = NOMINAL_HZ,
) -> FrequencyRun:
    """Run an island through steps and pulses.

    Args:
        start_hz: frequency at the beginning, with governors at rest for it.
        coarse: steps of 50 ms all the way, for margins over many draws.

    Raises:
        InputError: a duration that is not above 0, or a step outside it.
    """
    if not 0 < duration_s <= 3600:
        raise InputError(f"duration {duration_s:g} s", "give 0 to 3600 s")
    for step in steps:
        if not (0 <= step.at_s < duration_s and math.isfinite(step.mw)):
            raise InputError(f"step of {step.mw:g} MW at {step.at_s:g} s", "place it in the run")
    order = sorted(steps, key=lambda step: step.at_s)
    last = order[-1].at_s if order else 0.0
    run = _Walked(island, start_hz - NOMINAL_HZ)
    fine_until_s = 0.0 if coarse else duration_s if pulses else last + FINE_FOR_S
    run.walk(order, pulses, duration_s, fine_until_s)
    return _result(run, order[0].at_s if order else 0.0, last)


class _Walked:
    """The loop and what it wrote down: plain floats, because arrays of three are slower."""

    def __init__(self, island: Island, deviation_hz: float = 0.0):
        self.island = island
        self.first_hz = deviation_hz
        self.machines = [_Machine(governor) for governor in island.governors]
        self.relays = [_Armed(relay) for relay in island.relays]
        self.fast = [_Ramp(unit) for unit in island.fast]
        for machine in self.machines:
            machine.output = machine.target(deviation_hz)
        given = sum(machine.output for machine in self.machines)
        self.times, self.values, self.given = [0.0], [NOMINAL_HZ + deviation_hz], [given]
        self.trips: list[Trip] = []
        self.relieved_mw = 0.0
        self.collapsed = False

    def walk(
        self,
        steps: list[Step],
        pulses: Sequence[Pulse],
        duration_s: float,
        fine_until_s: float,
    ) -> None:
        """Step to the end, or until the frequency has collapsed."""
        gain = NOMINAL_HZ / (2 * self.island.inertia_mws)
        damping = self.island.damping_mw_per_hz
        decay = {dt: math.exp(-gain * damping * dt) for dt in (FINE_S, COARSE_S)}
        pending = list(steps)
        t, deviation, disturbance, output = 0.0, self.first_hz, 0.0, self.given[0]
        while t < duration_s - 1e-9:
            dt = FINE_S if t < fine_until_s else COARSE_S
            while pending and pending[0].at_s <= t + 1e-9:
                disturbance += pending.pop(0).mw
            before, output = output, 0.0
            for machine in self.machines:
                output += machine.follow(deviation, dt)
            push = (before + output) / 2 - disturbance + self._helped(t, deviation)
            for pulse in pulses:
                push -= pulse.at(t + dt / 2)
            if damping > 0:  # the linear part exactly
                goal = push / damping
                deviation = goal + (deviation - goal) * decay[dt]
            else:
                deviation += gain * push * dt
            t += dt
            self._note(t, deviation, output)
            if abs(deviation) > COLLAPSE_HZ:
                self.collapsed = True
                return

    def _helped(self, t: float, deviation: float) -> float:
        """What relays have taken off and fast response gives, MW."""
        return self.relieved_mw + sum(unit.give(t, deviation) for unit in self.fast)

    def _note(self, t: float, deviation: float, output: float) -> None:
        frequency = NOMINAL_HZ + deviation
        for relay, source in zip(self.relays, self.island.relays, strict=True):
            if relay.acts(frequency, t):
                self.relieved_mw += relay.mw if relay.under else -relay.mw
                self.trips.append(Trip(source.name, t, relay.mw, source.is_ufls))
        self.times.append(t)
        self.values.append(frequency)
        self.given.append(output)


class _Machine:
    """A governor class while it runs."""

    __slots__ = ("band", "decay", "down", "headroom", "output", "rate", "slope_down", "slope_up")

    def __init__(self, governor: Governor):
        self.band = governor.dead_band_hz
        self.slope_up = governor.slope_mw_per_hz(up=True)
        self.slope_down = governor.slope_mw_per_hz(up=False)
        self.headroom, self.down = governor.headroom_mw, governor.down_mw
        self.rate = governor.rate_mw_per_s
        self.decay = {dt: 1.0 - math.exp(-dt / governor.time_s) for dt in (FINE_S, COARSE_S)}
        self.output = 0.0

    def target(self, deviation: float) -> float:
        """Output at rest at a deviation."""
        if deviation < -self.band:
            return min((-deviation - self.band) * self.slope_up, self.headroom)
        if deviation > self.band:
            return -min((deviation - self.band) * self.slope_down, self.down)
        return 0.0

    def follow(self, deviation: float, dt: float) -> float:
        """Output after a step at a deviation."""
        change = (self.target(deviation) - self.output) * self.decay[dt]
        most = self.rate * dt
        self.output += most if change > most else max(change, -most)
        return self.output


class _Armed:
    """A relay while it runs: it acts once, after its delay without a break."""

    __slots__ = ("delay", "done", "mw", "since", "threshold", "under")

    def __init__(self, relay: Relay):
        self.under, self.threshold = relay.kind == "under", relay.threshold_hz
        self.delay, self.mw = relay.delay_s, relay.mw
        self.since: float | None = None
        self.done = False

    def acts(self, frequency: float, t: float) -> bool:
        """True in the step in which it acts."""
        if self.done:
            return False
        past = frequency <= self.threshold if self.under else frequency >= self.threshold
        if not past:
            self.since = None
            return False
        self.since = t if self.since is None else self.since
        self.done = t - self.since >= self.delay - 1e-9
        return self.done


class _Ramp:
    """A fast response while it runs: triggered once, ramps up, holds, ramps down."""

    __slots__ = ("source", "start")

    def __init__(self, source: FastResponse):
        self.source, self.start = source, math.inf

    def give(self, t: float, deviation: float) -> float:
        """Power at a time, MW, > 0 helps a frequency that is low."""
        source = self.source
        low = source.threshold_hz < NOMINAL_HZ
        here = NOMINAL_HZ + deviation
        if self.start == math.inf and (
            here <= source.threshold_hz if low else here >= source.threshold_hz
        ):
            self.start = t + source.delay_s
        since = t - self.start
        if since <= 0:
            return 0.0
        share = min(1.0, since / source.full_s) if source.full_s > 0 else 1.0
        share -= min(1.0, max(0.0, since - source.hold_s) / max(source.full_s, 1e-9))
        return share * source.mw if low else -share * source.mw


def _result(run: _Walked, first_s: float, last_s: float) -> FrequencyRun:
    time, frequency = np.array(run.times), np.array(run.values)
    low, high = int(frequency.argmin()), int(frequency.argmax())
    window = (time >= last_s + SETTLED_FROM_S) & (time <= last_s + SETTLED_TO_S)
    if not window.any():
        window = time >= time[-1] - 0.2 * (time[-1] - last_s)
    begin = float(np.interp(first_s, time, frequency))
    after = float(np.interp(first_s + ROCOF_WINDOW_S, time, frequency))
    tail = frequency[time >= time[-1] * 2 / 3]
    return FrequencyRun(
        time_s=time,
        frequency_hz=frequency,
        governor_mw=np.array(run.given),
        nadir_hz=float(frequency[low]),
        nadir_s=float(time[low]),
        zenith_hz=float(frequency[high]),
        zenith_s=float(time[high]),
        settled_hz=float(frequency[window].mean()),
        rocof_hz_per_s=(after - begin) / ROCOF_WINDOW_S,
        peak_to_peak_hz=float(tail.max() - tail.min()),
        trips=tuple(run.trips),
        ufls_mw=sum(trip.mw for trip in run.trips if trip.is_ufls),
        collapsed=run.collapsed,
    )
