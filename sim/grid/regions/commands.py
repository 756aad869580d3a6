"""One function per command: `grid dispatch | adequacy | headroom | frequency`.

Each takes plain arguments (numbers, strings, paths, mappings) and returns a dict that is ready
for JSON. Bad input raises `sim.errors.InputError`. Parsing and printing stand in `sim/cli`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sim.datum import data
from sim.errors import InputError
from sim.grid.adequacy.elcc import elcc_mw, with_battery, with_flexible_load
from sim.grid.adequacy.indices import TARGET_LOLE_D_PER_Y, assess, load_room_mw
from sim.grid.adequacy.monte_carlo import simulate as sample_years
from sim.grid.adequacy.units import Unit, read_load, read_units
from sim.grid.network import FloatArray
from sim.grid.regions.backcast import TARGET_FRAC, backcast, backcast_all
from sim.grid.regions.case import RegionCase, region_case
from sim.grid.regions.dispatch import DispatchYear, run_year
from sim.grid.regions.fleet import (
    LEAST_RISK,
    SYNTHETIC,
    RegionAdequacy,
    elcc_of,
    fleet_figures,
    import_limit_mw,
    interconnection_members,
    pool_adequacy,
    sampled_areas,
)
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
from sim.grid.us_states import us_states
from sim.grid.wording import shortage_note

ELCC_HOURS: Final = {"battery": 4, "flexible": 100}
"""Duration of a battery; hours a year in which flexible load gives way."""

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


def adequacy(
    units: Path | str | None = None,
    load: Path | str | None = None,
    *,
    load_uncertainty: float = 0.0,
    target_lole: float = TARGET_LOLE_D_PER_Y,
    years: int = 0,
    seed: int = 1,
    case: str | None = None,
    zone: str | None = None,
    sites_mw: Mapping[str, float] | None = None,
    year: int = 2024,
    weather_year: int = 2022,
    mixed_years: bool = False,
    elcc: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """`grid adequacy --units UNITS.csv --load LOAD.csv` or `grid adequacy CASE [--zone ZONE]`.

    Args:
        units: CSV `name, capacity_mw, forced_outage_rate[, derated_mw, derated_probability]`;
            `derated_mw` is what the unit still gives when derated.
        load: CSV with an hourly column `load_mw`.
        load_uncertainty: standard deviation over the load (`--load-uncertainty FRAC`).
        target_lole: days a year for the load that still fits (`--target-lole`).
        years: Monte-Carlo years beside the exact table (`--years N`), 0 for none; for a case,
            of all zones with their limits and stores.
        case, zone: a named case; one zone with the most that its limits let in, else each
            interconnection without inner limits.
        sites_mw: new constant load by zone (`--site ZONE=MW`).
        elcc: MW by resource (`--elcc KIND=MW`, repeatable): battery (4 h), flexible (100 h a
            year), and for a case solar and wind; how much load each carries.

    Returns:
        For files: `lole_d_per_y, lolh_h_per_y, eue_mwh, ...`. For a case: `regions`.
    """
    if case is None:
        return _file_adequacy(units, load, load_uncertainty, target_lole, years, seed, elcc or {})
    if units or load:
        raise InputError("a case and files", "give a CASE, or --units and --load")
    hourly = region_case(case, year, weather_year, mixed_years=mixed_years)
    loads = {hourly.zones[hourly.index(z)].name: mw for z, mw in (sites_mw or {}).items()}
    answer: dict[str, Any] = {
        "case": case,
        "year": year,
        "target_lole_d_per_y": target_lole,
        "load_uncertainty_frac": load_uncertainty,
        "regions": _case_adequacy(hourly, zone, loads, load_uncertainty, target_lole),
        "planning": _planning(hourly),
        "gaps": list(hourly.gaps),
        "assumptions": [SYNTHETIC, LEAST_RISK, *fleet_figures(), *hourly.profiles.assumptions],
    }
    answer["not_primary"] = not_primary([*answer["assumptions"], *hourly.gaps])
    if elcc:
        answer["elcc"] = _case_elcc(hourly, elcc)
    if years:
        found = sampled_areas(hourly, loads, years, seed, load_uncertainty)
        answer["sampled"] = {name: asdict(row) for name, row in found.items()}
    return answer


def _file_adequacy(
    units: Path | str | None,
    load: Path | str | None,
    uncertainty: float,
    target: float,
    years: int,
    seed: int,
    elcc: Mapping[str, float],
) -> dict[str, Any]:
    if units is None or load is None:
        raise InputError("no units or no load", "give --units and --load, or a CASE")
    fleet, hours = read_units(Path(units)), read_load(Path(load))
    answer = asdict(assess(fleet, hours, uncertainty))
    answer["room_mw"] = load_room_mw(fleet, hours, target, uncertainty)
    answer["target_lole_d_per_y"] = target
    if years:
        answer["sampled"] = asdict(sample_years(fleet, hours, years, seed, uncertainty))
    if elcc:
        answer["elcc"] = [_file_elcc(fleet, hours, kind, mw) for kind, mw in elcc.items()]
    return answer


def _file_elcc(units: Sequence[Unit], load_mw: FloatArray, kind: str, mw: float) -> dict[str, Any]:
    if kind == "battery":
        after = with_battery(load_mw, mw, mw * ELCC_HOURS[kind])
    elif kind == "flexible":
        after = with_flexible_load(load_mw, mw, ELCC_HOURS[kind])
    else:
        raise InputError(
            f"--elcc {kind} with files", "battery or flexible; solar and wind need a CASE"
        )
    found = elcc_mw(units, load_mw, after)
    return {"kind": kind, "mw": mw, "hours": ELCC_HOURS[kind], "elcc_mw": found, "frac": found / mw}


def _case_elcc(case: RegionCase, elcc: Mapping[str, float]) -> list[dict[str, Any]]:
    """ELCC in each interconnection, at the load that stands at the target LOLE."""
    rows = []
    for name in sorted({zone.interconnection for zone in case.zones}):
        for kind, mw in elcc.items():
            hours = ELCC_HOURS.get(kind, 0)
            found = elcc_of(case, name, mw, kind, hours)
            row = {"interconnection": name, "kind": kind, "mw": mw, "hours": hours or None}
            rows.append({**row, "elcc_mw": found, "frac": found / mw})
    return rows


def _case_adequacy(
    case: RegionCase,
    zone: str | None,
    loads: Mapping[str, float],
    uncertainty: float,
    target: float,
) -> list[dict[str, Any]]:
    common: dict[str, Any] = {"load_uncertainty_frac": uncertainty, "target_lole": target}
    if zone is not None:
        k = case.index(zone)
        name = case.zones[k].name
        limit = import_limit_mw(case, k)
        extra = loads.get(name, 0.0)
        alone = pool_adequacy(case, [k], name, "zone alone", extra_mw=extra, **common)
        helped = pool_adequacy(
            case, [k], name, "zone with full imports", extra_mw=extra, import_mw=limit, **common
        )
        return [_pair(alone, extra), {**_pair(helped, extra), "import_limit_mw": limit}]
    rows = []
    for group in sorted({z.interconnection for z in case.zones}):
        members = interconnection_members(case, group)
        extra = sum(loads.get(case.zones[m].name, 0.0) for m in members)
        found = pool_adequacy(case, members, group, "no inner limits", extra_mw=extra, **common)
        rows.append(_pair(found, extra))
    return rows


def _pair(found: tuple[RegionAdequacy, RegionAdequacy], load_mw: float) -> dict[str, Any]:
    """Indices with the new load, and LOLE before it."""
    before, after = found
    return {**asdict(after), "load_mw": load_mw, "lole_before_d_per_y": before.lole_d_per_y}


def _planning(case: RegionCase) -> list[dict[str, Any]]:
    """Own installed capacity over the peak beside the margins that NERC prints."""
    network = us_states()
    rows = []
    for k, zone in enumerate(case.zones):
        if case.name != "us-states":
            return []
        peak = float(case.load_mw[:, k].max())
        margins = [a for a in map(network.area, network.zone(zone.name).nerc_areas) if a]
        rows.append(
            {
                "zone": zone.name,
                "installed_margin_frac": sum(zone.capacity_mw) / peak - 1,
                "nerc": [
                    {
                        "area": area.name,
                        "anticipated_frac": area.anticipated_frac,
                        "reference_frac": area.reference_frac,
                    }
                    for area in margins
                ],
            }
        )
    return rows


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
