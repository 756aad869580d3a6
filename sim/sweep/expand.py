"""From a sweep file to its points: one for each run, in an order that never changes."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sim.datum import figure_at
from sim.errors import InputError
from sim.scenario.canonical import to_flow
from sim.scenario.load import Document, load_tree, locate, validate
from sim.scenario.override import parse_override
from sim.scenario.yamlfile import Plain
from sim.sweep.condition import Condition
from sim.sweep.point import FIGURE, NO_POLICY, POLICY, Point, Value
from sim.sweep.samples import sample_rows
from sim.sweep.schema import Refine, SweepFile

MAX_POINTS: Final = 100_000

Values = tuple[Value, ...]
Rows = Sequence[tuple[int | None, Values]]
"""Numbered samples; one row without a number where nothing is sampled."""
NO_SAMPLES: Final[Rows] = ((None, ()),)


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep that has been read.

    Args:
        name: names its folder.
        base: the scenario file.
        points: all runs; axes in file order, the last one changing fastest, then the
            policies, the rows of `zip`, the samples, the seeds. With `refine` each of them
            is the start of a search, and its value is still to be found.
        file: what the file says.
    """

    name: str
    base: Path
    points: tuple[Point, ...]
    file: SweepFile | None = None

    @property
    def refine(self) -> Refine | None:
        """What is searched for, if anything."""
        return self.file.refine if self.file else None


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
    return Sweep(file.name, base, expand(document, file, base), file)


def expand(document: Document, file: SweepFile, base: Path) -> tuple[Point, ...]:
    """All points of a sweep file.

    Raises:
        InputError: a path is malformed or set twice, a value or seed stands twice, the
            columns of `zip` differ in length, a condition cannot be read, or there are more
            than `MAX_POINTS` points before `where`.
    """
    _check(document, file)
    fixed = {path: [value] for path, value in file.fixed.items()}
    rows = max((len(column) for column in file.zipped.values()), default=1)
    count = math.prod(len(values) for values in file.axes.values()) * rows * len(file.seeds)
    count *= max(1, len(file.policies))
    _check_count(document, count)
    combinations = list(
        itertools.product(_axes(fixed | file.axes), _policies(file.policies), _zip_rows(file, rows))
    )
    samples = _samples(document, file, base, [v for group in combinations[0] for v in group])
    _check_count(document, count * len(samples))
    return _points(document, file, combinations, samples)


def _points(
    document: Document,
    file: SweepFile,
    combinations: Sequence[tuple[Values, Values, Values]],
    samples: Rows,
) -> tuple[Point, ...]:
    """The product, less what `where` leaves out."""
    conditions = [Condition(text) for text in file.where]
    points: list[Point] = []
    for groups, (sample, drawn), seed in itertools.product(combinations, samples, file.seeds):
        point = Point(len(points), (*itertools.chain(*groups), *drawn), seed, sample)
        if _meets(document, conditions, point):
            points.append(point)
    if not points:
        raise _fault(document, ("where",), "leaves no run", "loosen a condition")
    return tuple(points)


def _meets(document: Document, conditions: Sequence[Condition], point: Point) -> bool:
    if not conditions:
        return True
    values = {**dict(point.values), "seed": point.seed}
    try:
        return all(condition.holds(values) for condition in conditions)
    except InputError as error:
        raise _fault(document, ("where",), error.what, error.todo) from None


def _check_count(document: Document, count: int) -> None:
    if count > MAX_POINTS:
        what = f"the sweep has {count} runs, more than the largest number {MAX_POINTS}"
        raise _fault(document, ("axes",), what, "split it or take fewer values")


def _axes(axes: Mapping[str, Sequence[Plain]]) -> Iterator[Values]:
    """Each combination of the axes, as (path, value) pairs."""
    for combination in itertools.product(*axes.values()):
        yield tuple(zip(axes, combination, strict=True))


def _policies(policies: Sequence[str]) -> Iterator[Values]:
    """Each policy as a (path, value) pair; one empty row without any."""
    yield from (((POLICY, text),) for text in policies)
    if not policies:
        yield ()


def _zip_rows(file: SweepFile, rows: int) -> Iterator[Values]:
    """Each row of `zip`, as (path, value) pairs; one empty row without it."""
    for number in range(rows):
        yield tuple((path, column[number]) for path, column in file.zipped.items())


def _samples(document: Document, file: SweepFile, base: Path, first: Sequence[Value]) -> Rows:
    """The samples; what the scenario of the first combination assumes is what is drawn."""
    if file.samples is None:
        return NO_SAMPLES
    from sim.sweep.work import ScenarioWork  # heavy: only for those who sample

    start = Point(0, tuple(first), file.seeds[0])
    try:
        rows = sample_rows(file.samples, lambda: ScenarioWork.of(base).assumed(start))
    except InputError as error:
        if error.place is not None and error.place.file != document.root.place.file:
            raise
        raise _fault(document, ("samples",), error.what, error.todo) from None
    return tuple(enumerate(rows))


def _check(document: Document, file: SweepFile) -> None:
    """Every path can be set, nothing stands twice, and every condition can be read."""
    lengths = {len(column) for column in file.zipped.values()}
    taken: dict[str, str] = {}
    ranges = file.samples.over if file.samples else {}
    parts: dict[str, Iterable[str]] = {
        "set": file.fixed,
        "axes": file.axes,
        "zip": file.zipped,
        "samples": ranges,
    }
    for part, columns in parts.items():
        for path in columns:
            where = ("samples", "over", path) if part == "samples" else (part, path)
            _check_path(document, where)
            if path in taken:
                raise _fault(document, where, f"is set by `{taken[path]}` too", "keep one of them")
            taken[path] = part
    for path, values in file.axes.items():
        _check_distinct(document, ("axes", path), values)
    if len(lengths) > 1:
        path, column = next(iter(file.zipped.items()))
        what = f"has {len(column)} values where another column of `zip` has not"
        raise _fault(document, ("zip", path), what, "give all columns the same length")
    _check_distinct(document, ("seeds",), file.seeds)
    _check_distinct(document, ("policies",), file.policies)
    _check_policies(document, file.policies)
    _check_conditions(document, file)
    if file.refine:
        _check_refine(document, file.refine, taken)


def _check_refine(document: Document, refine: Refine, taken: Mapping[str, str]) -> None:
    _check_path(document, ("refine", "path"), refine.path)
    if refine.path in taken:
        what = f"{refine.path} is set by `{taken[refine.path]}` too"
        raise _fault(document, ("refine", "path"), what, "keep one of them")


def _check_conditions(document: Document, file: SweepFile) -> None:
    """Conditions that are used later are read now."""
    texts: list[tuple[tuple[str | int, ...], str]] = [
        (("where", n), text) for n, text in enumerate(file.where)
    ]
    if file.refine:
        texts.append((("refine", "holds"), file.refine.holds))
    for n, shown in enumerate(file.show):
        if shown.kind == "verdict":
            texts += [(("show", n, "holds"), shown.holds)]
            texts += [(("show", n, "margin"), shown.margin)] if shown.margin else []
    for where, text in texts:
        try:
            Condition(text)
        except InputError as error:
            raise _fault(document, where, error.what, error.todo) from None


def _check_policies(document: Document, policies: Sequence[str]) -> None:
    if policies:
        import sim.policy  # noqa: F401 - registers them
        from sim.policy.registry import parse_policies  # heavy: only for those who name policies
    for number, text in enumerate(policies):
        if text == NO_POLICY:
            continue
        try:
            parse_policies(text)
        except InputError as error:
            raise _fault(document, ("policies", number), error.what, error.todo) from None


def _check_path(document: Document, where: tuple[str, ...], path: str = "") -> None:
    """A path of the scenario is well formed; a figure is there."""
    path = path or where[-1]
    if path == POLICY:
        raise _fault(document, where, "policies have their own key", "list them under `policies`")
    try:
        if path.startswith(FIGURE):
            figure_at(path.removeprefix(FIGURE))
        else:
            parse_override(f"{path}=0")
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
    named = len(where) > 1 and not isinstance(where[-1], int) and where[0] in ("set", "axes", "zip")
    path = ".".join(str(step) for step in where)
    return locate(
        document, InputError(what, todo, path=path, place=document.place(where, key=named))
    )
