"""Laws of recorded signals, checked by other code than recorded them.

Order of time, order of boundaries, energy, and sums of parts. They take plain arrays, so a run's
own timelines and the tables of a finished folder are held to the same laws.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.errors import LawViolation

Floats = NDArray[np.float64]
ENERGY_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step signal as it was recorded.

    Args:
        name: for messages.
        times_s: of each change, shape (n,).
        values: from then on, shape (n,).
    """

    name: str
    times_s: Floats
    values: Floats

    def at(self, times_s: Floats) -> Floats:
        """The value at each of these times; the first one holds before the first change."""
        index = np.searchsorted(self.times_s, times_s, side="right") - 1
        found: Floats = self.values[np.maximum(index, 0)]
        return found

    def energy_j(self, end_s: float) -> float:
        """Integral from time 0 to the end; for W it is J."""
        edges = np.minimum(np.append(self.times_s, end_s), end_s)
        return math.fsum((self.values * np.diff(edges)).tolist())


def check_times(signal: Recorded) -> None:
    """Time begins at 0 and rises with every change, and every value is a number.

    Raises:
        LawViolation: with the signal, the row and the numbers.
    """
    times_s = signal.times_s
    if not len(times_s) or times_s[0] != 0:
        first = times_s[0] if len(times_s) else "never"
        raise LawViolation(f"signal {signal.name} begins at {first} s, not at 0 s")
    back = np.flatnonzero(~(np.diff(times_s) > 0))
    if len(back):
        row = int(back[0]) + 1
        raise LawViolation(
            f"signal {signal.name}, row {row}: time runs from {times_s[row - 1]!r} s to "
            f"{times_s[row]!r} s"
        )
    odd = np.flatnonzero(~np.isfinite(signal.values))
    if len(odd):
        row = int(odd[0])
        raise LawViolation(f"signal {signal.name}, row {row}: {signal.values[row]} is no number")


def check_order(boundaries: Sequence[Recorded]) -> None:
    """At every moment each boundary takes at least what is behind it: 0 <= chip <= it <= facility.

    Args:
        boundaries: from the inside out.

    Raises:
        LawViolation: with the moment and both numbers.
    """
    times_s = np.unique(np.concatenate([signal.times_s for signal in boundaries]))
    inner, name = np.zeros(len(times_s)), "0"
    for signal in boundaries:
        outer = signal.at(times_s)
        wrong = np.flatnonzero(outer < inner - ENERGY_TOLERANCE * np.abs(inner))
        if len(wrong):
            k = int(wrong[0])
            raise LawViolation(
                f"{signal.name} = {float(outer[k])!r} W at {float(times_s[k])!r} s, below {name} = "
                f"{float(inner[k])!r} W"
            )
        inner, name = outer, signal.name


def check_follows(inner: Recorded, outer: Recorded, expected: Floats) -> None:
    """The outer boundary is at every moment what the chain makes of the inner one.

    Args:
        inner: what the expectation is made from.
        expected: for each change of `inner`, what `outer` must be from then on, W.

    Raises:
        LawViolation: with the moment and both numbers.
    """
    found = outer.at(inner.times_s)
    wrong = np.flatnonzero(np.abs(found - expected) > ENERGY_TOLERANCE * np.abs(expected))
    if len(wrong):
        k = int(wrong[0])
        raise LawViolation(
            f"{outer.name} = {float(found[k])!r} W at {float(inner.times_s[k])!r} s, but from "
            f"{inner.name} = {float(inner.values[k])!r} W follow {float(expected[k])!r} W"
        )


def check_sum(what: str, whole: float, parts: Iterable[float], tolerance: float) -> None:
    """The whole is the sum of its parts.

    Raises:
        LawViolation: with both numbers.
    """
    summed = math.fsum(parts)
    if not math.isclose(whole, summed, rel_tol=tolerance, abs_tol=1e-9):
        raise LawViolation(f"{what}: {whole!r} against {summed!r}")
