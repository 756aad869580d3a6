"""Studies of a site: other climates and cooling plants; the cheapest PV and battery."""

from __future__ import annotations

from typing import Any

from sim.facility.battery import Battery
from sim.facility.dispatch import dispatch_site
from sim.facility.profile import FloatArray, Profile
from sim.facility.sizing import Sizing, size_self_supply
from sim.facility.solar import pv_profile
from sim.facility.supply import Source, SupplyPlant
from sim.scenario.facility_hours import by_month_hour, constant_year, year_in
from sim.scenario.schema.facility import ClimatesStudy, SelfSupplyStudy
from sim.scenario.simulate import SiteOutcome
from sim.scenario.site_building import find_weather
from sim.units import J_PER_MWH, MEGA

Json = dict[str, Any]


def climates_json(site: SiteOutcome, study: ClimatesStudy) -> list[Json]:
    """PUE, water and peak of the site's IT power in climates and with cooling plants."""
    facility, plant = site.run.spec.facility, site.run.plant
    it_w = site.power["it"].mean
    rows = []
    for kind in study.coolings:
        for name in study.climates:
            offset_h = round(find_weather(name).utc_offset_h)
            for load_frac in study.load_fracs:
                load_w = constant_year(it_w * load_frac)
                year = year_in(plant, facility, kind, name, load_w)
                rows.append(
                    {
                        "cooling": kind,
                        "climate": name,
                        "load_frac": load_frac,
                        "pue_mean": float(year.mean_pue[0]),
                        "pue_min": float(year.pue.min()),
                        "pue_max": float(year.pue.max()),
                        "water_l_per_kwh_it": float(year.wue_l_per_kwh[0]),
                        "peak_mw": float(year.facility_w.max()) / MEGA,
                        "energy_gwh": float(year.facility_w.sum()) / 1e9,
                        "pue_by_month_hour": by_month_hour(year.pue[0], offset_h),
                    }
                )
    return rows


def self_supply_json(site: SiteOutcome, study: SelfSupplyStudy) -> list[Json]:
    """The cheapest PV and battery for each climate and target."""
    facility, plant = site.run.spec.facility, site.run.plant
    load_w = constant_year(site.power["it"].mean)
    rows = []
    for name in study.climates:
        weather = find_weather(name)
        kind = facility.cooling.kind if facility.cooling else None
        if kind is None:
            facility_w = constant_year(site.power["facility"].mean)
        else:
            facility_w = year_in(plant, facility, kind, name, load_w).facility_w[0]
        if study.load_mw is not None:
            facility_w = facility_w * (study.load_mw * MEGA / float(facility_w.mean()))
        sun = weather.utc(pv_profile(weather, study.mounting))
        found = size_self_supply(facility_w, sun, tuple(study.targets_frac))
        rows += [_sizing_json(name, facility_w, sun, sizing) for sizing in found]
    return rows


def _sizing_json(name: str, facility_w: FloatArray, sun: FloatArray, sizing: Sizing) -> Json:
    return {
        "climate": name,
        "target_frac": sizing.target_frac,
        "reached": sizing.reached,
        "load_mw": float(facility_w.mean()) / MEGA,
        "pv_mw": sizing.pv_w / MEGA,
        "pv_capacity_factor": float(sun.mean()),
        "battery_mwh": sizing.battery_j / J_PER_MWH,
        "battery_mw": sizing.battery_w / MEGA,
        "self_supply_frac": sizing.self_supply_frac,
        "curtailed_frac": sizing.curtailed_frac,
        "capital_usd": sizing.capital_usd,
        "usd_per_mwh": sizing.usd_per_mwh,
        "land_ha": sizing.land_ha,
        **_rest_json(facility_w, sun, sizing),
    }


def _rest_json(facility_w: FloatArray, sun: FloatArray, sizing: Sizing) -> Json:
    """What the grid must still carry: its highest hour, and the hours in which it is asked."""
    battery = Battery(sizing.battery_w, sizing.battery_j, initial_frac=0.05)
    supply = SupplyPlant(battery=battery, pv=Source(sizing.pv_w, Profile(sun)))
    year = dispatch_site(supply, facility_w)
    return {
        "grid_peak_mw": float(year.import_w.max()) / MEGA,
        "grid_hours": int((year.import_w[0] > 1e-6 * facility_w.mean()).sum()),
    }
