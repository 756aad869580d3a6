"""Reading MATPOWER case files (format version 2): syntax only, no meaning.

The reader knows matrices, cell arrays of strings, and the statements of `statements.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import InputError, Place
from sim.grid.nodal.statements import Statements, number
from sim.grid.nodal.tables import Floats

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPEN = re.compile(r"^\s*mpc\.(\w+)\s*=\s*([\[{])(.*)$", re.DOTALL)
_STRING = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True, slots=True)
class RawCase:
    """What a case file says.

    Args:
        tables: matrices by name, shape (rows, columns).
        lines: line number of each row, by table.
        strings: cell arrays of strings by name.
    """

    file: str
    name: str
    base_mva: float
    tables: dict[str, Floats] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)
    strings: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def place(self, table: str, row: int) -> Place:
        """Where a row of a table stands in the file."""
        return Place(self.file, self.lines[table][row])


def parse(text: str, file: str) -> RawCase:
    """Read the text of a case file.

    Raises:
        InputError: not a case file, format version 1, a table with ragged rows or something
            that is no number, or a statement that is not understood; with file and line.
    """
    tables: dict[str, Floats] = {}
    lines: dict[str, list[int]] = {}
    strings: dict[str, tuple[str, ...]] = {}
    statements = Statements(file, tables)
    name = file.rsplit("/", 1)[-1].removesuffix(".m")
    for line, block in _blocks(text, file):
        opened = _OPEN.match(block)
        if opened and opened[2] == "[":
            tables[opened[1]], lines[opened[1]] = _matrix(opened[3], opened[1], line, file)
        elif opened:
            strings[opened[1]] = tuple(
                found.replace("''", "'") for found in _STRING.findall(opened[3])
            )
        elif block.lstrip().startswith("function"):
            name = block.split("=")[-1].strip(" ;\n")
        elif (version := re.match(r"^\s*mpc\.version\s*=\s*'(.*)'", block)) is not None:
            _check_version(version[1], file, line)
        else:
            statements.run(block, line)
    return RawCase(file, name, _base_mva(statements, file), tables, lines, strings)


def _check_version(version: str, file: str, line: int) -> None:
    if version != "2":
        raise InputError(
            f"case format version {version!r} is not read",
            "save the case in format version 2",
            place=Place(file, line),
        )


def _base_mva(statements: Statements, file: str) -> float:
    base = statements.scalars.get("baseMVA")
    if base is None or not 0 < base < np.inf:
        raise InputError(
            f"not a MATPOWER case: mpc.baseMVA is {base}", "give it in MVA", place=Place(file)
        )
    return base


def _blocks(text: str, file: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each statement or table, without comments."""
    pending: list[str] = []
    start, closing, comment = 0, "", False
    for count, raw in enumerate(text.split("\n"), 1):
        bare = raw.strip()
        if bare in ("%{", "%}"):
            comment = bare == "%{"
        if comment or bare == "" or bare[0] == "%":
            if closing:
                pending.append("")
            continue
        line = _uncommented(raw) if "%" in raw else raw
        if not pending:
            start = count
            opened = _OPEN.match(line)
            closing = {"[": "]", "{": "}"}[opened[2]] if opened else ""
        pending.append(line)
        if closing:
            if not line.rstrip(" ;\t\r").endswith(closing):
                continue
        elif line.rstrip().endswith("..."):
            pending[-1] = line.rstrip()[:-3]
            continue
        yield start, "\n".join(pending)
        pending, closing = [], ""
    if pending:
        raise InputError(
            f"the table that opens here has no closing {closing!r}",
            "the file is cut off",
            place=Place(file, start),
        )


def _uncommented(line: str) -> str:
    """The line up to its comment; a % inside quotes is text."""
    if "'" not in line:
        return line.split("%", 1)[0]
    quoted = False
    for i, char in enumerate(line):
        if char == "'":
            quoted = not quoted
        elif char == "%" and not quoted:
            return line[:i]
    return line


def _matrix(body: str, name: str, start: int, file: str) -> tuple[Floats, list[int]]:
    """Numbers and line numbers of the rows of a matrix."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for count, line in enumerate(body.rstrip(" ;\n\t\r").removesuffix("]").split("\n"), start):
        for part in line.split(";"):
            tokens = part.replace(",", " ").split()
            if tokens:
                rows.append(tokens)
                lines.append(count)
    width = len(rows[0]) if rows else 0
    for tokens, count in zip(rows, lines, strict=True):
        if len(tokens) != width:
            raise InputError(
                f"mpc.{name}: row with {len(tokens)} columns among rows with {width}",
                "give every row the same columns",
                place=Place(file, count),
            )
    flat = [token for tokens in rows for token in tokens]
    try:
        values = np.fromiter(map(float, flat), dtype=np.float64, count=len(flat))
    except ValueError:
        values = _slow_numbers(rows, lines, name, file)
    return values.reshape(len(rows), width), lines


def _slow_numbers(rows: list[list[str]], lines: list[int], name: str, file: str) -> Floats:
    """Like the fast way, for tables that hold expressions; names the one that is no number."""
    values: list[float] = []
    for tokens, line in zip(rows, lines, strict=True):
        for column, token in enumerate(tokens, 1):
            try:
                values.append(number(token))
            except ValueError as error:
                raise InputError(
                    f"mpc.{name}: {token!r} in column {column} is not a number",
                    "write plain numbers in tables",
                    place=Place(file, line),
                ) from error
    return np.array(values)
