"""LOLE, LOLH and EUE of units against an hourly load, and the load that still fits.

LOLE sums over days the probability of loss at the daily peak; LOLH sums it over hours; EUE
sums the expected shortfall. The sums run over the hours given: a file of a year gives a year.
Load-forecast uncertainty is a normal distribution cut into seven steps of one standard
deviation (weights of the IEEE RTS papers), common to all hours of a year.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.errors import InputError
from sim.grid.adequacy.outage_table import OutageTable, outage_table
from sim.grid.adequacy.units import Unit, check_load
from sim.grid.network import FloatArray

SEVEN_STEPS: Final = (
    (-3, 0.006),
    (-2, 0.061),
    (-1, 0.242),
    (0, 0.382),
    (1, 0.242),
    (2, 0.061),
    (3, 0.006),
)
HOURS_PER_DAY: Final = 24
TARGET_LOLE_D_PER_Y: Final = 0.1
"""One day in ten years: the usual planning target in North America."""


@dataclass(frozen=True, slots=True)
class Adequacy:
    """Indices over the hours given.

    Args:
        reserve_margin_frac: installed capacity over the peak, less one.
    """

    lole_d_per_y: float
    lolh_h_per_y: float
    eue_mwh: float
    hours: int
    days: int
    peak_mw: float
    installed_mw: float
    expected_available_mw: float
    reserve_margin_frac: float
    load_uncertainty_frac: float
    step_mw: float
    exact: bool


def assess(
    units: Sequence[Unit], load_mw: FloatArray, load_uncertainty_frac: float = 0.0
) -> Adequacy:
    """Indices of units against an hourly load.

    Args:
        load_mw: shape (n_hours,), the first hour starts a day.
        load_uncertainty_frac: standard deviation of the load over the load.

    Raises:
        InputError: a load that is negative, or an uncertainty outside 0 to 0.33.
    """
    check_load(load_mw, "load")
    table = outage_table(units)
    lole, lolh, eue = sums(table, load_mw, load_uncertainty_frac)
    installed, peak = sum(u.capacity_mw for u in units), float(load_mw.max(initial=0.0))
    return Adequacy(
        lole_d_per_y=lole,
        lolh_h_per_y=lolh,
        eue_mwh=eue,
        hours=len(load_mw),
        days=len(daily_peaks(load_mw)),
        peak_mw=peak,
        installed_mw=installed,
        expected_available_mw=sum(u.mean_mw for u in units),
        reserve_margin_frac=installed / peak - 1.0 if peak > 0 else float("inf"),
        load_uncertainty_frac=load_uncertainty_frac,
        step_mw=table.step_mw,
        exact=table.exact,
    )


def sums(
    table: OutageTable, load_mw: FloatArray, load_uncertainty_frac: float = 0.0
) -> tuple[float, float, float]:
    """LOLE (days), LOLH (hours) and EUE (MWh) over the hours given."""
    total = np.zeros(3)
    days = daily_peaks(load_mw)
    for factor, weight in load_factors(load_uncertainty_frac):
        load = load_mw * factor
        found = (
            table.loss_probability(days * factor).sum(),
            table.loss_probability(load).sum(),
            table.unserved_mw(load).sum(),
        )
        total += weight * np.array(found)
    return float(total[0]), float(total[1]), float(total[2])


def load_factors(load_uncertainty_frac: float) -> list[tuple[float, float]]:
    """Factors on the load and their weights.

    Raises:
        InputError: outside 0 to 1/3, where three standard deviations pass the load itself.
    """
    if not 0 <= load_uncertainty_frac <= 1 / 3:
        raise InputError(
            f"load uncertainty {load_uncertainty_frac:g} is outside 0 to 0.33",
            "give the standard deviation as a share of the load",
        )
    if load_uncertainty_frac == 0:
        return [(1.0, 1.0)]
    return [(1.0 + step * load_uncertainty_frac, weight) for step, weight in SEVEN_STEPS]


def daily_peaks(load_mw: FloatArray) -> FloatArray:
    """Highest load of each 24 hours; what is left at the end is a day too."""
    starts = np.arange(0, len(load_mw), HOURS_PER_DAY)
    return np.maximum.reduceat(load_mw, starts) if len(load_mw) else load_mw


def load_room_mw(
    units: Sequence[Unit],
    load_mw: FloatArray,
    target_lole_d_per_y: float = TARGET_LOLE_D_PER_Y,
    load_uncertainty_frac: float = 0.0,
) -> float:
    """Constant load that fits before LOLE passes the target; 0 where it is passed already."""
    table = outage_table(units)

    def lole(extra_mw: float) -> float:
        return sums(table, load_mw + extra_mw, load_uncertainty_frac)[0]

    return largest(lambda mw: lole(mw) <= target_lole_d_per_y, table.capacity_mw)


def largest(fits: Callable[[float], bool], upper: float, tolerance: float = 1e-3) -> float:
    """Largest value in 0 to `upper` that fits, by bisection; 0 where nothing does."""
    if not fits(0.0):
        return 0.0
    low, high = 0.0, upper
    if fits(high):
        return high
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
