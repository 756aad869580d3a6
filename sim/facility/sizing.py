"""The cheapest PV and battery that supply a wanted part of a year's energy.

The year is walked once for a whole grid of sizes (arrays over the grid): the surplus charges,
a lack discharges, nothing is sold. For each PV size the least battery that reaches the target
is read between the grid's points, and the cheapest pair is looked for again on a finer grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim.datum import Datum
from sim.errors import InputError
from sim.facility.battery import Battery
from sim.facility.cost import annuity_frac, capital_figures
from sim.facility.profile import FloatArray
from sim.units import KILO, MEGA, S_PER_H

J_PER_KWH = 3.6e6
POINTS = 33
REFINEMENTS = 2
WIDEST_PV = 40.0
"""Largest PV that is tried, over mean load."""
WIDEST_BATTERY_H = 200.0
"""Largest battery that is tried, in hours of mean load."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """PV and battery for a target.

    Attributes:
        reached: False where no size tried reaches the target.
        self_supply_frac: of the year's energy, at the sizes given.
        curtailed_frac: part of the PV's energy that nobody takes.
    """

    target_frac: float
    reached: bool
    pv_w: float
    battery_j: float
    battery_w: float
    self_supply_frac: float
    curtailed_frac: float
    yearly_usd: float
    usd_per_mwh: float
    capital_usd: float
    land_ha: float


@dataclass(frozen=True, slots=True)
class _Prices:
    """Capital and yearly cost per W of PV and per J of battery."""

    pv_usd_per_w: float
    battery_usd_per_j: float
    pv_yearly_frac: float
    battery_yearly_frac: float
    hours: float
    ha_per_w: float

    def yearly(self, pv_w: FloatArray, battery_j: FloatArray) -> FloatArray:
        return (
            pv_w * self.pv_usd_per_w * self.pv_yearly_frac
            + battery_j * self.battery_usd_per_j * self.battery_yearly_frac
        )


def size_self_supply(
    load_w: FloatArray,
    pv_per_w: FloatArray,
    targets_frac: tuple[float, ...],
    battery: Battery | None = None,
    figures: Mapping[str, Datum] | None = None,
) -> list[Sizing]:
    """The cheapest pair of sizes for each target.

    Args:
        load_w: load at the meter, shape (hours,).
        pv_per_w: output of a W of PV, shape (hours,).
        battery: its efficiency and window of charge; its sizes are what is looked for.

    Raises:
        InputError: series of different length, a target outside 0 to 1, or no sun at all.
    """
    if load_w.size != pv_per_w.size or not pv_per_w.sum() or not load_w.sum():
        raise InputError(
            f"{load_w.size} hours of load, {pv_per_w.size} of sun, {pv_per_w.sum():g} in all",
            "give series of one year with load and sun",
        )
    prices = _prices(figures or capital_figures())
    model = battery or Battery(1.0, float(S_PER_H))
    return [_size(load_w, pv_per_w, target, model, prices) for target in targets_frac]


def _prices(figures: Mapping[str, Datum]) -> _Prices:
    f = {name: d.value for name, d in figures.items()}
    rate = f["capital.rate_frac"]
    return _Prices(
        pv_usd_per_w=f["pv.usd_per_kw"] / KILO,
        battery_usd_per_j=f["battery.usd_per_kwh"] / J_PER_KWH,
        pv_yearly_frac=annuity_frac(rate, f["life.pv_y"]),
        battery_yearly_frac=annuity_frac(rate, f["life.battery_y"]),
        hours=f["battery.hours"],
        ha_per_w=f["pv.ha_per_mw"] / MEGA,
    )


def _size(
    load_w: FloatArray, sun: FloatArray, target: float, model: Battery, prices: _Prices
) -> Sizing:
    if not 0 < target < 1:
        raise InputError(f"a target of {target:g} is outside 0 to 1", "give a fraction")
    mean_w = float(load_w.mean())
    least_pv_w = target * mean_w / float(sun.mean())
    pv = np.geomspace(least_pv_w, WIDEST_PV * mean_w, POINTS)
    stores = np.r_[0.0, np.geomspace(0.1, WIDEST_BATTERY_H, POINTS - 1)] * mean_w * S_PER_H
    best: tuple[float, float] | None = None
    for _ in range(REFINEMENTS + 1):
        need_j = _least_battery_j(load_w, sun, pv, stores, target, model, prices)
        if not np.isfinite(need_j).any():
            break
        k = int(np.nanargmin(np.where(np.isfinite(need_j), prices.yearly(pv, need_j), np.nan)))
        best = float(pv[k]), float(need_j[k])
        low, high = pv[max(k - 1, 0)], pv[min(k + 1, pv.size - 1)]
        pv = np.linspace(low, high, POINTS)
        stores = np.linspace(0.7 * best[1], 1.4 * best[1] + mean_w * 60, POINTS)
    if best is None:
        best = float(pv[-1]), float(stores[-1])
    return _describe(load_w, sun, target, best, model, prices)


def _least_battery_j(
    load_w: FloatArray,
    sun: FloatArray,
    pv: FloatArray,
    stores: FloatArray,
    target: float,
    model: Battery,
    prices: _Prices,
) -> FloatArray:
    """For each PV size the battery that just reaches the target; NaN if none does."""
    grid_pv, grid_j = (g.ravel() for g in np.meshgrid(pv, stores, indexing="ij"))
    imported_w, _ = walk(load_w, sun, grid_pv, grid_j, model, prices.hours)
    supplied = (1 - imported_w / load_w.sum()).reshape(pv.size, stores.size)
    need_j = np.full(pv.size, np.nan)
    for k, row in enumerate(supplied):
        if row[-1] >= target:
            need_j[k] = np.interp(target, np.maximum.accumulate(row), stores)
    return need_j


def walk(
    load_w: FloatArray,
    sun: FloatArray,
    pv_w: FloatArray,
    battery_j: FloatArray,
    model: Battery,
    hours: float,
) -> tuple[FloatArray, FloatArray]:
    """Import and curtailed PV of a year, summed over its hours, for many pairs of sizes.

    The battery starts at its floor, so nothing is given for free.

    Returns:
        sums of hourly powers [W], each of the shape of `pv_w`.
    """
    way = model.one_way_frac
    rating_w = battery_j / (hours * S_PER_H)
    window_j = (model.max_frac - model.min_frac) * battery_j
    gain, loss = S_PER_H * way, S_PER_H / way
    stored_j = np.zeros_like(battery_j)
    imported_w, curtailed_w = np.zeros_like(pv_w), np.zeros_like(pv_w)
    for load, share in zip(load_w.tolist(), sun.tolist(), strict=True):
        surplus_w = pv_w * share - load
        into_w = np.minimum(np.minimum(surplus_w, rating_w), (window_j - stored_j) / gain)
        power_w = np.maximum(into_w, np.maximum(-rating_w, -stored_j / loss))
        stored_j += power_w * np.where(power_w > 0, gain, loss)
        rest_w = surplus_w - power_w
        imported_w -= np.minimum(rest_w, 0)
        curtailed_w += np.maximum(rest_w, 0)
    return imported_w, curtailed_w


def _describe(
    load_w: FloatArray,
    sun: FloatArray,
    target: float,
    sizes: tuple[float, float],
    model: Battery,
    prices: _Prices,
) -> Sizing:
    pv_w, battery_j = (np.array([size]) for size in sizes)
    imported_w, curtailed_w = walk(load_w, sun, pv_w, battery_j, model, prices.hours)
    supplied = 1 - float(imported_w[0]) / float(load_w.sum())
    yearly = float(prices.yearly(pv_w, battery_j)[0])
    supplied_mwh = supplied * float(load_w.sum()) / MEGA
    return Sizing(
        target_frac=target,
        reached=supplied >= target * (1 - 1e-3),
        pv_w=sizes[0],
        battery_j=sizes[1],
        battery_w=sizes[1] / (prices.hours * S_PER_H),
        self_supply_frac=supplied,
        curtailed_frac=float(curtailed_w[0]) / (sizes[0] * float(sun.sum())),
        yearly_usd=yearly,
        usd_per_mwh=yearly / supplied_mwh if supplied_mwh else float("inf"),
        capital_usd=sizes[0] * prices.pv_usd_per_w + sizes[1] * prices.battery_usd_per_j,
        land_ha=sizes[0] * prices.ha_per_w,
    )
