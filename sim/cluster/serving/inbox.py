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

CELL, SOURCE, WAY = 0, 1, 2
"""Columns beside a waiting row: the cell it goes to, whose it was, and its way (ps)."""


@dataclass(frozen=True, slots=True)
class Handed:
    """Requests that one fleet handed to another, and the mean time that the way took them."""

    count: int
    way_s: float


class Inbox:
    """What is on its way to a fleet.

    Args:
        sizes: replicas of each cell. key: of the coins that choose among them.
        window_ps: in which arrivals are counted.

    Attributes:
        received: requests handed over so far, those on their way included.
    """

    def __init__(self, sizes: Sequence[int], key: int, window_ps: tuple[int, int]):
        self.received = 0
        self._window_ps = window_ps
        self._edges = np.cumsum(sizes) / sum(sizes)
        self._key = key
        self._rows = np.zeros((0, at.ARRIVAL_COLUMNS), dtype=np.int64)
        self._draws = np.zeros((0, 2))
        self._tags = np.zeros((0, 3), dtype=np.int64)
        self._sums: dict[str, list[int]] = {}

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
        ways_ps = late[:, at.A_TIME] - rows[:, at.A_TIME]
        if source not in self._sums:
            self._sums[source] = [0, 0]
        sources = np.full(len(rows), list(self._sums).index(source))
        numbers = np.arange(self.received, self.received + len(rows), dtype=np.uint64)
        cells = np.searchsorted(self._edges, uniforms(self._key, numbers), side="right")
        self.received += len(rows)
        self._rows = np.concatenate([self._rows, late])
        self._draws = np.concatenate([self._draws, draws])
        self._tags = np.concatenate([self._tags, np.column_stack([cells, sources, ways_ps])])

    @property
    def handed(self) -> dict[str, Handed]:
        """What arrived in the window so far, by the fleet that it came from."""
        return {
            source: Handed(count, sum_ps / count / PS_PER_S)
            for source, (count, sum_ps) in self._sums.items()
            if count
        }

    def _count(self, times_ps: IntArray, tags: IntArray) -> None:
        """Book what arrives in the window."""
        inside = (times_ps >= self._window_ps[0]) & (times_ps < self._window_ps[1])
        for number, sums in enumerate(self._sums.values()):
            ways_ps = tags[inside & (tags[:, SOURCE] == number), WAY]
            sums[0] += len(ways_ps)
            sums[1] += int(ways_ps.sum())

    def take(self, until_ps: int) -> list[Piece]:
        """What arrives before an instant, for each cell, in the order of its time."""
        due = self._rows[:, at.A_TIME] < until_ps
        rows, draws, tags = self._rows[due], self._draws[due], self._tags[due]
        self._rows, self._draws, self._tags = self._rows[~due], self._draws[~due], self._tags[~due]
        self._count(rows[:, at.A_TIME], tags)
        order = np.argsort(rows[:, at.A_TIME], kind="stable")
        rows, draws, cells = rows[order], draws[order], tags[order, CELL]
        return [(rows[cells == c], draws[cells == c]) for c in range(len(self._edges))]


def merged(own: list[Piece], other: Piece) -> list[Piece]:
    """The pieces of a cell with what others handed over, in the order of their time."""
    if not len(other[0]):
        return own
    rows = np.concatenate([other[0], *(rows for rows, _ in own)])
    draws = np.concatenate([other[1], *(draws for _, draws in own)])
    order = np.argsort(rows[:, at.A_TIME], kind="stable")
    return [(rows[order], draws[order])]
