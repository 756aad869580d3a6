"""Flexible headroom: the constant load that fits under past peaks if it may be curtailed.

A season's threshold is its highest hour over all years given. A new load L is curtailed by what
demand + L passes the threshold; its curtailment rate is the energy curtailed over the energy of
the load, L x hours (the method of the study "Rethinking Load Growth", Duke University 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.errors import InputError, UnknownNameError
from sim.grid.network import FloatArray
from sim.grid.regions.hourly import (
    AREA_TABLE,
    LONG_NAMES,
    LONG_TABLE,
    REGION_TABLE,
    Hours,
    read_hours,
)

SEASONS: Final[Mapping[str, tuple[int, ...]]] = {
    "summer": (5, 6, 7, 8, 9, 10),
    "winter": (11, 12, 1, 2, 3, 4),
}
PUBLISHED_GW: Final = {0.0025: (76.0, 76.0), 0.005: (98.0, 100.0), 0.01: (126.0, 126.0)}
PUBLISHED_SOURCE: Final = (
    "Duke University 2025, 22 balancing authorities, 95 % of the load "
    "(standardsmichigan.com/electric-load-growth; rtowww.com/?p=111767)"
)
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeasonHeadroom:
    """Headroom of one season by itself.

    Args:
        load_mw: load whose curtailment over the season's own hours is the rate asked.
    """

    season: str
    threshold_mw: float
    load_mw: float
    curtailed_h_per_y: float


@dataclass(frozen=True, slots=True)
class Headroom:
    """Headroom of an area at a curtailment rate.

    Args:
        load_mw: the constant load that fits.
        curtailed_h_per_y: hours a year with any curtailment.
        half_left_share: share of those hours in which at least half of the load is served.
        mean_event_h, longest_event_h: of unbroken runs of curtailed hours.
        deepest_mw: most curtailed in an hour.
    """

    area: str
    curtailment_frac: float
    load_mw: float
    years: tuple[int, ...]
    curtailed_mwh_per_y: float
    curtailed_h_per_y: float
    half_left_share: float
    mean_event_h: float
    longest_event_h: int
    deepest_mw: float
    seasons: tuple[SeasonHeadroom, ...]
    source: str
    notes: tuple[str, ...] = ()


def headroom(area: str, curtailment_frac: float) -> Headroom:
    """Headroom of an EIA-930 area, region, or operator (ERCOT, NYISO, ISO-NE).

    Raises:
        UnknownNameError: no hours are known for the area.
        InputError: a rate outside 0 to 1.
    """
    hours, name, notes = _hours_of(area)
    return from_hours(name, hours.column(name), hours.start, curtailment_frac, hours.source, notes)


def curtailment(area: str, load_mw: float) -> Headroom:
    """What a constant load gives up to stay under the past peaks of an area.

    Raises:
        UnknownNameError: no hours are known for the area.
        InputError: a load that is not above 0.
    """
    if not load_mw > 0:
        raise InputError(f"load of {load_mw:g} MW", "give > 0 MW")
    hours, name, notes = _hours_of(area)
    gap = _gap(hours.column(name), hours.start)
    rate = float(np.maximum(load_mw - gap, 0.0).mean()) / load_mw
    return _answer(name, hours.column(name), hours.start, rate, load_mw, hours.source, notes)


def areas() -> dict[str, tuple[str, ...]]:
    """Names with known hours, by the years that are known."""
    return {
        "2016-2024": tuple(sorted(read_hours(LONG_TABLE).columns)),
        "2023-2024": tuple(sorted(read_hours(REGION_TABLE).columns)),
        "2024": tuple(sorted(read_hours(AREA_TABLE).columns)),
    }


def _hours_of(area: str) -> tuple[Hours, str, tuple[str, ...]]:
    name = LONG_NAMES.get(area.strip().upper(), area.strip().upper())
    for path in (LONG_TABLE, REGION_TABLE, AREA_TABLE):
        hours = read_hours(path)
        if name in hours.columns:
            years = hours.n_hours / 8766
            short = years < 8
            note = f"only {years:.0f} years of hours: a peak of other years may be higher"
            return hours, name, (note,) if short else ()
    known = [*LONG_NAMES, *(n for names in areas().values() for n in names)]
    raise UnknownNameError("area", area, known)


def from_hours(
    area: str,
    demand_mw: FloatArray,
    start: datetime,
    curtailment_frac: float,
    source: str = "given",
    notes: tuple[str, ...] = (),
) -> Headroom:
    """Headroom of an hourly demand that begins at `start`, shape (n_hours,).

    Raises:
        InputError: a rate outside 0 to 1, or demand that is no number.
    """
    if not 0 < curtailment_frac < 1:
        raise InputError(
            f"curtailment {curtailment_frac:g} is outside 0 to 1",
            "give the share of the new load's energy, 0.005 for 0.5 %",
        )
    if not len(demand_mw) or not np.isfinite(demand_mw).all():
        raise InputError(f"{area}: demand has gaps", "fill them first")
    load = load_at(_gap(demand_mw, start), curtailment_frac)
    return _answer(area, demand_mw, start, curtailment_frac, load, source, notes)


def _gap(demand_mw: FloatArray, start: datetime) -> FloatArray:
    """Room under the season's highest hour of all years, shape (n_hours,)."""
    months, _ = _calendar(start, len(demand_mw))
    gap = np.empty(len(demand_mw))
    for months_in in SEASONS.values():
        inside = np.isin(months, months_in)
        if inside.any():
            gap[inside] = demand_mw[inside].max() - demand_mw[inside]
    return gap


def _answer(
    area: str,
    demand_mw: FloatArray,
    start: datetime,
    rate: float,
    load: float,
    source: str,
    notes: tuple[str, ...],
) -> Headroom:
    """Hours, depth and length of the curtailment of a load, and each season by itself."""
    months, years = _calendar(start, len(demand_mw))
    gap, n_years = _gap(demand_mw, start), len(demand_mw) / 8766
    return Headroom(
        area=area,
        curtailment_frac=rate,
        load_mw=load,
        years=tuple(int(y) for y in np.unique(years)),
        **_curtailment(gap, load, n_years),  # type: ignore[arg-type]
        seasons=tuple(
            _season(name, demand_mw[inside], gap[inside], rate, n_years)
            for name, months_in in SEASONS.items()
            if (inside := np.isin(months, months_in)).any()
        ),
        source=source,
        notes=notes,
    )


def load_at(gap_mw: FloatArray, curtailment_frac: float) -> float:
    """Load whose curtailed share is the rate asked: exact, on the sorted gaps.

    Between two gaps the curtailed energy is k L - (sum of the k smallest gaps), so
    L = sum / (k - rate x n) where that lies between them.
    """
    gaps = np.sort(gap_mw)
    count = np.arange(1, len(gaps) + 1)
    spare = count - curtailment_frac * len(gaps)
    with np.errstate(divide="ignore", invalid="ignore"):
        load = np.where(spare > 0, np.cumsum(gaps) / spare, np.inf)
    upper = np.append(gaps[1:], np.inf)
    fits = np.flatnonzero((load >= gaps - 1e-9) & (load <= upper + 1e-9))
    return float(load[fits[0]])


def _curtailment(gap: FloatArray, load: float, n_years: float) -> dict[str, float | int]:
    cut = np.maximum(load - gap, 0.0)
    on = cut > 1e-9
    events = [len(list(run)) for active, run in groupby(on) if active]
    return {
        "curtailed_mwh_per_y": float(cut.sum() / n_years),
        "curtailed_h_per_y": float(on.sum() / n_years),
        "half_left_share": float((cut[on] <= load / 2).mean()) if on.any() else 1.0,
        "mean_event_h": float(np.mean(events)) if events else 0.0,
        "longest_event_h": max(events, default=0),
        "deepest_mw": float(cut.max(initial=0.0)),
    }


def _season(
    name: str, demand: FloatArray, gap: FloatArray, rate: float, n_years: float
) -> SeasonHeadroom:
    load = load_at(gap, rate)
    return SeasonHeadroom(
        name, float(demand.max()), load, float((gap < load - 1e-9).sum() / n_years)
    )


def _calendar(start: datetime, n_hours: int) -> tuple[IntArray, IntArray]:
    """Month and year of every hour, UTC."""
    days = -(-n_hours // 24) + 1
    each = [start + timedelta(days=k) for k in range(days)]
    first = start.hour
    months = np.repeat([day.month for day in each], 24)
    years = np.repeat([day.year for day in each], 24)
    # The first day of a table begins at its own hour.
    return months[first : first + n_hours], years[first : first + n_hours]
