"""The nodal grid's side of the loop: line limits, prices at buses, and what each site must cut.

The case is one operating point. Where the scenario names a `load_zone`, all its loads follow the
hours of that zone, the highest hour of the year at the case's own load; otherwise they stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sim.control.view import GridSignals
from sim.errors import InputError
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.interval import (
    CUT_USD_PER_MWH,
    UNSERVED_USD_PER_MWH,
    WiresAnswer,
    wires_dispatch,
)
from sim.grid.nodal.tables import ISOLATED, Network
from sim.grid.regions.case import region_case
from sim.grid.us_states import resolve_zone, us_states
from sim.scenario.coupling import Calendar, Draw, GridBook, PlaceAnswer, rank_frac
from sim.scenario.nodal_view import settings_of
from sim.scenario.schema.nodal import NodalGrid
from sim.units import MEGA, S_PER_H

MOST_NAMED = 10
MEMORY = 4096
"""Answers that are kept: the same draw under the same load gets the same one."""


@dataclass(slots=True)
class WiresBook:
    """What the wires add to the book.

    Attributes:
        over_h: hours with a limit over. overload_mwh: the worst overload of each, times hours.
        added_usd: cost of generation with the sites less that without; None: fixed dispatch.
        branch_h: branch row from 0 -> hours in which it was over, had a price, or cut a site.
    """

    over_h: float = 0.0
    overload_mwh: float = 0.0
    added_usd: float | None = None
    branch_h: dict[int, float] = field(default_factory=dict)
    most_over: int = 0

    def enter(self, found: WiresAnswer, hours: float) -> None:
        """Add an interval."""
        self.over_h += bool(found.over) * hours
        self.overload_mwh += found.over_mw * hours
        self.most_over = max(self.most_over, len(found.over))
        if found.added_usd_per_h is not None:
            self.added_usd = (self.added_usd or 0.0) + found.added_usd_per_h * hours
        for branch in {*found.over, *found.binding}:
            self.branch_h[branch] = self.branch_h.get(branch, 0.0) + hours


class CoupledWires:
    """A nodal grid that answers interval by interval (see `coupling.GridSide`).

    Args:
        buses: bus number of each site, in the order of the draws.
        load_zone: zone whose hours the case's loads follow; empty: they stand.

    Raises:
        InputError: a bus is out of service; a zone is unknown or has no hours; or the run leaves
            the year of its epoch.
    """

    def __init__(
        self,
        grid: NodalGrid,
        buses: tuple[int, ...],
        epoch: datetime,
        horizon_s: float,
        load_zone: str = "",
        weather_year: int = 2022,
    ):
        self.grid = grid
        self.network: Network = load_case(grid.case)
        self.load_zone = load_zone
        self.calendar = Calendar(epoch, horizon_s)
        self.book = GridBook()
        self.wires_book = WiresBook()
        self._load = _hours_of(load_zone, self.calendar.epoch.year, weather_year)
        self._rank = None if self._load is None else rank_frac(self._load[:, None])[:, 0]
        index = np.array([self._bus(n, i) for i, n in enumerate(buses)], dtype=np.int64)
        self._dispatch = wires_dispatch(
            self.network, settings_of(grid), index, scaled=bool(load_zone)
        )
        self._known: dict[tuple[float, bytes, bytes], WiresAnswer] = {}

    def _bus(self, number: int, site: int) -> int:
        index = self.network.bus_index(number)
        if self.network.buses.kind[index] == ISOLATED:
            raise InputError(
                f"bus {number} is out of service", "choose another", path=f"sites[{site}].at.bus"
            )
        return index

    @property
    def publishes(self) -> frozenset[str]:
        """Prices with a redispatch; the rank of the load with a zone to follow; no carbon."""
        return published_by(self.grid, self.load_zone)

    def tick(
        self, time_s: float, interval_s: float, draws: Mapping[str, Draw]
    ) -> dict[str, GridSignals]:
        """Solve the interval from `time_s` on with what the sites drew; tell each of them."""
        hour = self.calendar.hour_index(time_s)
        scale = 1.0 if self._load is None else float(self._load[hour])
        found = self._answer(scale, draws)
        self._enter(found, draws, scale, interval_s / S_PER_H)
        return {
            name: GridSignals(
                price_usd_per_mwh=_price(found, i),
                short_w=float(found.short_mw[i]) * MEGA,
                load_rank_frac=1.0 if self._rank is None else float(self._rank[hour]),
            )
            for i, name in enumerate(draws)
        }

    def _answer(self, scale: float, draws: Mapping[str, Draw]) -> WiresAnswer:
        """The dispatch's answer; a site that exports takes nothing."""
        full = np.array([max(0.0, d.full_w) / MEGA for d in draws.values()])
        drawn = np.array([max(0.0, d.import_w) / MEGA for d in draws.values()])
        key = (scale, drawn.tobytes(), full.tobytes())
        if key not in self._known:
            if len(self._known) >= MEMORY:
                self._known.clear()
            self._known[key] = self._dispatch.solve(scale, drawn, full)
        return self._known[key]

    def _enter(
        self, found: WiresAnswer, draws: Mapping[str, Draw], scale: float, hours: float
    ) -> None:
        self.book.hours += hours
        self.book.unserved_mwh += found.unserved_mw * hours
        if found.unserved_mw > 0:
            before_mw = self._dispatch.unserved_before_mw(scale)
            self.book.unserved_before_mwh += before_mw * hours
        self.wires_book.enter(found, hours)
        said: dict[str, PlaceAnswer] = {}
        for i, draw in enumerate(draws.values()):
            short = bool(found.short_mw[i] > 0)
            earlier = said.get(draw.place)
            short = short or (earlier is not None and earlier.short)
            said[draw.place] = PlaceAnswer(short, _price(found, i))
        for place, answer in said.items():
            self.book.enter(place, hours, answer)

    def book_json(self) -> dict[str, object]:
        """What the wires did: overloads, the cost of redispatch, and the branches behind it."""
        book = self.wires_book
        worst = sorted(book.branch_h.items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMED]
        return {
            "redispatch": self.grid.redispatch,
            "security": self.grid.security,
            "over_h": book.over_h,
            "overload_mwh": book.overload_mwh,
            "lines_over": book.most_over,
            "redispatch_usd": book.added_usd,
            "branches": [self.network.branch_name(b) | {"hours": h} for b, h in worst],
        }

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the answers of the loop rest on."""
        follows = (
            f"all loads of the case follow the hours of {self.load_zone}, its highest hour at the "
            "case's own load; units may go down to zero"
            if self.load_zone
            else "the load of the case stands still: it is one operating point"
        )
        who = {
            "none": "the dispatch stands: new load is picked up by headroom, and sites are cut so "
            "that the sum of the cuts is least",
            "dc-opf": "the cheapest dispatch of the base case in each interval; sites are cut "
            "before any other load",
            "n1-secure": "the cheapest dispatch that survives every outage, in each interval; "
            "sites are cut before any other load",
        }
        said = [follows, who[self.grid.redispatch], "no emissions and no frequency at buses"]
        if self.grid.redispatch != "none":
            said.append(
                f"a site is cut at {CUT_USD_PER_MWH:g} USD/MWh, other load at "
                f"{UNSERVED_USD_PER_MWH:g}: who goes first, not what it is worth"
            )
        return tuple(said)


def published_by(grid: NodalGrid, load_zone: str) -> frozenset[str]:
    """Prices with a redispatch; the rank of the load with a zone to follow; no carbon."""
    said = {"price"} if grid.redispatch != "none" else set[str]()
    return frozenset(said | ({"load-rank"} if load_zone else set()))


def _price(found: WiresAnswer, site: int) -> float:
    """LMP; 0 where there is none."""
    return 0.0 if found.price_usd_per_mwh is None else float(found.price_usd_per_mwh[site])


def _hours_of(zone: str, year: int, weather_year: int) -> NDArray[np.float64] | None:
    """Load of a zone over its highest of the year, by hour; None without a zone."""
    if not zone:
        return None
    try:
        name = resolve_zone(us_states(), zone).name
        case = region_case("us-states", year, weather_year, mixed_years=True)
        load = np.asarray(case.load_mw[:, case.index(name)], float)
    except InputError as error:
        raise error.at(None, "control.coupling.load_zone") from None
    shape: NDArray[np.float64] = load / load.max()
    return shape
