"""The network `us-balancing-areas`: the peak-hour view on the 134 ReEDS areas."""

from __future__ import annotations

from functools import cache

from sim.grid.network import Network, Zone
from sim.grid.regions.case import (
    CASES,
    SHAPE_YEAR,
    Area,
    area_lines,
    area_load_mw,
    balancing_areas,
    region_case,
)
from sim.grid.us_states import HOURS, OMITTED, named_hour, us_states


@cache
def us_balancing_areas() -> Network:
    """134 areas; capacity of a state by share of load, peaks from shared-out regional hours."""
    states = us_states()
    peaks = area_load_mw(SHAPE_YEAR).max(axis=0)
    areas = balancing_areas()
    whole: dict[str, float] = {}
    for area in areas:
        whole[area.zone] = whole.get(area.zone, 0.0) + area.load_share
    zones = tuple(
        _zone(area, states.zone(area.zone), float(peak), area.load_share / whole[area.zone])
        for area, peak in zip(areas, peaks, strict=True)
    )
    return Network(
        name="us-balancing-areas",
        zones=zones,
        interfaces=area_lines(),
        hours=tuple(named_hour(name, zones) for name in HOURS),
        areas=states.areas,
        frequency=states.frequency,
        observed_load_loss_mw=states.observed_load_loss_mw,
        interconnection_load_factor=states.interconnection_load_factor,
        interface_limit_factor=states.interface_limit_factor,
        omitted=(*OMITTED, "capacity of an area = that of its state by share of load (assumption)"),
    )


def _zone(area: Area, state: Zone, peak_mw: float, share: float) -> Zone:
    def part(figure: float | None) -> float | None:
        return None if figure is None else figure * share

    return Zone(
        name=area.name,
        title=f"{area.name} ({state.title})",
        interconnection=area.interconnection,
        shares=((area.interconnection, 1.0),),
        peak_mw=peak_mw,
        peak_kind="derived",
        peak_factor=us_states().zone("VA").peak_factor,
        capacity_mw=tuple(mw * share for mw in state.capacity_mw),
        region=area.region,
        nerc_areas=state.nerc_areas,
        mean_load_mw=area.mean_load_mw,
        data_centre_mw=part(state.data_centre_mw),
        net_generation_twh=part(state.net_generation_twh),
    )


def hourly_gaps(name: str) -> tuple[str, ...]:
    """What the hourly view of a case lacks or assumes; nothing for a case without hours."""
    if name not in CASES:
        return ()
    case = region_case(name, mixed_years=True)
    return (*case.gaps, *case.profiles.assumptions)
