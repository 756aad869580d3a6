"""Generating units with their outage states, and hourly loads, read from CSV files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sim.errors import InputError, Place
from sim.grid.network import FloatArray

UNIT_COLUMNS: Final = ("name", "capacity_mw", "forced_outage_rate")
DERATED_COLUMNS: Final = ("derated_mw", "derated_probability")
OPTIONAL_COLUMNS: Final = (*DERATED_COLUMNS, "mttr_h")
DEFAULT_MTTR_H: Final = 50.0
"""Mean time to repair where a file gives none: only the clustering of outages depends on it
(assumption; 20 to 150 h in the IEEE RTS of 1979)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit with two states (up, out) or three (up, derated, out).

    Args:
        capacity_mw: what it gives when up.
        forced_outage_rate: probability of giving nothing.
        derated_mw: what it still gives when derated, 0 <= derated_mw < capacity_mw.
        derated_probability: probability of the derated state.
        mttr_h: mean length of an outage or a derating.

    Raises:
        InputError: a capacity below 0, or probabilities that are not in 0 to 1 together.
    """

    name: str
    capacity_mw: float
    forced_outage_rate: float
    derated_mw: float = 0.0
    derated_probability: float = 0.0
    mttr_h: float = DEFAULT_MTTR_H

    def __post_init__(self) -> None:
        chances = (self.forced_outage_rate, self.derated_probability)
        if not (math.isfinite(self.capacity_mw) and self.capacity_mw >= 0):
            raise InputError(f"unit {self.name}: {self.capacity_mw:g} MW", "give >= 0 MW")
        if not (all(0 <= p <= 1 for p in chances) and sum(chances) <= 1):
            raise InputError(
                f"unit {self.name}: outage rate {chances[0]:g}, derated {chances[1]:g}",
                "give probabilities of 0 to 1 that sum to at most 1",
            )
        if self.derated_probability and not 0 <= self.derated_mw <= self.capacity_mw:
            raise InputError(
                f"unit {self.name}: derated to {self.derated_mw:g} of {self.capacity_mw:g} MW",
                "give what is left when derated, between 0 and the capacity",
            )
        if not (math.isfinite(self.mttr_h) and self.mttr_h > 0):
            raise InputError(f"unit {self.name}: mttr_h {self.mttr_h:g} h", "give > 0 h")

    @property
    def mean_mw(self) -> float:
        """Expected available capacity."""
        up = 1.0 - self.forced_outage_rate - self.derated_probability
        return up * self.capacity_mw + self.derated_probability * self.derated_mw


def read_units(path: Path) -> tuple[Unit, ...]:
    """Units of a CSV file.

    Columns: `name, capacity_mw, forced_outage_rate`, optionally `derated_mw` (what is left)
    with `derated_probability`, and `mttr_h`; lines that start with `#` are notes.

    Raises:
        InputError: a file that cannot be read, a missing column, a cell that is no number.
    """
    rows = _rows(path, UNIT_COLUMNS)
    if not rows:
        raise InputError("no unit", "list at least one", place=Place(str(path)))
    return tuple(_unit(row, Place(str(path), line)) for line, row in rows)


def _unit(row: dict[str, str], place: Place) -> Unit:
    given = [c for c in (*UNIT_COLUMNS[1:], *OPTIONAL_COLUMNS) if (row.get(c) or "").strip()]
    missing = [c for c in UNIT_COLUMNS[1:] if c not in given]
    if missing:
        raise InputError(f"{missing[0]} is empty", "give a number", place=place)
    if len([c for c in DERATED_COLUMNS if c in given]) == 1:
        raise InputError(
            "half a derated state", f"give both {' and '.join(DERATED_COLUMNS)}", place=place
        )
    try:
        return Unit(row["name"].strip(), **{c: _number(row[c], c, place) for c in given})
    except InputError as error:
        raise error.at(place) from None


def read_load(path: Path) -> FloatArray:
    """Hourly load of a CSV file with a column `load_mw`, MW, shape (n_hours,).

    Raises:
        InputError: a file that cannot be read, no such column, a cell that is no load.
    """
    rows = _rows(path, ("load_mw",))
    if not rows:
        raise InputError("no hour", "give one row per hour", place=Place(str(path)))
    load = [_number(row["load_mw"], "load_mw", Place(str(path), line)) for line, row in rows]
    return check_load(np.array(load), str(path))


def check_load(load_mw: FloatArray, where: str) -> FloatArray:
    """The load itself, if it is one.

    Raises:
        InputError: a load that is negative or no number.
    """
    bad = np.flatnonzero(~(np.isfinite(load_mw) & (load_mw >= 0)))
    if len(bad):
        raise InputError(
            f"{where}: load {load_mw[bad[0]]:g} MW at hour {bad[0] + 1}", "give loads >= 0 MW"
        )
    return load_mw


def _number(text: str | None, column: str, place: Place) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{column} {text!r} is no number", "give a number", place=place)
    return value


def _rows(path: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Numbered rows of a CSV file; lines that start with `#` are notes."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", "give a CSV file") from None
    kept = [(i, text) for i, text in enumerate(lines, 1) if text.strip() and text[0] != "#"]
    if not kept:
        raise InputError("empty file", "give a CSV file", place=Place(str(path)))
    header = [name.strip() for name in next(csv.reader([kept[0][1]]))]
    missing = [column for column in needed if column not in header]
    if missing:
        raise InputError(
            f"no column {missing[0]!r} in {', '.join(header)}",
            f"give the columns {', '.join(needed)}",
            place=Place(str(path), kept[0][0]),
        )
    return [(i, dict(zip(header, next(csv.reader([text])), strict=False))) for i, text in kept[1:]]
