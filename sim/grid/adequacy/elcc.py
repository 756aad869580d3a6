"""Effective load-carrying capability: the constant load that a resource can carry for free.

ELCC is the load that brings LOLE back to what it was before the resource came.
Each resource changes the hourly load and nothing else: solar and wind by their profile, a
battery and flexible load by shaving the hours with the highest net load. That dispatch knows
the day ahead but not the outages, so it is a fair, slightly low figure for a battery.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.errors import InputError
from sim.grid.adequacy.indices import HOURS_PER_DAY, largest, sums
from sim.grid.adequacy.outage_table import outage_table
from sim.grid.adequacy.units import Unit
from sim.grid.network import FloatArray

BISECTIONS = 50


def elcc_mw(units: Sequence[Unit], load_mw: FloatArray, with_resource_mw: FloatArray) -> float:
    """ELCC of whatever turned `load_mw` into `with_resource_mw`.

    Args:
        load_mw, with_resource_mw: shape (n_hours,), before and after the resource.

    Raises:
        InputError: LOLE is 0 or the loads differ in length: there is nothing to compare.
    """
    if load_mw.shape != with_resource_mw.shape:
        raise InputError("loads of different length", "give the same hours before and after")
    table = outage_table(units)
    target = sums(table, load_mw)[0]
    if target <= 0:
        raise InputError("LOLE is 0 without the resource", "ELCC needs a system that is short")
    upper = float(np.abs(load_mw - with_resource_mw).max()) * 1.5 + 1.0
    return largest(lambda mw: sums(table, with_resource_mw + mw)[0] <= target, upper)


def with_profile(load_mw: FloatArray, profile_mw: FloatArray) -> FloatArray:
    """Net load after a generator with a fixed hourly profile."""
    return np.maximum(load_mw - profile_mw, 0.0)


def with_battery(
    load_mw: FloatArray, power_mw: float, energy_mwh: float, efficiency_frac: float = 0.85
) -> FloatArray:
    """Load after a battery that levels each day's peak and recharges in the same day's valley.

    Args:
        efficiency_frac: round trip.
    """
    if min(power_mw, energy_mwh) < 0 or not 0 < efficiency_frac <= 1:
        raise InputError(
            f"battery {power_mw:g} MW, {energy_mwh:g} MWh, efficiency {efficiency_frac:g}",
            "give >= 0 MW and MWh, efficiency of 0 to 1",
        )
    result = load_mw.astype(float).copy()
    for start in range(0, len(load_mw), HOURS_PER_DAY):
        day = slice(start, start + HOURS_PER_DAY)
        result[day] = _level(load_mw[day], power_mw, energy_mwh, efficiency_frac)
    return result


def _level(day_mw: FloatArray, power: float, energy: float, efficiency: float) -> FloatArray:
    """One day: shave to the lowest level, fill up to the level that returns the energy.

    The level from which it shaves is raised until the valley below it can return the energy
    without rising above it.
    """
    low, high = float(day_mw.max()) - power, float(day_mw.max())
    for _ in range(BISECTIONS):
        level = (low + high) / 2
        shaved = np.minimum(np.maximum(day_mw - level, 0.0), power)
        room = np.minimum(np.maximum(level - day_mw, 0.0), power)
        fits = shaved.sum() <= energy and shaved.sum() / efficiency <= room.sum()
        low, high = (low, level) if fits else (level, high)
    shaved = np.minimum(np.maximum(day_mw - high, 0.0), power)
    return np.asarray(day_mw - shaved + _fill(day_mw, shaved.sum() / efficiency, high, power))


def _fill(day_mw: FloatArray, energy: float, ceiling: float, power: float) -> FloatArray:
    """Charging that fills the valley evenly with `energy`, below the ceiling."""
    low, high = float(day_mw.min()), ceiling
    for _ in range(BISECTIONS):
        level = (low + high) / 2
        enough = np.minimum(np.maximum(level - day_mw, 0.0), power).sum() >= energy
        low, high = (low, level) if enough else (level, high)
    charge = np.minimum(np.maximum(high - day_mw, 0.0), power)
    total = float(charge.sum())
    return charge * (energy / total) if total > 0 else charge


def with_flexible_load(load_mw: FloatArray, flexible_mw: float, hours: int) -> FloatArray:
    """Load after `flexible_mw` is dropped in the `hours` of highest load.

    Raises:
        InputError: negative figures.
    """
    if flexible_mw < 0 or hours < 0:
        raise InputError(f"{flexible_mw:g} MW for {hours} h", "give figures >= 0")
    result = load_mw.astype(float).copy()
    top = np.argsort(-load_mw, kind="stable")[:hours]
    result[top] = np.maximum(result[top] - flexible_mw, 0.0)
    return result
