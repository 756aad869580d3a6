"""Replicas of the compiled engine that fail, drain and start (rule 14).

These happen a few times an hour, so they are plain Python over the kernels' arrays. Each
comes at an instant to which the replicas were settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.kernels.bring import abort, requeue
from sim.cluster.serving.kernels.shares import end_decoding
from sim.cluster.serving.routing import REQUEUE_KEY
from sim.errors import InputError
from sim.workload.counter import halves


class Availability:
    """Which replicas of a cell are up, and for how long the others were dark.

    Requests are with a replica that takes requests. Where the last one breaks, that is itself:
    they wait there until it or another is back.

    Attributes:
        lost_nj: energy of steps that failures cut off.
        requeued: how often a request was routed again.
    """

    def __init__(self) -> None:
        self.lost_nj = 0
        self._off_ps = self._loading_ps = 0
        self._since_ps: dict[int, int] = {}
        self._draining: dict[int, int] = {}
        self._loading: set[int] = set()
        self.requeued = 0

    def dark_ps(self, cell: at.Cell, time_ps: int) -> tuple[int, int]:
        """Time that replicas were off or broken, and loaded their models, all together."""
        spent = {r: time_ps - since for r, since in self._since_ps.items()}
        spent |= {r: self._drained_ps(cell, r, time_ps) for r in self._draining}
        loading_ps = sum(span_ps for r, span_ps in spent.items() if r in self._loading)
        off_ps = sum(spent.values()) - loading_ps
        return self._off_ps + off_ps, self._loading_ps + loading_ps

    def fail(self, cell: at.Cell, r: int, rows: Iterable[int], time_ps: int) -> None:
        """Break a replica and route its requests again.

        Args:
            rows: its requests, the running ones by admission and then the waiting ones.

        Raises:
            InputError: blocks are swapped, or no replica takes requests.
        """
        if cell.limits[at.SWAP]:
            raise InputError("failures need preemption: recompute", "cache on the host is not kept")
        self._fold(cell, r, time_ps)  # while it still shows when its last request went
        alone = self._up(cell) == [r]
        self.lost_nj += abort(cell, r, time_ps)
        rows = list(rows)
        for row, cached in _lost(cell, r).items():
            cell.total[at.RECOMPUTED] += cached
            if len(cell.extra):
                cell.extra[row, at.X_PREEMPTIONS] += 1
                cell.extra[row, at.X_RECOMPUTED] += cached
        _empty(cell, r, time_ps)
        if not alone:
            self._leave(cell, r, time_ps)
        self._since_ps[r] = time_ps
        self._route(cell, rows, time_ps)

    def drain(self, cell: at.Cell, r: int, time_ps: int) -> None:
        """Let a replica finish what it has, and go dark then."""
        self._leave(cell, r, time_ps)
        self._draining[r] = time_ps

    def load(self, cell: at.Cell, r: int, time_ps: int) -> None:
        """Read the model of a replica that was drained, or finishes what it has."""
        self.drain(cell, r, time_ps)
        self._loading.add(r)

    def join(
        self, cell: at.Cell, r: int, time_ps: int, queue: Callable[[int], Iterable[int]]
    ) -> None:
        """Let a replica take requests: repaired, or started with its model loaded.

        Args:
            queue: the requests that wait at a broken replica, which others may take now.
        """
        if r in self._since_ps or (r in self._draining and not cell.load[r]):
            _forget(cell, r)
        self._fold(cell, r, time_ps)
        if cell.rep[r, at.PHASE] == at.DOWN:
            cell.rep[r, at.PHASE] = at.EDGE if cell.load[r] else at.IDLE
            cell.due[r] = time_ps if cell.load[r] else at.NEVER
        broken = [other for other in self._up(cell) if other in self._since_ps]
        self._set_up(cell, {*self._up(cell), r} - set(broken))
        for other in broken:
            rows = list(queue(other))
            _empty(cell, other, time_ps)
            self._route(cell, rows, time_ps)

    def _route(self, cell: at.Cell, rows: list[int], time_ps: int) -> None:
        """Route requests again."""
        if rows and not cell.limits[at.UP]:
            raise InputError("no replica is up to take a request")
        for row in rows:
            requeue(cell, row, time_ps, *halves(REQUEUE_KEY, self.requeued))
            self.requeued += 1

    def _leave(self, cell: at.Cell, r: int, time_ps: int) -> None:
        self._fold(cell, r, time_ps)
        self._set_up(cell, set(self._up(cell)) - {r})

    def _fold(self, cell: at.Cell, r: int, time_ps: int) -> None:
        """Add what was dark until now, when a replica changes its state."""
        span_ps = 0
        if r in self._since_ps:
            span_ps = time_ps - self._since_ps.pop(r)
        elif r in self._draining:
            span_ps = self._drained_ps(cell, r, time_ps)
            del self._draining[r]
        if r in self._loading:
            self._loading.remove(r)
            self._loading_ps += span_ps
        else:
            self._off_ps += span_ps

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
        if len(cell.paid):
            end_decoding(cell, r, row)
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


def _forget(cell: at.Cell, r: int) -> None:
    """The prefix store of a replica that was off or broken is empty."""
    cell.bucket[r] = -1
    cell.ends[r] = (-1, -1, 0)


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
