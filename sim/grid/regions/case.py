"""A case: zones with hourly load, capacity by fuel and limits, for a year.

`us-states` has the 48 states, Texas in two parts; `us-balancing-areas` the ReEDS areas. Loads
are measured hours of EIA-930 regions shared out over balancing areas, so that every region
keeps its measured sum, and with it its peak, at every hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, cast

import numpy as np

from sim.datum import read_table
from sim.errors import InputError, UnknownNameError
from sim.grid.network import FUELS, FloatArray, Interface
from sim.grid.regions.hourly import (
    AREA_TABLE,
    REGION_TABLE,
    REGION_YEARS,
    hours_of,
    read_hours,
)
from sim.grid.regions.profiles import REGIONS, Profiles, profiles
from sim.grid.us_states import us_states

CASES: Final = ("us-states", "us-balancing-areas")
AREAS_FILE: Final = "grid/regions/balancing_areas.csv"
LINES_FILE: Final = "grid/regions/area_interfaces.csv"
SHAPE_YEAR: Final = 2024


@dataclass(frozen=True, slots=True)
class RegionZone:
    """A zone of a case.

    Args:
        parts: (EIA-930 region, share of the zone's mean load in it).
        capacity_mw: summer rating in the order of `FUELS`.
        data_centre_mw: existing data-centre load, mean, None where not known.
    """

    name: str
    interconnection: str
    parts: tuple[tuple[str, float], ...]
    capacity_mw: tuple[float, ...]
    data_centre_mw: float | None

    def capacity(self, fuel: str) -> float:
        """Summer rating of a fuel."""
        return self.capacity_mw[FUELS.index(fuel)]

    def mixed(self, by_region: Mapping[str, FloatArray]) -> FloatArray:
        """A regional series, weighted by the zone's parts."""
        return np.asarray(sum(share * by_region[region] for region, share in self.parts))


@dataclass(frozen=True, slots=True)
class RegionCase:
    """Zones, limits and hours of one year.

    Args:
        load_mw: shape (n_hours, n_zones).
        measured: names of zones whose hours are measured, not shared out.
    """

    name: str
    year: int
    zones: tuple[RegionZone, ...]
    lines: tuple[Interface, ...]
    load_mw: FloatArray
    profiles: Profiles
    measured: tuple[str, ...]
    gaps: tuple[str, ...]

    def index(self, zone: str) -> int:
        """Position of a zone, whatever the case of its name.

        Raises:
            UnknownNameError: no such zone.
        """
        names = [z.name for z in self.zones]
        folded = [name.casefold() for name in names]
        if zone.strip().casefold() not in folded:
            raise UnknownNameError("zone", zone, names)
        return folded.index(zone.strip().casefold())


@dataclass(frozen=True, slots=True)
class Area:
    """A row of the table of balancing areas."""

    name: str
    zone: str
    interconnection: str
    region: str
    load_share: float
    mean_load_mw: float
    shape: tuple[str, ...]


@cache
def balancing_areas() -> tuple[Area, ...]:
    """The ReEDS balancing areas."""
    return tuple(
        Area(
            row["area"],
            row["zone"],
            row["interconnection"],
            row["region"],
            float(row["load_share"]),
            float(row["mean_load_mw"]),
            tuple(part for part in row["shape"].split("|") if part),
        )
        for row in read_table(AREAS_FILE)
    )


@cache
def area_load_mw(year: int) -> FloatArray:
    """Hourly load of the balancing areas, shape (n_hours, n_areas). Callers must not change it.

    An area's mean load takes the shape of its EIA-930 areas (2024) or of its region; then all
    areas of a region are scaled together, hour by hour, to its measured load.

    Raises:
        InputError: a year whose regional hours are not known.
    """
    if year not in REGION_YEARS:
        raise InputError(
            f"hourly demand of all regions is not known for {year}",
            f"take {' or '.join(str(y) for y in REGION_YEARS)}",
        )
    measured = read_hours(REGION_TABLE).year(year).columns
    areas = balancing_areas()
    load = np.empty((hours_of(year), len(areas)))
    for k, area in enumerate(areas):
        shape = _shape(area, year, measured)
        load[:, k] = area.mean_load_mw * shape / shape.mean()
    for region in REGIONS:
        inside = [k for k, area in enumerate(areas) if area.region == region]
        load[:, inside] *= (measured[region] / load[:, inside].sum(axis=1))[:, None]
    return load


def _shape(area: Area, year: int, measured: Mapping[str, FloatArray]) -> FloatArray:
    if year == SHAPE_YEAR and area.shape:
        hours = read_hours(AREA_TABLE).columns
        return np.asarray(sum(hours[name] for name in area.shape))
    return measured[area.region]


def region_case(
    name: str, year: int = 2024, weather_year: int = 2022, *, mixed_years: bool = False
) -> RegionCase:
    """A case of a year.

    Raises:
        UnknownNameError: no such case.
        InputError: hours that are not known, or years mixed without `mixed_years`.
    """
    if name not in CASES:
        raise UnknownNameError("case", name, CASES)
    shares = profiles(year, weather_year, mixed=mixed_years)
    build = _states if name == "us-states" else _areas
    return build(year, shares)


def _states(year: int, shares: Profiles) -> RegionCase:
    network, areas = us_states(), balancing_areas()
    load = area_load_mw(year)
    kept = [zone for zone in network.zones if any(a.zone == zone.name for a in areas)]
    columns = [[k for k, a in enumerate(areas) if a.zone == zone.name] for zone in kept]
    zones = [
        RegionZone(
            zone.name,
            zone.interconnection,
            _parts([areas[k] for k in inside]),
            zone.capacity_mw,
            zone.data_centre_mw,
        )
        for zone, inside in zip(kept, columns, strict=True)
    ]
    names = {zone.name for zone in zones}
    lines = tuple(x for x in network.interfaces if x.source in names and x.target in names)
    left_out = sorted({zone.name for zone in network.zones} - names)
    return RegionCase(
        name="us-states",
        year=year,
        zones=tuple(zones),
        lines=lines,
        load_mw=np.stack([load[:, inside].sum(axis=1) for inside in columns], axis=1),
        profiles=shares,
        measured=_measured(year, {z.name: z.name for z in zones}),
        gaps=(
            f"no zone with hours: {', '.join(left_out)}",
            "the load of DC (its sales of the latest 12 months) is counted in MD: it has no limits",
            *_gaps(year),
        ),
    )


def _areas(year: int, shares: Profiles) -> RegionCase:
    states = {zone.name: zone for zone in us_states().zones}
    total: dict[str, float] = {}
    for area in balancing_areas():
        total[area.zone] = total.get(area.zone, 0.0) + area.load_share
    zones = []
    for area in balancing_areas():
        state = states[area.zone]
        share = area.load_share / total[area.zone]
        centres = None if state.data_centre_mw is None else state.data_centre_mw * share
        zones.append(
            RegionZone(
                area.name,
                area.interconnection,
                ((area.region, 1.0),),
                tuple(mw * share for mw in state.capacity_mw),
                centres,
            )
        )
    return RegionCase(
        name="us-balancing-areas",
        year=year,
        zones=tuple(zones),
        lines=area_lines(),
        load_mw=area_load_mw(year),
        profiles=shares,
        measured=_measured(year, {a.name: a.zone for a in balancing_areas()}),
        gaps=(
            "capacity of a balancing area = that of its state by share of load (assumption)",
            *_gaps(year),
        ),
    )


@cache
def area_lines() -> tuple[Interface, ...]:
    """Limits between balancing areas."""
    return tuple(
        Interface(
            row["from"],
            row["to"],
            float(row["forward_mw"]),
            float(row["reverse_mw"]),
            cast("Literal['ac', 'dc']", row["kind"]),
            row["note"],
        )
        for row in read_table(LINES_FILE)
    )


def _parts(areas: list[Area]) -> tuple[tuple[str, float], ...]:
    total = sum(area.mean_load_mw for area in areas)
    found: dict[str, float] = {}
    for area in areas:
        found[area.region] = found.get(area.region, 0.0) + area.mean_load_mw / total
    return tuple(sorted(found.items()))


def _measured(year: int, state_of: Mapping[str, str]) -> tuple[str, ...]:
    """Zones whose hours are those of a measured region that is one state."""
    alone = {"TX-ERCOT", "NY"} if year in REGION_YEARS else set()
    return tuple(name for name, state in state_of.items() if name == state and state in alone)


def _gaps(year: int) -> tuple[str, ...]:
    measured = read_hours(REGION_TABLE).year(year).columns
    means: dict[str, float] = dict.fromkeys(REGIONS, 0.0)
    for area in balancing_areas():
        means[area.region] += area.mean_load_mw
    factors = ", ".join(f"{r} {measured[r].mean() / means[r]:.3f}" for r in REGIONS)
    shape = "areas of the same year" if year == SHAPE_YEAR else "their region"
    return (
        f"loads are measured hours of 13 EIA-930 regions, shared out with the shape of {shape}",
        f"measured mean load of a region over the sum of its states' sales: {factors}",
        "imports from Canada and Mexico are not counted; each zone is one point",
    )
