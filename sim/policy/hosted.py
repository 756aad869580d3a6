"""How much a zone hosts under a budget of curtailment.

A load of X MW that is always on fits up to the firm room. One that may be curtailed for a
share of its annual energy fits further: X is the largest load whose energy above the firm limit,
hour by hour over the year, stays within the budget (the method of flexible headroom).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from sim.grid.regions.case import region_case
from sim.scenario.schema import Scenario

MOST_TIMES_FIRM = 50.0
UNLIMITED_FRAC = 0.5
"""A rule that may curtail more than this is for emergencies: nobody connects a load by it."""


def flexible_hosting_mw(
    load_mw: NDArray[np.float64], firm_mw: float, budget_frac: float, depth_frac: float = 1.0
) -> float:
    """Largest load that fits with curtailment.

    Args:
        load_mw: hourly load of the zone, shape (hours,).
        firm_mw: load that fits in every hour, on top of the peak.
        budget_frac: share of the new load's energy over these hours that may be curtailed.
        depth_frac: deepest reduction of the new load.
    """

    def excess(load: float) -> float:
        """Curtailed share less the budget; infinite where the depth does not suffice."""
        if load - firm_mw > depth_frac * load:
            return np.inf
        return curtailed_share(load_mw, firm_mw, load) - budget_frac

    low, high = max(firm_mw, 1e-6), max(firm_mw, 1e-6)
    while excess(high) <= 0 and high < MOST_TIMES_FIRM * (low + float(load_mw.max())):
        low, high = high, high * 1.5 + 1.0
    if excess(low) > 0 or budget_frac == 0:
        return firm_mw
    found = brentq(lambda x: min(excess(x), 1.0), low, high, xtol=1e-6)
    return float(found)


@dataclass(frozen=True, slots=True)
class Hosted:
    """What a zone hosts, and the share of that load's energy in a year which is curtailed."""

    mw: float
    curtailed_frac: float


def hosted(scenario: Scenario, firm_mw: float, zone: str) -> Hosted:
    """What a zone hosts under the curtailment rules of a coupled scenario."""
    budgets = [
        (getattr(r, "budget_frac", 1.0), getattr(r, "depth_frac", 1.0))
        for r in scenario.control.rules
        if r.kind == "curtailment" and getattr(r, "budget_frac", 1.0) < UNLIMITED_FRAC
    ]
    if not budgets or scenario.control.coupling.kind != "interval":
        return Hosted(firm_mw, 0.0)
    case = region_case(
        "us-states", scenario.epoch.year, scenario.control.coupling.weather_year, mixed_years=True
    )
    load = np.asarray(case.load_mw[:, case.index(zone)], float)
    mw = max(flexible_hosting_mw(load, firm_mw, *budget) for budget in budgets)
    return Hosted(mw, curtailed_share(load, firm_mw, mw))


def curtailed_share(load_mw: NDArray[np.float64], firm_mw: float, new_mw: float) -> float:
    """Share of a new load's energy that lies above the firm limit."""
    over_mw = np.maximum(0.0, new_mw + load_mw - float(load_mw.max()) - firm_mw)
    return float(over_mw.sum() / (new_mw * len(load_mw))) if new_mw else 0.0
