"""The building of a site: weather, power chain and cooling plant from its scenario part."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sim.datum import Datum
from sim.errors import InputError
from sim.facility.building import (
    Building,
    building_figures,
    load_building,
    power_train_efficiency_frac,
)
from sim.facility.chain import ChainPlan, PowerChain, build_chain, chain_figures
from sim.facility.cooling import cooling_figures, cooling_year
from sim.facility.weather import Weather, climate, climates, read_weather
from sim.facility.year import overhead
from sim.hardware.node import Node
from sim.scenario.resolve import within
from sim.scenario.schema.facility import ChainSpec, Facility
from sim.units import MEGA, S_PER_H

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
