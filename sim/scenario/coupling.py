"""The grid's side of the loop: every interval it is dispatched with what the sites draw.

On the zonal grid the dispatch (`sim.grid.regions.interval`) gives price, carbon and what is
unserved in each zone; the nodal grid is in `coupling_nodal`. A zone is short by what its reserve
margin would lack if its sites held nothing back, so that an order does not vanish because it was
obeyed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.control.view import GridSignals
from sim.errors import InputError
from sim.grid.network import Network
from sim.grid.regions.case import region_case
from sim.grid.regions.interval import IntervalDispatch, IntervalResult
from sim.grid.us_states import resolve_zone, us_states
from sim.units import MEGA, S_PER_H

NOMINAL_HZ = 60.0
EVERYTHING: Final = frozenset({"price", "carbon", "load-rank"})


@dataclass(frozen=True, slots=True)
class Draw:
    """What a site takes from the grid, as the grid is told at a tick.

    Attributes:
        place: zone or bus. import_w: mean over the last interval.
        full_w: what it would take with nothing held back.
        largest_step_w: largest rise between two moments of the interval.
    """

    place: str
    import_w: float
    full_w: float
    largest_step_w: float = 0.0


@dataclass(slots=True)
class GridBook:
    """What the intervals so far add up to, by place of the sites.

    Attributes:
        unserved_mwh: load that was not served with the sites on.
        unserved_before_mwh: the same without them.
        price_usd_per_mwh_h: price times hours. carbon_kg_per_mwh_h: likewise.
    """

    hours: float = 0.0
    unserved_mwh: float = 0.0
    unserved_before_mwh: float = 0.0
    short_h: dict[str, float] = field(default_factory=dict)
    price_usd_per_mwh_h: dict[str, float] = field(default_factory=dict)
    carbon_kg_per_mwh_h: dict[str, float] = field(default_factory=dict)
    highest_price_usd_per_mwh: dict[str, float] = field(default_factory=dict)
    highest_carbon_kg_per_mwh: dict[str, float] = field(default_factory=dict)

    def enter(self, place: str, hours: float, found: PlaceAnswer) -> None:
        """Add what an interval said to a place."""
        for entries, value in (
            (self.short_h, float(found.short)),
            (self.price_usd_per_mwh_h, found.price_usd_per_mwh),
            (self.carbon_kg_per_mwh_h, found.carbon_kg_per_mwh),
        ):
            entries[place] = entries.get(place, 0.0) + value * hours
        for highest, value in (
            (self.highest_price_usd_per_mwh, found.price_usd_per_mwh),
            (self.highest_carbon_kg_per_mwh, found.carbon_kg_per_mwh),
        ):
            highest[place] = max(value, highest.get(place, value))


@dataclass(frozen=True, slots=True)
class PlaceAnswer:
    """What an interval says to a place."""

    short: bool
    price_usd_per_mwh: float = 0.0
    carbon_kg_per_mwh: float = 0.0


class GridSide(Protocol):
    """A grid that answers interval by interval.

    Attributes:
        book: what the intervals add up to.
        publishes: what its signals hold; a rule that needs more is refused.
        assumptions: what its answers rest on.
    """

    book: GridBook

    @property
    def publishes(self) -> frozenset[str]:
        """Of `price`, `carbon`, `load-rank`."""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What its answers rest on."""

    def tick(
        self, time_s: float, interval_s: float, draws: Mapping[str, Draw]
    ) -> dict[str, GridSignals]:
        """Dispatch the interval from `time_s` on with what the sites drew; tell each of them."""

    def book_json(self) -> dict[str, object]:
        """What the book holds beyond the figures that every grid has."""


class Calendar:
    """Hours of the year of a run.

    Raises:
        InputError: the run leaves the year of its epoch.
    """

    def __init__(self, epoch: datetime, horizon_s: float):
        self.epoch = epoch.astimezone(UTC)
        self._start = datetime(self.epoch.year, 1, 1, tzinfo=UTC)
        end = self.epoch + timedelta(seconds=horizon_s)
        if (end - timedelta(microseconds=1)).year != self.epoch.year:
            raise InputError(
                f"the run lasts from {self.epoch:%Y-%m-%d} to {end:%Y-%m-%d}: the coupled grid "
                "knows one year",
                "give an earlier epoch or a shorter horizon_h",
                path="epoch",
            )

    def hour_index(self, time_s: float) -> int:
        """Hour of the year at a simulation time."""
        elapsed_s = (self.epoch - self._start).total_seconds() + time_s
        return math.floor(elapsed_s / S_PER_H)


class CoupledGrid:
    """A zonal grid that answers interval by interval.

    Args:
        epoch: the moment of simulation time 0.
        expected_w: zone -> power of its sites that the day-ahead dispatch counts with.
        horizon_s: length of the run; it must lie within the year of `epoch`.

    Raises:
        InputError: the run leaves the year, or its year has no measured load; or a zone has no
            hours (Alaska and Hawaii).
    """

    def __init__(
        self,
        epoch: datetime,
        horizon_s: float,
        weather_year: int,
        expected_w: Mapping[str, float],
    ):
        self.network: Network = us_states()
        self.calendar = Calendar(epoch, horizon_s)
        self._check_zones(expected_w, weather_year)
        expected_mw = {zone: watts / MEGA for zone, watts in expected_w.items()}
        self.dispatch = IntervalDispatch.of_case(
            self.network.name,
            self.calendar.epoch.year,
            weather_year,
            mixed_years=True,
            expected_mw=expected_mw,
        )
        self.book = GridBook()

    def _check_zones(self, expected_w: Mapping[str, float], weather_year: int) -> None:
        year = self.calendar.epoch.year
        case = region_case(self.network.name, year, weather_year, mixed_years=True)
        known = {zone.name for zone in case.zones}
        for zone in expected_w:
            if zone not in known:
                raise InputError(
                    f"zone {zone} has no hourly load, so it cannot be dispatched",
                    "choose a zone of the contiguous states, or coupling: {kind: none}",
                )

    @property
    def publishes(self) -> frozenset[str]:
        """All that a rule may need."""
        return EVERYTHING

    def tick(
        self, time_s: float, interval_s: float, draws: Mapping[str, Draw]
    ) -> dict[str, GridSignals]:
        """Dispatch the interval from `time_s` on with what the sites drew; tell each of them."""
        hour = self.calendar.hour_index(time_s)
        loads_mw = _by_zone(draws, lambda d: d.import_w / MEGA)
        found = self.dispatch.solve(hour, loads_mw)
        short_mw = {zone: self._short_mw(found, zone, draws) for zone in loads_mw}
        self._enter(found, short_mw, hour, interval_s)
        wanted_mw = _by_zone(draws, lambda d: d.full_w / MEGA)
        return {
            name: GridSignals(
                price_usd_per_mwh=found.price_usd_per_mwh[d.place],
                carbon_kg_per_mwh=found.carbon_mean_kg_per_mwh[d.place],
                short_w=short_mw[d.place] * MEGA * _share(d.full_w / MEGA, wanted_mw[d.place]),
                load_rank_frac=float(self._rank_frac[hour, self.dispatch.zones.index(d.place)]),
                frequency_hz=NOMINAL_HZ - self._deviation_hz(d),
            )
            for name, d in draws.items()
        }

    def _short_mw(self, found: IntervalResult, zone: str, draws: Mapping[str, Draw]) -> float:
        """What the zone lacks, reserve included, with its sites at full power."""
        held_mw = sum(
            max(0.0, d.full_w - d.import_w) / MEGA for d in draws.values() if d.place == zone
        )
        room_mw = found.reserve_margin_mw[zone] - held_mw
        return max(0.0, found.unserved_mw[zone] - min(room_mw, 0.0))

    def _deviation_hz(self, draw: Draw) -> float:
        """Fall of the frequency after the site's largest step, before secondary control."""
        interconnection = resolve_zone(self.network, draw.place).interconnection
        for figures in self.network.frequency:
            if figures.interconnection == interconnection:
                response = figures.response_mw_per_tenth_hz.value
                return draw.largest_step_w / MEGA / response / 10.0
        return 0.0

    def _enter(
        self, found: IntervalResult, short_mw: Mapping[str, float], hour: int, interval_s: float
    ) -> None:
        """Add the interval to the book."""
        book, hours = self.book, interval_s / S_PER_H
        book.hours += hours
        unserved_mw = math.fsum(found.unserved_mw.values())
        book.unserved_mwh += unserved_mw * hours
        if unserved_mw > 0:
            before = self.dispatch.solve(hour, {})
            book.unserved_before_mwh += math.fsum(before.unserved_mw.values()) * hours
        for zone, short in short_mw.items():
            price, carbon = found.price_usd_per_mwh[zone], found.carbon_mean_kg_per_mwh[zone]
            book.enter(zone, hours, PlaceAnswer(short > 0, price, carbon))

    @cached_property
    def _rank_frac(self) -> NDArray[np.float64]:
        """Share of the year's hours with at least as much load, shape (hours, zones)."""
        return rank_frac(self.dispatch.case.load_mw)

    def book_json(self) -> dict[str, object]:
        """Nothing more."""
        return {}

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the answers of the loop rest on."""
        return self.dispatch.assumptions


def rank_frac(load: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the hours with at least as much load, by column; same shape."""
    order = np.argsort(-load, axis=0, kind="stable")
    rank = np.empty(load.shape)
    np.put_along_axis(rank, order, np.arange(1, len(load) + 1)[:, None] / len(load), axis=0)
    return rank


def _by_zone(draws: Mapping[str, Draw], amount: Callable[[Draw], float]) -> dict[str, float]:
    found: dict[str, float] = {}
    for draw in draws.values():
        found[draw.place] = found.get(draw.place, 0.0) + amount(draw)
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
