"""The index of a sweep: one row for each point, made from the run folders at any time.

`points.jsonl` says what each point set and where its run stands; the run folders say the
rest. `results.parquet` and `results.csv` follow from the two, byte for byte.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError, Place
from sim.record import atomic
from sim.record.store import DONE as RUN_DONE
from sim.record.store import MANIFEST, SUMMARY, parquet_bytes, read_json
from sim.scenario.yamlfile import Plain
from sim.sweep.journal import read_journal
from sim.sweep.point import Point
from sim.sweep.table import Row, csv_lines, flatten, to_table

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET: Final = "results.parquet"
CSV: Final = "results.csv"
POINTS: Final = "points.jsonl"
FIXED: Final = ("point", "seed", "run", "status", "error")
DONE, FAILED, TODO = "done", "failed", "to do"
CLOCK_TOLERANCE_NS: Final = 2 * 10**9
"""What a file system's clock may be ahead of the machine's."""


@dataclass(frozen=True, slots=True)
class Line:
    """A point as the index knows it.

    Args:
        values: what it sets, by path.
        run: its run's folder below the sweep's, empty where none is finished.
        error: why its last attempt failed.
    """

    point: int
    key: str
    values: Mapping[str, Plain]
    seed: int
    sample: int | None = None
    run: str = ""
    error: str = ""
    extra: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = {"key": str, "values": Mapping, "seed": int, "run": str, "error": str}
        for name, kind in kinds.items():
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} is {getattr(self, name)!r}")


def line_of(point: Point, index: int, run: str = "", error: str = "") -> Line:
    """The line of a point."""
    return Line(index, point.key, dict(point.values), point.seed, point.sample, run, error)


def write_points(folder: Path, lines: Iterable[Line]) -> None:
    """Write `points.jsonl`.

    Raises:
        InputError: it cannot be written.
    """
    text = "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines)
    _write(folder / POINTS, text.encode())


def read_points(folder: Path) -> list[Line]:
    """The points of a sweep, with what its journal knows of those without a run.

    Raises:
        InputError: the folder is no sweep's.
    """
    path = folder / POINTS
    try:
        lines = [Line(**json.loads(text)) for text in path.read_text("utf-8").splitlines()]
    except OSError as error:
        what = f"is no sweep's folder: {POINTS}: {error.strerror}"
        todo = "name outputs/sweep-<name>, or a sweep file that has been run"
        raise InputError(what, todo, place=Place(str(folder))) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"is damaged: {error}", "run `flopgrid sweep SWEEP --resume`", place=Place(str(path))
        ) from error
    return _with_journal(folder, lines)


def _with_journal(folder: Path, lines: list[Line]) -> list[Line]:
    """While a sweep is at work only its journal knows what is finished."""
    last = read_journal(folder).last
    found = []
    for line in lines:
        entry = last.get(line.key)
        if line.run or entry is None:
            found.append(line)
        else:
            told = {**asdict(line), "run": entry.path, "error": entry.error}
            found.append(Line(**told))
    return found


def collect(folder: Path, lines: Iterable[Line]) -> pa.Table:
    """Write `results.parquet` and `results.csv` from the points and the run folders.

    Raises:
        InputError: a file cannot be written.
    """
    table = to_table((row_of(folder, line) for line in lines), FIXED)
    _write(folder / PARQUET, parquet_bytes(table))
    _write(folder / CSV, "".join(csv_lines(table)).encode())
    return table


def rebuild(folder: Path) -> pa.Table:
    """Make the index again from the folders; the errors of `read_points` and `collect`."""
    return collect(folder, read_points(folder))


def is_current(folder: Path) -> bool:
    """True if the index is younger than everything that it is made from, and not of the future.

    Where the clock was wrong and has been set back, the index's date tells nothing.
    """
    from sim.sweep.journal import JOURNAL

    try:
        made = (folder / PARQUET).stat().st_mtime_ns
    except OSError:
        return False
    sources = [path for path in (folder / POINTS, folder / JOURNAL) if path.exists()]
    newest = max((path.stat().st_mtime_ns for path in sources), default=0)
    return newest <= made <= time.time_ns() + CLOCK_TOLERANCE_NS


def row_of(folder: Path, line: Line) -> Row:
    """The row of one point: what it set, and every figure of its summary."""
    row: Row = {"point": line.point, "seed": line.seed, "run": None, "status": TODO, "error": None}
    if line.sample is not None:
        row["sample"] = line.sample
    row.update({f"set.{path}" if path in row else path: v for path, v in line.values.items()})
    row.update(line.extra)
    summary = _summary(folder / line.run) if line.run else None
    if summary is None:
        failed = bool(line.error)
        return {**row, "status": FAILED if failed else TODO, "error": line.error or None}
    row |= {"run": line.run, "status": DONE}
    for name, value in flatten(summary):
        row[name if name not in row else f"summary.{name}"] = value
    return row


def finished_values(folder: Path, point: Point, run: str) -> Row:
    """The row of a finished point, for a condition."""
    return row_of(folder, line_of(point, 0, run))


def varied_columns(names: Iterable[str], lines: Iterable[Line]) -> list[str]:
    """Of the columns of an index, those that the points set, in order of appearance."""
    paths = dict.fromkeys(path for line in lines for path in line.values)
    known = set(names)
    return [name for path in paths for name in (path, f"set.{path}") if name in known]


def _summary(path: Path) -> dict[str, Any] | None:
    """The summary of a folder that holds a finished run, else None."""
    try:
        manifest = read_json(path / MANIFEST)
        return read_json(path / SUMMARY) if manifest.get("status") == RUN_DONE else None
    except InputError:
        return None


def _write(path: Path, data: bytes) -> None:
    try:
        atomic.write_file(path, data)
    except OSError as error:
        what = f"cannot be written: {error.strerror}"
        todo = "make room; finished runs are kept"
        raise InputError(what, todo, place=Place(str(path))) from error
