"""Questions on their way: a queue before one warm worker, with time limit, cancel and a cache.

A thread owns the worker that answers, another one the worker that draws the figures of what is
answered: an answer never waits for a figure. Everything that a request handler reads is replaced
as a whole, so no lock is needed around it; one is held where a waiting job begins or is cancelled.
"""

from __future__ import annotations

import itertools
import queue
import secrets
import tempfile
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sim.report.page.process import Worker
from sim.report.page.worker import draw_answers, serve_questions

if TYPE_CHECKING:
    from sim.report.page.artist import Piece
    from sim.report.page.question import Question

State = Literal["waiting", "running", "done", "wrong", "failed", "cancelled"]
FINAL = ("done", "wrong", "failed", "cancelled")
POLL_S = 0.05
UNDRAWN = 8
"""Answers whose figures may wait; then the next question does."""


@dataclass(slots=True)
class Found:
    """An answer, and what is drawn of it so far.

    Attributes:
        answer: key figures and verdict. files: name -> text. captions: figure -> caption.
        is_drawn: nothing more comes. trouble: why figures are missing.
    """

    answer: dict[str, Any]
    files: dict[str, str]
    captions: dict[str, str] = field(default_factory=dict)
    is_drawn: bool = False
    trouble: str = ""

    def add(self, piece: Piece) -> None:
        """A figure with its numbers, or the report."""
        caption, files = piece
        self.files = self.files | files
        if caption:
            name = next(iter(files)).rpartition(".")[0]
            self.captions = self.captions | {name: caption}

    def end(self, trouble: str = "") -> None:
        """Nothing more comes."""
        self.trouble = trouble
        self.is_drawn = True


@dataclass(slots=True)
class Job:
    """One question and what became of it.

    Attributes:
        progress: lines so far. found: the answer. result: what was wrong.
        ahead: nobody has asked it yet.
    """

    number: int
    question: Question
    state: State = "waiting"
    progress: list[str] = field(default_factory=list)
    found: Found | None = None
    result: Any = None
    stop: bool = False
    ahead: bool = False

    @property
    def is_over(self) -> bool:
        """True when the question is answered, or will not be."""
        return self.state in FINAL

    @property
    def is_settled(self) -> bool:
        """True when nothing more will happen, figures included."""
        return self.is_over and (self.found is None or self.found.is_drawn)


class Full(Exception):
    """Too many questions are waiting."""


@dataclass(frozen=True, slots=True)
class _Undrawn:
    """An answer whose figures are to be drawn, in the folder of its run."""

    found: Found
    drawing: bytes
    folder: tempfile.TemporaryDirectory[str]


class Jobs:
    """All questions of a server.

    Args:
        limit_s: longest time of a run. kept: answers that are remembered. waiting: questions
            that may wait.

    Attributes:
        server: names this start of the server; numbers of jobs hold only beside it.
    """

    def __init__(self, limit_s: float = 120.0, kept: int = 64, waiting: int = 64):
        self.limit_s = limit_s
        self.server = secrets.token_hex(8)
        self._kept = kept
        self._numbers = itertools.count(1)
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._answers: OrderedDict[str, Found] = OrderedDict()
        self._queue: queue.Queue[Job | None] = queue.Queue(waiting)
        self._undrawn: queue.Queue[_Undrawn | None] = queue.Queue(UNDRAWN)
        self._worker, self._artist = Worker(serve_questions), Worker(draw_answers)
        self._closed = False
        self._turn = threading.Lock()
        self._threads = [
            threading.Thread(target=target, daemon=True) for target in (self._work, self._draw)
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, question: Question, *, ahead: bool = False) -> Job:
        """A new job, or one that is done already if the answer is known.

        Args:
            ahead: before anybody asks; who asks the same while it runs gets this job.

        Raises:
            Full: too many wait.
        """
        for other in list(self._jobs.values()):
            if other.ahead and other.question == question and not (other.is_over or other.stop):
                other.ahead = False
                return other
        job = Job(next(self._numbers), question, ahead=ahead)
        if not self._is_known(job):
            try:
                self._queue.put_nowait(job)
            except queue.Full:
                raise Full from None
        self._jobs[job.number] = job
        self._forget()
        return job

    def _forget(self) -> None:
        """Drop settled jobs: those whose answer is dropped (it is large), the oldest of many."""
        settled = [(n, one) for n, one in list(self._jobs.items()) if one.is_settled]
        over = len(self._jobs) - 4 * self._kept
        for place, (number, one) in enumerate(settled):
            is_dropped = one.found is not None and one.question.key not in self._answers
            if place < over or is_dropped:
                self._jobs.pop(number, None)

    def get(self, number: int) -> Job | None:
        """A job by its number, if it is still remembered."""
        return self._jobs.get(number)

    def cancel(self, job: Job) -> None:
        """Stop a job; nothing happens if it is over."""
        with self._turn:
            job.stop = True
            if job.state == "waiting":
                job.state = "cancelled"

    def close(self) -> None:
        """Stop everything."""
        self._closed = True
        for job in list(self._jobs.values()):
            job.stop = True
        self._queue.put(None)
        self._worker.kill()
        self._artist.kill()
        for thread in self._threads:
            thread.join(timeout=5)
        self._worker.kill()
        self._artist.kill()

    def _is_known(self, job: Job) -> bool:
        """Whether its answer is remembered; then the job is done."""
        known = self._answers.get(job.question.key)
        if known is None or known.trouble:
            return False
        with suppress(KeyError):  # dropped by the other thread at this moment
            self._answers.move_to_end(job.question.key)
        job.found, job.state = known, "done"
        return True

    # -- answers

    def _work(self) -> None:
        with suppress(EOFError, OSError):  # closed before it was warm
            self._worker.pipe()  # warm before the first question
        while (job := self._queue.get()) is not None:
            with self._turn:
                if job.stop or self._is_known(job):
                    continue
                job.state = "running"
            self._run(job)
        self._undrawn.put(None)

    def _run(self, job: Job) -> None:
        try:
            folder = tempfile.TemporaryDirectory(prefix="flopgrid-page-")
        except OSError as error:
            job.result, job.state = f"no folder for the run ({error.strerror or error})", "failed"
            return
        try:
            pipe = self._worker.pipe()
            pipe.send((job.question.model_dump(mode="json"), folder.name))
            deadline_s = time.monotonic() + self.limit_s
            while not job.is_over:
                if pipe.poll(POLL_S):
                    self._hear(job, *pipe.recv())
                elif job.stop:
                    self._end(job, "cancelled", None)
                elif time.monotonic() > deadline_s:
                    self._end(job, "failed", f"took longer than {self.limit_s:g} s, stopped")
            if job.found is not None:
                if not pipe.poll(self.limit_s):
                    raise TimeoutError("no tables to draw from")
                self._undrawn.put(_Undrawn(job.found, pipe.recv()[1], folder))
                return
        except (EOFError, OSError, ValueError) as error:
            self._end(job, "failed", f"the worker died ({error or 'out of memory?'}); ask again")
        folder.cleanup()

    def _hear(self, job: Job, kind: str, what: Any) -> None:
        if kind == "progress":
            job.progress = [*job.progress, what]
        elif kind == "done":
            files = what.pop("files")
            job.found = self._answers[job.question.key] = Found(what, files)
            while len(self._answers) > self._kept:
                self._answers.popitem(last=False)
            job.state = "done"
        elif kind in ("wrong", "failed"):
            job.result = what
            job.state = kind  # type: ignore[assignment]

    def _end(self, job: Job, state: State, what: Any) -> None:
        """The job ends before its worker does: the worker goes with it."""
        self._worker.kill()
        if job.found is not None:  # answered, but nobody can draw it any more
            job.found.end(str(what))
            return
        job.result = what
        job.state = state

    # -- figures

    def _draw(self) -> None:
        while (waiting := self._undrawn.get()) is not None:
            try:
                waiting.found.end("" if self._closed else self._drawn(waiting))
            finally:
                waiting.folder.cleanup()

    def _drawn(self, waiting: _Undrawn) -> str:
        """Hear the figures of an answer; why there are no more of them, or nothing."""
        try:
            pipe = self._artist.pipe()
            pipe.send((waiting.drawing, waiting.folder.name))
            while pipe.poll(self.limit_s):
                kind, what = pipe.recv()
                if kind != "figure":
                    return what or ""
                waiting.found.add(what)
            self._artist.kill()
        except (EOFError, OSError, ValueError) as error:
            self._artist.kill()  # it may live on for a moment behind a closed pipe
            return f"the figures' worker died ({error or 'out of memory?'}); ask again"
        return f"the figures took longer than {self.limit_s:g} s, stopped"
