"""A run that came back as bytes, from a worker that does not share our disk."""

from __future__ import annotations

from pathlib import Path

from sim.errors import InputError, Place
from sim.record import atomic
from sim.record.store import RunId
from sim.sweep.child import Result


def publish_files(run: RunId, runs: Path, result: Result) -> None:
    """Write the folder of a run under a temporary name and rename it.

    Raises:
        InputError: it cannot be written.
    """
    final = run.folder(runs)
    try:
        draft = atomic.start(final)
        try:
            for name, data in result.files.items():
                path = draft.path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            atomic.publish(draft)
        except BaseException:
            atomic.discard(draft)
            raise
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        todo = "make room and go on with --resume; finished runs are kept"
        raise InputError(what, todo, place=Place(str(final))) from error
