"""Requests that other fleets hand over: each waits for its time, then goes to a cell by a coin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.kernels import layout as at
from sim.units import PS_PER_S
from sim.workload.counter import uniforms

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Piece = tuple[IntArray, FloatArray]


@dataclass(frozen=True, slots=True)
class Handed:
    """Requests that one fleet handed to another, and the mean time that the way took them."""

    count: int
    way_s: float


class Inbox:
    """What is on its way to a fleet.

    Args:
        sizes: replicas of each cell. key: of the coins that choose among them.

    Attributes:
        received: requests handed over so far, those on their way included.
    """

    def __init__(self, sizes: Sequence[int], key: int):
        self.received = 0
        self._edges = np.cumsum(sizes) / sum(sizes)
        self._key = key
        self._rows = np.zeros((0, at.ARRIVAL_COLUMNS), dtype=np.int64)
        self._draws = np.zeros((0, 2))
        self._cells = np.zeros(0, dtype=np.int64)
        self._ways: dict[str, list[tuple[IntArray, IntArray]]] = {}

    @property
    def under_way(self) -> int:
        """Requests whose time has not come."""
        return len(self._rows)

    def put(
        self, rows: IntArray, draws: FloatArray, delay_ps: int, least_ps: int, source: str = ""
    ) -> None:
        """Take requests in; they arrive after a delay, and not before an instant.

        Args:
            source: name of the fleet that they come from.
        """
        late = rows.copy()
        late[:, at.A_TIME] = np.maximum(late[:, at.A_TIME] + delay_ps, least_ps)
        if len(rows):
            times_ps = late[:, at.A_TIME].copy()
            self._ways.setdefault(source, []).append((times_ps, times_ps - rows[:, at.A_TIME]))
        numbers = np.arange(self.received, self.received + len(rows), dtype=np.uint64)
        cells = np.searchsorted(self._edges, uniforms(self._key, numbers), side="right")
        self.received += len(rows)
        self._rows = np.concatenate([self._rows, late])
        self._draws = np.concatenate([self._draws, draws])
        self._cells = np.concatenate([self._cells, cells])

    def handed(self, start_ps: int, end_ps: int) -> dict[str, Handed]:
        """What arrives between two instants, by the fleet that it comes from."""
        found = {}
        for source, pieces in self._ways.items():
            times_ps, ways_ps = (np.concatenate(column) for column in zip(*pieces, strict=True))
            inside = ways_ps[(times_ps >= start_ps) & (times_ps < end_ps)]
            if len(inside):
                found[source] = Handed(len(inside), float(inside.mean()) / PS_PER_S)
        return found

    def take(self, until_ps: int) -> list[Piece]:
        """What arrives before an instant, for each cell, in the order of its time."""
        due = self._rows[:, at.A_TIME] < until_ps
        rows, draws, cells = self._rows[due], self._draws[due], self._cells[due]
        self._rows, self._draws = self._rows[~due], self._draws[~due]
        self._cells = self._cells[~due]
        order = np.argsort(rows[:, at.A_TIME], kind="stable")
        rows, draws, cells = rows[order], draws[order], cells[order]
        return [(rows[cells == c], draws[cells == c]) for c in range(len(self._edges))]


def merged(own: list[Piece], other: Piece) -> list[Piece]:
    """The pieces of a cell with what others handed over, in the order of their time."""
    if not len(other[0]):
        return own
    rows = np.concatenate([other[0], *(rows for rows, _ in own)])
    draws = np.concatenate([other[1], *(draws for _, draws in own)])
    order = np.argsort(rows[:, at.A_TIME], kind="stable")
    return [(rows[order], draws[order])]
