"""A worker process behind a pipe: started when it is needed, and again after a kill."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


class Worker:
    """A process that says `ready` once it is warm, then answers over its pipe.

    Args:
        target: what it does; called with its end of the pipe.
    """

    def __init__(self, target: Callable[[Connection], None]) -> None:
        self._target = target
        self._process: Any = None
        self._pipe: Any = None
        self._is_ready = False
        self._lock = threading.Lock()  # its owner and who closes the page may meet here

    def start(self) -> None:
        """Start the process, if none runs; do not wait for it."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                return
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._is_ready = False
            self._process = context.Process(target=self._target, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()

    def pipe(self) -> Any:
        """The pipe to a process that is ready."""
        self.start()
        if not self._is_ready:
            self._pipe.recv()
            self._is_ready = True
        return self._pipe

    def kill(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.join(timeout=5)
                self._pipe.close()
                self._process = None
