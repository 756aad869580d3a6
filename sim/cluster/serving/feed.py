"""The requests of a cell up to a control time, with the share that admission lets through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.source import RecordedSource, Source
from sim.cluster.serving.state import arrival_rows
from sim.workload.counter import uniforms
from sim.workload.requests import RequestTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class Feed:
    """Takes requests from a source piece by piece.

    Args:
        source: where they come from.
        key: of the admission coins; request i is admitted when coin i lies below the share.

    Attributes:
        shed_ps: arrival times of those turned away, in pieces.
    """

    def __init__(self, source: Source, key: int):
        self.shed_ps: list[IntArray] = []
        self._source = source
        self._key = key
        self._rows, self._draws = source.block()
        self._at = 0
        self._index = 0

    def take(self, until_ps: int, admit_frac: float) -> list[tuple[IntArray, FloatArray]]:
        """The admitted requests that arrive before an instant, in pieces."""
        pieces: list[tuple[IntArray, FloatArray]] = []
        while len(self._rows):
            times = self._rows[self._at :, at.A_TIME]
            stop = self._at + int(np.searchsorted(times, until_ps))
            if stop > self._at:
                pieces.append(self._admitted(stop, admit_frac))
            if stop < len(self._rows):
                break
            self._rows, self._draws = self._source.block()
            self._at = 0
        return pieces

    def _admitted(self, stop: int, admit_frac: float) -> tuple[IntArray, FloatArray]:
        rows, draws = self._rows[self._at : stop], self._draws[self._at : stop]
        if admit_frac < 1:
            numbers = np.arange(self._index, self._index + len(rows), dtype=np.uint64)
            kept = uniforms(self._key, numbers) < admit_frac
            self.shed_ps.append(rows[~kept, at.A_TIME])
            rows, draws = rows[kept], draws[kept]
        else:
            rows, draws = rows.copy(), draws.copy()  # the source's arrays are reused
        self._index += stop - self._at
        self._at = stop
        return rows, draws


def recorded_feed(table: RequestTable, key: int, route_key: int) -> Feed:
    """A feed of given requests; their routing draws are numbers by counter."""
    numbers = np.arange(len(table), dtype=np.uint64)
    first, second = uniforms(route_key, 2 * numbers), uniforms(route_key, 2 * numbers + 1)
    return Feed(RecordedSource(arrival_rows(table), np.stack([first, second], axis=1)), key)
