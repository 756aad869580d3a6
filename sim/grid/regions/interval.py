"""One hour of the dispatch at a time, fast enough for a control loop.

A day is first dispatched as a whole (day-ahead): it sets what water and stores give in each hour
and how far coal may move. An interval then meets whatever load there is with the rest. What
water and stores hold back beyond their schedule is used before load is shed, at the price of
missing reserve. The linear program of an hour keeps its last basis, so a call takes about a
millisecond; prices are its duals, and the carbon of one more MWh follows from the same basis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from sim.errors import InputError
from sim.grid.network import FloatArray
from sim.grid.regions.case import RegionCase, region_case
from sim.grid.regions.dispatch import HALF_FULL, WINDOW_H
from sim.grid.regions.lp import Dispatcher, Window, WindowResult
from sim.grid.regions.parts import Block, System
from sim.grid.regions.supply import build_supply

FULL_MW: Final = 1e-3
HELD_BACK: Final = ("hydro.reserve", "store.reserve")


@dataclass(frozen=True, slots=True)
class Congested:
    """An interface at its limit.

    Args:
        flow_mw: from source to target.
        spread_usd_per_mwh: price at the target less that at the source.
    """

    source: str
    target: str
    flow_mw: float
    spread_usd_per_mwh: float


@dataclass(frozen=True, slots=True)
class IntervalResult:
    """What an interval says, by zone.

    Args:
        cost_usd_per_h: of generation, transfers, missing reserve and unserved load.
        emissions_kg_per_h: CO2 at the stack of all zones.
        carbon_kg_per_mwh: CO2 at the stack of one more MWh in the zone.
        carbon_mean_kg_per_mwh: CO2 of its interconnection over its generation.
        reserve_margin_mw: the least of what its interconnection can still give beyond the
            spinning reserve, and what the zone and its unused limits can; an upper bound on
            the load that still fits.
    """

    hour_index: int
    cost_usd_per_h: float
    emissions_kg_per_h: float
    price_usd_per_mwh: Mapping[str, float]
    unserved_mw: Mapping[str, float]
    carbon_kg_per_mwh: Mapping[str, float]
    carbon_mean_kg_per_mwh: Mapping[str, float]
    reserve_margin_mw: Mapping[str, float]
    congestion: tuple[Congested, ...]


@dataclass(frozen=True, slots=True)
class _Hour:
    """Bounds of an hour: load without the new one, least and most of each block."""

    load_mw: FloatArray
    least_mw: FloatArray
    most_mw: FloatArray
    reserve_mw: FloatArray


class IntervalDispatch:
    """Dispatch of single hours of a case.

    Args:
        expected_mw: new load by zone that the day-ahead dispatch counts with, constant.
        changes: figures of the technology table by name.
    """

    def __init__(
        self,
        case: RegionCase,
        expected_mw: Mapping[str, float] | None = None,
        changes: Mapping[str, float] | None = None,
    ):
        self.case = case
        self.zones = tuple(zone.name for zone in case.zones)
        self.expected_mw = self._vector(expected_mw or {})
        self._supply = build_supply(case, changes)
        self._n_hours = len(case.load_mw)
        self._days: dict[int, list[_Hour]] = {}
        self._system = _single(self._supply.system)
        self._co2 = np.concatenate([self._supply.co2_kg_per_mwh, np.zeros(2 * len(self.zones))])
        self._solver = Dispatcher(self._system, 1, self._co2)
        self._zone_of = np.array([block.zone for block in self._system.blocks])
        self._group = np.array(self._system.reserve_group)

    @classmethod
    def of_case(
        cls,
        name: str,
        year: int = 2024,
        weather_year: int = 2022,
        *,
        mixed_years: bool = False,
        expected_mw: Mapping[str, float] | None = None,
    ) -> IntervalDispatch:
        """Of a case by its name.

        Raises:
            UnknownNameError: no such case or zone.
            InputError: hours that are not known, or years mixed without `mixed_years`.
        """
        return cls(region_case(name, year, weather_year, mixed_years=mixed_years), expected_mw)

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the answers rest on."""
        return (
            *self._supply.assumptions,
            (
                "water and stores keep the schedule of the day-ahead dispatch; what they hold "
                "back is used before load is shed, at the price of missing reserve"
            ),
            (
                "coal rises by at most its ramp above the schedule; an interval has the mean "
                "load of its hour"
            ),
        )

    def solve(
        self, hour_index: int, extra_load_mw: Mapping[str, float] | None = None
    ) -> IntervalResult:
        """Dispatch an interval of an hour.

        Args:
            hour_index: hour of the case's year, 0 is the first hour of 1 January UTC.
            extra_load_mw: all new load in the interval by zone (the expected one included).

        Raises:
            InputError: an hour that is not in the year, or a load below 0.
            UnknownNameError: no such zone.
        """
        if not 0 <= hour_index < self._n_hours:
            raise InputError(
                f"hour {hour_index} is outside 0 to {self._n_hours - 1}", "give an hour of the year"
            )
        extra = self._vector(extra_load_mw or {})
        hour = self._hour(hour_index)
        # Below what the day counted with, coal may be too much: let it go as low as it must.
        least = hour.least_mw if (extra >= self.expected_mw).all() else np.zeros_like(hour.least_mw)
        result = self._solver.solve(
            Window(
                load_mw=(hour.load_mw + extra)[None, :],
                least_mw=least[None, :],
                most_mw=hour.most_mw[None, :],
                budget_mwh=np.zeros(0),
                reserve_mw=hour.reserve_mw[None, :],
                stored_mwh=np.zeros(0),
                end_mwh=np.zeros(0),
            )
        )
        return self._answer(hour_index, hour, result)

    # -- the day ahead

    def _hour(self, hour_index: int) -> _Hour:
        day, k = divmod(hour_index, WINDOW_H)
        if day not in self._days:
            self._days[day] = self._schedule(day)
        return self._days[day][k]

    @cached_property
    def _day_solver(self) -> Dispatcher:
        return Dispatcher(self._supply.system, WINDOW_H)

    def _schedule(self, day: int) -> list[_Hour]:
        supply, hours = self._supply, slice(day * WINDOW_H, (day + 1) * WINDOW_H)
        level = HALF_FULL * np.array([unit.energy_mwh for unit in supply.system.storage])
        window = Window(
            load_mw=self.case.load_mw[hours] + self.expected_mw,
            least_mw=supply.least_mw[hours],
            most_mw=supply.most_mw[hours],
            budget_mwh=supply.budget_mw[hours].sum(axis=0),
            reserve_mw=supply.reserve_mw[hours],
            stored_mwh=level,
            end_mwh=level,
        )
        # Cold, so that a day does not depend on the days asked before it.
        planned = self._day_solver.solve(window, cold=True)
        return [self._bounds(day * WINDOW_H + k, k, window, planned) for k in range(WINDOW_H)]

    def _bounds(self, hour: int, k: int, window: Window, planned: WindowResult) -> _Hour:
        """Bounds of an hour around the day-ahead dispatch."""
        least, most = window.least_mw[k].copy(), window.most_mw[k].copy()
        water = np.zeros(len(self.zones))
        for i, block in enumerate(self._supply.system.blocks):
            set_mw = planned.generation_mw[k, i]
            if block.budgeted:
                water[block.zone] += most[i] - set_mw
                least[i], most[i] = 0.0, set_mw
            elif block.ramp_mw_per_h:
                most[i] = min(most[i], set_mw + block.ramp_mw_per_h)
                least[i] = min(least[i], most[i])
        load = self.case.load_mw[hour].astype(float).copy()
        held = np.zeros(len(self.zones))
        for s, unit in enumerate(self._supply.system.storage):
            net = planned.discharge_mw[k, s] - planned.charge_mw[k, s]
            load[unit.zone] -= net
            room = min(unit.power_mw - net, planned.stored_mwh[k, s] + planned.charge_mw[k, s])
            held[unit.zone] += max(0.0, room)
        return _Hour(
            load_mw=load,
            least_mw=np.concatenate([least, np.zeros(2 * len(self.zones))]),
            most_mw=np.concatenate([most, np.maximum(water, 0.0), held]),
            reserve_mw=window.reserve_mw[k],
        )

    # -- the answer

    def _answer(self, hour_index: int, hour: _Hour, result: WindowResult) -> IntervalResult:
        price, flow = result.price_usd_per_mwh[0], result.flow_mw[0]
        given = result.generation_mw[0]
        groups = len(hour.reserve_mw)
        of_block = self._group[self._zone_of]
        emitted = np.bincount(of_block, given * self._co2, groups)
        made = np.bincount(of_block, given, groups)
        mean = np.divide(emitted, made, out=np.zeros(groups), where=made > 0)
        return IntervalResult(
            hour_index=hour_index,
            cost_usd_per_h=result.cost_usd,
            emissions_kg_per_h=float(emitted.sum()),
            price_usd_per_mwh=self._named(price),
            unserved_mw=self._named(result.unserved_mw[0]),
            carbon_kg_per_mwh=self._named(result.co2_kg_per_mwh[0]),
            carbon_mean_kg_per_mwh=self._named(mean[self._group]),
            reserve_margin_mw=self._named(self._margin(hour, given, flow)),
            congestion=self._congestion(price, flow),
        )

    def _margin(self, hour: _Hour, given: FloatArray, flow: FloatArray) -> FloatArray:
        spare = hour.most_mw - given
        own = np.bincount(self._zone_of, spare, len(self.zones))
        groups = len(hour.reserve_mw)
        pooled = np.bincount(self._group[self._zone_of], spare, groups) - hour.reserve_mw
        own += np.bincount(self._into, self._limit_in - self._sign * flow[self._line], len(own))
        return np.asarray(np.minimum(own, pooled[self._group]))

    @cached_property
    def _into(self) -> np.ndarray:
        """The zone that each direction of each line leads to."""
        lines = self._system.lines
        return np.array([line.target for line in lines] + [line.source for line in lines], int)

    @cached_property
    def _limit_in(self) -> FloatArray:
        lines = self._system.lines
        return np.array(
            [line.forward_mw for line in lines] + [line.reverse_mw for line in lines], float
        )

    @cached_property
    def _line(self) -> np.ndarray:
        return np.tile(np.arange(len(self._system.lines)), 2)

    @cached_property
    def _sign(self) -> FloatArray:
        return np.repeat([1.0, -1.0], len(self._system.lines))

    def _congestion(self, price: FloatArray, flow: FloatArray) -> tuple[Congested, ...]:
        full = (self._sign * flow[self._line] >= self._limit_in - FULL_MW) & (self._limit_in > 0)
        found = []
        for e in np.unique(self._line[full]):
            line = self._system.lines[int(e)]
            spread = float(price[line.target] - price[line.source])
            names = (self.zones[line.source], self.zones[line.target])
            found.append(Congested(*names, float(flow[e]), spread))
        return tuple(found)

    def _named(self, values: FloatArray) -> dict[str, float]:
        return dict(zip(self.zones, values.tolist(), strict=True))

    def _vector(self, by_zone: Mapping[str, float]) -> FloatArray:
        values = np.zeros(len(self.case.zones))
        for zone, mw in by_zone.items():
            if not (np.isfinite(mw) and mw >= 0):
                raise InputError(f"load in {zone}: {mw:g} MW", "give >= 0 MW")
            values[self.case.index(zone)] += mw
        return values


def _single(system: System) -> System:
    """The system without what couples hours, and with what is held back as dear blocks."""
    blocks = [replace(block, ramp_mw_per_h=None, budgeted=False) for block in system.blocks]
    for name in HELD_BACK:
        for k in range(len(system.zones)):
            cost = system.reserve_usd_per_mwh * (1.0 + 1e-4 * k / len(system.zones))
            blocks.append(Block(k, name, cost))
    return replace(system, blocks=tuple(blocks), storage=())
