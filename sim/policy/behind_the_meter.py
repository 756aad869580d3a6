"""Policies that put something behind the meter: storage, supply, smoothing of swings."""

from __future__ import annotations

from typing import Any

from sim.policy.patch import each_site
from sim.policy.registry import Parameter, PolicyKind, Values, number, register, word
from sim.scenario.resolve import resolve
from sim.scenario.schema import Facility, Scenario, Site
from sim.scenario.sizes import full_site_mw


def _with_facility(site: Site, changes: dict[str, Any]) -> Site:
    plain = site.facility.model_dump() | changes
    return site.model_copy(update={"facility": Facility.model_validate(plain)})


def _storage(scenario: Scenario, values: Values) -> Scenario:
    """A battery sized by the site's power; without a target it shaves to the mean it can hold."""
    resolved = resolve(scenario)
    share, hours = number(values, "power_frac"), number(values, "hours")
    if share == 0:
        return scenario

    def of_site(site: Site) -> Site:
        peak_mw = full_site_mw(resolved, site)
        dispatch: dict[str, Any] = {"kind": "peak-shaving", "target_mw": peak_mw * (1 - share)}
        if word(values, "rule") == "smoothing":
            dispatch = {"kind": "smoothing", "time_constant_s": number(values, "time_constant_s")}
        elif word(values, "rule") != "peak-shaving":
            dispatch = {"kind": word(values, "rule")}
        battery = {
            "power_mw": peak_mw * share,
            "energy_mwh": peak_mw * share * hours,
            "initial_frac": 0.9,
            "dispatch": dispatch,
        }
        return _with_facility(site, {"battery": battery})

    return each_site(resolved, of_site)


STORAGE = register(
    PolicyKind(
        kind="storage",
        patch=_storage,
        parameters={
            "power_frac": Parameter("power of the battery over the site's", "", 0.25, 0, 2),
            "hours": Parameter("energy over power", "h", 4.0, 0.25, 100),
            "rule": Parameter(
                "what it is for",
                default="ride-through",
                choices=("ride-through", "peak-shaving", "smoothing", "self-consumption"),
            ),
            "time_constant_s": Parameter("of smoothing", "s", 60.0, 0.1, 86_400),
        },
        says="a battery at the site; orders of the grid are met from it first",
        metric="held_back_mwh",
        assumes=("the battery starts at 90 % and gives 86 % of what it took (assumption)",),
        neutral={"power_frac": 0.0},
    )
)


def _generation(scenario: Scenario, values: Values) -> Scenario:
    resolved = resolve(scenario)

    def of_site(site: Site) -> Site:
        peak_mw = full_site_mw(resolved, site)
        changes: dict[str, Any] = {}
        if pv := number(values, "pv_frac"):
            changes["pv"] = {"capacity_mw": peak_mw * pv, "weather": word(values, "weather")}
        if gas := number(values, "gas_frac"):
            gas_turbine = {
                "name": "on-site",
                "kind": "gas-turbine",
                "capacity_mw": peak_mw * gas,
                "rule": word(values, "gas_rule"),
            }
            changes["generators"] = [*site.facility.model_dump()["generators"], gas_turbine]
        return _with_facility(site, changes)

    return each_site(resolved, of_site)


ON_SITE_GENERATION = register(
    PolicyKind(
        kind="on-site-generation",
        patch=_generation,
        parameters={
            "pv_frac": Parameter("PV rating over the site's power", "", 0.0, 0, 20),
            "weather": Parameter("climate of the PV", default="dallas"),
            "gas_frac": Parameter("gas turbines over the site's power", "", 0.5, 0, 2),
            "gas_rule": Parameter(
                "when the turbines run", default="backup", choices=("backup", "baseload", "price")
            ),
        },
        says="PV and gas turbines behind the meter",
        metric="mean_import_mw",
        assumes=("the gas network can feed the turbines",),
        neutral={"pv_frac": 0.0, "gas_frac": 0.0},
    )
)


def _smoothing(scenario: Scenario, values: Values) -> Scenario:
    swing = {
        "psu_j_per_gpu": number(values, "psu_j_per_gpu"),
        "floor_frac": number(values, "floor_frac"),
    }
    return each_site(scenario, lambda site: _with_facility(site, {"swing": swing}))


SWING_LIMIT = register(
    PolicyKind(
        kind="swing-limit",
        patch=_smoothing,
        parameters={
            "psu_j_per_gpu": Parameter("energy in power supplies, per GPU", "J", 65.0, 0, 1e5),
            "floor_frac": Parameter(
                "least power of a GPU over its limit, by dummy work",
                "",
                0.0,
                0,
                0.9,
                source="settings from 20 to 90 % of TDP (arXiv 2508.14318, 2025)",
            ),
        },
        says="take the swing of training steps off the meter, in power supplies or by dummy work",
        metric="swing_mw",
        assumes=(
            "storage in power supplies of GB300 racks takes up to 30 % off peaks (maker's figure)",
        ),
        neutral={"psu_j_per_gpu": 0.0, "floor_frac": 0.0},
    )
)
