"""Requests of a cell as rows of its log: what it is done with, and what it still holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.kernels.shares import pay_so_far
from sim.cluster.serving.request_cost import SHARED_SCALES
from sim.cluster.serving.state import NO_SHARE

if TYPE_CHECKING:
    from sim.cluster.serving.compiled import CompiledReplicas

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class CellRows:
    """Requests of one cell, columns `L_` of the kernels.

    Attributes:
        cell: its number in the fleet.
    """

    cell: int
    rows: IntArray


class CellLog:
    """The log of a cell: the kernels fill one array, which is emptied into pieces."""

    def __init__(self) -> None:
        self._pieces: list[IntArray] = []

    def read(self, cell: at.Cell) -> IntArray:
        """All rows so far that were not taken."""
        self._drain(cell)
        return np.concatenate(self._pieces) if self._pieces else cell.log[:0]

    def take(self, cell: at.Cell) -> IntArray:
        """All rows since they were last taken; they are not kept."""
        rows = self.read(cell)
        self._pieces = []
        return rows

    def drain_full(self, cell: at.Cell) -> bool:
        """Empty the kernels' array if it is full; whether it was."""
        full = bool(cell.total[at.LOGGED] >= cell.limits[at.LOG_ROOM])
        if full:
            self._drain(cell)
        return full

    def _drain(self, cell: at.Cell) -> None:
        logged = int(cell.total[at.LOGGED])
        if logged:
            self._pieces.append(cell.log[:logged].copy())
            cell.total[at.LOGGED] = 0


def held_rows(replicas: CompiledReplicas) -> IntArray:
    """The requests in the system of replicas that keep a log, replica by replica.

    Their shares, where they are kept, are of the steps that ended by when the energy was last
    read.
    """
    cell = replicas.cell
    busy = [int(r) for r in np.flatnonzero(cell.load)]
    held = [replicas.queue(r) for r in busy]
    if not held:
        return np.zeros((0, at.LOG_COLUMNS), dtype=np.int64)
    place = np.concatenate(held)
    pool, extra = cell.pool[place], cell.extra[place]
    rows = np.zeros((len(place), at.LOG_COLUMNS), dtype=np.int64)
    rows[:, at.L_ID] = pool[:, at.META] >> at.META_BITS
    rows[:, at.L_CLASS] = pool[:, at.META] & ((1 << at.META_BITS) - 1)
    rows[:, at.L_REPLICA] = np.repeat(busy, [len(part) for part in held])
    rows[:, at.L_ARRIVAL], rows[:, at.L_FIRST] = pool[:, at.ARRIVAL], pool[:, at.FIRST_PS]
    rows[:, at.L_INPUT], rows[:, at.L_OUTPUT] = pool[:, at.INPUT], pool[:, at.OUTPUT]
    rows[:, at.L_START], rows[:, at.L_END] = extra[:, at.X_START], -1
    rows[:, at.L_PREEMPTIONS] = extra[:, at.X_PREEMPTIONS]
    rows[:, at.L_RECOMPUTED] = extra[:, at.X_RECOMPUTED]
    rows[:, at.L_REASON] = at.HELD
    kept = replicas.watch.shares
    rows[:, at.L_SHARES :] = _shares_so_far(cell, busy, place).view(np.int64) if kept else NO_SHARE
    return rows


def shares(rows: IntArray) -> FloatArray:
    """Time, FLOPs, HBM bytes and energy (`request_cost.Amounts`) of rows.

    Returns:
        Shape (n, 4); NaN where the log was kept without them.
    """
    paid = np.ascontiguousarray(rows[:, at.L_SHARES :]).view(np.float64)
    return np.asarray(paid / SHARED_SCALES)


def _shares_so_far(cell: at.Cell, busy: list[int], place: IntArray) -> FloatArray:
    """What requests would have paid if they stopped now (ps, FLOPs, bytes, nJ)."""
    arrays = (cell.ledger, cell.rest, cell.extra, cell.paid)
    kept = [array.copy() for array in arrays]
    for r in busy:
        pay_so_far(cell, r)
    paid: FloatArray = cell.extra[place, at.X_OWN :] + cell.paid[place]
    for array, before in zip(arrays, kept, strict=True):
        array[:] = before
    return paid
