"""Observers: they collect what the processes tell, and change nothing."""

from __future__ import annotations

from sim.cluster.serving.records import DropRecord, RequestRecord, ServingEvents, StepRecord
from sim.errors import LawViolation
from sim.signals import StepSignal
from sim.units import to_s


class Integral:
    """Exact integral of a step signal over a window.

    Args:
        signal: what to integrate.
        start_ps: begin of the window.
        end_ps: its end; None is open.
    """

    def __init__(self, signal: StepSignal, start_ps: int = 0, end_ps: int | None = None):
        self._start_ps = start_ps
        self._end_ps = end_ps
        self._time_ps = start_ps
        self._value = 0.0
        self._done = 0.0
        signal.subscribe(self._observe)

    def at(self, time_ps: int) -> float:
        """Value times seconds from the window's begin to `time_ps`, or to its end.

        Raises:
            LawViolation: the signal has changed since, so the past is no longer known.
        """
        elapsed_ps = self._clip(time_ps) - self._time_ps
        if elapsed_ps < 0:
            raise LawViolation(f"integral at {time_ps} ps asked after {self._time_ps} ps")
        return self._done + self._value * to_s(elapsed_ps)

    def _observe(self, time_ps: int, value: float) -> None:
        self._done = self.at(time_ps)
        self._time_ps = self._clip(time_ps)
        self._value = value

    def _clip(self, time_ps: int) -> int:
        late = time_ps if self._end_ps is None else min(time_ps, self._end_ps)
        return max(late, self._start_ps)


class RequestLog:
    """All records of completed and dropped requests, in the order in which they came."""

    def __init__(self, events: ServingEvents):
        self.completed: list[RequestRecord] = []
        self.dropped: list[DropRecord] = []
        events.completed.subscribe(self.completed.append)
        events.dropped.subscribe(self.dropped.append)


class StepLog:
    """All steps, for small runs and tests."""

    def __init__(self, events: ServingEvents):
        self.steps: list[StepRecord] = []
        events.stepped.subscribe(self.steps.append)


class ServingCounter:
    """Counts events one by one, apart from any replica's state, for the laws.

    Attributes:
        arrived, dropped, completed, preempted, steps: events so far.
        tokens_stepped: new tokens in all finished steps.
        tokens_generated: tokens that steps generated.
        tokens_cached: tokens that completed requests cached, those lost included.
        tokens_out: output tokens of completed requests.
        energy_shared_j: shares of completed requests.
        energy_stepped_j: energy of all finished steps.
        busy_ps: duration of all finished steps.
    """

    def __init__(self, events: ServingEvents):
        self.arrived = self.dropped = self.completed = self.preempted = self.steps = 0
        self.tokens_stepped = self.tokens_generated = 0
        self.tokens_cached = self.tokens_out = self.busy_ps = 0
        self.energy_shared_j = self.energy_stepped_j = 0.0
        events.arrived.subscribe(lambda _: self._count("arrived"))
        events.dropped.subscribe(lambda _: self._count("dropped"))
        events.preempted.subscribe(lambda _: self._count("preempted"))
        events.completed.subscribe(self._complete)
        events.stepped.subscribe(self._step)

    def _count(self, name: str) -> None:
        setattr(self, name, getattr(self, name) + 1)

    def _complete(self, record: RequestRecord) -> None:
        request = record.request
        self.completed += 1
        self.tokens_out += request.output_tokens
        self.tokens_cached += request.input_tokens + request.output_tokens - 1
        self.tokens_cached += record.recomputed_tokens - record.given_tokens
        self.energy_shared_j += record.cost.energy_j

    def _step(self, step: StepRecord) -> None:
        self.steps += 1
        self.tokens_stepped += step.tokens
        self.tokens_generated += step.generated
        self.energy_stepped_j += step.cost.energy_j
        self.busy_ps += step.end_ps - step.start_ps
