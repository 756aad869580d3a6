"""`grid adequacy`: how often a region or a fleet is short; plain in, plain out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sim.errors import InputError
from sim.grid.adequacy.elcc import elcc_mw, with_battery, with_flexible_load
from sim.grid.adequacy.indices import TARGET_LOLE_D_PER_Y, assess, load_room_mw
from sim.grid.adequacy.monte_carlo import simulate as sample_years
from sim.grid.adequacy.units import Unit, read_load, read_units
from sim.grid.network import FloatArray
from sim.grid.regions.case import RegionCase, region_case
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
from sim.grid.regions.summary import not_primary
from sim.grid.us_states import us_states

ELCC_HOURS: Final = {"battery": 4, "flexible": 100}
"""Duration of a battery; hours a year in which flexible load gives way."""


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
