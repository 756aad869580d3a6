"""Where points run: in this process, or in a pool of processes of this machine.

All executors answer to one protocol, so that the sweep is the same wherever it runs:
hand over points while there is room, take results as they come, in any order.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import Final, Protocol

from sim.sweep.child import FAILED, Result, Study, perform
from sim.sweep.point import Point
from sim.sweep.process import Process, WorkerDiedError

RETRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may cost.

    Args:
        retries: how often a point is tried again whose worker died.
        time_s: longest wall time of a run; None for any.
        memory_bytes: largest memory of a worker; None for any.
    """

    retries: int = RETRIES
    time_s: float | None = None
    memory_bytes: int | None = None


class Executor(Protocol):
    """Runs points."""

    @property
    def capacity(self) -> int:
        """How many points may be under way."""

    def submit(self, point: Point) -> None:
        """Hand over a point; only while fewer than `capacity` are under way."""

    def next(self) -> Result:
        """The next result; waits for it."""

    def close(self) -> None:
        """Stop at once, whatever is under way."""


class InProcess:
    """Runs points one after another in this process: no limits, easy to debug."""

    capacity = 1

    def __init__(self, study: Study):
        self._study = study
        self._points: deque[Point] = deque()

    def submit(self, point: Point) -> None:
        """Put it in the queue."""
        self._points.append(point)

    def next(self) -> Result:
        """Run the oldest point."""
        return perform(self._study, self._points.popleft())

    def close(self) -> None:
        """Forget the queue."""
        self._points.clear()


@dataclass(slots=True)
class _Job:
    """A point under way."""

    point: Point
    tries: int = 0
    until_s: float | None = None


class LocalPool:
    """Processes on this machine, started when they are first needed.

    Args:
        keep: descriptors that the processes hold open as long as they live.
    """

    def __init__(self, study: Study, workers: int, limits: Limits, keep: Sequence[int] = ()):
        self.capacity = workers
        self._study, self._limits, self._keep = study, limits, keep
        self._idle: list[Process] = []
        self._busy: dict[Process, _Job] = {}
        self._ready: deque[Result] = deque()

    def submit(self, point: Point) -> None:
        """Hand the point to an idle process, or to a new one."""
        self._start(_Job(point))

    def next(self) -> Result:
        """Wait for the first result, death or overrun of any process."""
        while not self._ready:
            self._wait()
        return self._ready.popleft()

    def close(self) -> None:
        """Kill all processes."""
        for process in [*self._busy, *self._idle]:
            process.kill()
        self._busy.clear()
        self._idle.clear()

    def stop(self) -> None:
        """End the processes from another thread; who waits for a result gets a failure."""
        self._limits = replace(self._limits, retries=0)
        for process in [*self._busy, *self._idle]:
            process.end()

    @property
    def pids(self) -> list[int]:
        """The processes that are at work."""
        return [process.pid for process in self._busy]

    def _start(self, job: _Job) -> None:
        """Give a job to a process; a process that is dead before it starts counts as a try."""
        process = None
        try:
            process = self._idle.pop() if self._idle else Process(self._study, self._keep)
            process.submit(job.point)
        except WorkerDiedError as error:
            self._again(process, job, f"its worker died ({error})")
            return
        self._busy[process] = job
        self._start_clock(process, job)

    def _start_clock(self, process: Process, job: _Job) -> None:
        """The time limit counts from where the process can work."""
        limit_s = self._limits.time_s
        job.until_s = time.monotonic() + limit_s if limit_s and process.ready else None

    def _wait(self) -> None:
        now_s = time.monotonic()
        ends = [job.until_s for job in self._busy.values() if job.until_s is not None]
        timeout_s = max(0.0, min(ends) - now_s) if ends else None
        ready = set(wait([process.connection for process in self._busy], timeout_s))
        for process, job in list(self._busy.items()):
            if process.connection in ready:
                self._take(process, job)
            elif job.until_s is not None and time.monotonic() >= job.until_s:
                del self._busy[process]
                process.kill()
                error = f"took longer than the limit of {self._limits.time_s:g} s"
                self._ready.append(Result(job.point.key, FAILED, error))

    def _take(self, process: Process, job: _Job) -> None:
        try:
            result = process.receive()
        except WorkerDiedError as error:
            del self._busy[process]
            self._again(process, job, f"its worker died ({error})")
            return
        if result is None:
            self._start_clock(process, job)
            return
        del self._busy[process]
        if result.spent:
            process.kill()
        else:
            self._idle.append(process)
        self._ready.append(result)

    def _again(self, process: Process | None, job: _Job, error: str) -> None:
        """Try once more, as often as the limits allow."""
        if process:
            process.kill()
        job.tries += 1
        if job.tries <= self._limits.retries:
            self._start(job)
        else:
            self._ready.append(Result(job.point.key, FAILED, f"{error}, {job.tries} times"))


def usable_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
