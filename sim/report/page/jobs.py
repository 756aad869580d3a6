"""Questions on their way: a queue before one warm worker, with time limit, cancel and a cache.

A thread owns the worker process. Everything that a request handler reads is replaced as a
whole, so no lock is needed around it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal

from sim.report.page.question import Question
from sim.report.page.worker import serve_questions

State = Literal["waiting", "running", "done", "wrong", "failed", "cancelled"]
FINAL = ("done", "wrong", "failed", "cancelled")
POLL_S = 0.05


@dataclass(slots=True)
class Job:
    """One question and what became of it.

    Attributes:
        progress: lines so far. result: the answer, or what was wrong.
    """

    number: int
    question: Question
    state: State = "waiting"
    progress: list[str] = field(default_factory=list)
    result: Any = None
    stop: bool = False

    @property
    def is_over(self) -> bool:
        """True when nothing more will happen."""
        return self.state in FINAL


class Full(Exception):
    """Too many questions are waiting."""


class Jobs:
    """All questions of a server.

    Args:
        limit_s: longest time of a run. kept: answers that are remembered. waiting: questions
            that may wait.
    """

    def __init__(self, limit_s: float = 120.0, kept: int = 64, waiting: int = 64):
        self.limit_s = limit_s
        self._kept = kept
        self._numbers = itertools.count(1)
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._answers: OrderedDict[str, Any] = OrderedDict()
        self._queue: queue.Queue[Job | None] = queue.Queue(waiting)
        self._worker = _Worker()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask(self, question: Question) -> Job:
        """A new job, or one that is done already if the answer is known.

        Raises:
            Full: too many wait.
        """
        job = Job(next(self._numbers), question)
        known = self._answers.get(question.key)
        if known is not None:
            job.state, job.result = "done", known
        else:
            try:
                self._queue.put_nowait(job)
            except queue.Full:
                raise Full from None
        self._jobs[job.number] = job
        while len(self._jobs) > 4 * self._kept:
            self._jobs.popitem(last=False)
        return job

    def get(self, number: int) -> Job | None:
        """A job by its number, if it is still remembered."""
        return self._jobs.get(number)

    def cancel(self, job: Job) -> None:
        """Stop a job; nothing happens if it is over."""
        job.stop = True
        if job.state == "waiting":
            job.state = "cancelled"

    def close(self) -> None:
        """Stop everything."""
        for job in list(self._jobs.values()):
            job.stop = True
        self._queue.put(None)
        self._thread.join(timeout=5)
        self._worker.kill()

    def _work(self) -> None:
        self._worker.pipe()  # warm before the first question
        while (job := self._queue.get()) is not None:
            if not job.stop:
                self._run(job)

    def _run(self, job: Job) -> None:
        job.state = "running"
        try:
            pipe = self._worker.pipe()
            pipe.send(job.question.model_dump(mode="json"))
            deadline_s = time.monotonic() + self.limit_s
            while not job.is_over:
                if pipe.poll(POLL_S):
                    self._hear(job, *pipe.recv())
                elif job.stop:
                    self._end(job, "cancelled", None)
                elif time.monotonic() > deadline_s:
                    self._end(job, "failed", f"took longer than {self.limit_s:g} s, stopped")
        except (EOFError, OSError, ValueError) as error:
            self._end(job, "failed", f"the worker died ({error or 'out of memory?'}); ask again")

    def _hear(self, job: Job, kind: str, what: Any) -> None:
        if kind == "progress":
            job.progress = [*job.progress, what]
        elif kind in ("done", "wrong", "failed"):
            if kind == "done":
                self._answers[job.question.key] = what
                while len(self._answers) > self._kept:
                    self._answers.popitem(last=False)
            job.result = what
            job.state = kind  # type: ignore[assignment]

    def _end(self, job: Job, state: State, what: Any) -> None:
        """The job ends before its worker does: the worker goes with it."""
        self._worker.kill()
        job.result = what
        job.state = state


class _Worker:
    """The worker process; started when it is needed, and again after a kill."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Any = None

    def pipe(self) -> Any:
        """The pipe to a worker that is ready."""
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=serve_questions, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            self._pipe.recv()
        return self._pipe

    def kill(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join(timeout=5)
            self._pipe.close()
            self._process = None
