"""Arrivals drawn inside the engine, a block at a time, from numbers by counter.

Request i of a stream has the numbers of index i, so a stream is the same in blocks of any
length. The numbers are those of `sim.workload.counter`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.jit import compiled, inlined
from sim.cluster.serving.kernels.layout import (
    A_CACHED,
    A_CLASS,
    A_FIRST,
    A_GENERATED,
    A_INPUT,
    A_KEY,
    A_OUTPUT,
    A_TIME,
    FloatArray,
    IntArray,
)
from sim.workload.counter import FIRST, HALF, SECOND, STEP, UNIT

STEP_U, FIRST_U, SECOND_U = np.uint64(STEP), np.uint64(FIRST), np.uint64(SECOND)
U11, U27, U30, U31, U32, LOW32 = (np.uint64(n) for n in (11, 27, 30, 31, 32, 2**32 - 1))
ONE = np.uint64(1)
# Purposes: columns of `keys`.
GAP, CELL, TOKENS, ROUTE = range(4)


@inlined
def mix(key: np.uint64, index: np.uint64) -> np.uint64:
    """64 random bits of this index."""
    z = key + (index + ONE) * STEP_U
    z = (z ^ (z >> U30)) * FIRST_U
    z = (z ^ (z >> U27)) * SECOND_U
    return z ^ (z >> U31)


@compiled
def draw(
    arrivals: IntArray,
    draws: FloatArray,
    count: int,
    index: int,
    time_ps: int,
    keys: NDArray[np.uint64],
    rates: FloatArray,
    slot_ps: int,
    cells: IntArray,
    chance: FloatArray,
) -> int:
    """Draw the next arrivals of a Poisson stream whose rate is a staircase that repeats.

    Args:
        arrivals: filled, shape (>= count, ARRIVAL_COLUMNS). draws: filled, shape (>= count, 2).
        index: number of the first of them in its stream.
        time_ps: of the one before.
        keys: one a purpose, uint64, shape (4,).
        rates: arrivals per ps in each slot of `slot_ps`, shape (n,), one at least above 0.
        cells: smallest and largest input, smallest and largest output and alias of each
            cell of the joint length histogram, shape (m, 5).
        chance: that a cell stands for itself and not for its alias, shape (m,).

    Returns:
        The last arrival's time.
    """
    slot = time_ps // slot_ps
    stop_ps = (slot + 1) * slot_ps
    size = chance.shape[0]
    for i in range(count):
        number = np.uint64(index + i)
        need = -np.log(1.0 - np.float64(mix(keys[GAP], number) >> U11) * UNIT)
        rate = rates[slot % rates.shape[0]]
        while need >= (stop_ps - time_ps) * rate:
            need -= (stop_ps - time_ps) * rate
            time_ps = stop_ps
            slot += 1
            stop_ps += slot_ps
            rate = rates[slot % rates.shape[0]]
        time_ps = min(time_ps + int(need / rate), stop_ps - 1)
        place = np.float64(mix(keys[CELL], number) >> U11) * UNIT * size
        cell = np.int64(place)
        if place - cell >= chance[cell]:
            cell = cells[cell, 4]
        bits = mix(keys[TOKENS], number)
        first, second = np.float64(bits >> U32) * HALF, np.float64(bits & LOW32) * HALF
        arrivals[i, A_TIME] = time_ps
        low, wide = cells[cell, 0], cells[cell, 1] - cells[cell, 0] + 1
        arrivals[i, A_INPUT] = low + np.int64(first * wide)
        low, wide = cells[cell, 2], cells[cell, 3] - cells[cell, 2] + 1
        arrivals[i, A_OUTPUT] = low + np.int64(second * wide)
        bits = mix(keys[ROUTE], number)
        draws[i, 0] = np.float64(bits >> U32) * HALF
        draws[i, 1] = np.float64(bits & LOW32) * HALF
        arrivals[i, A_KEY] = np.int64(bits >> ONE)
        arrivals[i, A_CLASS] = arrivals[i, A_GENERATED] = 0
        arrivals[i, A_CACHED] = arrivals[i, A_FIRST] = 0
    return time_ps
