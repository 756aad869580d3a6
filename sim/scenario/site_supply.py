"""What stands behind a site's meter, from its scenario part."""

from __future__ import annotations

import math
from datetime import datetime

from sim.datum import data
from sim.errors import CapacityError, InputError
from sim.facility.battery import Battery
from sim.facility.cooling import cooling_year
from sim.facility.generator import Generator as Generating
from sim.facility.meter import SitePlant
from sim.facility.profile import Profile
from sim.facility.ride_through import FIGURES as RIDE_THROUGH
from sim.facility.rules import (
    Arbitrage,
    BatteryRule,
    PeakShaving,
    RideThrough,
    SelfConsumption,
    Smoothing,
)
from sim.facility.series import read_profile
from sim.facility.solar import pv_profile, wind_profile
from sim.facility.supply import SiteSupply, Source, SupplyPlant
from sim.facility.weather import Weather
from sim.scenario.resolve import within
from sim.scenario.schema.facility import BatterySpec, Dispatch, Facility, GeneratorSpec
from sim.scenario.site_building import cooling_settings, design_it_w, find_weather, hour_of_year
from sim.units import J_PER_MWH, MEGA, S_PER_H

GENERATORS = "facility/generators.yaml"


def site_supply(facility: Facility, plant: SitePlant, epoch: datetime) -> SiteSupply:
    """What stands behind a site's meter.

    Raises:
        CapacityError: a rating does not fit, or the connection carries less than the idle site.
    """
    market = facility.tariff is not None and facility.tariff.market is not None
    start_h = hour_of_year(epoch) if facility.pv or facility.wind or market else 0
    supply = supply_plant(facility, design_it_w(plant.nodes, plant.node, facility.chain), start_h)
    _check_idle(plant, supply)
    return SiteSupply(supply)


def supply_plant(facility: Facility, design_w: float, start_h: int = 0) -> SupplyPlant:
    """Battery, PV, wind, generators and connection of a scenario.

    Args:
        design_w: IT power of the design, for a UPS that serves the grid.
        start_h: hour of the UTC year at which the run starts.
    """
    with within("battery"):
        battery = site_battery(facility.battery)
    rule: BatteryRule = SelfConsumption()
    if facility.chain is not None and facility.chain.ups_grid_frac:
        battery, rule = ups_battery(facility.chain.ups_grid_frac, design_w), RideThrough()
    if facility.cooling is not None and facility.cooling.pause:
        battery, rule = pausing_battery(facility, design_w), RideThrough()
    if facility.battery is not None:
        with within("battery.dispatch"):
            rule = battery_rule(facility.battery.dispatch)
    generators = []
    for number, spec in enumerate(facility.generators):
        with within(f"generators[{number}]"):
            generators.append(site_generator(spec))
    connection = facility.connection
    ramp = connection.ramp_limit_mw_per_min
    limit = connection.import_limit_mw
    return SupplyPlant(
        battery=battery,
        rule=rule,
        pv=_pv(facility, start_h),
        wind=_wind(facility, start_h),
        generators=tuple(generators),
        import_limit_w=math.inf if limit is None else limit * MEGA,
        export_limit_w=connection.export_limit_mw * MEGA,
        ramp_limit_w_per_s=math.inf if ramp is None else ramp * MEGA / 60,
    )


def site_battery(spec: BatterySpec | None) -> Battery:
    """The battery of a scenario, or none."""
    if spec is None:
        return Battery(0.0, 0.0)
    return Battery(
        power_w=spec.power_mw * MEGA,
        energy_j=spec.energy_mwh * J_PER_MWH,
        inverter_w=None if spec.inverter_mw is None else spec.inverter_mw * MEGA,
        round_trip_frac=spec.round_trip_frac,
        min_frac=spec.min_frac,
        max_frac=spec.max_frac,
        initial_frac=spec.initial_frac,
        max_c_per_h=spec.max_c_per_h,
        fade_frac_per_cycle=spec.fade_frac_per_cycle,
    )


def ups_battery(grid_frac: float, design_w: float) -> Battery:
    """The batteries of the UPS as a resource: a part may be used, the rest waits for a fault."""
    autonomy_s = data(RIDE_THROUGH)["ups.battery_s"].value
    return Battery(
        power_w=design_w,
        energy_j=design_w * autonomy_s,
        min_frac=1 - grid_frac,
        max_frac=1.0,
        initial_frac=1.0,
        max_c_per_h=S_PER_H / autonomy_s,
    )


def pausing_battery(facility: Facility, design_w: float) -> Battery:
    """The cooling plant's pause as a store: cooling put off is cooling to be done later.

    Its power is the plant's mean share of the design heat, its energy what the hall's inertia
    carries without cooling; nothing is lost. It starts full, that is cool.
    """
    if facility.cooling is None:
        return Battery(0.0, 0.0)
    weather = find_weather(facility.cooling.weather)
    year = cooling_year(facility.cooling.kind, weather, cooling_settings(facility))
    power_w = float(year.share.mean()) * design_w
    hold_s = cooling_settings(facility)["inertia.hold_s"].value
    return Battery(
        power_w=power_w,
        energy_j=power_w * hold_s,
        round_trip_frac=1.0,
        min_frac=0.0,
        max_frac=1.0,
        initial_frac=1.0,
        max_c_per_h=S_PER_H / hold_s,
    )


def battery_rule(spec: Dispatch) -> BatteryRule:
    """The rule of a battery."""
    if spec.kind == "peak-shaving":
        return PeakShaving(spec.target_mw * MEGA)
    if spec.kind == "smoothing":
        return Smoothing(spec.time_constant_s, spec.recover_s)
    if spec.kind == "arbitrage":
        return Arbitrage(spec.buy_below_usd_per_mwh, spec.sell_above_usd_per_mwh)
    return RideThrough(spec.charge_frac) if spec.kind == "ride-through" else SelfConsumption()


def site_generator(spec: GeneratorSpec) -> Generating:
    """A generator with the figures of its kind where the scenario gives none."""
    f = {name: d.value for name, d in data(GENERATORS).items()}

    def figure(given: float | None, name: str) -> float:
        return f[f"{spec.kind}.{name}"] if given is None else given

    return Generating(
        name=spec.name,
        capacity_w=spec.capacity_mw * MEGA,
        min_load_frac=figure(spec.min_load_frac, "min_load_frac"),
        ramp_frac_per_s=figure(spec.ramp_frac_per_min, "ramp_frac_per_min") / 60,
        start_s=figure(spec.start_s, "start_s"),
        efficiency_frac=figure(spec.efficiency_frac, "efficiency_frac"),
        fuel_usd_per_mwh=figure(spec.fuel_usd_per_mwh, "fuel_usd_per_mwh"),
        rule=spec.rule,
    )


def _pv(facility: Facility, start_h: int) -> Source | None:
    if facility.pv is None:
        return None
    weather = _weather_of(facility, facility.pv.weather, "pv")
    hourly = weather.utc(pv_profile(weather, facility.pv.mounting))
    return Source(facility.pv.capacity_mw * MEGA, Profile(hourly, start_h))


def _wind(facility: Facility, start_h: int) -> Source | None:
    if facility.wind is None:
        return None
    capacity_w = facility.wind.capacity_mw * MEGA
    if facility.wind.profile is not None:
        with within("wind.profile"):
            return Source(capacity_w, Profile(read_profile(facility.wind.profile), start_h))
    weather = _weather_of(facility, facility.wind.weather, "wind")
    return Source(capacity_w, Profile(weather.utc(wind_profile(weather)), start_h))


def _weather_of(facility: Facility, named: str | None, part: str) -> Weather:
    with within(f"{part}.weather"):
        name = named or (facility.cooling.weather if facility.cooling else None)
        if name is None:
            raise InputError("no weather is given", "name a climate or an EPW file")
        return find_weather(name)


def _check_idle(plant: SitePlant, supply: SupplyPlant) -> None:
    """A site that cannot even idle is a mistake in the file."""
    device = plant.node.device
    idle_w = plant.parts(plant.nodes * plant.node.gpus * device.idle_w).facility_w
    fed = supply.pv is not None or supply.wind is not None  # a store alone runs empty
    firm_w = (supply.battery.power_w if fed else 0.0) + sum(g.capacity_w for g in supply.generators)
    if supply.import_limit_w + firm_w < idle_w:
        raise CapacityError(
            f"the connection's {supply.import_limit_w / MEGA:g} MW and {firm_w / MEGA:g} MW of "
            f"battery and generators are below the {idle_w / MEGA:.1f} MW that the idle site draws",
            "raise import_limit_mw, add generators, or make the cluster smaller",
            path="connection.import_limit_mw",
        )
