"""What a year of dispatch says: prices, mixes, congestion, emissions, shortages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from sim.grid.network import FloatArray
from sim.grid.regions.dispatch import DispatchYear
from sim.grid.regions.supply import FREE

FULL_MW: Final = 1e-3
FUEL_OF: Final = {
    "gas_cc.low": "gas",
    "gas_cc.high": "gas",
    "gas_ct.all": "gas",
    "coal.low": "coal",
    "coal.high": "coal",
    "oil.all": "oil",
}


NOT_READ: Final = ("assumption", "assumed", "second-hand", " via ", "synthetic", "(via")
"""Words of a source that was not read itself, or of a figure that was assumed."""


def not_primary(texts: Iterable[str]) -> list[str]:
    """The figures of an answer that come from no primary source that was read, sorted."""
    return sorted({text for text in texts if any(word in text for word in NOT_READ)})


def energy_mwh(year: DispatchYear) -> dict[str, FloatArray]:
    """Generation by fuel and zone over the hours, MWh, shape (n_zones,) each.

    Curtailed energy is counted to wind and sun first, by what each could give.
    """
    n_zones = len(year.case.zones)
    found = {
        fuel: np.zeros(n_zones)
        for fuel in (
            "coal",
            "gas",
            "nuclear",
            "hydro",
            "oil",
            "other",
            "wind",
            "solar",
            "curtailed",
        )
    }
    for i, block in enumerate(year.supply.system.blocks):
        if block.fuel == FREE:
            _free(year, i, block.zone, found)
        else:
            fuel = FUEL_OF.get(block.fuel, block.fuel)
            found[fuel][block.zone] += year.generation_mw[:, i].sum()
    return found


def _free(year: DispatchYear, i: int, zone: int, found: dict[str, FloatArray]) -> None:
    supply, n = year.supply, year.n_hours
    wind, sun = supply.wind_mw[:n, zone], supply.solar_mw[:n, zone]
    nuclear = supply.nuclear_mw[:n, zone]
    given = year.generation_mw[:, i]
    variable = wind + sun
    left = np.maximum(given - nuclear, 0.0)
    share = np.divide(left, variable, out=np.zeros_like(left), where=variable > 0)
    found["nuclear"][zone] += np.minimum(given, nuclear).sum()
    found["wind"][zone] += (wind * share).sum()
    found["solar"][zone] += (sun * share).sum()
    found["curtailed"][zone] += (variable + nuclear - given).sum()


def emissions_t(year: DispatchYear) -> FloatArray:
    """CO2 at the stack by zone where it is emitted, t, shape (n_zones,)."""
    found = np.zeros(len(year.case.zones))
    for i, block in enumerate(year.supply.system.blocks):
        kg = year.generation_mw[:, i].sum() * year.supply.co2_kg_per_mwh[i]
        found[block.zone] += kg / 1e3
    return found


def zone_rows(year: DispatchYear, before: DispatchYear | None) -> list[dict[str, Any]]:
    """One row per zone.

    Args:
        before: the same hours without the new load; None where they were not dispatched.
    """
    energy, co2 = energy_mwh(year), emissions_t(year)
    rows = []
    for k, zone in enumerate(year.case.zones):
        load, price = year.load_mw[:, k], year.price_usd_per_mwh[:, k]
        given = sum(float(v[k]) for name, v in energy.items() if name != "curtailed")
        rows.append(
            {
                "zone": zone.name,
                "load_mwh": float(load.sum()),
                "site_mw": float(year.site_mw[:, k].mean()),
                "peak_mw": float(load.max()),
                "generation_mwh": {n: float(v[k]) for n, v in energy.items() if n != "curtailed"},
                "curtailed_mwh": float(energy["curtailed"][k]),
                "net_import_mwh": float(load.sum() - _served_own(year, k)),
                "unserved_mwh": float(year.unserved_mw[:, k].sum()),
                "unserved_before_mwh": None
                if before is None
                else float(before.unserved_mw[:, k].sum()),
                "unserved_h": int((year.unserved_mw[:, k] > FULL_MW).sum()),
                "site_curtailed_mwh": float(year.flexed_mw[:, k].sum()),
                "price_mean_usd_per_mwh": float(price.mean()),
                "price_load_weighted_usd_per_mwh": _weighted(price, load),
                "price_p99_usd_per_mwh": float(np.percentile(price, 99)),
                "co2_t": float(co2[k]),
                "co2_average_kg_per_mwh": 1e3 * float(co2[k]) / given if given > 0 else None,
                "co2_marginal_kg_per_mwh": float(year.marginal_kg_per_mwh[:, k].mean()),
            }
        )
    return rows


def _served_own(year: DispatchYear, k: int) -> float:
    own = year.of_zone(k).sum() + year.unserved_mw[:, k].sum() + year.flexed_mw[:, k].sum()
    return float(own)


def _weighted(price: FloatArray, load: FloatArray) -> float | None:
    total = float(load.sum())
    return float((price * load).sum() / total) if total > 0 else None


def line_rows(year: DispatchYear) -> list[dict[str, Any]]:
    """One row per interface: hours at its limit, flows, and what the congestion is worth."""
    rows = []
    for e, line in enumerate(year.supply.system.lines):
        flow = year.flow_mw[:, e]
        spread = year.price_usd_per_mwh[:, line.target] - year.price_usd_per_mwh[:, line.source]
        ahead, back = flow >= line.forward_mw - FULL_MW, flow <= -line.reverse_mw + FULL_MW
        full = (ahead & (line.forward_mw > 0)) | (back & (line.reverse_mw > 0))
        rows.append(
            {
                "from": year.case.zones[line.source].name,
                "to": year.case.zones[line.target].name,
                "kind": year.case.lines[e].kind,
                "forward_mw": line.forward_mw,
                "reverse_mw": line.reverse_mw,
                "mean_flow_mw": float(flow.mean()),
                "full_h": int(full.sum()),
                "mean_spread_usd_per_mwh": float(spread.mean()),
                "rent_usd": float((np.abs(spread) * np.abs(flow))[full].sum()),
            }
        )
    return rows


def group_rows(year: DispatchYear) -> list[dict[str, Any]]:
    """One row per interconnection: load, mix, reserves that were missing."""
    energy, co2 = energy_mwh(year), emissions_t(year)
    group_of = np.array(year.supply.system.reserve_group)
    rows = []
    for g, name in enumerate(year.supply.groups):
        inside = group_of == g
        by_fuel = {n: float(v[inside].sum()) for n, v in energy.items() if n != "curtailed"}
        total = sum(by_fuel.values())
        rows.append(
            {
                "interconnection": name,
                "load_mwh": float(year.load_mw[:, inside].sum()),
                "unserved_mwh": float(year.unserved_mw[:, inside].sum()),
                "share_frac": {n: v / total if total else 0.0 for n, v in by_fuel.items()},
                "co2_t": float(co2[inside].sum()),
                "reserve_short_mwh": float(year.reserve_short_mw[:, g].sum()),
                "reserve_short_h": int((year.reserve_short_mw[:, g] > FULL_MW).sum()),
            }
        )
    return rows
