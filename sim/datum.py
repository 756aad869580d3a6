"""Reading `sim/data`: every figure with its unit, source and date.

A YAML entry is `{value, unit, source, as_of}`; an assumption adds `low`, `high` and
`distribution`. A CSV table starts with `#` lines that name its source and licence.

A study may run with other values than the files say: `figures_set` puts them in place for
the whole process, and `data_hash` tells such a file from the one on disk.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from statistics import NormalDist
from typing import Any, Literal, cast

from sim.errors import InputError, UnknownNameError

Distribution = Literal["uniform", "triangular", "lognormal-80"]

HAIR_FRAC = 1e-9
LEAST_U = 1e-6
Z_90 = NormalDist().inv_cdf(0.9)

# Figures that a study sets, by file and name; for the whole process, because what is read from
# the files is remembered for the whole process too.
_SET: dict[str, dict[str, float]] = {}


@dataclass(frozen=True, slots=True)
class Datum:
    """One figure: value, unit, where it comes from, and its range where it is assumed."""

    name: str
    value: float
    unit: str
    source: str
    as_of: str
    low: float | None = None
    high: float | None = None
    distribution: Distribution | None = None

    @property
    def is_assumption(self) -> bool:
        """True if the figure has a range: it is assumed, not read."""
        return self.low is not None

    def quantile(self, u: float) -> float:
        """The value at probability `u` of its range; fixed if no range.

        The range of `lognormal-80` holds the middle 80 %, any other all.
        """
        if self.low is None or self.high is None or self.low == self.high:
            return self.value
        low, mode, high = self.low, self.value, self.high
        if self.distribution == "uniform":
            return low + u * (high - low)
        if self.distribution == "lognormal-80":
            z = NormalDist().inv_cdf(min(max(u, LEAST_U), 1 - LEAST_U))
            return float((low * high) ** 0.5 * (high / low) ** (z / (2 * Z_90)))
        cut = (mode - low) / (high - low)
        if u < cut:
            return low + float((u * (high - low) * (mode - low)) ** 0.5)
        return high - float(((1 - u) * (high - low) * (high - mode)) ** 0.5)

    def describe(self) -> str:
        """One line for a list of assumptions or sources."""
        text = f"{self.name} = {self.value:g} {self.unit}".rstrip()
        if self.low is not None and self.high is not None:
            text += f" (assumption, {self.low:g} to {self.high:g})"
        return f"{text} [{self.source}, {self.as_of}]"


def data_file(path: str) -> Traversable:
    """A file under `sim/data`."""
    return files("sim.data").joinpath(*path.split("/"))


def data_names(folder: str, suffix: str) -> list[str]:
    """Sorted stems of the files in a folder of `sim/data`."""
    return sorted(
        entry.name.removesuffix(suffix)
        for entry in data_file(folder).iterdir()
        if entry.name.endswith(suffix)
    )


def data_hash(path: str) -> str:
    """SHA-256 of a data file, for the resolved scenario; another one where figures are set."""
    if path not in _SET:
        return _file_hash(path)
    own = json.dumps(dict(sorted(_SET[path].items())))
    return hashlib.sha256((_file_hash(path) + own).encode()).hexdigest()


@cache
def _file_hash(path: str) -> str:
    return hashlib.sha256(data_file(path).read_bytes()).hexdigest()


@cache
def read_yaml(path: str) -> dict[str, Any]:
    """A YAML mapping under `sim/data` (YAML 1.2). Callers must not change it."""
    from ruamel.yaml import YAML

    return cast(
        "dict[str, Any]", YAML(typ="safe", pure=True).load(data_file(path).read_text("utf-8"))
    )


@cache
def read_table(path: str) -> tuple[dict[str, str], ...]:
    """Rows of a CSV table under `sim/data`; lines that start with `#` are its header notes."""
    lines = [
        line for line in data_file(path).read_text("utf-8").splitlines() if not line.startswith("#")
    ]
    return tuple(csv.DictReader(lines))


def to_datum(name: str, entry: dict[str, Any]) -> Datum:
    """Build a `Datum` from a YAML entry.

    Raises:
        InputError: a required key is missing, or a range does not hold the value.
    """
    missing = {"value", "unit", "source", "as_of"} - entry.keys()
    if missing:
        raise InputError(f"{name}: datum lacks {', '.join(sorted(missing))}", "complete the entry")
    value = float(entry["value"])
    low, high = (float(entry[k]) if k in entry else None for k in ("low", "high"))
    if (low is None) != (high is None):
        raise InputError(f"{name}: a range needs both low and high", "complete the entry")
    if low is not None and high is not None and not low <= value <= high:
        raise InputError(f"{name}: value {value:g} outside {low:g} to {high:g}", "mend the range")
    return Datum(
        name=name,
        value=value,
        unit=str(entry["unit"]),
        source=str(entry["source"]),
        as_of=str(entry["as_of"]),
        low=low,
        high=high,
        distribution=None if low is None else entry.get("distribution", "triangular"),
    )


@cache
def data(path: str) -> dict[str, Datum]:
    """All entries of a YAML file of figures, by name; a nested group joins with a dot."""
    return {
        name: _as_set(figure, _SET.get(path, {}).get(name))
        for name, figure in _walk("", read_yaml(path))
    }


def _as_set(figure: Datum, value: float | None) -> Datum:
    """The figure at the value that a study gives it; its range shrinks to a hair's breadth.

    Not to nothing: what is computed from a range keeps the nominal value inside, whatever
    the rounding.
    """
    if value is None:
        return figure
    if not figure.is_assumption:
        return replace(figure, value=value)
    hair = HAIR_FRAC * max(abs(value), HAIR_FRAC)
    return replace(figure, value=value, low=value - hair, high=value + hair)


def _walk(prefix: str, node: dict[str, Any]) -> list[tuple[str, Datum]]:
    found: list[tuple[str, Datum]] = []
    for key, entry in node.items():
        name = f"{prefix}{key}"
        if isinstance(entry, dict) and "value" in entry:
            found.append((name, to_datum(name, entry)))
        elif isinstance(entry, dict):
            found += _walk(f"{name}.", entry)
    return found


def datum(path: str, name: str) -> Datum:
    """One figure of a YAML file of figures.

    Raises:
        UnknownNameError: no such entry.
    """
    entries = data(path)
    if name not in entries:
        raise UnknownNameError("figure", name, entries)
    return entries[name]


def sample(figures: Mapping[str, Datum], u: Mapping[str, float]) -> dict[str, Datum]:
    """The same figures with those named in `u` set to that quantile of their range."""
    return {
        name: replace(figure, value=figure.quantile(u[name])) if name in u else figure
        for name, figure in figures.items()
    }


def ranged(figures: Mapping[str, Datum]) -> list[str]:
    """Names of the figures that have a range, sorted."""
    return sorted(name for name, figure in figures.items() if figure.is_assumption)


def split_key(key: str) -> tuple[str, str]:
    """`grid/assumptions.yaml:peak_factor` as file and name.

    Raises:
        InputError: it has no colon.
    """
    path, colon, name = key.partition(":")
    if not colon or not name or not path.endswith(".yaml"):
        raise InputError(f"{key!r} names no figure", "write FILE.yaml:NAME, as below sim/data")
    return path, name


def figure_at(key: str) -> Datum:
    """The figure at `FILE:NAME`, as it stands now.

    Raises:
        InputError: no such file or figure.
    """
    path, name = split_key(key)
    if not data_file(path).is_file():
        raise InputError(f"there is no data file {path!r}", "see sim/data")
    return datum(path, name)


@cache
def _is_figure(key: str) -> bool:
    """True for a figure that is there; the errors of `figure_at`."""
    figure_at(key)
    return True


@contextmanager
def figures_set(values: Mapping[str, float]) -> Iterator[None]:
    """Let figures have other values, as if their files said so, until the block ends.

    Blocks may be nested: what an outer one sets stays, unless the inner one sets it too.

    Args:
        values: value by `FILE:NAME`, in the figure's own unit.

    Raises:
        InputError: no such figure, or a value that is not finite.
    """
    wanted = {path: dict(named) for path, named in _SET.items()}
    for key, value in values.items():
        if not (_is_figure(key) and math.isfinite(value)):
            raise InputError(f"{key} is set to {value}", "give a finite number")
        path, name = split_key(key)
        wanted.setdefault(path, {})[name] = value
    before = dict(_SET)
    _change(wanted)
    try:
        yield
    finally:
        _change(before)


def _change(values: dict[str, dict[str, float]]) -> None:
    if values == _SET:
        return
    _SET.clear()
    _SET.update(values)
    forget()


def forget() -> None:
    """Empty every memo of the package: each may hold a figure, or what follows from one.

    What is kept are the files as they were read.
    """
    if _MEMOS.modules != len(sys.modules):
        _MEMOS.find()
    for clear in _MEMOS.clears:
        clear()


class _Memos:
    """The memos of all modules of the package that are loaded; looked for when some are new."""

    def __init__(self) -> None:
        self.modules = 0
        self.clears: list[Callable[[], None]] = []

    def find(self) -> None:
        """Look through the modules."""
        kept = (read_yaml, read_table, _file_hash, _is_figure)
        package = __name__.partition(".")[0]
        self.modules, self.clears = len(sys.modules), []
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] != package:
                continue
            for memo in list(vars(module).values()):
                clear = getattr(memo, "cache_clear", None)
                if clear is not None and memo not in kept:
                    self.clears.append(clear)


_MEMOS = _Memos()
