"""What the facility part of a summary says on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def facility_lines(summary: Json) -> list[str]:
    """A few lines for each site that has a facility part; none without."""
    lines: list[str] = []
    for name, part in summary.get("facility", {}).items():
        told = [
            *_chain_lines(part.get("chain")),
            *_supply_lines(part.get("supply")),
            *_ride_through_lines(part.get("ride_through")),
            *_year_lines(part.get("year")),
            *_climate_lines(part.get("climates")),
            *_self_supply_lines(part.get("self_supply")),
        ]
        several = len(summary["facility"]) > 1
        lines += [f"  {name}: {line}" if several else f"  {line}" for line in told]
    return lines


def _chain_lines(chain: Json | None) -> list[str]:
    if chain is None:
        return []
    most = max(chain["levels"], key=lambda level: level["used_frac"])
    lines = [f"power chain: {most['name']} at {most['used_frac']:.0%} of its rating at the peak"]
    for element in chain.get("breakers", []):
        if element["first_trip_s"] is not None:
            when = f"trips after {element['first_trip_s'] / 60:.0f} min of the run"
        elif element["trips_at_mean_after_s"] is not None:
            when = f"would trip after {element['trips_at_mean_after_s'] / 60:.0f} min at the mean"
        else:
            continue
        load = f"{element['mean_load_frac']:.0%} of {element['rating_mw']:.4g} MW"
        lines.append(f"breaker {element['name']}: {when} ({load})")
    if "breakers" in chain:
        none = "none trips; " if len(lines) == 1 else ""
        lines.append(f"breakers: {none}judged on the recorded power, a trip does not stop the run")
    return lines


def _supply_lines(supply: Json | None) -> list[str]:
    if supply is None:
        return []
    line = (
        f"supply: import {supply['import_mwh']:,.0f} of {supply['facility_mwh']:,.0f} MWh, at most "
        f"{supply['import_peak_mw']:,.1f} MW; PV {supply['pv_mwh']:,.0f}, generators "
        f"{supply['generation_mwh']:,.0f}, battery gave {supply['discharged_mwh']:,.1f} MWh"
    )
    if supply["unserved_mwh"] > 0:
        line += f"; {supply['unserved_mwh']:,.1f} MWh unserved"
    return [line]


def _ride_through_lines(found: Json | None) -> list[str]:
    return [] if found is None else [f"disturbance: {found['words']} ({found['basis']})"]


def _year_lines(year: Json | None) -> list[str]:
    if year is None:
        return []
    pue, cost, per = year["pue"], year["cost"], year["per"]
    lines = [
        (
            f"a year: PUE {pue['mean']:.3f} ({pue['min']:.3f} to {pue['max']:.3f}), "
            f"{year['facility_mwh'] / 1e3:,.0f} GWh, {per['water_l_per_kwh_it']:.2f} L/kWh of IT, "
            f"self-supplied {year['supply']['self_supply_frac']:.0%}, electricity "
            f"{cost['bill_usd']['total'] / 1e6:,.1f} M USD"
        )
    ]
    told = [f"{per['usd_per_million_tokens']:.3g} USD"] if "usd_per_million_tokens" in per else []
    if "g_co2_per_million_tokens" in per:
        told.append(f"{per['g_co2_per_million_tokens']:,.0f} g CO2e")
    if "g_co2_per_request" in per:
        told.append(f"a request {per['g_co2_per_request']:.3g} g CO2e")
    if told:
        lines.append(f"per million tokens, at the meter: {', '.join(told)}")
    gpus, mw = year["budget"]["gpus"], year["budget"]["meter_mw"]
    lines.append(
        f"100 billion USD buy {gpus['value'] / 1e6:.2f} million GPUs ({gpus['low'] / 1e6:.2f} to "
        f"{gpus['high'] / 1e6:.2f}) and {mw['value'] / 1e3:.2f} GW at the meter "
        f"({mw['low'] / 1e3:.2f} to {mw['high'] / 1e3:.2f})"
    )
    if "optimal" in year:
        best = year["optimal"]
        lines.append(
            f"dispatch by rule ({best['rule']}) {best['rule_usd'] / 1e6:,.1f} M USD, optimal "
            f"{best['optimal_usd'] / 1e6:,.1f}, without supply "
            f"{best['without_supply_usd'] / 1e6:,.1f} (energy and fuel)"
        )
    return lines


def _climate_lines(rows: list[Json] | None) -> list[str]:
    if rows is None:
        return []
    lines = []
    for kind in dict.fromkeys(row["cooling"] for row in rows):
        full = max(row["load_frac"] for row in rows)
        mine = [r for r in rows if r["cooling"] == kind and r["load_frac"] == full]
        best, worst = (pick(mine, key=lambda r: r["pue_mean"]) for pick in (min, max))
        lines.append(
            f"{kind}: PUE {best['pue_mean']:.3f} in {best['climate']} to {worst['pue_mean']:.3f} "
            f"in {worst['climate']}, worst hour {max(r['pue_max'] for r in mine):.3f}, water "
            f"{min(r['water_l_per_kwh_it'] for r in mine):.2f} to "
            f"{max(r['water_l_per_kwh_it'] for r in mine):.2f} L/kWh"
        )
    return lines


def _self_supply_lines(rows: list[Json] | None) -> list[str]:
    if rows is None:
        return []
    return [
        f"{row['climate']:9} {row['target_frac']:.0%} of {row['load_mw']:,.0f} MW: "
        f"PV {row['pv_mw']:,.0f} MW, battery {row['battery_mwh']:,.0f} MWh, "
        f"{row['usd_per_mwh']:,.0f} USD/MWh, {row['land_ha']:,.0f} ha; the grid still "
        f"{row['grid_peak_mw']:,.0f} MW in {row['grid_hours']:,} h"
        if row["reached"]
        else f"{row['climate']:9} {row['target_frac']:.0%}: not reached with the sizes tried"
        for row in rows
    ]
