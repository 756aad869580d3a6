"""A year of hourly dispatch: windows of a day, solved warm, in a few spans side by side.

A span is a fixed part of the year with its own solver, so the answer does not depend on how
many threads work. Every day ends with the stores as full as they began (half).
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from sim.errors import InputError, LawViolation
from sim.grid.network import FloatArray
from sim.grid.regions.case import RegionCase
from sim.grid.regions.law import check_limits
from sim.grid.regions.lp import Dispatcher, Window, WindowResult
from sim.grid.regions.supply import Supply, build_supply

SPANS: Final = 4
WINDOW_H: Final = 24
HALF_FULL: Final = 0.5
BALANCE_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class DispatchYear:
    """Every hour of a dispatch; arrays have hours first.

    Args:
        load_mw, site_mw: with the new load, the new load alone, shape (n_hours, n_zones).
        generation_mw: by block, shape (n_hours, n_blocks).
        flow_mw: from source to target, shape (n_hours, n_lines).
        marginal_kg_per_mwh: CO2 of one more MWh, shape (n_hours, n_zones).
    """

    case: RegionCase
    supply: Supply
    load_mw: FloatArray
    site_mw: FloatArray
    generation_mw: FloatArray
    unserved_mw: FloatArray
    flexed_mw: FloatArray
    charge_mw: FloatArray
    discharge_mw: FloatArray
    stored_mwh: FloatArray
    flow_mw: FloatArray
    reserve_short_mw: FloatArray
    price_usd_per_mwh: FloatArray
    marginal_kg_per_mwh: FloatArray
    cost_usd: float
    first_day: int = 0

    @property
    def n_hours(self) -> int:
        """Hours solved."""
        return len(self.load_mw)

    def of_zone(self, k: int) -> FloatArray:
        """Net output of all blocks and stores of a zone, MW."""
        blocks = [i for i, block in enumerate(self.supply.system.blocks) if block.zone == k]
        stores = [i for i, unit in enumerate(self.supply.system.storage) if unit.zone == k]
        given = self.generation_mw[:, blocks].sum(axis=1)
        net = self.discharge_mw[:, stores].sum(axis=1) - self.charge_mw[:, stores].sum(axis=1)
        return np.asarray(given + net)


def run_year(
    case: RegionCase,
    sites_mw: Mapping[str, float | FloatArray] | None = None,
    *,
    flexible: bool = False,
    flexible_usd_per_mwh: float = 500.0,
    changes: Mapping[str, float] | None = None,
    days: int | None = None,
    first_day: int = 0,
    threads: int = 2,
) -> DispatchYear:
    """Dispatch a case hour by hour.

    Args:
        sites_mw: new load by zone, constant or by hour of the year, shape (n_hours,).
        flexible: the new load may be curtailed for `flexible_usd_per_mwh`.
        changes: figures of the technology table by name.
        days: how many days from `first_day` on (0 is 1 January), None for all.

    Raises:
        InputError: an unknown zone or figure, a negative load, or days that are not there.
        LawViolation: a zone does not balance, or a unit, line or store is beyond what it can.
    """
    site = _site_mw(case, sites_mw or {})
    most = site.max(axis=0)
    by_zone = {zone.name: float(mw) for zone, mw in zip(case.zones, most, strict=True) if mw > 0}
    supply = build_supply(case, changes, by_zone if flexible else None, flexible_usd_per_mwh)
    total = len(case.load_mw) // WINDOW_H
    n_days = total - first_day if days is None else days
    if first_day < 0 or n_days < 1 or first_day + n_days > total:
        raise InputError(
            f"days: {n_days} from day {first_day} on is outside 1 to {total}",
            "give days of the year",
        )
    edges = first_day + np.linspace(0, n_days, min(SPANS, n_days) + 1).round().astype(int)
    spans = [(int(a), int(b)) for a, b in pairwise(edges)]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        parts = list(pool.map(lambda span: _span(supply, case.load_mw, site, span), spans))
    results = [result for part in parts for result in part]
    year = _join(case, _cut(supply, first_day, n_days), site, results, first_day)
    check_balance(year)
    check_limits(year, WINDOW_H, HALF_FULL)
    return year


def _cut(supply: Supply, first_day: int, n_days: int) -> Supply:
    """The hourly figures of the days solved."""
    hours = slice(first_day * WINDOW_H, (first_day + n_days) * WINDOW_H)
    return replace(
        supply,
        least_mw=supply.least_mw[hours],
        most_mw=supply.most_mw[hours],
        nuclear_mw=supply.nuclear_mw[hours],
        wind_mw=supply.wind_mw[hours],
        solar_mw=supply.solar_mw[hours],
        budget_mw=supply.budget_mw[hours],
        reserve_mw=supply.reserve_mw[hours],
    )


def _site_mw(case: RegionCase, sites_mw: Mapping[str, float | FloatArray]) -> FloatArray:
    """New load by hour and zone, shape (n_hours, n_zones)."""
    site = np.zeros_like(case.load_mw)
    for zone, given in sites_mw.items():
        mw = np.asarray(given, dtype=float)
        if mw.ndim and mw.shape != (len(site),):
            raise InputError(
                f"load in {zone}: {mw.size} hours, the year has {len(site)}", "give every hour"
            )
        if not (np.isfinite(mw).all() and mw.min(initial=np.inf) >= 0):
            raise InputError(f"load in {zone}: {float(mw.min()):g} MW", "give >= 0 MW")
        site[:, case.index(zone)] += mw
    return site


def _span(
    supply: Supply, load_mw: FloatArray, site_mw: FloatArray, span: tuple[int, int]
) -> list[WindowResult]:
    """The days of a span, one after the other."""
    flexible = bool(supply.system.flexible_mw)
    solver = Dispatcher(supply.system, WINDOW_H, supply.co2_kg_per_mwh)
    level = HALF_FULL * np.array([unit.energy_mwh for unit in supply.system.storage])
    before: FloatArray | None = None
    found = []
    for day in range(*span):
        hours = slice(day * WINDOW_H, (day + 1) * WINDOW_H)
        result = solver.solve(
            Window(
                load_mw=load_mw[hours] if flexible else load_mw[hours] + site_mw[hours],
                flexible_mw=site_mw[hours] if flexible else None,
                least_mw=supply.least_mw[hours],
                most_mw=supply.most_mw[hours],
                budget_mwh=supply.budget_mw[hours].sum(axis=0),
                reserve_mw=supply.reserve_mw[hours],
                stored_mwh=level,
                end_mwh=level,
                before_mw=before,
            )
        )
        before = result.generation_mw[-1]
        found.append(result)
    return found


def _join(
    case: RegionCase,
    supply: Supply,
    site: FloatArray,
    results: list[WindowResult],
    first_day: int,
) -> DispatchYear:
    hours = slice(first_day * WINDOW_H, (first_day + len(results)) * WINDOW_H)

    def joined(name: str) -> FloatArray:
        return np.concatenate([getattr(result, name) for result in results])

    load = case.load_mw[hours] + site[hours]
    flexed = joined("curtailed_mw")
    return DispatchYear(
        case=case,
        supply=supply,
        load_mw=load,
        site_mw=site[hours],
        generation_mw=joined("generation_mw"),
        unserved_mw=joined("unserved_mw"),
        flexed_mw=flexed if flexed.shape[1] else np.zeros_like(load),
        charge_mw=joined("charge_mw"),
        discharge_mw=joined("discharge_mw"),
        stored_mwh=joined("stored_mwh"),
        flow_mw=joined("flow_mw"),
        reserve_short_mw=joined("reserve_short_mw"),
        price_usd_per_mwh=joined("price_usd_per_mwh"),
        marginal_kg_per_mwh=joined("co2_kg_per_mwh"),
        cost_usd=float(sum(result.cost_usd for result in results)),
        first_day=first_day,
    )


def check_balance(year: DispatchYear) -> float:
    """Every zone and hour: output + imports - exports + unserved + flexed = load.

    Returns:
        The largest residual, MW.

    Raises:
        LawViolation: a residual above a millionth of the load.
    """
    residual = year.unserved_mw + year.flexed_mw - year.load_mw
    for k in range(len(year.case.zones)):
        residual[:, k] += year.of_zone(k)
    for e, line in enumerate(year.supply.system.lines):
        residual[:, line.target] += year.flow_mw[:, e]
        residual[:, line.source] -= year.flow_mw[:, e]
    off = np.abs(residual) / np.maximum(1.0, year.load_mw)
    if off.max(initial=0.0) > BALANCE_TOLERANCE:
        hour, zone = np.unravel_index(int(off.argmax()), off.shape)
        raise LawViolation(
            f"power balance of {year.case.zones[zone].name} at hour {hour}: "
            f"off by {residual[hour, zone]:.6g} MW"
        )
    return float(np.abs(residual).max(initial=0.0))
