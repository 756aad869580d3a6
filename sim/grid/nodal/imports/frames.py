"""Tables of another tool: columns by name, with the place of each row for errors."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sim.errors import InputError, Place
from sim.grid.nodal.tables import Bools, Floats

_TRUE = {"true", "1", "1.0"}
_FALSE = {"false", "0", "0.0"}


@dataclass(frozen=True, slots=True)
class Frame:
    """One table.

    Args:
        index: label of each row; columns: values by name, each as long as the index.
        lines: line of each row in the file; empty if it has none.
    """

    name: str
    file: str
    index: Sequence[Any] = ()
    columns: dict[str, list[Any]] = field(default_factory=dict)
    lines: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.index)

    def refuse(self, row: int, what: str, todo: str) -> InputError:
        """An error at a row."""
        place = Place(self.file, self.lines[row] if len(self.lines) else 0)
        return InputError(f"{self.name} {self.index[row]!r}: {what}", todo, place=place)

    def floats(self, name: str, default: float | None = None) -> Floats:
        """A column of numbers; `default` where the column or a figure is missing.

        Raises:
            InputError: a figure is missing and has no default, or is no number.
        """
        values = self._column(name, default)
        result = np.empty(len(self))
        for row, value in enumerate(values):
            missing = value is None or value == ""
            try:
                number = np.nan if missing else float(value)
            except (TypeError, ValueError):
                raise self.refuse(row, f"{name} {value!r} is no number", "mend it") from None
            if np.isnan(number):
                if default is None:
                    raise self.refuse(row, f"{name} is missing", "give a number")
                number = default
            result[row] = number
        return result

    def bools(self, name: str, default: bool) -> Bools:
        """A column of true and false."""
        result = np.empty(len(self), dtype=bool)
        for row, value in enumerate(self._column(name, default)):
            word = str(default if value is None or value == "" else value).lower()
            if word not in _TRUE | _FALSE:
                raise self.refuse(row, f"{name} {value!r} is not true or false", "mend it")
            result[row] = word in _TRUE
        return result

    def words(self, name: str, default: str = "") -> list[str]:
        """A column of text."""
        values = self._column(name, default)
        return [default if value is None or value != value else str(value) for value in values]

    def _column(self, name: str, default: Any) -> list[Any]:
        if name in self.columns:
            return self.columns[name]
        if default is None and len(self):
            raise self.refuse(0, f"the table has no column {name!r}", "complete it")
        return [default] * len(self)


def of_frame(name: str, frame: Any, file: str) -> Frame:
    """A table of a live pandas data frame."""
    columns = {str(column): frame[column].tolist() for column in frame.columns}
    return Frame(name, file, frame.index.tolist(), columns)


def of_csv(path: Path) -> Frame:
    """A table of a CSV file whose first column is the index.

    Raises:
        InputError: the file cannot be read, or a row has another number of columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}", "give a CSV file") from error
    head, body = (rows[0], rows[1:]) if rows else ([""], [])
    for line, row in enumerate(body, 2):
        if len(row) != len(head):
            raise InputError(
                f"{len(row)} columns among rows with {len(head)}",
                "give every row the same columns",
                place=Place(str(path), line),
            )
    columns: dict[str, list[Any]] = {
        name: [row[i] for row in body] for i, name in enumerate(head) if i
    }
    index = [row[0] for row in body]
    return Frame(path.stem, str(path), index, columns, range(2, len(body) + 2))
