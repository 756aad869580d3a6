"""The routing cells of a compiled fleet, their pools of equal replicas, and what those draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.cell_log import held_rows
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.compiled_spec import CompiledFleetSpec, PoolSplit, Tables
from sim.cluster.serving.pair import PairedReplicas, Pools
from sim.cluster.serving.state import Watch
from sim.cluster.serving.turns import counted_draws
from sim.cost.tables import NJ_PER_J
from sim.units import to_s
from sim.workload.counter import counter_key

IntArray = NDArray[np.int64]

FleetCell = CompiledReplicas | PairedReplicas
Pool = tuple[CompiledReplicas, ...]
"""Replicas that are equal over all cells."""


def build_cells(
    spec: CompiledFleetSpec, tables: Tables, watch: Watch, seed: int
) -> tuple[FleetCell, ...]:
    """The cells of a fleet, at time zero; they log into one array."""
    cells = tuple(_build(spec, number, tables, watch, seed) for number in range(spec.cells))
    parts = [part for pool in pools_of(cells) for part in pool]
    for part in parts[1:]:
        part.share_log(parts[0])
    return cells


def _build(
    spec: CompiledFleetSpec, number: int, tables: Tables, watch: Watch, seed: int
) -> FleetCell:
    split = spec.split
    if split is None:
        size = spec.size(number)
        return CompiledReplicas(tables(None), spec.rules, size, spec.router, watch)
    prefill = spec.prefill_size(number)
    pools = Pools(prefill, spec.size(number) - prefill, split.link)
    key = counter_key(seed, spec.name, f"cell{number}", "handover")
    costs = tuple(one(None) for one in kinds_of(split, tables))
    return PairedReplicas(costs, spec.rules, pools, spec.router, watch, counted_draws(key))


def kinds_of(split: PoolSplit | None, tables: Tables) -> tuple[Tables, ...]:
    """What a step costs at each kind of replica: one, or prefill and decode."""
    return (split.tables or tables, tables) if split else (tables,)


def pools_of(cells: Sequence[FleetCell]) -> tuple[Pool, ...]:
    """All replicas by kind: one, or prefill and decode."""
    return tuple(
        zip(*((c,) if isinstance(c, CompiledReplicas) else c.pools for c in cells), strict=True)
    )


def held_by(cell: FleetCell) -> IntArray:
    """The requests in the system of a cell that keeps a log, as rows of it."""
    return held_rows(cell) if isinstance(cell, CompiledReplicas) else cell.held()


class PoolMeter:
    """Chip energy of a pool, idle and dark replicas included.

    Args:
        pool: at time zero.

    Attributes:
        replicas: of all cells. gpus: of them.
        window_j: what was added to it.
    """

    def __init__(self, pool: Pool):
        tables = pool[0].tables
        self.replicas = sum(len(part.cell.due) for part in pool)
        self.gpus = self.replicas * tables.gpus
        self._idle_w = tables.idle_power_w
        self.window_j = 0.0
        self._pool = pool
        self._dark = (0, 0.0)

    @property
    def idle_w(self) -> float:
        """Power of all without a request."""
        return self.replicas * self._idle_w

    def take_j(self, span_ps: int, until_ps: int) -> float:
        """Energy of the time up to an instant that was settled to, since it was last taken."""
        energy_nj = busy_ps = 0
        for part in self._pool:
            used_nj, used_ps = part.take_energy(until_ps)
            energy_nj += used_nj
            busy_ps += used_ps
        dark_ps, dark_j = self._take_dark(until_ps)
        idle_s = to_s(self.replicas * span_ps - busy_ps - dark_ps)
        return energy_nj / NJ_PER_J + idle_s * self._idle_w + dark_j

    def _take_dark(self, until_ps: int) -> tuple[int, float]:
        """Time (ps) and energy (J) of replicas without a model since they were last taken."""
        spent = [part.dark(until_ps) for part in self._pool]
        before, self._dark = self._dark, (sum(ps for ps, _ in spent), sum(j for _, j in spent))
        return self._dark[0] - before[0], self._dark[1] - before[1]
