"""A process that runs points for its parent, one at a time, and dies with it.

The parent starts `main` with the numbers of two pipes and sends a `Study`, to which the
answer is `READY`, then points, each of which is answered by a `Result`. Mathematics
libraries get one thread each: the sweep is parallel over runs. When the parent dies its end
of the pipe closes and the child ends at once, whatever it is doing, so no run is published
behind the back of a sweep that has been started again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import queue
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from sim.errors import FlopgridError, InputError
from sim.sweep.identity import Work
from sim.sweep.point import Point
from sim.units import MIB

DONE: Final = "done"
FAILED: Final = "failed"
READY: Final = "ready"
STOP: Final = "stop"
"""A fault that every other run would meet too: the disk is full, the folder unwritable."""

THREADS: Final = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "NUMEXPR", "BLIS")
_NO_ROOM: Final = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
)


@dataclass(frozen=True, slots=True)
class Study:
    """What all runs of a sweep share; sent once to each worker.

    Args:
        work: what is run.
        runs: where finished runs go; None to send their files back instead.
        inputs: content of the user's files, for workers that do not see them.
        memory_bytes: limit of a worker's memory; None for none.
        stamp: what the client runs; empty where client and worker are one machine.
    """

    work: Work
    runs: Path | None
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    memory_bytes: int | None = None
    stamp: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a point.

    Args:
        key: `Point.key`.
        status: done, failed, or stop.
        error: why it failed.
        path: the finished run's folder, below the runs' folder.
        wall_s: time for the whole of it.
        size_bytes: of its folder.
        peak_bytes: most memory that the worker has held so far.
        files: the folder's content, where the study asks for it.
        spent: the worker is not fit for another point.
    """

    key: str
    status: str
    error: str = ""
    path: str = ""
    wall_s: float = 0.0
    size_bytes: int = 0
    peak_bytes: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    spent: bool = False


def child_environment() -> dict[str, str]:
    """The environment of a worker: one thread for each library, and the parent's modules."""
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    threads = {f"{name}_NUM_THREADS": "1" for name in THREADS}
    return {**os.environ, **threads, "PYTHONPATH": paths}


def perform(study: Study, point: Point) -> Result:
    """Run a point in this process; every error becomes part of the result."""
    start_s = time.perf_counter()
    try:
        found = _run(study, point)
    except MemoryError as error:
        limit = study.memory_bytes
        told = f"the limit of {limit // MIB:,} MiB" if limit else "what this machine has"
        found = Result(point.key, FAILED, f"needs more memory than {told}: {error}", spent=True)
    except Exception as error:  # noqa: BLE001 - one run's defect must not stop the others
        known = isinstance(error, InputError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        found = Result(point.key, STOP if is_no_room(error) else FAILED, text)
    return Result(
        found.key,
        found.status,
        found.error,
        found.path,
        time.perf_counter() - start_s,
        found.size_bytes,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        found.files,
        found.spent,
    )


def is_no_room(error: BaseException) -> bool:
    """True for an error of the disk that will not go away by itself."""
    cause = error if isinstance(error, OSError) else error.__cause__
    own = isinstance(error, FlopgridError | OSError)
    return own and isinstance(cause, OSError) and cause.errno in _NO_ROOM


def _run(study: Study, point: Point) -> Result:
    if study.runs is not None:
        path = study.work.run(point, study.runs)
        place = Path(os.path.relpath(path, study.runs)).as_posix()
        size = sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
        return Result(point.key, DONE, path=place, size_bytes=size)
    with tempfile.TemporaryDirectory(prefix="flopgrid-") as scratch:
        path = study.work.run(point, Path(scratch))
        entries = sorted(entry for entry in path.rglob("*") if entry.is_file())
        files = {entry.relative_to(path).as_posix(): entry.read_bytes() for entry in entries}
        place = path.relative_to(scratch).as_posix()
    size = sum(map(len, files.values()))
    return Result(point.key, DONE, path=place, size_bytes=size, files=files)


def stamp() -> dict[str, str]:
    """What decides whether two machines compute the same: program, its code and data, Python."""
    import numpy as np
    import scipy

    from sim import __version__

    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in (".py", ".yaml", ".csv", ".parquet") and path.is_file():
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {
        "flopgrid": __version__,
        "code and data": digest.hexdigest()[:12],
        "python": ".".join(str(part) for part in sys.version_info[:2]),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def difference(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """In words what differs between client and worker; empty where nothing does."""
    names = [name for name in mine if mine[name] != theirs.get(name)]
    return ", ".join(f"{name} {mine[name]} here, {theirs.get(name)} there" for name in names)


def main() -> None:
    """Serve the parent until it goes away."""
    incoming = Connection(int(sys.argv[1]), writable=False)
    outgoing = Connection(int(sys.argv[2]), readable=False)
    wanted: queue.SimpleQueue[Study | Point] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, wanted), daemon=True).start()
    study: Study | None = None
    while True:
        message = wanted.get()
        if isinstance(message, Study):
            study = message
            _limit_memory(study.memory_bytes)
            _lay_out(study.inputs)
            outgoing.send(READY)
        elif study is None:
            raise RuntimeError("a point came before its study")
        else:
            outgoing.send(perform(study, message))


def _listen(incoming: Connection, wanted: queue.SimpleQueue[Study | Point]) -> None:
    """Take messages; when the parent is gone, end the process in the middle of whatever it does."""
    try:
        while True:
            wanted.put(incoming.recv())
    except (EOFError, OSError):
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - for example a module that is not here
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)


def _limit_memory(limit_bytes: int | None) -> None:
    """Let allocations beyond the limit fail."""
    if limit_bytes is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _lay_out(inputs: Mapping[str, bytes]) -> None:
    """Put the user's files where the scenario looks for them, in a scratch folder if need be."""
    missing = {path: data for path, data in inputs.items() if not _is_there(path, data)}
    if not missing:
        return
    up = max((Path(path).parts.count("..") for path in missing), default=0)
    scratch = Path(tempfile.mkdtemp(prefix="flopgrid-"))
    folder = scratch.joinpath(*(["work"] * (up + 1)))
    folder.mkdir(parents=True)
    os.chdir(folder)
    for path, data in inputs.items():
        if Path(path).is_absolute():
            continue  # only a shared file system helps here; the run says which file it lacks
        target = Path(os.path.normpath(folder / path))
        with contextlib.suppress(FileExistsError):
            target.parent.mkdir(parents=True)
        target.write_bytes(data)


def _is_there(path: str, data: bytes) -> bool:
    try:
        return Path(path).read_bytes() == data
    except OSError:
        return False
