"""Cost and carbon of a year of a site, per token and per request, and what a budget buys."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.datum import data
from sim.facility.carbon import embodied, grid_carbon, import_kg
from sim.facility.cost import (
    Bill,
    Purchase,
    SiteSize,
    Spread,
    Tariff,
    annuity_frac,
    bill,
    capital_figures,
    gpu_cost,
    purchase,
)
from sim.facility.dispatch import SupplyYear
from sim.facility.optimal import energy_cost_usd
from sim.facility.profile import FloatArray
from sim.facility.series import market_prices
from sim.facility.year import FacilityYear
from sim.scenario.facility_hours import constant_year, local_offset_h, year_plant
from sim.scenario.schema.facility import Facility
from sim.scenario.simulate import SiteOutcome
from sim.scenario.site_building import design_it_w
from sim.scenario.site_supply import GENERATORS
from sim.units import H_PER_YEAR, KILO, MEGA, S_PER_H

BUDGET_USD = 100e9
"""The sum that the industry's announcements name."""
MARKET_FIRST_WEEKDAY = {2021: 4, 2023: 6, 2024: 0}


Json = dict[str, Any]


def energy_prices(facility: Facility) -> FloatArray:
    """Energy price of each hour: market and flat part, or the data file's figure."""
    tariff = facility.tariff
    if tariff is None:
        return constant_year(capital_figures()["energy.usd_per_mwh"].value)
    flat = constant_year(tariff.energy_usd_per_mwh)
    return (
        flat if tariff.market is None else flat + market_prices(tariff.market, tariff.market_year)
    )


def _tariff(facility: Facility, prices: FloatArray) -> Tariff:
    spec = facility.tariff
    if spec is None:
        return Tariff(prices)
    return Tariff(
        energy_usd_per_mwh=prices,
        peak_usd_per_mwh=spec.peak_usd_per_mwh,
        peak_hours=tuple(spec.peak_hours),
        demand_usd_per_kw_month=spec.demand_usd_per_kw_month,
        minimum_take_frac=spec.minimum_take_frac,
        contract_w=None if spec.contract_mw is None else spec.contract_mw * MEGA,
        export_usd_per_mwh=spec.export_usd_per_mwh,
        utc_offset_h=local_offset_h(facility),
        first_weekday=MARKET_FIRST_WEEKDAY[spec.market_year],
    )


def cost_json(
    site: SiteOutcome, facility: Facility, supply: SupplyYear, prices: FloatArray
) -> Json:
    """Bill, fuel and capital of a year."""
    tariff = _tariff(facility, prices)
    found: Bill = bill(tariff, supply.import_w[0], supply.export_w[0])
    plant = year_plant(site)
    fuel_usd = energy_cost_usd(supply, np.zeros(H_PER_YEAR), plant)
    f = {name: d.value for name, d in capital_figures().items()}
    pv_usd, battery_usd = _own_plant_usd(facility, f)
    gpus = site.run.plant.nodes * site.run.plant.node.gpus
    each = gpu_cost(_size(site, supply), capital_figures(), 0.0)
    servers_usd = sum(v for k, v in each.yearly_usd.items() if k != "energy") * gpus
    yearly = {
        "electricity": found.total_usd,
        "fuel": fuel_usd,
        "servers_and_building": servers_usd,
        "pv": pv_usd,
        "battery": battery_usd,
    }
    return {
        "bill_usd": {
            "energy": found.energy_usd,
            "demand": found.demand_usd,
            "minimum_take": found.minimum_take_usd,
            "export": found.export_usd,
            "total": found.total_usd,
        },
        "yearly_usd": yearly,
        "yearly_total_usd": sum(yearly.values()),
        "capital_usd": each.capital_total_usd * gpus,
    }


def _own_plant_usd(facility: Facility, f: dict[str, float]) -> tuple[float, float]:
    """Yearly cost of PV and battery."""
    rate = f["capital.rate_frac"]
    pv_kw = facility.pv.capacity_mw * KILO if facility.pv else 0.0
    kwh = facility.battery.energy_mwh * KILO if facility.battery else 0.0
    return (
        pv_kw * f["pv.usd_per_kw"] * annuity_frac(rate, f["life.pv_y"]),
        kwh * f["battery.usd_per_kwh"] * annuity_frac(rate, f["life.battery_y"]),
    )


def _size(site: SiteOutcome, supply: SupplyYear) -> SiteSize:
    """What is built for each GPU, from the design and the year."""
    plant = site.run.plant
    gpus = plant.nodes * plant.node.gpus
    design_w = design_it_w(plant.nodes, plant.node, site.run.spec.facility.chain)
    return SiteSize(
        it_kw_per_gpu=design_w / gpus / KILO,
        meter_kw_per_gpu=float(supply.facility_w.max()) / gpus / KILO,
        mean_meter_kw_per_gpu=float(supply.facility_w.mean()) / gpus / KILO,
    )


def carbon_json(site: SiteOutcome, facility: Facility, supply: SupplyYear) -> Json | None:
    """Emissions of a year: import by the hourly mix, fuel, embodied ones if asked."""
    spec = facility.carbon
    if spec is None:
        return None
    mix = grid_carbon(spec.area)
    found: Json = {
        "area": spec.area,
        "mix_year": 2022,
        "mean_g_per_kwh": mix.mean_g_per_kwh,
        "gap_hours": mix.gap_hours,
        "import_t": import_kg(mix, supply.import_w[0]) / KILO,
        "fuel_t": _fuel_t(facility, supply),
    }
    if spec.embodied:
        plant = site.run.plant
        made = embodied(
            plant.nodes,
            plant.nodes * plant.node.gpus,
            design_it_w(plant.nodes, plant.node, facility.chain) / MEGA,
            {
                part: capital_figures()[f"life.{part}_y"].value
                for part in ("it", "facility", "pv", "battery")
            },
            pv_kw=facility.pv.capacity_mw * KILO if facility.pv else 0.0,
            battery_kwh=facility.battery.energy_mwh * KILO if facility.battery else 0.0,
        )
        found["embodied_t_per_year"] = {k: v / KILO for k, v in made.yearly_kg.items()}
    total = found["import_t"] + found["fuel_t"]
    found["total_t"] = total + sum(found.get("embodied_t_per_year", {}).values())
    return found


def _fuel_t(facility: Facility, supply: SupplyYear) -> float:
    """Emissions of the generators, at the mean factor of their fuels."""
    if not facility.generators:
        return 0.0
    f = data(GENERATORS)
    factors = [f[f"{g.kind}.fuel_g_per_kwh"].value for g in facility.generators]
    return float(supply.fuel_w.sum()) / KILO * sum(factors) / len(factors) / 1e6


def per_json(
    site: SiteOutcome, summary: Json, year: FacilityYear, cost: Json, carbon: Json | None
) -> Json:
    """Per million tokens and per request, at the facility boundary."""
    rates = token_rates(site, summary)
    per: Json = {"boundary": "facility", "water_l_per_kwh_it": float(year.wue_l_per_kwh[0])}
    seconds = H_PER_YEAR * S_PER_H
    if rates["tokens_per_s"]:
        millions = rates["tokens_per_s"] * seconds / MEGA
        per["usd_per_million_tokens"] = cost["yearly_total_usd"] / millions
        per["kwh_per_million_tokens"] = float(year.facility_w.sum()) / KILO / millions
        if carbon:
            per["g_co2_per_million_tokens"] = carbon["total_t"] * MEGA / millions
    if rates["requests_per_s"] and carbon:
        per["g_co2_per_request"] = carbon["total_t"] * MEGA / (rates["requests_per_s"] * seconds)
    return per


def token_rates(site: SiteOutcome, summary: Json) -> dict[str, float]:
    """Tokens and requests per second of a site, as its run found them (output, or trained)."""
    tokens_per_s = requests_per_s = 0.0
    for name, fleet in summary.get("serving", {}).get("fleets", {}).items():
        if name.rpartition(".")[0] == site.name:
            tokens_per_s += fleet["tokens_out"] / fleet["window_s"]
            requests_per_s += fleet["completed"] / fleet["window_s"]
    duration_s = summary["horizon_s"]
    for name, job in summary.get("training", {}).get("jobs", {}).items():
        if name.rpartition(".")[0] == site.name:
            tokens_per_s += job["tokens"] / duration_s
    return {"tokens_per_s": tokens_per_s, "requests_per_s": requests_per_s}


def budget(site: SiteOutcome, supply: SupplyYear, summary: Json) -> Purchase:
    """What a hundred billion dollars buy of such a site."""
    gpus = site.run.plant.nodes * site.run.plant.node.gpus
    rate = token_rates(site, summary)["tokens_per_s"] / gpus
    return purchase(BUDGET_USD, _size(site, supply), rate or None)


def budget_json(found: Purchase) -> Json:
    """What a budget buys, with the 5th and 95th percentile of each figure."""

    def spread(s: Spread | None) -> Json | None:
        return None if s is None else {"value": s.value, "low": s.low, "high": s.high}

    return {
        "budget_usd": found.budget_usd,
        "gpus": spread(found.gpus),
        "it_mw": spread(found.it_mw),
        "meter_mw": spread(found.meter_mw),
        "yearly_usd": spread(found.yearly_usd),
        "usd_per_million_tokens": spread(found.usd_per_million_tokens),
        "parts_usd_per_gpu": found.parts_usd_per_gpu,
    }
