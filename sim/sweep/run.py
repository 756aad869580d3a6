"""Run the points of a sweep one after another; what is finished stays finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sim.errors import InputError, Place
from sim.record import atomic
from sim.record.store import clean_runs, find_run
from sim.sweep.expand import Sweep
from sim.sweep.journal import Entry, append, last_entries
from sim.sweep.plan import DONE, INVALID, RUNS, Identify, Planned, plan, sweep_folder
from sim.sweep.results import collect

FAILED: Final = "failed"
SKIPPED: Final = "skipped"

RunOne = Callable[[Path, Sequence[str], int, Path], Path]
"""Runs (base scenario, overrides, seed, out folder); returns the finished run's folder."""

Progress = Callable[[Planned, str, int, int], None]
"""Called after each point with (point, done | failed | skipped, number of it, number of all)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sweep came to.

    Args:
        folder: where its runs and results stand.
        done: runs finished now.
        skipped: runs that were finished before.
        failures: (label, error) of the runs that failed.
    """

    folder: Path
    done: int
    skipped: int
    failures: tuple[tuple[str, str], ...]

    @property
    def exit_code(self) -> int:
        """0, or 3 where some runs failed."""
        return 3 if self.failures else 0


def run_sweep(
    sweep: Sweep,
    out: Path,
    run_one: RunOne,
    identify: Identify,
    *,
    resume: bool = False,
    progress: Progress = lambda *_: None,
) -> Outcome:
    """Run all points, or with `resume` those that are not finished; write the results.

    A run that fails is recorded with its error, and the others go on.

    Raises:
        InputError: the sweep's folder cannot be used, or another sweep is at work in it.
    """
    folder = sweep_folder(sweep, out)
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
        with atomic.alone(folder):
            return _run_all(sweep, out, run_one, identify, resume, progress)
    except BlockingIOError as error:
        what = "another sweep is at work in this folder"
        raise InputError(what, "wait for it, or give --out", place=Place(str(folder))) from error
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        raise InputError(what, "make room, or give --out", place=Place(str(folder))) from error


def _run_all(
    sweep: Sweep, out: Path, run_one: RunOne, identify: Identify, resume: bool, progress: Progress
) -> Outcome:
    """The sweep, with its folder held."""
    folder = sweep_folder(sweep, out)
    atomic.clean_files(folder)
    clean_runs(folder / RUNS)
    planned = plan(sweep, out, identify)
    counts = {DONE: 0, SKIPPED: 0, FAILED: 0}
    for number, item in enumerate(planned, 1):
        if resume and item.state == DONE:
            status = SKIPPED
        else:
            entry = _attempt(sweep, folder, item, run_one)
            append(folder, entry)
            status = entry.status
        counts[status] += 1
        progress(item, status, number, len(planned))
    entries = last_entries(folder)
    errors = {key: entry.error for key, entry in entries.items() if entry.status == FAILED}
    collect(folder, planned, errors)
    failures = tuple(
        (item.point.label, errors[item.point.key])
        for item in planned
        if item.point.key in errors and not (resume and item.state == DONE)
    )
    return Outcome(folder, counts[DONE], counts[SKIPPED], failures)


def _attempt(sweep: Sweep, folder: Path, item: Planned, run_one: RunOne) -> Entry:
    """Run one point; any error becomes its entry."""
    point, run, identity = item.point, item.run, item.identity
    if item.state == INVALID or run is None or identity is None:
        return Entry(point.key, FAILED, error=item.reason)
    error = ""
    try:
        path = run_one(sweep.base, point.overrides, point.seed, folder / RUNS)
        if (
            find_run(run, folder / RUNS) is None
            or path.resolve() != run.folder(folder / RUNS).resolve()
        ):
            error = f"left no finished run at {run.folder(Path(RUNS)).as_posix()}"
    except Exception as problem:  # noqa: BLE001 - one run's defect must not stop the others
        known = isinstance(problem, InputError)
        error = str(problem) if known else f"{type(problem).__name__}: {problem}"
    return Entry(point.key, FAILED if error else DONE, run.hash8, dict(identity.parts), error)
