"""The parent's end of a worker process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Final

from sim.sweep.child import Result, Study, child_environment
from sim.sweep.point import Point

TELL_BYTES: Final = 4096
_START: Final = "from sim.sweep.child import main; main()"
"""Not `-m`: the messages must be of the very classes that the child knows."""


class WorkerDiedError(Exception):
    """The process is gone; the text says how it ended."""


class Process:
    """One worker process.

    Args:
        study: what it is to run.
        keep: descriptors that it holds open as long as it lives, so that a lock outlives a
            parent that was killed by no more than the child.
    """

    def __init__(self, study: Study, keep: Sequence[int] = ()):
        to_child, from_parent = os.pipe()
        to_parent, from_child = os.pipe()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        command = [sys.executable, "-c", _START, str(to_child), str(from_child)]
        # A session of its own: Ctrl-C reaches the parent alone, which then stops its children.
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            command,
            pass_fds=(to_child, from_child, *keep),
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._words,
            stderr=self._words,
            start_new_session=True,
        )
        os.close(to_child)
        os.close(from_child)
        self._out = Connection(from_parent, readable=False)
        self.connection = Connection(to_parent, writable=False)
        self.pid = self._process.pid
        self.ready = False
        self._send(study)

    def submit(self, point: Point) -> None:
        """Hand it a point.

        Raises:
            WorkerDiedError: it is gone.
        """
        self._send(point)

    def receive(self) -> Result | None:
        """Its next result, or None when it says that it is ready; waits for it.

        Raises:
            WorkerDiedError: it died over it.
        """
        try:
            message: Result | str = self.connection.recv()
        except (EOFError, OSError):
            raise WorkerDiedError(self._end()) from None
        if isinstance(message, Result):
            return message
        self.ready = True
        return None

    def end(self) -> None:
        """Tell it to end, without closing what another thread may be waiting for."""
        self._process.kill()

    def kill(self) -> None:
        """End it now; what it was writing is left as a draft that nobody counts."""
        self._process.kill()
        self._process.wait()
        self._out.close()
        self.connection.close()
        self._words.close()

    def _send(self, message: Study | Point) -> None:
        try:
            self._out.send(message)
        except OSError:
            raise WorkerDiedError(self._end()) from None

    def _end(self) -> str:
        """How it ended, with its last words."""
        code = self._process.wait()
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - TELL_BYTES))
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        told = f": {lines[-1]}" if lines else ""
        return f"signal {-code}{told}" if code < 0 else f"exit code {code}{told}"
