"""The year behind A17: the tightest zone hour by hour, its shortage, its trip, its curtailment.

The dispatch runs over the three weeks around the peaks of 2024 (gross and net of wind and sun,
summer and winter): what is never short there is not short in the rest of the year. The whole
year is a scenario, `scenarios/every-state-plus-100k-h100.yaml`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.claims.base import Numbers
from sim.grid.wording import NOT_HISTORY

if TYPE_CHECKING:
    from sim.grid.regions.case import RegionCase

WEEK_D: Final = 7
FULL_MW: Final = 1e-3


def peak_weeks(case: RegionCase) -> tuple[int, ...]:
    """First days of the weeks around the gross peak, the net peak and the winter peak."""
    from sim.grid.regions.fleet import is_winter

    load = case.load_mw.sum(axis=1)
    wind = [zone.capacity("wind") * zone.mixed(case.profiles.wind) for zone in case.zones]
    sun = [zone.capacity("solar") * zone.mixed(case.profiles.solar) for zone in case.zones]
    net = load - sum(wind) - sum(sun)
    winter = np.where(is_winter(case), load, 0.0)
    last = len(load) // 24 - WEEK_D
    days = [int(series.argmax()) // 24 - WEEK_D // 2 for series in (load, net, winter)]
    return tuple(sorted({min(max(day, 0), last) for day in days}))


def measure_year(zone: str, load_mw: float, swing_mw: float, pulse_hz: float) -> dict[str, float]:
    """What a constant load in a zone changes in the peak weeks, in LOLE, and when it trips."""
    from sim.grid.regions.case import region_case
    from sim.grid.regions.claim import year_of_claim
    from sim.grid.us_states import us_states

    case = region_case("us-states", mixed_years=True)
    found = year_of_claim(
        us_states(), case, {zone: load_mw}, {zone: swing_mw}, pulse_hz=pulse_hz, samples=16
    )
    shortage, trip = found["adequacy"][0], found["trip"][0]
    numbers = {f"year_{name}": value for name, value in _weeks(case, zone, load_mw).items()}
    return numbers | {
        "year_lole_before_d": shortage["lole_before_d_per_y"],
        "year_lole_after_d": shortage["lole_after_d_per_y"],
        "year_lole_after_high_d": shortage["lole_after_high_d_per_y"],
        "year_zenith_hz": trip["zenith_hz"],
        "year_limit_hz": trip["limit_hz"],
        "year_limit_published": float(trip["limit_is_published"]),
        "year_trip_probability": trip["probability"],
        "year_tie_mw": found["swing"][0]["tie_mw"],
        "year_tie_resonance_mw": found["swing"][0]["tie_at_resonance_mw"],
        **_curtailed(found["flexibility"][0]),
    }


def _weeks(case: RegionCase, zone: str, load_mw: float) -> dict[str, float]:
    """Unserved energy and price of the peak weeks, before and after."""
    from sim.grid.regions.dispatch import run_year

    k = case.index(zone)
    total = dict.fromkeys(("unserved_before_mwh", "unserved_after_mwh", "hours"), 0.0)
    price = {"before": 0.0, "after": 0.0}
    for day in peak_weeks(case):
        for label, sites in (("before", {}), ("after", {zone: load_mw})):
            week = run_year(case, sites, days=WEEK_D, first_day=day)
            total[f"unserved_{label}_mwh"] += float(week.unserved_mw.sum())
            price[label] += float(week.price_usd_per_mwh[:, k].sum())
        total["hours"] += week.n_hours
    total["price_change_usd_per_mwh"] = (price["after"] - price["before"]) / total["hours"]
    return total


def _curtailed(row: dict[str, Any]) -> dict[str, float]:
    """Hours of curtailment under past peaks, where the region's hours are known."""
    if "curtailed_h_per_y" not in row:
        return {}
    return {
        "year_curtailed_h": row["curtailed_h_per_y"],
        "year_curtailed_frac": row["curtailment_frac"],
    }


def year_lines(numbers: Numbers, zone: str) -> tuple[str, ...]:
    """The arithmetic of the year, in words."""
    if "year_hours" not in numbers:
        return ()
    kind = "published" if numbers["year_limit_published"] else "assumed"
    lines = [
        (
            f"{zone} in the peak weeks of 2024 ({numbers['year_hours']:.0f} h dispatched): "
            f"unserved {numbers['year_unserved_before_mwh']:,.1f} MWh before, "
            f"{numbers['year_unserved_after_mwh']:,.1f} MWh with the load ({NOT_HISTORY}: loads "
            "of 2024 with wind and sun of 2022); price "
            f"{numbers['year_price_change_usd_per_mwh']:+.2f} USD/MWh"
        ),
        (
            f"LOLE of its interconnection without inner limits: {_days(numbers, 'before')} d/y "
            f"before, {_days(numbers, 'after')} after ({_days(numbers, 'after_high')} with all "
            "outage rates at their high end)"
        ),
        (
            f"its loss at once reaches {numbers['year_zenith_hz']:.3f} Hz (limit "
            f"{numbers['year_limit_hz']:g} Hz, {kind}; passes it with probability "
            f"{numbers['year_trip_probability']:.2f})"
        ),
        (
            f"its pulse drives the tie between areas by {numbers['year_tie_mw']:,.1f} MW, "
            f"{numbers['year_tie_resonance_mw']:,.0f} MW at resonance (mode and damping assumed)"
        ),
    ]
    if "year_curtailed_h" in numbers:
        lines.append(
            f"to stay under past peaks of its region it gives way "
            f"{numbers['year_curtailed_h']:.1f} h/y, {numbers['year_curtailed_frac']:.4%} of its "
            "energy"
        )
    return tuple(lines)


def _days(numbers: Numbers, which: str) -> str:
    lole = numbers[f"year_lole_{which}_d"]
    return f"{lole:.2g}" if lole >= 1e-6 else "<1e-6"
