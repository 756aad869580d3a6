"""From a sweep file to its points: one for each run, in an order that never changes."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sim.errors import InputError
from sim.scenario.canonical import digest, to_flow
from sim.scenario.load import Document, load_tree, locate, validate
from sim.scenario.override import parse_override
from sim.scenario.yamlfile import Plain
from sim.sweep.schema import SweepFile

MAX_POINTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a sweep.

    Args:
        index: place in the sweep, from 0.
        values: the dotted paths that are set and their values.
        seed: the run's seed.
    """

    index: int
    values: tuple[tuple[str, Plain], ...]
    seed: int

    @property
    def overrides(self) -> tuple[str, ...]:
        """The values as `--set` takes them: `sites[0].cluster.nodes=10`."""
        return tuple(f"{path}={to_flow(value)}" for path, value in self.values)

    @property
    def key(self) -> str:
        """What tells this point from others of the sweep, whatever its index."""
        return digest({"set": self.overrides, "seed": self.seed})[:16]

    @property
    def label(self) -> str:
        """For a line on screen."""
        return " ".join([*self.overrides, f"seed={self.seed}"])


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep that has been read.

    Args:
        name: names its folder.
        base: the scenario file.
        points: all runs; axes in file order, the last one changing fastest, then the rows
            of `zip`, then the seeds.
    """

    name: str
    base: Path
    points: tuple[Point, ...]


def load_sweep(path: str | Path) -> Sweep:
    """Read and expand a sweep file.

    Raises:
        InputError: the file is wrong, with its place; or it has too many points.
    """
    document = load_tree(path)
    file = validate(document, SweepFile)
    base = Path(os.path.normpath(Path(path).parent / file.base))
    if not os.path.isfile(base):  # noqa: PTH113 - unlike Path, takes any text for a name
        todo = "the path is relative to the sweep file"
        raise _fault(document, ("base",), f"no such file {str(base)!r}", todo)
    return Sweep(file.name, base, expand(document, file))


def expand(document: Document, file: SweepFile) -> tuple[Point, ...]:
    """All points of a sweep file.

    Raises:
        InputError: a path is malformed or set twice, a value or seed stands twice, the
            columns of `zip` differ in length, or there are more than `MAX_POINTS` points.
    """
    _check_columns(document, file)
    rows = max((len(column) for column in file.zipped.values()), default=1)
    count = math.prod(len(values) for values in file.axes.values()) * rows * len(file.seeds)
    if count > MAX_POINTS:
        what = f"the sweep has {count} runs, more than the largest number {MAX_POINTS}"
        raise _fault(document, ("axes",), what, "split it or take fewer values")
    combinations = enumerate(itertools.product(_axes(file.axes), _rows(file, rows), file.seeds))
    return tuple(Point(index, (*grid, *row), seed) for index, (grid, row, seed) in combinations)


def _axes(axes: Mapping[str, Sequence[Plain]]) -> Iterator[tuple[tuple[str, Plain], ...]]:
    """Each combination of the axes, as (path, value) pairs."""
    for combination in itertools.product(*axes.values()):
        yield tuple(zip(axes, combination, strict=True))


def _rows(file: SweepFile, rows: int) -> Iterator[tuple[tuple[str, Plain], ...]]:
    """Each row of `zip`, as (path, value) pairs; one empty row without it."""
    for number in range(rows):
        yield tuple((path, column[number]) for path, column in file.zipped.items())


def _check_columns(document: Document, file: SweepFile) -> None:
    """Every path can be set, and nothing stands twice."""
    lengths = {len(column) for column in file.zipped.values()}
    for part, columns in (("axes", file.axes), ("zip", file.zipped)):
        for path, values in columns.items():
            where = (part, path)
            _check_path(document, where)
            if part == "axes":
                _check_distinct(document, where, values)
            elif path in file.axes:
                raise _fault(document, where, "is set by `axes` too", "keep one of them")
            elif len(lengths) > 1:
                what = f"has {len(values)} values where another column of `zip` has not"
                raise _fault(document, where, what, "give all columns the same length")
    _check_distinct(document, ("seeds",), file.seeds)


def _check_path(document: Document, where: tuple[str, str]) -> None:
    try:
        parse_override(f"{where[1]}=0")
    except InputError as error:
        raise _fault(document, where, error.what, error.todo) from None


def _check_distinct(document: Document, where: tuple[str, ...], values: Sequence[Plain]) -> None:
    seen: set[str] = set()
    for index, value in enumerate(values):
        text = to_flow(value)
        if text in seen:
            raise _fault(document, (*where, index), f"{text} stands twice", "keep one of them")
        seen.add(text)


def _fault(document: Document, where: tuple[str | int, ...], what: str, todo: str) -> InputError:
    """An error at a key or element of the sweep file."""
    on_key = len(where) > 1 and not isinstance(where[-1], int)
    path = ".".join(str(step) for step in where)
    return locate(
        document, InputError(what, todo, path=path, place=document.place(where, key=on_key))
    )
