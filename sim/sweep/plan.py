"""Which points of a sweep are finished, which are stale or still to do, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.errors import InputError
from sim.record.store import FinishedRun, RunId, damage, find_run
from sim.sweep.identity import Identity, Work
from sim.sweep.journal import Entry, Journal, read_journal
from sim.sweep.point import Point

if TYPE_CHECKING:
    from sim.sweep.expand import Sweep

DONE, TODO, STALE, INVALID = "done", "to do", "stale", "invalid"
RUNS: Final = "runs"
NAMED_FILES: Final = 3


@dataclass(frozen=True, slots=True)
class Planned:
    """A point and what is to happen to it.

    Args:
        state: `done`, `to do`, `stale` (finished under another hash) or `invalid`.
        reason: why, in words.
        identity: None where the scenario does not resolve.
    """

    point: Point
    state: str
    reason: str
    identity: Identity | None

    @property
    def run(self) -> RunId | None:
        """What names its run."""
        if self.identity is None:
            return None
        return RunId(self.identity.scenario, self.identity.hash8, self.point.seed)

    @property
    def path(self) -> str:
        """Its run's folder, below the sweep's."""
        return self.run.folder(Path(RUNS)).as_posix() if self.run else ""


def sweep_folder(sweep: Sweep, out: Path) -> Path:
    """Where a sweep keeps its runs (`runs/`), journal and results."""
    return out / f"sweep-{sweep.name}"


class Planner:
    """Judges points against what stands on disk; nothing is written.

    Args:
        seeds: the seeds of the sweep, to tell a seed that is new from one that has changed.
    """

    def __init__(self, work: Work, folder: Path, journal: Journal, seeds: Iterable[int]):
        self._work, self._folder, self._journal = work, folder, journal
        self._seeds = frozenset(seeds)
        self._found: tuple[str, Identity | InputError] = ("", InputError("nothing asked yet"))
        self._other_seeds: dict[str, set[int]] = {}
        for entry in journal.last.values():
            key, _, seed = entry.key.rpartition("-")
            if entry.status == DONE and seed.isdigit():
                self._other_seeds.setdefault(key, set()).add(int(seed))

    def judge(self, point: Point) -> Planned:
        """The state of one point, from its run folder and its last attempt."""
        found = self._identity(point)
        if isinstance(found, InputError):
            return Planned(point, INVALID, str(found), None)
        state, reason = self._state(point, found)
        return Planned(point, state, reason, found)

    def _state(self, point: Point, identity: Identity) -> tuple[str, str]:
        run = whole_run(RunId(identity.scenario, identity.hash8, point.seed), self._folder / RUNS)
        if run:
            return DONE, "finished"
        entry = self._journal.last.get(point.key)
        if entry is None:
            return self._never(point)
        if entry.status != DONE:
            return TODO, f"failed: {entry.error}"
        if entry.hash8 == identity.hash8:
            return TODO, "its folder is missing or damaged"
        return STALE, f"changed since: {self._changed(entry, identity)}"

    def _never(self, point: Point) -> tuple[str, str]:
        """Never run; perhaps under another seed that the sweep has given up."""
        others = self._other_seeds.get(point.scenario_key, set()) - self._seeds
        if others:
            return STALE, f"changed since: seed (was {', '.join(map(str, sorted(others)))})"
        return TODO, "never run"

    def _changed(self, entry: Entry, identity: Identity) -> str:
        names = sorted(identity.parts.keys() | entry.parts.keys())
        changed = [n for n in names if identity.parts.get(n) != entry.parts.get(n)]
        return ", ".join(self._detail(n, entry, identity) for n in changed) or "hash"

    def _detail(self, name: str, entry: Entry, identity: Identity) -> str:
        """A part that changed; for the data, which files."""
        if name == "version" and entry.parts.get(name):
            return f"version ({entry.parts[name]} then, {identity.parts.get(name)} now)"
        before = self._journal.files.get(entry.parts.get("data", ""))
        if name != "data" or before is None:
            return name
        files = sorted(before.keys() | identity.files.keys())
        changed = [file for file in files if before.get(file) != identity.files.get(file)]
        more = f" and {len(changed) - NAMED_FILES} more" if len(changed) > NAMED_FILES else ""
        return f"data ({', '.join(changed[:NAMED_FILES])}{more})" if changed else name

    def _identity(self, point: Point) -> Identity | InputError:
        """Points that differ in the seed only stand side by side: one memory is enough."""
        if self._found[0] != point.scenario_key:
            try:
                self._found = (point.scenario_key, self._work.identify(point))
            except InputError as error:
                self._found = (point.scenario_key, error)
        return self._found[1]


def whole_run(run: RunId, out: Path) -> FinishedRun | None:
    """A finished run whose files all are as its manifest says, or None."""
    found = find_run(run, out)
    return found if found and not damage(found) else None


def plan(sweep: Sweep, out: Path, work: Work) -> list[Planned]:
    """The state of each point, in order; nothing is written."""
    folder = sweep_folder(sweep, out)
    seeds = {point.seed for point in sweep.points}
    planner = Planner(work, folder, read_journal(folder), seeds)
    return [planner.judge(point) for point in sweep.points]
