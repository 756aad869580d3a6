"""What a sweep will cost, and what it changes, before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError
from sim.scenario.canonical import to_flow
from sim.scenario.yamlfile import Plain, read_yaml
from sim.sweep.index import finished_values
from sim.sweep.journal import Journal, read_journal
from sim.sweep.plan import DONE, INVALID, STALE, Planned, Planner, sweep_folder
from sim.sweep.refine import Search, most_runs
from sim.units import S_PER_H

if TYPE_CHECKING:
    from sim.sweep.expand import Sweep
    from sim.sweep.work import ScenarioWork

SHOWN_POINTS: Final = 3
SHOWN_DIFFERENCES: Final = 8
START_S: Final = 2.0
"""What it takes to start the workers (they start side by side)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run takes.

    Args:
        runs: how many runs this is the median of.
    """

    wall_s: float
    size_bytes: float
    runs: int


def forecast_lines(
    sweep: Sweep, out: Path, work: ScenarioWork, workers: int, probed: Cost | None
) -> list[str]:
    """The plan for the screen: how many runs in which state and why, cost, what is changed.

    Args:
        workers: how many runs at a time.
        probed: what a trial run cost, where no run of the sweep is finished yet.
    """
    folder = sweep_folder(sweep, out)
    journal = read_journal(folder)
    planner = Planner(work, folder, journal, {p.seed for p in sweep.points})
    planned, todo = _states(sweep, folder, planner)
    lines = state_lines(planned)
    if sweep.refine:
        searches = len(sweep.points)
        lines = [
            f"{searches:6d}  searches of at most {most_runs(sweep.refine)} runs each",
            *lines,
            f"{todo:6d}  runs to do at most",
        ]
    lines.append(cost_line(todo, workers, known_cost(journal) or probed))
    return [*lines, *_difference_lines(sweep, work), *_stale_lines(folder, journal, work, planned)]


def state_lines(planned: Sequence[Planned]) -> list[str]:
    """How many points in which state for which reason, most first."""
    counts = Counter((item.state, item.reason) for item in planned)
    lines = [f"{count:6d}  {state}: {reason}" for (state, reason), count in counts.most_common()]
    return [f"{len(planned):6d}  runs", *lines]


def known_cost(journal: Journal) -> Cost | None:
    """The median cost of the finished runs that were timed."""
    timed = [e for e in journal.last.values() if e.status == DONE and e.wall_s > 0]
    if not timed:
        return None
    wall_s, size = median(e.wall_s for e in timed), median(e.size_bytes for e in timed)
    return Cost(wall_s, size, len(timed))


def cost_line(todo: int, workers: int, cost: Cost | None) -> str:
    """Estimated time and disk of what is to do."""
    if todo == 0:
        return "nothing to do"
    if cost is None:
        return "time and disk unknown: no run is finished yet"
    time_s = START_S + cost.wall_s * -(-todo // workers)
    basis = f"median of {cost.runs} runs" if cost.runs > 1 else "one trial run"
    return (
        f"estimated {duration(time_s)} with {workers} at a time, "
        f"{cost.size_bytes * todo / 1e6:,.1f} MB of disk "
        f"({basis}: {cost.wall_s:.2g} s, {cost.size_bytes / 1e3:,.0f} kB)"
    )


def duration(time_s: float) -> str:
    """A time for people: 12 s, 3.4 min, 2.1 h."""
    if time_s < 100:
        return f"{time_s:.0f} s"
    return f"{time_s / 60:.1f} min" if time_s < S_PER_H else f"{time_s / S_PER_H:.1f} h"


def differences(old: Plain, new: Plain, path: str = "") -> Iterator[tuple[str, Plain, Plain]]:
    """The leaves in which two trees differ: path, old, new (None where there is none)."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(old.get(key), new.get(key), below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{path}[{number}]")
    elif old != new:
        yield path, old, new


def _states(sweep: Sweep, folder: Path, planner: Planner) -> tuple[list[Planned], int]:
    """The points that are known, and how many runs are to do (at most)."""
    if sweep.refine is None:
        planned = [planner.judge(point) for point in sweep.points]
        return planned, sum(item.state not in (DONE, INVALID) for item in planned)
    planned, todo = [], 0
    for anchor in sweep.points:
        search, walked = Search(sweep.refine, anchor), 0
        while (point := search.next()) is not None:
            item = planner.judge(point)
            planned.append(item)
            if item.state != DONE:
                todo += most_runs(sweep.refine) - walked
                break
            walked += 1
            search.tell(finished_values(folder, point, item.path))
    return planned, todo


def _difference_lines(sweep: Sweep, work: ScenarioWork) -> list[str]:
    """What the first points change in the resolved scenario."""
    try:
        base = work.base_plain(type(sweep.points[0])(0, (), sweep.points[0].seed))
    except InputError:
        base = None  # a base may need what the axes give it
    lines = []
    distinct = {point.scenario_key: point for point in reversed(sweep.points)}
    for point in sorted(distinct.values(), key=lambda p: p.index)[:SHOWN_POINTS]:
        try:
            found = work.base_plain(point)
        except InputError as error:
            lines.append(f"run {point.index}: {error}")
            continue
        lines += _told(f"run {point.index}", base or {}, found)
        lines += [f"    figure {key} = {value:g}" for key, value in first(point.figures)]
    return ["first differences from the base, resolved:", *lines]


def first(figures: Mapping[str, float]) -> list[tuple[str, float]]:
    """The first of many figures."""
    return list(figures.items())[:SHOWN_DIFFERENCES]


def _stale_lines(
    folder: Path, journal: Journal, work: ScenarioWork, planned: Sequence[Planned]
) -> list[str]:
    """What changed in the scenario of the first stale run since it was made."""
    for item in planned:
        entry = journal.last.get(item.point.key)
        if item.state != STALE or entry is None or not entry.path:
            continue
        path = folder / entry.path / "scenario.resolved.yaml"
        if path.is_file():
            old = read_yaml(path)[0].plain()
            told = _told(f"run {item.point.index}", old, work.base_plain(item.point))
            return ["changed since the first stale run was made:", *told]
    return []


def _told(name: str, old: Any, new: Any) -> list[str]:
    found = [d for d in differences(old, new) if d[0] != "seeds" and not d[0].startswith("seeds[")]
    lines = [f"    {path}: {_short(a)} -> {_short(b)}" for path, a, b in found[:SHOWN_DIFFERENCES]]
    more = len(found) - SHOWN_DIFFERENCES
    return [
        f"  {name}" + ("" if found else ": none"),
        *lines,
        *([f"    and {more} more"] if more > 0 else []),
    ]


def _short(value: Plain) -> str:
    text = to_flow(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
