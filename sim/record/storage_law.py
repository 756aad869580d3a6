"""Laws of a battery's recorded signals: what is stored is what went in less what came out.

Charging at `p` stores `p x one-way efficiency`, discharging at `p` takes `p / efficiency` out;
between two changes the power is constant, so the integral is exact.
"""

from __future__ import annotations

import numpy as np

from sim.errors import LawViolation
from sim.record.laws import ENERGY_TOLERANCE, Floats, Recorded
from sim.units import J_PER_KWH


def stored_at(power: Recorded, first_j: float, one_way_frac: float, times_s: Floats) -> Floats:
    """Stored energy at each time from the battery's power alone, shape of `times_s`.

    Args:
        power: AC power, > 0 charges.
        first_j: stored at time 0.
        one_way_frac: efficiency of charging, and of discharging.
    """
    into_w = np.where(power.values > 0, power.values * one_way_frac, power.values / one_way_frac)
    sums_j = np.append(0.0, np.cumsum(into_w[:-1] * np.diff(power.times_s)))
    index = np.maximum(np.searchsorted(power.times_s, times_s, side="right") - 1, 0)
    found: Floats = first_j + sums_j[index] + into_w[index] * (times_s - power.times_s[index])
    return found


def check_stored(
    stored: Recorded, power: Recorded, one_way_frac: float, floor_j: float, ceiling_j: float
) -> None:
    """The stored energy is the integral of its power, and stays in the window that is used.

    Args:
        stored: stored energy, exact at each of its changes.
        power: AC power, > 0 charges.
        floor_j, ceiling_j: the window.

    Raises:
        LawViolation: with the moment and both numbers.
    """
    times_s = np.unique(np.concatenate([stored.times_s, power.times_s]))
    expected = stored_at(power, float(stored.values[0]), one_way_frac, times_s)
    found = stored.at(times_s)
    size_j = max(ceiling_j, float(np.abs(found).max()), J_PER_KWH)
    for law, limit in (
        ("the integral of its power", expected),
        ("the most it may hold", np.minimum(found, ceiling_j)),
        ("the least it must keep", np.maximum(found, floor_j)),
    ):
        wrong = np.flatnonzero(np.abs(found - limit) > ENERGY_TOLERANCE * size_j)
        if len(wrong):
            k = int(wrong[0])
            raise LawViolation(
                f"{stored.name} = {float(found[k])!r} J at {float(times_s[k])!r} s, but {law} is "
                f"{float(limit[k])!r} J"
            )
