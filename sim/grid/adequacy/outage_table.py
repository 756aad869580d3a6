"""The capacity-outage table: the distribution of available capacity, by exact convolution.

Units are taken one by one: P_new(x) = sum over the unit's states of p_state P_old(x - its MW)
(Billinton and Allan, Reliability Evaluation of Power Systems, recursive algorithm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.grid.adequacy.units import Unit
from sim.grid.network import FloatArray

STEPS_MW: Final = (1.0, 0.5, 0.1, 0.05, 0.01)
MAX_POINTS: Final = 400_000
ROUGH_POINTS: Final = 100_000
TOLERANCE_MW: Final = 1e-6


@dataclass(frozen=True, slots=True)
class OutageTable:
    """P(available capacity = k x step_mw) for k = 0, 1, ...

    Args:
        probability: shape (n_points,).
        below: P(available <= k x step), same shape.
        moment: sum of available MW x probability up to k, same shape.
        exact: True if every state of every unit is a whole number of steps.
    """

    step_mw: float
    probability: FloatArray
    below: FloatArray
    moment: FloatArray
    exact: bool

    @property
    def capacity_mw(self) -> float:
        """All units up."""
        return (len(self.probability) - 1) * self.step_mw

    def loss_probability(self, load_mw: FloatArray) -> FloatArray:
        """P(available < load), same shape as the load."""
        k = self._last_short(load_mw)
        return np.where(k >= 0, self.below[np.maximum(k, 0)], 0.0)

    def unserved_mw(self, load_mw: FloatArray) -> FloatArray:
        """Expected max(0, load - available), MW, same shape as the load."""
        k = self._last_short(load_mw)
        at = np.maximum(k, 0)
        return np.where(k >= 0, load_mw * self.below[at] - self.moment[at], 0.0)

    def _last_short(self, load_mw: FloatArray) -> np.ndarray:
        """The largest point that is below the load, -1 if none is."""
        point = np.ceil((load_mw - TOLERANCE_MW) / self.step_mw).astype(np.int64) - 1
        return np.clip(point, -1, len(self.probability) - 1)


def outage_table(units: Sequence[Unit]) -> OutageTable:
    """Convolve the units.

    The step is the largest of `STEPS_MW` of which all capacities are multiples; where there
    is none (or the table would pass `MAX_POINTS`), it is that of `ROUGH_POINTS` points: a state
    between two points is shared by both so that its mean stays, and `exact` is False.
    """
    step, exact = _step(units)
    size = sum(int(np.ceil(unit.capacity_mw / step - TOLERANCE_MW)) for unit in units) + 1
    table = np.zeros(size)
    table[0], top = 1.0, 0
    for unit in units:
        states = _states(unit, step)
        reach = max(k for k, _ in states)
        new = np.zeros(top + reach + 1)
        for k, chance in states:
            new[k : k + top + 1] += chance * table[: top + 1]
        top += reach
        table[: top + 1] = new
    table = table[: top + 1]
    moment = np.cumsum(table * np.arange(top + 1) * step)
    return OutageTable(step, table, np.minimum(np.cumsum(table), 1.0), moment, exact)


def _step(units: Sequence[Unit]) -> tuple[float, bool]:
    levels = np.array([mw for unit in units for mw in (unit.capacity_mw, unit.derated_mw)])
    total = sum(unit.capacity_mw for unit in units)
    for step in STEPS_MW:
        off = np.abs(levels / step - np.round(levels / step)) * step
        if total / step <= MAX_POINTS and bool((off <= TOLERANCE_MW).all()):
            return step, True
    return max(0.1, float(np.ceil(10 * total / ROUGH_POINTS)) / 10), False


def _states(unit: Unit, step: float) -> list[tuple[int, float]]:
    """Points and probabilities of a unit's states."""
    out, derated = unit.forced_outage_rate, unit.derated_probability
    found: list[tuple[int, float]] = [(0, out)]
    for mw, chance in ((unit.derated_mw, derated), (unit.capacity_mw, 1.0 - out - derated)):
        below = int(np.floor(mw / step + TOLERANCE_MW))
        rest = max(0.0, mw / step - below)
        rest = rest if rest > TOLERANCE_MW else 0.0
        found.append((below, chance * (1.0 - rest)))
        if rest:
            found.append((below + 1, chance * rest))
    return [(k, p) for k, p in found if p > 0.0] or [(0, 1.0)]
