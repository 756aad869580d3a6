"""What no prediction can go below: how far measured runs of one thing lie apart.

Two views. `repeats`: runs of one model, precision, layout and task with the same running batch;
whatever one number is predicted for both, the larger of its two errors is at least this.
`levels`: a sweep's error, taken as its median, moves from sweep to sweep of one model, as they
ran on other nodes, for other tasks and on other numbers of GPUs; a prediction that is right for
the model on average misses half of its sweeps by more than this. The second holds what the model
gets wrong about tasks and layouts too, so it is no lower bound: the two lie around the floor.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Words = NDArray[np.str_]
SAME_BATCH_FRAC = 0.01
HALF_OF_NORMAL = 0.6745
"""Half of a normal variable lies within this many standard deviations."""


def repeats(sweeps: Words, running: Floats, measured: Floats) -> Floats:
    """Of each pair of equal runs the least that the worse predicted one is missed by."""
    found = []
    for sweep in np.unique(sweeps):
        for i, j in combinations(np.flatnonzero(sweeps == sweep), 2):
            if abs(running[i] / running[j] - 1) < SAME_BATCH_FRAC:
                low, high = sorted((measured[i], measured[j]))
                found.append((high - low) / (high + low))
    return np.array(found)


def levels(sweeps: Words, groups: Words, ratio: Floats) -> float:
    """Median distance of a sweep's level from its model's mean level.

    Args:
        groups: model of each row. ratio: predicted over measured.
    """
    squares, freedom = 0.0, 0
    for group in np.unique(groups):
        mine = groups == group
        found = [np.median(np.log(ratio[mine & (sweeps == s)])) for s in np.unique(sweeps[mine])]
        squares += float(np.var(found)) * len(found)
        freedom += len(found) - 1
    return HALF_OF_NORMAL * float(np.sqrt(squares / freedom))
