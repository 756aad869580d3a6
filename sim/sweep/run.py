"""Run the points of a sweep; what is finished stays finished, whatever is killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.errors import InputError, Place
from sim.record import atomic
from sim.record.store import clean_runs
from sim.sweep.child import DONE, FAILED, STOP, Result, Study
from sim.sweep.executor import Executor, InProcess, Limits, LocalPool
from sim.sweep.identity import Work
from sim.sweep.index import Line, collect, finished_values, line_of, write_points
from sim.sweep.journal import Entry, Writer, read_journal
from sim.sweep.plan import DONE as FINISHED
from sim.sweep.plan import INVALID, RUNS, Planned, Planner, sweep_folder, whole_run
from sim.sweep.point import Point
from sim.sweep.publish import publish_files
from sim.sweep.refine import Agenda, Chain, Found, Search, Single

if TYPE_CHECKING:
    from sim.sweep.expand import Sweep

SKIPPED: Final = "skipped"
BOUNDARIES: Final = "boundaries.csv"
LOCK_WAIT_S: Final = 10.0
"""Workers of a sweep that was killed hold its lock until they notice: milliseconds."""

Progress = Callable[[Planned, str, Result | None], None]
"""Called after each point with (point, done | failed | skipped, what it cost)."""

MakeExecutor = Callable[[Study, int], Executor]
"""From a study and the descriptor of the sweep's lock."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sweep came to.

    Args:
        folder: where its runs and results stand.
        done: runs finished now.
        skipped: runs that were finished before.
        failures: (label, error) of the runs that failed.
        found: the edges that were searched for.
    """

    folder: Path
    done: int
    skipped: int
    failures: tuple[tuple[str, str], ...]
    found: tuple[Found, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, or 3 where some runs failed."""
        return 3 if self.failures else 0


@dataclass(slots=True)
class _State:
    """What is known of each point, in the order of the sweep."""

    lines: dict[tuple[str, int], Line] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {DONE: 0, SKIPPED: 0, FAILED: 0})

    def note(self, point: Point, run: str = "", error: str = "") -> None:
        """Set what became of a point."""
        self.lines[point.key, point.index] = line_of(point, point.index, run, error)


def serial(study: Study, _lock: int) -> Executor:
    """Points one after another in this process."""
    return InProcess(study)


def local(workers: int, limits: Limits | None = None) -> MakeExecutor:
    """Points in processes of this machine."""
    chosen = limits or Limits()
    return lambda study, lock: LocalPool(study, workers, chosen, (lock,))


def cluster(
    address: str, limits: Limits | None = None, inputs: Mapping[str, bytes] | None = None
) -> MakeExecutor:
    """Points on the workers of a Dask cluster."""
    from sim.sweep.cluster import Cluster  # needs the optional package `distributed`

    chosen = limits or Limits()
    return lambda study, _lock: Cluster(address, study, chosen, inputs)


def run_sweep(
    sweep: Sweep,
    out: Path,
    work: Work,
    make: MakeExecutor = serial,
    *,
    resume: bool = False,
    memory_bytes: int | None = None,
    progress: Progress = lambda *_: None,
) -> Outcome:
    """Run all points, or with `resume` those that are not finished; write the results.

    A run that fails is recorded with its error, and the others go on. An interrupt, a full
    disk or a lost cluster end the sweep; what is finished is kept and in the results.

    Raises:
        InputError: the sweep's folder cannot be used, another sweep is at work in it, or the
            disk or the cluster fails.
    """
    folder = sweep_folder(sweep, out)
    with _held(folder) as lock:
        atomic.clean_files(folder)
        clean_runs(folder / RUNS)
        study = Study(work, folder / RUNS, memory_bytes=memory_bytes)
        executor = make(study, lock)
        return _Run(sweep, folder, work, executor, resume, progress).all()


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    """The sweep's folder, made and held."""
    try:
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
        with atomic.alone(folder, LOCK_WAIT_S) as lock:
            yield lock
    except BlockingIOError as error:
        what = "another sweep is at work in this folder"
        raise InputError(what, "wait for it, or give --out", place=Place(str(folder))) from error
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        todo = "make room, or give --out; finished runs are kept"
        raise InputError(what, todo, place=Place(str(folder))) from error


class _Run:
    """One sweep at work, with its folder held."""

    def __init__(
        self,
        sweep: Sweep,
        folder: Path,
        work: Work,
        executor: Executor,
        resume: bool,
        progress: Progress,
    ):
        self._sweep, self._folder, self._executor = sweep, folder, executor
        self._resume, self._progress = resume, progress
        self._journal = read_journal(folder)
        self._writer = Writer(folder, self._journal)
        self._planner = Planner(work, folder, self._journal, {p.seed for p in sweep.points})
        self._searches: list[Search] = []
        self._agenda = Agenda(self._chains())
        self._waiting: dict[str, list[Planned]] = {}
        self._under_way = 0
        self._state = _State()
        if sweep.refine is None:
            for point in sweep.points:
                self._state.note(point)

    def all(self) -> Outcome:
        """Run to the end; whatever ends it, the executor stops and the results are written."""
        write_points(self._folder, self._state.lines.values())
        try:
            while self._fill() or self._under_way:
                self._settle(self._executor.next())
        finally:
            self._executor.close()
            clean_runs(self._folder / RUNS)
            lines = self._lines()
            write_points(self._folder, lines)
            collect(self._folder, lines)
            self._write_boundaries()
        by_label = {(line.key, line.point): line for line in lines}
        failures = tuple(
            (_label(line), line.error) for line in by_label.values() if line.error and not line.run
        )
        counts, found = self._state.counts, tuple(s.found for s in self._searches)
        return Outcome(self._folder, counts[DONE], counts[SKIPPED], failures, found)

    def _chains(self) -> Iterator[Chain]:
        refine = self._sweep.refine
        for point in self._sweep.points:
            if refine is None:
                yield Single(point)
            else:
                search = Search(refine, point)
                self._searches.append(search)
                yield search

    def _fill(self) -> bool:
        """Hand over points while there is room; True if anything is under way."""
        while self._under_way < self._executor.capacity:
            point = self._agenda.take()
            if point is None:
                break
            self._begin(self._planner.judge(point))
        return self._under_way > 0

    def _begin(self, item: Planned) -> None:
        """Skip what is finished, record what cannot run, hand over the rest."""
        point, identity = item.point, item.identity
        if item.state == INVALID or identity is None:
            self._record(item, Result(point.key, FAILED, item.reason))
        elif self._resume and item.state == FINISHED:
            if self._journal.last.get(point.key) is None:  # killed before it was written down
                self._writer.add(self._entry(item, Result(point.key, DONE)), identity.files)
            self._finish(item, SKIPPED, None)
        else:
            twins = self._waiting.setdefault(point.key, [])
            twins.append(item)
            self._under_way += 1
            self._executor.submit(point)

    def _settle(self, result: Result) -> None:
        """A result came back."""
        item = self._waiting[result.key].pop(0)
        self._under_way -= 1
        if result.status == STOP:
            raise SweepStoppedError(result.error)
        self._record(item, self._checked(item, result))

    def _checked(self, item: Planned, result: Result) -> Result:
        """The result, failed where no finished run of the planned name stands there."""
        if result.status != DONE or item.run is None:
            return result
        runs = self._folder / RUNS
        if result.files:
            publish_files(item.run, runs, result)
        if result.path != item.run.folder(Path()).as_posix() or whole_run(item.run, runs) is None:
            return Result(
                result.key, FAILED, f"left no finished run at {item.path}", wall_s=result.wall_s
            )
        return result

    def _record(self, item: Planned, result: Result) -> None:
        files = item.identity.files if item.identity else None
        self._writer.add(self._entry(item, result), files)
        self._finish(item, result.status, result)

    def _finish(self, item: Planned, status: str, result: Result | None) -> None:
        """Note a point's end, let its search go on, tell the user."""
        point = item.point
        self._state.counts[status] += 1
        if status == FAILED:
            self._state.note(point, error=result.error if result else "")
            self._agenda.settle(point, None)
        else:
            self._state.note(point, item.path)
            searched = self._sweep.refine is not None
            row = finished_values(self._folder, point, item.path) if searched else {}
            self._agenda.settle(point, row)
        self._progress(item, status, result)

    def _entry(self, item: Planned, result: Result) -> Entry:
        hash8 = item.identity.hash8 if item.identity else ""
        parts = dict(item.identity.parts) if item.identity else {}
        done = result.status == DONE
        return Entry(
            result.key,
            result.status,
            hash8,
            parts,
            result.error,
            item.path if done else "",
            round(result.wall_s, 4),
            result.size_bytes,
        )

    def _lines(self) -> list[Line]:
        """All points in the order of the sweep; those of a search by value."""
        lines = list(self._state.lines.values())
        if self._sweep.refine is None:
            return lines
        path = self._sweep.refine.path
        lines.sort(key=lambda line: (line.point, line.values[path]))
        return [Line(**{**asdict(line), "point": n}) for n, line in enumerate(lines)]

    def _write_boundaries(self) -> None:
        """What the searches found, one row each."""
        from sim.sweep.table import csv_text, to_table

        if not self._searches:
            return
        rows = [boundary_row(search.found) for search in self._searches]
        atomic.write_file(self._folder / BOUNDARIES, csv_text(to_table(rows)).encode())


class SweepStoppedError(InputError):
    """A fault that every run would meet: the sweep stops, and can go on later."""

    def __init__(self, error: str):
        super().__init__(error, "mend it and go on with --resume; finished runs are kept")


def boundary_row(found: Found) -> dict[str, object]:
    """A search as a row: the other values, the largest that holds, the least that does not."""
    return {
        **dict(found.anchor.values),
        "seed": found.anchor.seed,
        "holds_at": found.holds_at,
        "fails_at": found.fails_at,
        "error": found.error or None,
    }


def _label(line: Line) -> str:
    values = tuple(line.values.items())
    return Point(line.point, values, line.seed, line.sample).label
