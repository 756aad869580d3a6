"""The exception tree. Every error says where, which value, which limit, what to do.

FlopgridError
├── InputError            the user's file, option or name is wrong      -> exit 2
│   ├── UnknownNameError  a name that is not registered (with the nearest one)
│   └── CapacityError     it does not fit: memory, GPUs, power          (says what is missing)
└── LawViolation          a conservation law failed inside a run        -> exit 1
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

EXCERPT_COLUMNS: Final = 100
UNKNOWN: Final = "\ufffd"


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file; line and column count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])


class FlopgridError(Exception):
    """Base of all errors that flopgrid raises on purpose; its message is one line."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class InputError(FlopgridError):
    """Something the user gave is wrong.

    Args:
        what: what is wrong, with the value and the limit and its unit.
        todo: what to do about it.
        path: dotted path of the field (`sites[0].cluster.nodes`), if any.
        place: file, line, column, if a file is at fault.

    Attributes:
        excerpt: the line at fault with a caret, for the terminal; "" if there is none.
    """

    def __init__(self, what: str, todo: str = "", *, path: str = "", place: Place | None = None):
        super().__init__(what)
        self.what = what
        self.todo = todo
        self.path = path
        self.place = place
        self.excerpt = ""

    def at(self, place: Place | None, path: str = "") -> Self:
        """Add the place and path to an error that a deeper layer raised without them."""
        self.place = self.place or place
        self.path = self.path or path
        return self

    def __str__(self) -> str:
        head = [str(part) for part in (self.place, self.path) if part]
        body = f"{self.what}; {self.todo}" if self.todo else self.what
        return one_line(": ".join([*head, body]))


class UnknownNameError(InputError):
    """A name that no registry knows; the message lists the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, path: str = ""):
        names = sorted(known)
        near = nearest(name, names)
        todo = f"did you mean {near!r}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {name!r}", todo, path=path)


class CapacityError(InputError):
    """It does not fit; the message says how much is missing."""


class LawViolation(FlopgridError):
    """A conservation law does not hold in a run: a defect in flopgrid, never the user's fault."""


def one_line(text: str) -> str:
    """A text as it may be shown: names from files could break the line or steer the terminal."""
    if text.isprintable():
        return text
    words = " ".join(line.strip() for line in text.splitlines())
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in words)


def excerpt(line: str, place: Place) -> str:
    """The line of a place with a caret below its column, at most `EXCERPT_COLUMNS` wide."""
    column = max(place.column, 1) - 1
    start = max(0, column - EXCERPT_COLUMNS // 2)
    shown = line[start : start + EXCERPT_COLUMNS].replace("\t", " ")
    shown = "".join(mark if mark.isprintable() else UNKNOWN for mark in shown)
    number = f"{place.line} | "
    return f"{number}{shown.rstrip()}\n{' ' * (len(number) - 2)}| {' ' * (column - start)}^"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to a misspelt one, or None when nothing is near."""
    folded = {candidate.casefold(): candidate for candidate in known}
    match = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[match[0]] if match else None
