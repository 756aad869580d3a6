"""Where points run: on the workers of a Dask cluster.

Nothing but the address tells a cluster from this machine: each Dask worker keeps one child
process per thread and hands it the points, so threads, limits and deaths are as in the local
pool. Finished runs come back as bytes and are written here: the cluster needs no disk of
ours, and only one machine ever writes to the sweep's folder.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError
from sim.sweep.child import FAILED, Result, Study, difference, stamp
from sim.sweep.executor import Limits, LocalPool
from sim.sweep.point import Point

if TYPE_CHECKING:
    from sim.sweep.identity import Work

CONNECT_S: Final = 15
ASK_S: Final = 5.0
AHEAD: Final = 2
"""Points on their way for each thread of the cluster, so that none waits for the network."""


class Cluster:
    """Runs points on a Dask cluster.

    Args:
        address: of its scheduler, `tcp://host:port`.
        inputs: content of the user's files, sent once to each worker.

    Raises:
        InputError: the scheduler is not there, has no worker, or a worker runs another program.
    """

    def __init__(
        self, address: str, study: Study, limits: Limits, inputs: Mapping[str, bytes] | None = None
    ):
        self._address, self._limits = address, limits
        self._client = _connect(address)
        try:
            self._mine = stamp()
            self._check_workers()
            study = replace(study, runs=None, inputs=inputs or {}, stamp=self._mine)
            self._token = uuid.uuid4().hex
            self._study = self._client.scatter(study, broadcast=True, hash=False)
            self._points: dict[str, Point] = {}
            self._capacity, self._asked_s = 1, -ASK_S
            self._done = _distributed().as_completed(loop=self._client.loop)
        except BaseException:
            self._client.close()
            raise

    @property
    def capacity(self) -> int:
        """Some points for each thread that the cluster has; asked for again now and then.

        Raises:
            InputError: the scheduler is gone.
        """
        if time.monotonic() - self._asked_s > ASK_S:
            with self._there():
                threads: dict[str, int] = self._client.nthreads()
            self._capacity = max(1, AHEAD * sum(threads.values()))
            self._asked_s = time.monotonic()
        return self._capacity

    def submit(self, point: Point) -> None:
        """Send a point.

        Raises:
            InputError: the scheduler is gone.
        """
        key = f"flopgrid-{self._token[:8]}-{uuid.uuid4().hex}"
        self._points[key] = point
        with self._there():
            future = self._client.submit(
                run_on_worker, self._study, self._token, point, self._limits, key=key, pure=False
            )
            self._done.add(future)

    def next(self) -> Result:
        """The next result.

        Raises:
            InputError: the scheduler is gone.
        """
        while True:
            with self._there():
                future = next(self._done)
                point = self._points.pop(future.key)
                if self._client.status != "running":
                    raise self._gone()
                if future.status != "cancelled":
                    return _result(future, point)
            self.submit(point)  # the scheduler forgot it while the connection was away

    @contextmanager
    def _there(self) -> Iterator[None]:
        """What the network says about a scheduler that is gone, in our words."""
        try:
            yield
        except (OSError, CancelledError):
            # A task that is cancelled while its result is fetched: the connection went with it.
            raise self._gone() from None

    def close(self) -> None:
        """Stop at once: forget what waits, end what runs."""
        try:
            if self._client.status == "running":
                self._client.cancel(list(self._done.futures), force=True)
                self._client.run(close_pools, on_error="ignore")
        except OSError:
            pass  # the cluster is gone: nothing is left to stop
        finally:
            self._client.close()

    def _check_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
            found: dict[str, Any] = self._client.run(stamp)
        except _distributed().TimeoutError:
            raise InputError(
                f"the scheduler {self._address} has no worker", "start one: dask worker ADDRESS"
            ) from None
        except ImportError as error:
            raise InputError(
                f"a worker of {self._address} cannot load flopgrid: {error}",
                "install the same flopgrid there",
            ) from None
        for worker, theirs in sorted(found.items()):
            told = difference(self._mine, theirs)
            if told:
                raise InputError(
                    f"worker {worker} runs another program: {told}",
                    "install the same version on client and workers",
                )

    def _gone(self) -> InputError:
        return InputError(
            f"the scheduler {self._address} is gone",
            "go on with --resume when it is back; finished runs are kept",
        )


def _connect(address: str) -> Any:
    try:
        return _distributed().Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"no scheduler at {address}: {reason}", "start one: dask scheduler --port 8786"
        ) from None


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise InputError(
            "--scheduler needs the package `distributed`", "pip install 'flopgrid[dask]'"
        ) from None


def _result(future: Any, point: Point) -> Result:
    """The result of a task; one that no worker survived, or no worker could load, has failed."""
    error = future.exception()
    if error is None:
        result: Result = future.result()
    else:
        text = f"{type(error).__name__}: {error}"
        result = Result(point.key, FAILED, text.splitlines()[0])
    future.release()
    return result


# On the worker.


@dataclass(slots=True)
class _Held:
    """The child process of a thread, and the study that it has."""

    token: str
    pool: LocalPool


_held: dict[int, _Held] = {}
_stamps: list[dict[str, str]] = []


def run_on_worker(study: Study, token: str, point: Point, limits: Limits) -> Result:
    """Run a point in this thread's child process."""
    if not _stamps:
        _stamps.append(stamp())
    told = difference(study.stamp, _stamps[0])
    if told:
        return Result(point.key, FAILED, f"a worker runs another program: {told}")
    thread = threading.get_ident()
    held = _held.get(thread)
    if held is None or held.token != token:
        if held:
            held.pool.close()
        held = _held[thread] = _Held(token, LocalPool(study, 1, limits))
    held.pool.submit(point)
    return held.pool.next()


def close_pools() -> None:
    """End all child processes of this worker."""
    for held in list(_held.values()):
        held.pool.stop()
    _held.clear()


def inputs_of(points: Iterable[Point], work: Work) -> dict[str, bytes]:
    """Content of the user's files that some point reads.

    Only text names a file: of the points that set the same texts the first is asked.

    Raises:
        InputError: a file cannot be read.
    """
    from sim.sweep.work import user_files

    seen: set[tuple[tuple[str, str], ...]] = set()
    found: dict[str, bytes] = {}
    for point in points:
        texts = tuple((path, value) for path, value in point.settings if isinstance(value, str))
        if texts in seen:
            continue
        seen.add(texts)
        try:
            files = user_files(work.identify(point).files)
        except InputError:
            continue  # it will be recorded as a failure of its own
        new = [path for path in files if path not in found and Path(path).is_file()]
        found |= {path: Path(path).read_bytes() for path in new}
    return found
