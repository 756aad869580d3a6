"""Which points of a sweep are finished, which are stale or still to do, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sim.errors import InputError
from sim.record.store import RunId, find_run
from sim.sweep.expand import Point, Sweep
from sim.sweep.journal import Entry, last_entries

DONE, TODO, STALE, INVALID = "done", "to do", "stale", "invalid"
RUNS: Final = "runs"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a scenario with overrides would run as.

    Args:
        scenario: its name.
        hash8: names its folder.
        parts: hashes of what decides the numbers, by name: scenario, data, version.
    """

    scenario: str
    hash8: str
    parts: Mapping[str, str] = field(default_factory=dict)


Identify = Callable[[Path, Sequence[str]], Identity]
"""From a base scenario and overrides; raises InputError where they do not resolve."""


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


def sweep_folder(sweep: Sweep, out: Path) -> Path:
    """Where a sweep keeps its runs (`runs/`), journal and results."""
    return out / f"sweep-{sweep.name}"


def plan(sweep: Sweep, out: Path, identify: Identify) -> list[Planned]:
    """The state of each point, in order; nothing is written."""
    folder = sweep_folder(sweep, out)
    entries = last_entries(folder)
    identities: dict[tuple[str, ...], Identity | InputError] = {}
    planned = []
    for point in sweep.points:
        overrides = point.overrides
        if overrides not in identities:
            identities[overrides] = _identity(sweep.base, overrides, identify)
        planned.append(_judge(point, identities[overrides], entries.get(point.key), folder))
    return planned


def plan_text(planned: Sequence[Planned]) -> str:
    """The plan for the screen: how many runs in which state for which reason, most first."""
    counts = Counter((item.state, item.reason) for item in planned)
    lines = [f"{count:6d}  {state}: {reason}" for (state, reason), count in counts.most_common()]
    return "\n".join([f"{len(planned):6d}  runs", *lines])


def _identity(base: Path, overrides: Sequence[str], identify: Identify) -> Identity | InputError:
    try:
        return identify(base, overrides)
    except InputError as error:
        return error


def _judge(
    point: Point, found: Identity | InputError, entry: Entry | None, folder: Path
) -> Planned:
    """The state of one point, from its run folder and its last attempt."""
    if isinstance(found, InputError):
        return Planned(point, INVALID, str(found), None)
    run = RunId(found.scenario, found.hash8, point.seed)
    if find_run(run, folder / RUNS):
        return Planned(point, DONE, "finished", found)
    if entry is None:
        return Planned(point, TODO, "never run", found)
    if entry.status != DONE:
        return Planned(point, TODO, f"failed: {entry.error}", found)
    if entry.hash8 == found.hash8:
        return Planned(point, TODO, "its folder is missing or damaged", found)
    names = found.parts.keys() | entry.parts.keys()
    changed = sorted(name for name in names if found.parts.get(name) != entry.parts.get(name))
    return Planned(point, STALE, f"changed since: {', '.join(changed) or 'hash'}", found)
