"""One function per command: `grid dispatch | adequacy | headroom | frequency`.

Each takes plain arguments (numbers, strings, paths, mappings) and returns a dict that is ready
for JSON. Bad input raises `sim.errors.InputError`. Parsing and printing stand in `sim/cli`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sim.datum import data
from sim.errors import InputError
from sim.grid.regions.adequacy_command import adequacy
from sim.grid.regions.backcast import TARGET_FRAC, backcast, backcast_all
from sim.grid.regions.case import region_case
from sim.grid.regions.dispatch import DispatchYear, run_year
from sim.grid.regions.headroom import (
    PUBLISHED_GW,
    PUBLISHED_SOURCE,
    areas,
)
from sim.grid.regions.headroom import (
    headroom as one_headroom,
)
from sim.grid.regions.national import National, national
from sim.grid.regions.seconds import EVENTS, frequency
from sim.grid.regions.summary import (
    energy_mwh,
    group_rows,
    line_rows,
    not_primary,
    zone_rows,
)
from sim.grid.wording import shortage_note

__all__ = [
    "EVENTS",
    "adequacy",
    "backcast_2022",
    "backcast_area",
    "change_of",
    "dispatch",
    "dispatch_answer",
    "frequency",
    "headroom",
]


def dispatch(
    case: str = "us-states",
    *,
    year: int = 2024,
    weather_year: int = 2022,
    mixed_years: bool = False,
    sites_mw: Mapping[str, float] | None = None,
    flexible: bool = False,
    flexible_usd_per_mwh: float = 500.0,
    changes: Mapping[str, float] | None = None,
    days: int | None = None,
    first_day: int = 0,
    baseline: bool = True,
    threads: int = 2,
) -> dict[str, Any]:
    """`grid dispatch CASE`: every hour of a year.

    Args:
        case: `us-states`, `us-balancing-areas`, or `backcast-2022` (the eight measured mixes).
        year: of the load, 2023 or 2024 (`--year`).
        weather_year: of wind, sun and water (`--weather-year`).
        mixed_years: allow the two to differ (`--mixed-years`); it is refused otherwise.
        sites_mw: new constant load by zone (`--site ZONE=MW`, repeatable).
        flexible, flexible_usd_per_mwh: the new load may be curtailed for that price.
        changes: figures of `technology.yaml` by name (`--figure NAME=VALUE`, repeatable).
        days, first_day: a part of the year (`--days N --first-day D`), day 0 is 1 January.
        baseline: also run without the sites and give the change.

    Returns:
        `case, year, weather_year, hours, unserved_mwh, unserved_before_mwh, cost_usd, co2_t,
        interconnections, zones, interfaces, change (with sites), gaps, assumptions`.
    """
    if case == "backcast-2022":
        return backcast_2022()
    hourly = region_case(case, year, weather_year, mixed_years=mixed_years)
    parts: dict[str, Any] = {
        "changes": changes,
        "days": days,
        "first_day": first_day,
        "threads": threads,
    }
    found = run_year(
        hourly,
        sites_mw,
        flexible=flexible,
        flexible_usd_per_mwh=flexible_usd_per_mwh,
        **parts,
    )
    if not sites_mw:
        return dispatch_answer(found, found)
    before = run_year(hourly, **parts) if baseline else None
    return dispatch_answer(found, before)


def dispatch_answer(year: DispatchYear, before: DispatchYear | None) -> dict[str, Any]:
    """What a year says, ready for JSON.

    Args:
        before: the same hours without new load (the year itself where there is none); None if
            they were not dispatched. Its shortage stands beside each shortage.
    """
    answer = _year_answer(year, before)
    if before is not None and before is not year:
        answer["change"] = change_of(year, before)
    return answer


def _year_answer(year: DispatchYear, before: DispatchYear | None) -> dict[str, Any]:
    groups = group_rows(year)
    return {
        "case": year.case.name,
        "year": year.case.year,
        "weather_year": year.case.profiles.weather_year,
        "hours": year.n_hours,
        "unserved_mwh": float(year.unserved_mw.sum()),
        "unserved_before_mwh": None if before is None else float(before.unserved_mw.sum()),
        "unserved_note": shortage_note(year.case.year, year.case.profiles.weather_year),
        "site_curtailed_mwh": float(year.flexed_mw.sum()),
        "cost_usd": year.cost_usd,
        "co2_t": sum(row["co2_t"] for row in groups),
        "interconnections": groups,
        "zones": zone_rows(year, before),
        "interfaces": line_rows(year),
        "gaps": list(year.case.gaps),
        "assumptions": list(year.supply.assumptions),
        "not_primary": not_primary([*year.supply.assumptions, *year.case.gaps]),
    }


def change_of(after: DispatchYear, before: DispatchYear) -> dict[str, Any]:
    """What the sites change, whole and by zone with a site."""
    new, old = group_rows(after), group_rows(before)
    added = float(after.load_mw.sum() - before.load_mw.sum())
    co2 = sum(row["co2_t"] for row in new) - sum(row["co2_t"] for row in old)
    fuels = {n: float(v.sum()) for n, v in energy_mwh(after).items()}
    base = {n: float(v.sum()) for n, v in energy_mwh(before).items()}
    price = after.price_usd_per_mwh.mean(axis=0) - before.price_usd_per_mwh.mean(axis=0)
    return {
        "added_mwh": added,
        "unserved_mwh": float(after.unserved_mw.sum() - before.unserved_mw.sum()),
        "unserved_before_mwh": float(before.unserved_mw.sum()),
        "cost_usd": after.cost_usd - before.cost_usd,
        "co2_t": co2,
        "co2_kg_per_added_mwh": 1e3 * co2 / added if added else None,
        "energy_mwh": {name: fuels[name] - base[name] for name in fuels},
        "price_usd_per_mwh": {
            zone.name: float(price[k])
            for k, zone in enumerate(after.case.zones)
            if after.site_mw[:, k].any()
        },
    }


def backcast_2022(weeks: str = "even") -> dict[str, Any]:
    """`grid dispatch backcast-2022 [--weeks odd|even|all]`: predicted and measured fuel shares.

    Args:
        weeks: `even` weeks are held out of the one fitted figure, `odd` are fitted on.
    """
    if weeks not in ("odd", "even", "all"):
        raise InputError(f"weeks {weeks!r}", "give odd, even or all")
    rows = backcast_all(weeks)
    return {
        "case": "backcast-2022",
        "weeks": weeks,
        "target_frac": TARGET_FRAC,
        "areas": [{**asdict(row), "within_target": row.within_target} for row in rows],
        "worst_frac": max((row.worst_frac for row in rows), key=abs),
        "assumptions": [
            "given as measured: wind, sun, nuclear, other, the water of each day",
            "capacity by fuel = its highest measured hours",
            *(entry.describe() for entry in data("grid/regions/backcast.yaml").values()),
        ],
    }


def backcast_area(area: str, weeks: str = "even") -> dict[str, Any]:
    """One area of the backcast."""
    return asdict(backcast(area, weeks))


def headroom(
    area: str | None = None, *, rates: Sequence[float] = (0.0025, 0.005, 0.01)
) -> dict[str, Any]:
    """`grid headroom [AREA] [--rate FRAC]...`: load that fits if it may be curtailed.

    Args:
        area: an EIA-930 area or region, or ERCOT, NYISO, ISO-NE; None for the nine areas with
            nine years and the 13 regions, with their sum beside the published one.
        rates: curtailed share of the new load's energy.

    Returns:
        `areas: [{area, curtailment_frac, load_mw, curtailed_h_per_y, ..., seasons}]`, and
        `country: [{curtailment_frac, low_gw, high_gw, published_gw, ...}]` without an area.
    """
    if area is not None:
        return {"areas": [asdict(one_headroom(area, rate)) for rate in rates]}
    known = areas()
    names = [*known["2016-2024"], *(n for n in known["2023-2024"] if n not in known["2016-2024"])]
    rows = [one_headroom(name, rate) for name in names for rate in rates]
    return {
        "areas": [asdict(row) for row in rows],
        "country": [_country(national(rate)) for rate in rates],
        "published_source": PUBLISHED_SOURCE,
    }


def _country(found: National) -> dict[str, Any]:
    return {
        "curtailment_frac": found.curtailment_frac,
        "low_gw": found.low_gw,
        "high_gw": found.high_gw,
        "published_gw": PUBLISHED_GW.get(found.curtailment_frac),
        "nine_years_gw": dict(found.nine_years_gw),
        "two_years_gw": dict(found.two_years_gw),
        "two_over_nine": found.two_over_nine,
        "two_over_nine_range": found.two_over_nine_range,
        "note": "low: nine areas as published (2016-2024), the rest of each region with the two "
        "years that are known; high: those raised by what two years give of nine in the nine areas",
    }
