"""What a loader may do with a file that nobody meant: read it, or refuse it in one line.

Everything else is a finding: another exception, a warning, a message of several lines, more
than `LIMIT_S` seconds of processor time, or a file written outside the folder that is allowed.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sim.errors import FlopgridError, InputError
from sim.scenario.migrate import OldFormWarning

LIMIT_S: Final = 5.0
PATIENCE: Final = 12
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES: Final = {
    "os.mkdir": {0: 2}, "os.rename": {0: 2, 1: 3}, "os.remove": {0: 1}, "os.rmdir": {0: 1},
    "os.link": {1: 3}, "os.symlink": {1: 2}, "os.truncate": {0: 9}, "os.chmod": {0: 2},
    "shutil.rmtree": {0: 1}, "shutil.move": {0: 9, 1: 9}, "shutil.copyfile": {1: 9},
}  # fmt: skip
"""Audit events that change files: which arguments name them, and the folder each is relative to."""


class Hang(BaseException):
    """The time limit struck; no handler of the product may swallow it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What went wrong: its kind, where, and the words."""

    kind: str
    where: str
    what: str


class _Watch:
    """One audit hook for the whole process (it cannot be taken off), awake only when asked."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()
        self.strayed: list[str] = []
        self.awake = False
        sys.addaudithook(self._see)

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.awake:
            return
        if event == "open":
            name, _, flags = args
            if flags & _WRITES and isinstance(name, str | bytes | os.PathLike):
                self._note(name)
        elif event in _CHANGES:
            for position, base in _CHANGES[event].items():
                self._note(args[position], args[base] if base < len(args) else -1)

    def _note(self, name: Any, folder: Any = -1) -> None:
        at = f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ""
        path = os.path.realpath(Path(at, os.fsdecode(name)))
        if path != os.devnull and "__pycache__" not in path and not path.startswith(self.allowed):
            self.strayed.append(path)


_WATCH = _Watch()


@contextmanager
def watched(*allowed: Path) -> Iterator[list[str]]:
    """Yields the list of files that are changed outside the allowed folders."""
    _WATCH.allowed = tuple(str(path.resolve()) for path in allowed)
    _WATCH.strayed = []
    _WATCH.awake = True
    try:
        yield _WATCH.strayed
    finally:
        _WATCH.awake = False


@contextmanager
def limited(limit_s: float = LIMIT_S) -> Iterator[None]:
    """Raise `Hang` when the block takes more processor time, or `PATIENCE` times that by the clock.

    Processor time, because a busy machine is no defect; the clock too, because a loader that
    waits for a pipe takes none. Both strike again if something swallows the first.
    """

    def strike(_signal: int, _frame: object) -> None:
        raise Hang

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, limit_s),
              signal.SIGALRM: (signal.ITIMER_REAL, PATIENCE * limit_s)}  # fmt: skip
    before = {number: signal.signal(number, strike) for number in timers}
    for timer, after_s in timers.values():
        signal.setitimer(timer, after_s, after_s / 5)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def judge(
    load: Callable[[], object], allowed: Path, limit_s: float = LIMIT_S
) -> tuple[str, Finding | None]:
    """Let a loader read, and say how it ended: `read` or `refused`, and the finding, if any."""
    with watched(allowed) as strayed:
        told, finding = _ended(load, limit_s)
    if strayed and finding is None:
        finding = Finding("stray file", strayed[0], f"{len(strayed)} files outside {allowed}")
    return told, finding


def _ended(load: Callable[[], object], limit_s: float) -> tuple[str, Finding | None]:
    try:
        with limited(limit_s), warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", OldFormWarning)
            load()
    except InputError as error:
        message = str(error)
        if len(message.splitlines()) != 1 or not message.isprintable():
            return "refused", Finding("not one line", _origin(error), repr(message)[:300])
        return "refused", None
    except (Exception, Hang) as error:  # noqa: BLE001 - that it is no other kind is what is tested
        kind = "law" if isinstance(error, FlopgridError) else type(error).__name__
        return "broken", Finding(kind, _origin(error), str(error)[:300])
    return "read", None


def _origin(error: BaseException) -> str:
    """The last place in the product's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f"{os.sep}sim{os.sep}" in f.filename] or frames
    name = own[-1].filename.rpartition(f"{os.sep}sim{os.sep}")[2] if own else "?"
    return f"{name}:{own[-1].lineno}" if own else "?"
