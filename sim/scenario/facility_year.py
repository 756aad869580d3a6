"""The year that a study asks for: PUE, water, supply, cost and carbon by the hour."""

from __future__ import annotations

from typing import Any

from sim.facility.dispatch import SupplyYear, dispatch_site
from sim.facility.optimal import dispatch_optimal, energy_cost_usd
from sim.facility.profile import FloatArray
from sim.facility.supply import SupplyPlant
from sim.facility.year import FacilityYear
from sim.scenario.facility_cost import (
    budget,
    budget_json,
    carbon_json,
    cost_json,
    energy_prices,
    per_json,
)
from sim.scenario.facility_hours import by_month_hour, local_offset_h, run_year, year_plant
from sim.scenario.schema.facility import Facility, YearStudy
from sim.scenario.simulate import SiteOutcome
from sim.units import J_PER_MWH, MEGA

Json = dict[str, Any]


def year_json(site: SiteOutcome, study: YearStudy, summary: Json) -> Json:
    """PUE, water, supply, cost and carbon of the run's mean IT power, held for a year."""
    facility = site.run.spec.facility
    year = run_year(site)
    prices = energy_prices(facility)
    supply = dispatch_site(year_plant(site), year.facility_w[0], prices)
    offset_h = local_offset_h(facility)
    found: Json = {
        "load": "the run's mean IT power in every hour",
        "it_mwh": float(year.it_w.sum()) / MEGA,
        "facility_mwh": float(year.facility_w.sum()) / MEGA,
        "facility_peak_mw": float(year.facility_w.max()) / MEGA,
        "pue": {
            "mean": float(year.mean_pue[0]),
            "min": float(year.pue.min()),
            "max": float(year.pue.max()),
        },
        "pue_by_month_hour": by_month_hour(year.pue[0], offset_h),
        "water_l_per_kwh_it": float(year.wue_l_per_kwh[0]),
        "supply": supply_year_json(supply, facility, offset_h),
    }
    cost = cost_json(site, facility, supply, prices)
    carbon = carbon_json(site, facility, supply)
    found |= {"cost": cost, "carbon": carbon}
    found["per"] = per_json(site, summary, year, cost, carbon)
    found["budget"] = budget_json(budget(site, supply, summary))
    if study.optimal:
        found["optimal"] = _optimal_json(site, year, prices, supply)
    return found


def supply_year_json(supply: SupplyYear, facility: Facility, offset_h: int) -> Json:
    """Energies of a year of supply, and how full the battery is by month and hour."""
    names = ("import", "export", "pv", "wind", "generation", "curtailed_pv", "unserved")
    found: Json = {
        f"{name}_mwh": float(getattr(supply, f"{name}_w").sum()) / MEGA for name in names
    }
    found |= {
        "self_supply_frac": float(supply.self_supply_frac[0]),
        "import_peak_mw": float(supply.import_w.max()) / MEGA,
        "import_by_month_hour_mw": by_month_hour(supply.import_w[0] / MEGA, offset_h),
    }
    if facility.battery is not None:
        energy_j = facility.battery.energy_mwh * J_PER_MWH
        cycles = float(supply.discharged_j[0]) / energy_j
        found |= {
            "battery_cycles": cycles,
            "battery_fade_frac": cycles * facility.battery.fade_frac_per_cycle,
            "state_of_charge_by_month_hour": by_month_hour(supply.stored_j[0] / energy_j, offset_h),
        }
    return found


def _optimal_json(
    site: SiteOutcome, year: FacilityYear, prices: FloatArray, rule: SupplyYear
) -> Json:
    """The cheapest dispatch beside the rule's, for energy and fuel alone."""
    plant = year_plant(site)
    best = dispatch_optimal(plant, year.facility_w[0], prices)
    best_usd = energy_cost_usd(best.year, prices, plant)
    rule_usd = energy_cost_usd(rule, prices, plant)
    bare_usd = energy_cost_usd(dispatch_site(SupplyPlant(), year.facility_w[0]), prices, plant)
    return {
        "rule": plant.rule.kind,
        "without_supply_usd": bare_usd,
        "rule_usd": rule_usd,
        "optimal_usd": best_usd,
        "gap_usd": rule_usd - best_usd,
        "rule_reaches_frac": (bare_usd - rule_usd) / (bare_usd - best_usd)
        if bare_usd > best_usd
        else None,
        "self_supply_frac": float(best.year.self_supply_frac[0]),
    }
