"""The facility of a site: from its scenario part to building, supply and the process they need."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import simpy

from sim.datum import Datum, data
from sim.errors import CapacityError, InputError
from sim.facility.battery import Battery
from sim.facility.building import (
    Building,
    building_figures,
    load_building,
    power_train_efficiency_frac,
)
from sim.facility.chain import ChainPlan, PowerChain, build_chain, chain_figures
from sim.facility.cooling import cooling_figures, cooling_year
from sim.facility.generator import Generator as Generating
from sim.facility.meter import SiteMeter, SitePlant
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
from sim.facility.series import market_prices, read_profile
from sim.facility.solar import pv_profile, wind_profile
from sim.facility.supply import SiteSupply, Source, SupplyPlant
from sim.facility.swing import filtered_swing_w, smooth_swing
from sim.facility.weather import Weather, climate, climates, read_weather
from sim.facility.year import overhead
from sim.hardware.node import Node
from sim.scenario.resolve import within
from sim.scenario.schema.facility import BatterySpec, ChainSpec, Dispatch, Facility, GeneratorSpec
from sim.units import J_PER_MWH, MEGA, PS_PER_H, S_PER_H, to_ps, to_s

GENERATORS = "facility/generators.yaml"
FILE_SUFFIXES = (".epw", ".csv")


def hour_of_year(epoch: datetime) -> int:
    """Hour of a 365-day UTC year at which a run starts; 29 February counts as the 28th.

    Raises:
        InputError: the epoch is not a whole hour.
    """
    moment = epoch.astimezone(UTC)
    if moment.minute or moment.second or moment.microsecond:
        raise InputError(
            f"the run starts at {moment:%H:%M:%S}, within an hour of weather",
            "start at a whole hour (epoch)",
        )
    day = min(moment.day, 28) if moment.month == 2 else moment.day
    start = datetime(2023, moment.month, day, moment.hour, tzinfo=UTC)
    return int((start - datetime(2023, 1, 1, tzinfo=UTC)).total_seconds()) // S_PER_H


def find_weather(name: str) -> Weather:
    """A shipped climate by name, or a file.

    Raises:
        InputError: neither; with the line of a bad file.
    """
    return read_weather(name) if is_file_name(name) else climate(name)


def is_file_name(name: str) -> bool:
    """True if a weather is a file of the user, not a shipped climate."""
    return name not in climates() and Path(name).suffix.lower() in FILE_SUFFIXES


def weather_names(facility: Facility) -> list[str]:
    """All weathers that a facility names, in order, without repetition."""
    named = [part.weather for part in (facility.cooling, facility.pv, facility.wind) if part]
    study = facility.study
    if study is not None and study.kind != "year":
        named += study.climates
    return list(dict.fromkeys(name for name in named if name))


# --- the building ---------------------------------------------------------------------------


def design_it_w(nodes: int, node: Node, chain: ChainSpec | None) -> float:
    """IT power that a building is made for: given, or all servers as rated, with the network."""
    if chain is not None and chain.design_it_mw is not None:
        return chain.design_it_mw * MEGA
    per_gpu_w = node.switches_per_gpu * node.switch_w
    per_gpu_w += node.storage_servers_per_gpu * node.storage_server_w
    return nodes * (node.rated_w + node.gpus * per_gpu_w)


def site_chain(nodes: int, node: Node, spec: ChainSpec | None) -> PowerChain:
    """The power chain of a site."""
    chosen = spec or ChainSpec()
    racks = math.ceil(nodes / chain_figures()["rack.nodes"].value)
    return build_chain(
        ChainPlan(
            design_it_w=design_it_w(nodes, node, spec),
            racks=racks,
            rows=chosen.rows,
            ups_blocks=chosen.ups_blocks,
            transformers=chosen.transformers,
            redundancy=chosen.redundancy,
            oversubscription_frac=chosen.oversubscription_frac,
        )
    )


def site_building(facility: Facility, nodes: int, node: Node, epoch: datetime) -> Building:
    """The building of a site: by its design PUE, or by chain, cooling plant and weather.

    Raises:
        InputError: the weather cannot be read; CapacityError: the PUE is too low.
    """
    if facility.cooling is None:
        with within("pue_design"):
            return load_building(facility.pue_design)
    with within("cooling.weather"):
        weather = find_weather(facility.cooling.weather)
    cooling = cooling_year(facility.cooling.kind, weather, cooling_settings(facility))
    hourly = overhead(
        site_chain(nodes, node, facility.chain),
        cooling,
        weather,
        design_it_w(nodes, node, facility.chain),
        hour_of_year(epoch),
    )
    return Building(power_train_efficiency_frac(building_figures()), facility.pue_design, hourly)


def cooling_settings(facility: Facility) -> dict[str, Datum]:
    """The figures of cooling with the set points that the scenario gives."""
    figures = dict(cooling_figures())
    if facility.cooling is not None:
        for name, value in (
            ("air.supply_c", facility.cooling.air_supply_c),
            ("water.supply_c", facility.cooling.water_supply_c),
            ("liquid.supply_c", facility.cooling.liquid_supply_c),
        ):
            if value is not None:
                figures[name] = replace(figures[name], value=value, low=None, high=None)
    return figures


# --- the supply -----------------------------------------------------------------------------


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


# --- the process ----------------------------------------------------------------------------


def keep_facility(
    env: simpy.Environment, meter: SiteMeter, facility: Facility, epoch: datetime
) -> Generator[simpy.Event, None, None]:
    """Follow the weather and the market at each hour, and plan the supply at each set point."""
    bare = meter.supply.plant.is_bare
    step_ps = PS_PER_H if bare else to_ps(facility.supply_step_s)
    market = None if bare else market_profile(facility, epoch)
    told: float | None = None
    while True:
        now_ps = int(env.now)
        wait_ps = min(step_ps, PS_PER_H - now_ps % PS_PER_H)
        if meter.plant.building.hourly is not None and not now_ps % PS_PER_H:
            meter.planned_to_ps = 0
            meter.refresh(now_ps)
        if market is not None and meter.order.price_usd_per_mwh in (None, told):
            told = market.at(to_s(now_ps))  # the site's own tariff, unless the grid tells one
            meter.order = replace(meter.order, price_usd_per_mwh=told)
        if not bare:
            meter.tick(now_ps, wait_ps / to_ps(1.0))
        yield env.timeout(wait_ps)


def market_profile(facility: Facility, epoch: datetime) -> Profile | None:
    """Market price by the hour of the run, of the tariff's year; None without a market."""
    tariff = facility.tariff
    if tariff is None or tariff.market is None:
        return None
    prices = market_prices(tariff.market, tariff.market_year) + tariff.energy_usd_per_mwh
    return Profile(prices, hour_of_year(epoch))


def needs_process(meter: SiteMeter) -> bool:
    """True if weather or supply change while the workloads do not."""
    return meter.plant.building.hourly is not None or not meter.supply.plant.is_bare


def used_data(facilities: Iterable[Facility]) -> tuple[set[str], set[str]]:
    """Data files, and files of the user, that facilities read beyond `facility/*.yaml`."""
    shipped: set[str] = set()
    own: set[str] = set()
    for facility in facilities:
        for name in weather_names(facility):
            if is_file_name(name):
                own.add(name)
            else:
                shipped.add(f"weather/{name}.csv.gz")
        if facility.wind is not None and facility.wind.profile is not None:
            own.add(facility.wind.profile)
        if facility.tariff is not None and facility.tariff.market is not None:
            shipped.add(f"price/{facility.tariff.market}.csv.gz")
        if facility.carbon is not None:
            shipped.add("grid/regions/mix_2022.parquet")
    return shipped, own


def is_plain(facility: Facility) -> bool:
    """True if a facility says nothing but its design PUE."""
    return facility == Facility(pue_design=facility.pue_design)


def plain_plant(plant: SitePlant, pue: float) -> SitePlant:
    """The same site with a PUE in place of its weather, for the range of a peak."""
    if plant.building.hourly is None:
        return plant
    efficiency_frac = plant.building.power_train_efficiency_frac
    building = Building(efficiency_frac, max(pue, 1 / efficiency_frac))
    return replace(plant, building=building)


Folder = Callable[[Sequence[str]], Path]


def with_file_paths(facility: Facility, folder: Folder) -> Facility:
    """Weather and profile files relative to the file that names them.

    Args:
        folder: folder of the file that says the value at a path within the facility.
    """
    changes: dict[str, object] = {}
    for part in ("cooling", "pv", "wind"):
        spec = getattr(facility, part)
        if spec is None:
            continue
        found = {
            name: os.path.normpath(folder([part, name]) / value)
            for name in ("weather", "profile")
            if (value := getattr(spec, name, None)) and is_file_name(value)
        }
        if found:
            changes[part] = spec.model_copy(update=found)
    study = facility.study
    if study is not None and study.kind != "year" and any(map(is_file_name, study.climates)):
        base = folder(["study", "climates"])
        names = [os.path.normpath(base / n) if is_file_name(n) else n for n in study.climates]
        changes["study"] = study.model_copy(update={"climates": names})
    return facility.model_copy(update=changes) if changes else facility


def job_swing_w(facility: Facility, phases: Sequence[tuple[float, float]], gpus: int) -> float:
    """Swing of a job's GPUs within a step, behind power supplies and a smoothing battery.

    Args:
        phases: (duration [s], power of one GPU [W]).
    """
    powers_w = [w for t, w in phases if t > 0]
    swing_w = max(powers_w) - min(powers_w)
    if facility.swing.psu_j_per_gpu:
        swing_w = smooth_swing(phases, facility.swing.psu_j_per_gpu).swing_w
    battery = facility.battery
    if battery is not None and battery.dispatch.kind == "smoothing":
        battery_w = battery.power_mw * MEGA / gpus
        filtered_w = filtered_swing_w(phases, battery.dispatch.time_constant_s, battery_w)
        swing_w = min(swing_w, filtered_w)
    return swing_w * gpus
