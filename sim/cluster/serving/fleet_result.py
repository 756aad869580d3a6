"""What a fleet did in a window, from the records of its simulated replicas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sim.cluster.serving.classes import ClassRecords, ClassResult, recorded_class
from sim.cluster.serving.estimate import Distribution, Estimate, FloatArray, Sample, distribution
from sim.cluster.serving.records import DropRecord, RequestRecord
from sim.cluster.serving.reference import QUEUE_FULL
from sim.control.serving import ClassRule
from sim.units import to_s


@dataclass(frozen=True, slots=True)
class Counts:
    """What the simulated replicas did in the window, not scaled.

    Attributes:
        requests: that came to a replica.
        turned_away: shed by admission before they came to one. handed_over: to other fleets.
    """

    requests: int
    completed: int
    dropped: int
    shed: int
    tokens_in: int
    tokens_out: int
    turned_away: int
    handed_over: int


@dataclass(frozen=True, slots=True)
class FleetResult:
    """What the whole fleet did in the window, estimated from the simulated replicas.

    Attributes:
        fleet: replicas of the fleet.
        simulated: replicas simulated request by request; 0 for a fluid of rates.
        confidence: of the intervals.
        window_s: length of the window.
        requests: arrivals, dropped and shed ones included.
        completed: requests whose last token came in the window.
        dropped: requests refused because they can never fit.
        shed: requests turned away by admission control.
        tokens_in: prompt tokens of the completed.
        tokens_out: output tokens of the completed.
        energy_j: chip boundary, idle included.
        mean_power_w: chip boundary.
        energy_j_per_output_token: chip boundary, idle included; None without output.
        ttft_s: time to first token of the completed; None without any.
        tpot_s: mean time per output token after the first, of each completed.
        e2e_s: from arrival to last token.
        classes: what became of each class; empty where there is one only.
        counted: at the simulated replicas; None for a fluid of rates.
    """

    fleet: int
    simulated: int
    confidence: float
    window_s: float
    requests: Estimate
    completed: Estimate
    dropped: Estimate
    shed: Estimate
    tokens_in: Estimate
    tokens_out: Estimate
    energy_j: Estimate
    mean_power_w: Estimate
    energy_j_per_output_token: Estimate | None
    ttft_s: Distribution | None
    tpot_s: Distribution | None
    e2e_s: Distribution | None
    classes: tuple[ClassResult, ...] = ()
    counted: Counts | None = None

    @property
    def basis(self) -> str:
        """One line that says what the intervals are."""
        if self.ttft_s is not None and self.simulated == self.fleet and self.fleet > 1:
            return f"all {self.fleet} replicas simulated request by request"
        if self.simulated == 0:
            return f"mean rates of {self.fleet} replicas; no single requests, so no latencies"
        kind = (
            f"{self.confidence:.0%} t-interval across them"
            if self.simulated > 1
            else "no interval from a single one"
        )
        return f"{self.simulated} of {self.fleet} replicas simulated and scaled; {kind}"


@dataclass(frozen=True, slots=True)
class Window:
    """What observers collected, and from when to when it counts.

    Attributes:
        start_ps: begin, inclusive.
        end_ps: end, exclusive.
        arrivals_ps: arrival times at each simulated replica, drops included.
        completed: records of all of them.
        dropped: records of all of them.
        energy_j: of each simulated replica within the window, chip boundary.
        shed_ps: arrival times of requests turned away before the router.
        rules: of the classes, none where there is one only.
        arrived_kinds: class of each of `arrivals_ps`.
    """

    start_ps: int
    end_ps: int
    arrivals_ps: Sequence[Sequence[int]]
    completed: Sequence[RequestRecord]
    dropped: Sequence[DropRecord]
    energy_j: Sequence[float]
    shed_ps: Sequence[int] = ()
    rules: Sequence[ClassRule] = ()
    arrived_kinds: Sequence[Sequence[int]] = ()

    def holds(self, time_ps: int) -> bool:
        """Whether an instant is in the window."""
        return self.start_ps <= time_ps < self.end_ps


def _classes(window: Window, sample: Sample) -> tuple[ClassResult, ...]:
    """What the records tell of each class."""
    done = [record for record in window.completed if window.holds(record.end_ps)]
    refused = [drop for drop in window.dropped if window.holds(drop.time_ps)]
    found = []
    for kind, rule in enumerate(window.rules):
        arrived = [
            sum(own == kind and window.holds(at_ps) for at_ps, own in zip(*pair, strict=True))
            for pair in zip(window.arrivals_ps, window.arrived_kinds, strict=True)
        ]
        turned = [drop for drop in refused if drop.request.priority == kind]
        records = ClassRecords(
            arrived=np.array(arrived, dtype=float),
            completed=[record for record in done if record.request.priority == kind],
            shed=[drop for drop in turned if drop.reason == QUEUE_FULL],
            dropped=[drop for drop in turned if drop.reason != QUEUE_FULL],
        )
        found.append(recorded_class(records, rule, sample))
    return tuple(found)


def _by_replica(
    window: Window,
) -> tuple[list[list[RequestRecord]], FloatArray, FloatArray]:
    """Completed requests, and numbers of dropped ones and of those that found the queue full."""
    done: list[list[RequestRecord]] = [[] for _ in window.energy_j]
    for record in window.completed:
        if window.holds(record.end_ps):
            done[record.replica].append(record)
    drops, full = np.zeros(len(done)), np.zeros(len(done))
    for drop in window.dropped:
        refused = full if drop.reason == QUEUE_FULL else drops
        refused[drop.replica] += window.holds(drop.time_ps)
    return done, drops, full


def summarise(window: Window, sample: Sample) -> FleetResult:
    """Estimate the fleet's figures.

    Args:
        window: of the simulated replicas.
        sample: how they speak for the fleet.
    """
    done, drops, full = _by_replica(window)

    def per_replica(value: Callable[[RequestRecord], float]) -> FloatArray:
        return np.array([float(sum(map(value, records))) for records in done])

    def latency(value: Callable[[RequestRecord], float | None]) -> Distribution | None:
        each = [[v for v in map(value, records) if v is not None] for records in done]
        return distribution([np.array(values) for values in each], sample)

    window_s = to_s(window.end_ps - window.start_ps)
    energy_j = np.array(window.energy_j)
    arrivals = [float(sum(map(window.holds, times_ps))) for times_ps in window.arrivals_ps]
    tokens_in = per_replica(lambda record: record.request.input_tokens)
    tokens_out = per_replica(lambda record: record.request.output_tokens)
    shed = np.full(len(done), sum(map(window.holds, window.shed_ps)) / len(done))
    return FleetResult(
        fleet=sample.fleet,
        simulated=sample.simulated,
        confidence=sample.confidence,
        window_s=window_s,
        requests=sample.total(np.array(arrivals) + shed),
        completed=sample.total(per_replica(lambda _: 1)),
        dropped=sample.total(drops),
        shed=sample.total(shed + full),
        tokens_in=sample.total(tokens_in),
        tokens_out=sample.total(tokens_out),
        energy_j=sample.total(energy_j),
        mean_power_w=sample.total(energy_j / window_s),
        energy_j_per_output_token=sample.ratio(energy_j, tokens_out),
        ttft_s=latency(lambda record: record.ttft_s),
        tpot_s=latency(lambda record: record.tpot_s),
        e2e_s=latency(lambda record: record.e2e_s),
        classes=_classes(window, sample) if window.rules else (),
        counted=Counts(
            requests=int(sum(arrivals)),
            completed=sum(map(len, done)),
            dropped=int(drops.sum()),
            shed=int(full.sum()),
            tokens_in=int(tokens_in.sum()),
            tokens_out=int(tokens_out.sum()),
            turned_away=sum(map(window.holds, window.shed_ps)),
            handed_over=0,
        ),
    )
