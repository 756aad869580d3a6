"""The requests of a cell up to a control time: which go to other fleets, which are admitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.source import RecordedSource, Source
from sim.cluster.serving.state import arrival_rows, prefix_rows
from sim.workload.counter import uniforms
from sim.workload.requests import RequestTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
NO_BLOCKS = np.zeros(0, dtype=np.int64)
Numbers = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Move:
    """A share of the requests that goes to another fleet, which takes rows and draws."""

    frac: float
    receive: Callable[[IntArray, FloatArray], None]


class Feed:
    """Takes requests from a source piece by piece.

    Args:
        source: where they come from.
        key: of the admission coins; request i is admitted when coin i lies below the share.
        move_key: of the coins that hand requests over; request i goes to the first fleet whose
            share, added up, lies above coin i.
        blocks: of all prompts in a line, where the rows tell of them (see `prefix_rows`).

    Attributes:
        shed_ps: arrival times of those turned away, in pieces. moved_ps: of those handed over.
    """

    def __init__(self, source: Source, key: int, move_key: int = 0, blocks: IntArray = NO_BLOCKS):
        self.blocks = blocks
        self.shed_ps: list[IntArray] = []
        self.moved_ps: list[IntArray] = []
        self._move_key = move_key
        self._source = source
        self._key = key
        self._rows, self._draws = source.block()
        self._at = 0
        self._index = 0

    def take(
        self, until_ps: int, admit_frac: float, moves: Sequence[Move] = ()
    ) -> list[tuple[IntArray, FloatArray]]:
        """The admitted requests that arrive before an instant, in pieces.

        Args:
            moves: shares that are handed over before admission, and to whom.
        """
        pieces: list[tuple[IntArray, FloatArray]] = []
        while len(self._rows):
            times = self._rows[self._at :, at.A_TIME]
            stop = self._at + int(np.searchsorted(times, until_ps))
            if stop > self._at:
                pieces.append(self._admitted(stop, admit_frac, moves))
            if stop < len(self._rows):
                break
            self._rows, self._draws = self._source.block()
            self._at = 0
        return pieces

    def _admitted(
        self, stop: int, admit_frac: float, moves: Sequence[Move]
    ) -> tuple[IntArray, FloatArray]:
        # The source's arrays are reused: what leaves here is a copy.
        rows, draws = self._rows[self._at : stop].copy(), self._draws[self._at : stop].copy()
        numbers = np.arange(self._index, self._index + len(rows), dtype=np.uint64)
        if moves:
            stays = self._hand_over(rows, draws, numbers, moves)
            rows, draws, numbers = rows[stays], draws[stays], numbers[stays]
        if admit_frac < 1:
            kept = uniforms(self._key, numbers) < admit_frac
            self.shed_ps.append(rows[~kept, at.A_TIME])
            rows, draws = rows[kept], draws[kept]
        self._index += stop - self._at
        self._at = stop
        return rows, draws

    def _hand_over(
        self, rows: IntArray, draws: FloatArray, numbers: Numbers, moves: Sequence[Move]
    ) -> BoolArray:
        """Give each fleet its share; which requests stay."""
        coins = uniforms(self._move_key, numbers)
        edges = np.cumsum([0.0, *(move.frac for move in moves)])
        for move, low, high in zip(moves, edges[:-1], edges[1:], strict=True):
            chosen = (coins >= low) & (coins < high)
            self.moved_ps.append(rows[chosen, at.A_TIME])
            move.receive(rows[chosen], draws[chosen])
        stays: BoolArray = coins >= edges[-1]
        return stays


def recorded_feed(
    table: RequestTable, key: int, route_key: int, move_key: int = 0, *, prefixes: bool = False
) -> Feed:
    """A feed of given requests; their routing draws are numbers by counter.

    Args:
        prefixes: whether their rows tell of the blocks of their prompts.
    """
    numbers = np.arange(len(table), dtype=np.uint64)
    first, second = uniforms(route_key, 2 * numbers), uniforms(route_key, 2 * numbers + 1)
    rows = arrival_rows(table)
    blocks = prefix_rows(rows, table.blocks or [()] * len(table)) if prefixes else NO_BLOCKS
    source = RecordedSource(rows, np.stack([first, second], axis=1))
    return Feed(source, key, move_key, blocks)
