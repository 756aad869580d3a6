"""Events of seconds against an interconnection's limits, over the ranges of the assumptions.

The margin of a set of events is how much larger all of them could be, at the same times, before
frequency passes a limit: the published or assumed highest frequency, or the first stage of load
shedding where one was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sim.grid.dynamic.interconnections import Online, interconnection, limits_hz
from sim.grid.dynamic.islands import with_response
from sim.grid.dynamic.model import NOMINAL_HZ, Island, Pulse, Step
from sim.grid.dynamic.swing import FrequencyRun, simulate
from sim.grid.network import FloatArray
from sim.grid.regions.trip import draws, highest_hz

MAX_SCALE: Final = 64.0
TURNS: Final = 6
CLOSE_FRAC: Final = 2e-3
AFTER_S: Final = 20.0
LONG_S: Final = 30.0
"""Events that last longer may be walked in coarse steps: 1.4 % off in the margin of a trip."""
SLOW_S: Final = 2.0
"""A pulse slower than this keeps its shape in coarse steps of 50 ms."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Events:
    """What happens to an interconnection, and in which state it finds it.

    Args:
        online: machines of an hour; None takes the usual inertia and load, or those given.
        response_mw: load of data centres that leaves fast when frequency is low.
    """

    interconnection: str
    steps: tuple[Step, ...]
    pulses: tuple[Pulse, ...] = ()
    inertia_gws: float | None = None
    load_mw: float | None = None
    online: Online | None = None
    response_mw: float = 0.0

    def island(self, changes: dict[str, float] | None = None) -> Island:
        """The interconnection in its state."""
        given = self.inertia_gws is not None or self.online is not None
        drawn = {
            name: value
            for name, value in (changes or {}).items()
            if not (given and name.startswith("inertia_gws"))
        }
        island = interconnection(
            self.interconnection,
            inertia_gws=self.inertia_gws,
            load_mw=self.load_mw,
            online=self.online,
            changes=drawn or None,
        )
        return with_response(island, self.response_mw)

    @property
    def last_s(self) -> float:
        """Time of the last step."""
        return max((step.at_s for step in self.steps), default=0.0)

    @property
    def size_mw(self) -> float:
        """The largest sum of steps that stands at any time, or the largest pulse."""
        total = np.cumsum([0.0, *(s.mw for s in sorted(self.steps, key=lambda s: s.at_s))])
        return float(max(np.abs(total).max(), self.pulsing_mw))

    @property
    def pulsing_mw(self) -> float:
        """The most that pulses at once, peak to peak."""
        at_once = [
            sum(p.mw for p in self.pulses if p.start_s <= start.start_s < p.end_s)
            for start in self.pulses
        ]
        return max(at_once, default=0.0)

    def scaled(self, factor: float) -> Events:
        """All steps and pulses larger by a factor."""
        return replace(
            self,
            steps=tuple(replace(step, mw=step.mw * factor) for step in self.steps),
            pulses=tuple(replace(pulse, mw=pulse.mw * factor) for pulse in self.pulses),
        )

    def run(
        self,
        duration_s: float,
        changes: dict[str, float] | None = None,
        *,
        coarse: bool = False,
    ) -> FrequencyRun:
        """Simulate until so long after the last step; only long events are walked coarsely."""
        return simulate(
            self.island(changes),
            self.steps,
            self.pulses,
            self.last_s + duration_s,
            coarse=coarse
            and self.last_s > LONG_S
            and all(p.period_s > SLOW_S for p in self.pulses),
        )


@dataclass(frozen=True, slots=True)
class Margin:
    """How much larger the events may be.

    Args:
        margin_mw: shape (1 + n_samples,), row 0 at nominal figures.
        zenith_hz, nadir_hz: at nominal figures, then drawn, same shape.
    """

    margin_mw: FloatArray
    zenith_hz: FloatArray
    nadir_hz: FloatArray
    highest_hz: float
    highest_is_published: bool
    lowest_hz: float | None


def margins(events: Events, samples: int, seed: int = 1) -> Margin:
    """Margins at nominal figures and over the ranges."""
    name = events.interconnection
    high, published = highest_hz(name)
    low = limits_hz(name)[0]
    cases = [None, *draws(name, samples, seed)]
    runs = [events.run(AFTER_S, changes, coarse=True) for changes in cases]
    scale = np.array(
        [
            _scale(events, changes, high, low, _reach(run, high, low))
            for changes, run in zip(cases, runs, strict=True)
        ]
    )
    return Margin(
        margin_mw=(scale - 1.0) * events.size_mw,
        zenith_hz=np.array([run.zenith_hz for run in runs]),
        nadir_hz=np.array([run.nadir_hz for run in runs]),
        highest_hz=high,
        highest_is_published=published,
        lowest_hz=low,
    )


def _reach(run: FrequencyRun, high: float, low: float | None) -> float:
    """Share of the way to the nearer limit."""
    up = (run.zenith_hz - NOMINAL_HZ) / (high - NOMINAL_HZ)
    down = 0.0 if low is None else (NOMINAL_HZ - run.nadir_hz) / (NOMINAL_HZ - low)
    return max(up, down)


def _scale(
    events: Events,
    changes: dict[str, float] | None,
    high: float,
    low: float | None,
    as_given: float,
) -> float:
    """Factor on all events at which a limit is reached, `MAX_SCALE` where none is.

    Args:
        as_given: reach of the events as they are.
    """

    def reach(factor: float) -> float:
        return _reach(events.scaled(factor).run(AFTER_S, changes, coarse=True), high, low)

    a, b = 0.0, 1.0
    at_a, at_b = 0.0, as_given
    while at_b < 1.0 and b < MAX_SCALE:
        a, at_a = b, at_b
        b = min(MAX_SCALE, b * max(1.2, min(4.0, 1.1 / max(at_b, 1e-3))))
        at_b = reach(b)
    if at_b < 1.0:
        return MAX_SCALE
    return _root(reach, (a, at_a), (b, at_b))


def _root(
    reach: Callable[[float], float], low: tuple[float, float], high: tuple[float, float]
) -> float:
    """Where the reach is 1, between two points on both sides of it."""
    (a, at_a), (b, at_b) = low, high
    middle = b
    for _ in range(TURNS):
        middle = a + (1.0 - at_a) / (at_b - at_a) * (b - a)
        here = reach(middle)
        if abs(here - 1.0) < CLOSE_FRAC:
            break
        if here < 1.0:
            a, at_a = middle, here
        else:
            b, at_b = middle, here
    return middle


def trip_steps(
    mw: float,
    at_s: float,
    blocks: int = 1,
    within_s: float = 0.0,
    returns_after_s: float | None = None,
    returns_within_s: float = 0.0,
) -> tuple[Step, ...]:
    """Load that leaves in equal blocks, and comes back in as many."""

    def spread(start: float, span: float, each: float) -> list[Step]:
        gap = span / (blocks - 1) if blocks > 1 else 0.0
        return [Step(start + gap * k, each) for k in range(blocks)]

    steps = spread(at_s, within_s, -mw / blocks)
    if returns_after_s is not None:
        start = at_s + (within_s if blocks > 1 else 0.0) + returns_after_s
        steps += spread(start, returns_within_s, mw / blocks)
    return tuple(steps)
