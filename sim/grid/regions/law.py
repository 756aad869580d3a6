"""Laws of a dispatched year beside the balance of each zone: limits of units, lines and stores.

Written apart from the program that finds the dispatch (`lp`). A solver meets its bounds within a
tolerance; what is further out is a defect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.errors import LawViolation
from sim.grid.network import FloatArray

if TYPE_CHECKING:
    from sim.grid.regions.dispatch import DispatchYear

TOLERANCE_MW = 1e-4
"""What a flow or an output may be beyond its limit: a thousand times what the solver is told."""


def check_limits(year: DispatchYear, window_h: int, start_frac: float) -> None:
    """Units, lines and stores stay within what they can, and stores keep their energy.

    Args:
        window_h: hours after which every store is back at its first level.
        start_frac: that level, as a share of its energy.

    Raises:
        LawViolation: with the unit or line, the hour and both numbers.
    """
    system, zones = year.supply.system, year.case.zones
    blocks = [f"{zones[b.zone].name} {b.fuel}" for b in system.blocks]
    lines = [f"{zones[e.source].name}-{zones[e.target].name}" for e in system.lines]
    stores = [f"{zones[s.zone].name} storage" for s in system.storage]
    ahead = np.array([line.forward_mw for line in system.lines])
    back = np.array([line.reverse_mw for line in system.lines])
    power = np.array([unit.power_mw for unit in system.storage])
    energy = np.array([unit.energy_mwh for unit in system.storage])
    zero = np.zeros_like(power)
    within("output of", blocks, year.generation_mw, year.supply.least_mw, year.supply.most_mw)
    within("flow on", lines, year.flow_mw, -back, ahead)
    within("charging of", stores, year.charge_mw, zero, power)
    within("discharging of", stores, year.discharge_mw, zero, power)
    within("energy in", stores, year.stored_mwh, zero, energy)
    _check_stores(year, stores, energy * start_frac, window_h)


def within(
    what: str, names: list[str], found: FloatArray, least: FloatArray, most: FloatArray
) -> None:
    """Every value lies between its bounds.

    Args:
        found: shape (n_hours, n); least, most: the same, or one row for all hours.

    Raises:
        LawViolation: with the name, the hour, the value and the bound that it breaks.
    """
    over = np.maximum(found - most, least - found)
    if not over.size or not over.max() > TOLERANCE_MW:
        if np.isfinite(found).all():
            return
        over = np.where(np.isfinite(found), over, np.inf)
    hour, k = (int(i) for i in np.unravel_index(int(over.argmax()), over.shape))
    low, high = (float(np.broadcast_to(bound, found.shape)[hour, k]) for bound in (least, most))
    raise LawViolation(
        f"{what} {names[k]} at hour {hour}: {float(found[hour, k])!r}, allowed {low!r} to {high!r}"
    )


def _check_stores(
    year: DispatchYear, names: list[str], start_mwh: FloatArray, window_h: int
) -> None:
    """Stored energy = that of the hour before + what was charged less losses - what was given."""
    efficiency = np.array([unit.efficiency_frac for unit in year.supply.system.storage])
    before = np.vstack([start_mwh, year.stored_mwh[:-1]])
    before[::window_h] = start_mwh
    expected = before + efficiency * year.charge_mw - year.discharge_mw
    within("balance of", names, year.stored_mwh, expected, expected)
