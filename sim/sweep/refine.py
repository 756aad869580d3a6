"""Searching the edge between the values for which a condition holds and those above it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from sim.errors import InputError
from sim.sweep.condition import Condition
from sim.sweep.point import Point

if TYPE_CHECKING:
    from sim.sweep.schema import Refine


class Chain(Protocol):
    """Points of which each may depend on what became of the one before."""

    def next(self) -> Point | None:
        """The point to run now; None when the chain is over."""

    def tell(self, row: Mapping[str, Any] | None) -> None:
        """The result of that point, None where it failed."""


class Single:
    """A chain of one point."""

    def __init__(self, point: Point):
        self._point: Point | None = point

    def next(self) -> Point | None:
        """The point, once."""
        point, self._point = self._point, None
        return point

    def tell(self, row: Mapping[str, Any] | None) -> None:
        """Nothing follows from it."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    Args:
        anchor: the other values and the seed.
        holds_at: the largest value that was seen to hold, None if not even the lowest does.
        fails_at: the least value seen not to hold, None if even the highest holds.
        error: why it ended early.
    """

    anchor: Point
    holds_at: float | None
    fails_at: float | None
    error: str = ""


class Search:
    """Bisection of one edge, on a logarithmic scale: lowest, highest, then the middle.

    Needs 3 + log2(log(high/low) / log(1 + tolerance)) runs at most.
    """

    def __init__(self, refine: Refine, anchor: Point):
        self._refine, self._anchor = refine, anchor
        self._condition = Condition(refine.holds)
        self._low, self._high = _whole(refine.low, refine.step), _whole(refine.high, refine.step)
        self._holds: float | None = None
        self._fails: float | None = None
        self._asked: float | None = None
        self._error = ""

    @property
    def found(self) -> Found:
        """What is known so far."""
        return Found(self._anchor, self._holds, self._fails, self._error)

    def next(self) -> Point | None:
        """The point at the value to ask next."""
        self._asked = self._value()
        if self._asked is None:
            return None
        pair = (self._refine.path, _plain(self._asked))
        return replace(self._anchor, values=(*self._anchor.values, pair))

    def tell(self, row: Mapping[str, Any] | None) -> None:
        """Narrow the edge; a run that failed, or has not the column, ends the search."""
        if row is None or self._asked is None:
            self._error = "a run of the search failed"
            return
        try:
            holds = self._condition.holds(row)
        except InputError as error:
            self._error = str(error)
            return
        if holds:
            self._holds = self._asked
        else:
            self._fails = self._asked

    def _value(self) -> float | None:
        if self._error:
            return None
        if self._holds is None and self._fails is None:
            return self._low
        if self._holds is None:
            return None  # not even the lowest holds
        if self._fails is None:
            return self._high if self._holds < self._high else None
        if self._fails <= self._holds * (1 + self._refine.tolerance_frac):
            return None
        middle = _whole(math.sqrt(self._holds * self._fails), self._refine.step)
        return middle if self._holds < middle < self._fails else None


def most_runs(refine: Refine) -> int:
    """The most runs that one search can take.

    A middle that is rounded to a whole step leaves unequal halves: one run more.
    """
    span = math.log(refine.high / refine.low) / math.log1p(refine.tolerance_frac)
    return 3 + max(0, math.ceil(math.log2(span))) if span > 1 else 2


def _whole(value: float, step: float) -> float:
    """The nearest multiple of the step."""
    return round(value / step) * step


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


class Agenda:
    """The points that may run now, in a fixed order as long as nothing runs beside it."""

    def __init__(self, chains: Iterable[Chain]):
        self._fresh: Iterator[Chain] = iter(chains)
        self._ready: list[Chain] = []
        self._waiting: dict[str, list[Chain]] = {}

    def take(self) -> Point | None:
        """The next point; chains that can go on come before new ones."""
        while True:
            chain = self._ready.pop(0) if self._ready else next(self._fresh, None)
            if chain is None:
                return None
            point = chain.next()
            if point is not None:
                self._waiting.setdefault(point.key, []).append(chain)
                return point

    def settle(self, point: Point, row: Mapping[str, Any] | None) -> None:
        """A point's result, None where it failed: its chain can go on."""
        chain = self._waiting[point.key].pop(0)
        chain.tell(row)
        self._ready.append(chain)
