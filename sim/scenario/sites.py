"""The facility of a site in a run: its process, its files, its swing."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import simpy

from sim.errors import UnknownNameError
from sim.facility.building import Building
from sim.facility.meter import SiteMeter, SitePlant
from sim.facility.profile import Profile
from sim.facility.series import market_prices
from sim.facility.swing import filtered_swing_w, smooth_swing
from sim.facility.weather import climates
from sim.scenario.schema.facility import Facility
from sim.scenario.site_building import hour_of_year, is_file_name, weather_names
from sim.scenario.zone_weather import BY_ZONE
from sim.units import MEGA, PS_PER_H, to_ps, to_s


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

    Raises:
        UnknownNameError: a weather is no file and no shipped climate.
    """
    _check_climates(facility)
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


def _check_climates(facility: Facility) -> None:
    """Every name of a weather that is no file is that of a shipped climate."""
    named = {
        f"{part}.weather": spec.weather
        for part in ("cooling", "pv", "wind")
        if (spec := getattr(facility, part)) is not None
    }
    if facility.study is not None and facility.study.kind != "year":
        named |= {f"study.climates[{n}]": name for n, name in enumerate(facility.study.climates)}
    for path, name in named.items():
        if name and name != BY_ZONE and not is_file_name(name) and name not in climates():
            raise UnknownNameError("climate", name, climates(), path=path)


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
