"""Policies on the building: a bound on PUE, a bound on water, what the tariff asks for."""

from __future__ import annotations

from typing import Any

from sim.errors import InputError
from sim.policy.patch import each_facility, with_rule
from sim.policy.registry import Parameter, PolicyKind, Values, number, register
from sim.scenario.schema import Facility, Scenario


def _pue_cap(scenario: Scenario, values: Values) -> Scenario:
    cap = number(values, "pue")

    def change(facility: Facility) -> dict[str, Any]:
        if facility.cooling is not None:
            raise InputError(
                "the PUE of a site with a cooling plant follows from its weather",
                "cap it by another cooling.kind, or leave cooling out",
            )
        return {"pue_design": min(facility.pue_design, cap)}

    return each_facility(scenario, change)


PUE_CAP = register(
    PolicyKind(
        kind="pue-cap",
        patch=_pue_cap,
        parameters={"pue": Parameter("largest PUE that is allowed", "", 1.15, 1.0, 3.0)},
        says="no building above a PUE; one that is below stays as it is",
        metric="mean_load_mw",
        assumes=("the building is built to the bound at no other change",),
        neutral={"pue": 3.0},
    )
)


def _water_limit(scenario: Scenario, values: Values) -> Scenario:  # noqa: ARG001
    def change(facility: Facility) -> dict[str, Any]:
        if facility.cooling is None:
            raise InputError(
                "the site has no cooling plant that takes water", "give facility.cooling"
            )
        plant = facility.cooling.model_dump() | {"kind": "dry-liquid", "air_supply_c": None}
        return {"cooling": plant}

    return each_facility(scenario, change)


WATER_LIMIT = register(
    PolicyKind(
        kind="water-limit",
        patch=_water_limit,
        parameters={},
        says="no evaporation: liquid cooling, dry coolers and air-cooled chillers for the plant",
        metric="water_m3",
        assumes=("servers are built for liquid cooling",),
    )
)


def _tariff(scenario: Scenario, changes: dict[str, Any], energy_usd_per_mwh: float) -> Scenario:
    def change(facility: Facility) -> dict[str, Any]:
        before = facility.tariff
        plain = before.model_dump() if before else {"energy_usd_per_mwh": energy_usd_per_mwh}
        return {"tariff": plain | changes, "study": facility.study or {"kind": "year"}}

    return each_facility(scenario, change)


FLAT = {"energy_usd_per_mwh": 70.0}
ENERGY = Parameter(
    "price of energy where the site has no tariff",
    "USD/MWh",
    FLAT["energy_usd_per_mwh"],
    0,
    1000,
)


def billed(scenario: Scenario) -> Scenario:
    """The scenario with a flat tariff at each site that has none, and its bill of a year."""

    def change(facility: Facility) -> dict[str, Any]:
        if facility.tariff is not None:
            return {}
        return {"tariff": dict(FLAT), "study": facility.study or {"kind": "year"}}

    return each_facility(scenario, change)


def has_bill(scenario: Scenario) -> bool:
    """True if a site has a tariff."""
    return any(site.facility.tariff is not None for site in scenario.sites)


def _minimum_take(scenario: Scenario, values: Values) -> Scenario:
    changes = {
        "minimum_take_frac": number(values, "take_frac"),
        "demand_usd_per_kw_month": number(values, "demand_usd_per_kw_month"),
    }
    return _tariff(scenario, changes, number(values, "energy_usd_per_mwh"))


MINIMUM_TAKE = register(
    PolicyKind(
        kind="minimum-take",
        patch=_minimum_take,
        parameters={
            "take_frac": Parameter(
                "share of the contract that is paid in any case",
                "",
                0.85,
                0,
                1,
                source="85 % for up to 12 years (AEP Ohio, approved 2025-07-09, ecoenergynews.com)",
            ),
            "demand_usd_per_kw_month": Parameter("demand charge", "USD/kW/month", 8.0, 0, 1000),
            "energy_usd_per_mwh": ENERGY,
        },
        says="a minimum of the contract is paid whether it is used or not",
        metric="bill_usd_per_year",
        assumes=("a demand charge of 8 USD/kW a month (assumption, 4 to 20)",),
        neutral={
            "take_frac": 0.0,
            "demand_usd_per_kw_month": 0.0,
            "energy_usd_per_mwh": FLAT["energy_usd_per_mwh"],
        },
    )
)


def _time_of_use(scenario: Scenario, values: Values) -> Scenario:
    first, hours = int(number(values, "from_h")), int(number(values, "hours"))
    changes = {
        "peak_usd_per_mwh": number(values, "peak_usd_per_mwh"),
        "peak_hours": [(first + k) % 24 for k in range(hours)],
    }
    return _tariff(scenario, changes, number(values, "energy_usd_per_mwh"))


def _interruptible(scenario: Scenario, values: Values) -> Scenario:
    """Cheaper energy for a site that gives way in agreed hours."""
    events = ("depth_frac", "start_h", "duration_h", "every_h")
    rule = {"kind": "demand-response", **{key: number(values, key) for key in events}}
    rules = with_rule if rule["depth_frac"] else lambda scenario, _rule: scenario
    discount = 1 - number(values, "discount_frac")

    def change(facility: Facility) -> dict[str, Any]:
        plain = facility.tariff.model_dump() if facility.tariff else dict(FLAT)
        plain["energy_usd_per_mwh"] *= discount
        return {"tariff": plain, "study": facility.study or {"kind": "year"}}

    return rules(each_facility(scenario, change), rule)


INTERRUPTIBLE_TARIFF = register(
    PolicyKind(
        kind="interruptible-tariff",
        patch=_interruptible,
        parameters={
            "discount_frac": Parameter("off the price of energy", "", 0.15, 0, 1),
            "depth_frac": Parameter("reduction when called", "", 0.5, 0, 1),
            "start_h": Parameter("first call", "h", 16.0, 0, 1e5),
            "duration_h": Parameter("length of a call", "h", 4.0, 0, 1e5),
            "every_h": Parameter("from call to call; 0: only one", "h", 24.0, 0, 1e5),
        },
        says="cheaper energy for a site that gives way in agreed hours",
        metric="bill_usd_per_year",
        assumes=(
            "discount and calls are assumptions; the bill holds the run's mean power for a year",
        ),
        neutral={"discount_frac": 0.0, "depth_frac": 0.0},
    )
)

TIME_OF_USE = register(
    PolicyKind(
        kind="time-of-use",
        patch=_time_of_use,
        parameters={
            "peak_usd_per_mwh": Parameter("extra in peak hours", "USD/MWh", 60.0, 0, 10_000),
            "from_h": Parameter("first peak hour, local standard time", "h", 15.0, 0, 23),
            "hours": Parameter("peak hours on a weekday", "h", 5.0, 0, 24),
            "energy_usd_per_mwh": ENERGY,
        },
        says="dearer power in the peak hours of weekdays",
        metric="bill_usd_per_year",
        assumes=("the extra price is an assumption, 20 to 200 USD/MWh",),
        neutral={"peak_usd_per_mwh": 0.0, "energy_usd_per_mwh": FLAT["energy_usd_per_mwh"]},
    )
)
