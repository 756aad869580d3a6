"""Replicas of the compiled engine that fail, drain and start (rule 14).

These happen a few times an hour, so they are plain Python over the kernels' arrays. Each
comes at an instant to which the replicas were settled.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.kernels.bring import abort, requeue
from sim.cluster.serving.routing import REQUEUE_KEY
from sim.errors import InputError
from sim.workload.counter import halves


class Availability:
    """Which replicas of a cell are up, and for how long the others were dark.

    Attributes:
        lost_nj: energy of steps that failures cut off.
    """

    def __init__(self) -> None:
        self.lost_nj = 0
        self._dark_ps = 0
        self._since_ps: dict[int, int] = {}
        self._draining: dict[int, int] = {}
        self._requeued = 0

    def dark_ps(self, cell: at.Cell, time_ps: int) -> int:
        """Time that replicas were off or broken, all together."""
        dark = self._dark_ps + sum(time_ps - since for since in self._since_ps.values())
        return dark + sum(self._drained_ps(cell, r, time_ps) for r in self._draining)

    def fail(self, cell: at.Cell, r: int, rows: Iterable[int], time_ps: int) -> None:
        """Break a replica and route its requests again.

        Args:
            rows: its requests, the running ones by admission and then the waiting ones.

        Raises:
            InputError: blocks are swapped, or no other replica is up.
        """
        if cell.limits[at.SWAP]:
            raise InputError("failures need preemption: recompute", "cache on the host is not kept")
        self._fold(cell, r, time_ps)  # while it still shows when its last request went
        self.lost_nj += abort(cell, r, time_ps)
        rows = list(rows)
        for row, cached in _lost(cell, r).items():
            cell.total[at.RECOMPUTED] += cached
            if len(cell.extra):
                cell.extra[row, at.X_PREEMPTIONS] += 1
                cell.extra[row, at.X_RECOMPUTED] += cached
        _empty(cell, r, time_ps)
        self._leave(cell, r, time_ps)
        self._since_ps[r] = time_ps
        if rows and not cell.limits[at.UP]:
            raise InputError("no replica is up to take a request")
        for row in rows:
            requeue(cell, row, time_ps, *halves(REQUEUE_KEY, self._requeued))
            self._requeued += 1

    def drain(self, cell: at.Cell, r: int, time_ps: int) -> None:
        """Let a replica finish what it has, and go dark then."""
        self._leave(cell, r, time_ps)
        if r not in self._since_ps:
            self._draining[r] = time_ps

    def join(self, cell: at.Cell, r: int, time_ps: int) -> None:
        """Let a replica take requests: repaired, or started with its model loaded."""
        self._fold(cell, r, time_ps)
        if cell.rep[r, at.PHASE] == at.DOWN:
            cell.rep[r, at.PHASE] = at.IDLE
        self._set_up(cell, {*self._up(cell), r})

    def _leave(self, cell: at.Cell, r: int, time_ps: int) -> None:
        self._fold(cell, r, time_ps)
        self._set_up(cell, set(self._up(cell)) - {r})

    def _fold(self, cell: at.Cell, r: int, time_ps: int) -> None:
        """Add what was dark until now, when a replica changes its state."""
        if r in self._since_ps:
            self._dark_ps += time_ps - self._since_ps.pop(r)
        elif r in self._draining:
            self._dark_ps += self._drained_ps(cell, r, time_ps)
            del self._draining[r]

    def _drained_ps(self, cell: at.Cell, r: int, time_ps: int) -> int:
        """Time since the last request of a draining replica went, or since it was told."""
        if cell.load[r]:
            return 0
        return time_ps - max(int(cell.rep[r, at.CHANGED]), self._draining[r])

    @staticmethod
    def _up(cell: at.Cell) -> list[int]:
        return [int(r) for r in cell.up[: cell.limits[at.UP]]]

    @staticmethod
    def _set_up(cell: at.Cell, up: set[int]) -> None:
        cell.up[: len(up)] = sorted(up)
        cell.limits[at.UP] = len(up)


def _lost(cell: at.Cell, r: int) -> dict[int, int]:
    """Tokens in the cache of each running request, by row; decoding ones keep their tokens."""
    rep, pool, clock = cell.rep[r], cell.pool, int(cell.rep[r, at.CLOCK])
    cached: dict[int, int] = {}
    for key in cell.run[r, : rep[at.D]]:
        row = int(key) & at.KEY_MASK
        generated = int(pool[row, at.OUTPUT] - (pool[row, at.GEN] - clock))
        pool[row, at.GEN] = generated
        cached[row] = int(pool[row, at.INPUT]) + generated - 1
    part = int(rep[at.PART])
    if rep[at.PHASE] == at.STEP:
        row = int(rep[at.FIRST])
        for _ in range(int(rep[at.COUNT])):
            cached[row] = int(rep[at.PART_CACHED]) if row == part else 0
            row = int(pool[row, at.NEXT])
    elif part >= 0:
        cached[part] = int(rep[at.PART_CACHED])
    return cached


def _empty(cell: at.Cell, r: int, time_ps: int) -> None:
    """Nothing is left at a replica."""
    rep = cell.rep[r]
    rep[at.AREA] += cell.load[r] * (time_ps - rep[at.CHANGED])
    rep[at.CHANGED] = time_ps
    for column in (at.D, at.S, at.COUNT, at.QUEUED):
        rep[column] = 0
    rep[[at.PART, *range(at.HEAD, at.TAIL + at.CLASSES)]] = -1
    rep[at.PHASE] = at.DOWN
    cell.phase[r] = 0
    cell.load[r] = 0
    cell.due[r] = np.int64(at.NEVER)
