"""Rows that are kept from when they are put in until they are asked for, by their number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


class OpenRows:
    """Rows numbered from 0 in the order in which they come.

    Args:
        columns: of a row.
    """

    def __init__(self, columns: int):
        self._next = 0
        self._numbers = np.zeros(0, dtype=np.int64)
        self._rows = np.zeros((0, columns), dtype=np.int64)

    @property
    def rows(self) -> IntArray:
        """All that are there, in the order of their numbers."""
        return self._rows

    def add(self, rows: IntArray) -> None:
        """Put rows in."""
        numbers = np.arange(self._next, self._next + len(rows))
        self._next += len(rows)
        self._numbers = np.concatenate([self._numbers, numbers])
        self._rows = np.concatenate([self._rows, rows])

    def read(self, numbers: IntArray) -> IntArray:
        """Rows that are there."""
        return self._rows[np.searchsorted(self._numbers, numbers)]

    def take(self, numbers: IntArray) -> IntArray:
        """Take rows out, in the order in which they are asked for."""
        places = np.searchsorted(self._numbers, numbers)
        found = self._rows[places]
        stays = np.ones(len(self._numbers), dtype=np.bool_)
        stays[places] = False
        self._numbers, self._rows = self._numbers[stays], self._rows[stays]
        return found
