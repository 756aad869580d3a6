"""The autoscaler of a fleet: how many replicas are on, decided at fixed intervals.

A state machine of integers, asked by the reference fleet and by the compiled one alike, so
that both switch the same replicas at the same instants. What it reads is exact in both: the
number of requests in the system over time, and how many were completed.

- `utilisation`: the mean number of requests in the system per sequence that the ready
  replicas may run is brought to a target. Wanted: ready x utilisation / target, rounded up,
  which is the rule of the Kubernetes horizontal pod autoscaler, with its tolerance (nothing
  changes while the ratio is within it).
- `slo`: the mean stay of a request (Little: requests in the system over time by requests
  completed) is kept below a limit; one replica more above it, one fewer below a share of it.

Growth is asked for at once and takes the time in which the model is loaded. Fewer replicas
are wanted only when the last `patience` decisions all said so (hysteresis); a drained replica
finishes what it has. Replicas that are off draw what GPUs without a model draw, those that
load what loading takes.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

from sim.cluster.serving.records import DropRecord, RequestRecord, ServingEvents
from sim.errors import InputError
from sim.units import to_ps


@dataclass(frozen=True, slots=True)
class Autoscale:
    """How a fleet is scaled.

    Attributes:
        min_replicas, max_replicas: bounds of what is on or loading.
        start_replicas: on at the beginning.
        interval_s: between two decisions. load_s: from the decision until a replica serves.
        kind: `utilisation` or `slo`.
        target_frac: of the sequences of the ready replicas. slots: sequences of a replica.
        slo_e2e_s: most mean stay. relax_frac: below this share of it, one fewer.
        tolerance_frac: deviation of the ratio that changes nothing.
        patience: decisions in a row that must ask for fewer.

    Raises:
        InputError: a value out of range.
    """

    min_replicas: int
    max_replicas: int
    start_replicas: int
    interval_s: float
    load_s: float
    slots: int
    kind: Literal["utilisation", "slo"] = "utilisation"
    target_frac: float = 0.5
    slo_e2e_s: float = math.inf
    relax_frac: float = 0.5
    tolerance_frac: float = 0.1
    patience: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.start_replicas <= self.max_replicas:
            raise InputError(
                f"autoscaler from {self.min_replicas} to {self.max_replicas} replicas, "
                f"{self.start_replicas} at the start",
                "give 1 <= min <= start <= max",
                path="autoscaler",
            )
        if not (self.interval_s > 0 and 0 <= self.load_s < math.inf and self.patience >= 1):
            raise InputError(
                f"autoscaler: interval_s = {self.interval_s}, load_s = {self.load_s}, "
                f"patience = {self.patience}"
            )
        if not (0 < self.target_frac <= 1 and 0 <= self.tolerance_frac < 1):
            raise InputError(
                f"autoscaler: target_frac = {self.target_frac}, "
                f"tolerance_frac = {self.tolerance_frac}"
            )


@dataclass(frozen=True, slots=True)
class Switch:
    """A replica, by its place in the order of switching, begins to load, goes on or goes off."""

    place: int
    to: Literal["loading", "on", "off"]


class Autoscaler:
    """Decides, and remembers what it decided.

    Attributes:
        next_ps: when it wants to be asked again.
        ready: replicas that take requests: the places 0 to `ready` - 1.
        story: (time, ready replicas) at each change.
    """

    def __init__(self, spec: Autoscale):
        self.spec = spec
        self.ready = spec.start_replicas
        self._interval_ps = to_ps(spec.interval_s)
        self._decide_ps = self._interval_ps
        self._loading: list[int] = []
        self._wanted: deque[int] = deque(maxlen=spec.patience)
        self._seen = (0, 0)
        self.story: list[tuple[int, int]] = [(0, self.ready)]

    @property
    def loading(self) -> int:
        """Replicas whose model is loaded now: the places from `ready` on."""
        return len(self._loading)

    @property
    def next_ps(self) -> int:
        """When it wants to be asked again."""
        return min([self._decide_ps, *self._loading])

    def act(self, now_ps: int, area_ps: int, completed: int) -> list[Switch]:
        """What to switch now.

        Args:
            area_ps: requests in the system over time so far, request-ps.
            completed: requests so far.
        """
        loaded = sum(due_ps <= now_ps for due_ps in self._loading)
        del self._loading[:loaded]  # in order of their times
        switches = [Switch(self.ready + n, "on") for n in range(loaded)]
        self.ready += loaded
        if now_ps >= self._decide_ps:
            self._decide_ps += self._interval_ps
            switches += self._decide(now_ps, area_ps, completed)
        if self.ready != self.story[-1][1]:
            self.story.append((now_ps, self.ready))
        return switches

    def _decide(self, now_ps: int, area_ps: int, completed: int) -> list[Switch]:
        area, done = area_ps - self._seen[0], completed - self._seen[1]
        self._seen = (area_ps, completed)
        spec, on = self.spec, self.ready + len(self._loading)
        wanted = self._by_slo(area, done, on) if spec.kind == "slo" else self._by_load(area, on)
        wanted = min(max(wanted, spec.min_replicas), spec.max_replicas)
        self._wanted.append(wanted)
        more = max(0, wanted - on)
        self._loading += [now_ps + to_ps(spec.load_s)] * more
        patient = len(self._wanted) == spec.patience
        fewer = on - max(self._wanted) if patient else 0
        return [Switch(on + n, "loading") for n in range(more)] + self._shrink(max(0, fewer))

    def _shrink(self, fewer: int) -> list[Switch]:
        """Stop what loads, the newest first, then drain."""
        on = self.ready + len(self._loading)
        stopped = min(fewer, len(self._loading))
        del self._loading[len(self._loading) - stopped :]
        self.ready -= fewer - stopped
        return [Switch(on - 1 - n, "off") for n in range(fewer)]

    def _by_load(self, area: int, on: int) -> int:
        """Replicas that bring the mean number of requests per sequence to the target."""
        spec = self.spec
        exact = area / self._interval_ps / (spec.slots * spec.target_frac)
        held = abs(exact / on - 1) <= spec.tolerance_frac
        return on if held else math.ceil(exact)

    def _by_slo(self, area: int, done: int, on: int) -> int:
        """One more or one fewer, by the mean stay."""
        if not area:
            return on - 1
        limit_ps = to_ps(self.spec.slo_e2e_s) * done
        if area > limit_ps:
            return on + 1
        return on - 1 if area < self.spec.relax_frac * limit_ps else on


class SystemCounter:
    """Requests in the system of reference replicas over time, from their events."""

    def __init__(self, events: ServingEvents):
        self.completed = 0
        self._held = self._area_ps = self._time_ps = 0
        events.arrived.subscribe(lambda event: self._change(event.time_ps, 1))
        events.dropped.subscribe(self._drop)
        events.completed.subscribe(self._complete)

    def area_ps(self, now_ps: int) -> int:
        """Requests in the system over time up to now."""
        return self._area_ps + self._held * (now_ps - self._time_ps)

    def _change(self, time_ps: int, by: int) -> None:
        self._area_ps = self.area_ps(time_ps)
        self._time_ps = time_ps
        self._held += by

    def _drop(self, drop: DropRecord) -> None:
        self._change(drop.time_ps, -1)

    def _complete(self, record: RequestRecord) -> None:
        self.completed += 1
        self._change(record.end_ps, -1)
