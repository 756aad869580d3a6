"""A year of supply, hour by hour: one site with all its equipment, or many at once in arrays.

`dispatch_site` walks `supply.plan` and `supply.settle`. `dispatch_sites` does the same in
arrays for sites with battery, PV, wind and limits, without generators, ramps and smoothing;
both agree (a property test holds it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.errors import InputError
from sim.facility.profile import FloatArray
from sim.facility.rules import Arbitrage, PeakShaving, RideThrough, SelfConsumption
from sim.facility.supply import (
    Source,
    SupplyOrder,
    SupplyPlant,
    first_state,
    plan,
    settle,
)
from sim.units import S_PER_H

HOUR_S = float(S_PER_H)
FIELDS = (
    "import_w",
    "export_w",
    "battery_w",
    "pv_w",
    "wind_w",
    "generation_w",
    "fuel_w",
    "curtailed_pv_w",
    "curtailed_wind_w",
    "unserved_w",
)


@dataclass(frozen=True, slots=True, eq=False)
class SupplyYear:
    """Hourly powers of sites, shape (sites, hours); `stored_j` at the end of each hour.

    Attributes:
        discharged_j: AC energy that each battery gave, shape (sites,).
    """

    facility_w: FloatArray
    import_w: FloatArray
    export_w: FloatArray
    battery_w: FloatArray
    pv_w: FloatArray
    wind_w: FloatArray
    generation_w: FloatArray
    fuel_w: FloatArray
    curtailed_pv_w: FloatArray
    curtailed_wind_w: FloatArray
    unserved_w: FloatArray
    stored_j: FloatArray

    @property
    def discharged_j(self) -> FloatArray:
        """AC energy that the batteries gave, shape (sites,)."""
        return np.asarray(np.maximum(-self.battery_w, 0).sum(axis=1) * HOUR_S)

    @property
    def self_supply_frac(self) -> FloatArray:
        """Part of the served energy that does not come from the grid, shape (sites,)."""
        served = (self.facility_w - self.unserved_w).sum(axis=1)
        return np.asarray(1 - self.import_w.sum(axis=1) / served)

    @property
    def balance_w(self) -> FloatArray:
        """What comes in less what goes out; 0 but for rounding."""
        given = self.import_w + self.pv_w + self.wind_w + self.generation_w + self.unserved_w
        return given - self.battery_w - self.export_w - self.facility_w


def dispatch_site(
    plant: SupplyPlant, facility_w: FloatArray, price_usd_per_mwh: FloatArray | None = None
) -> SupplyYear:
    """One site, hour by hour from the start of its profiles.

    Args:
        facility_w: load at the meter, shape (hours,).
        price_usd_per_mwh: market price, shape (hours,), for rules that look at it.
    """
    state = first_state(plant)
    hours = facility_w.size
    out = {name: np.empty((1, hours)) for name in (*FIELDS, "stored_j")}
    for hour, load_w in enumerate(facility_w.tolist()):
        price = None if price_usd_per_mwh is None else float(price_usd_per_mwh[hour])
        step = plan(plant, state, HOUR_S, load_w, SupplyOrder(price_usd_per_mwh=price))
        state = settle(plant, state, step, HOUR_S)
        for name in FIELDS:
            out[name][0, hour] = getattr(step, name)
        out["stored_j"][0, hour] = state.stored_j
    return SupplyYear(facility_w=facility_w[None, :], **out)


def dispatch_sites(
    plants: Sequence[SupplyPlant],
    facility_w: FloatArray,
    price_usd_per_mwh: FloatArray | None = None,
) -> SupplyYear:
    """Many sites at once.

    Args:
        facility_w: loads, shape (sites, hours).
        price_usd_per_mwh: shape (hours,) or (sites, hours).

    Raises:
        InputError: a plant has generators, a ramp limit, wear or a rule that arrays do not know.
    """
    sites, hours = facility_w.shape
    for plant in plants:
        _check_simple(plant)
    sun_w, wind_w = (
        np.stack([_there_w(source, hours) for source in sources])
        for sources in ([p.pv for p in plants], [p.wind for p in plants])
    )
    net_w = facility_w - sun_w - wind_w
    wanted_w = _wanted_w(plants, net_w, price_usd_per_mwh)
    limits = [
        np.array([getattr(p, k) for p in plants]) for k in ("import_limit_w", "export_limit_w")
    ]
    battery_w, stored_j = _walk(plants, net_w, wanted_w, *limits)
    limit_w, export_limit_w = (limit[:, None] for limit in limits)
    grid_w = net_w + battery_w
    export_w = np.minimum(np.maximum(-grid_w, 0), export_limit_w)
    surplus_w = np.maximum(-grid_w - export_w, 0)
    curtailed_pv_w = np.minimum(surplus_w, sun_w)
    curtailed_wind_w = np.minimum(surplus_w - curtailed_pv_w, wind_w)
    nothing_w = np.zeros((sites, hours))
    return SupplyYear(
        facility_w=facility_w,
        import_w=np.minimum(np.maximum(grid_w, 0), limit_w),
        export_w=export_w,
        battery_w=battery_w,
        pv_w=sun_w - curtailed_pv_w,
        wind_w=wind_w - curtailed_wind_w,
        generation_w=nothing_w,
        fuel_w=nothing_w,
        curtailed_pv_w=curtailed_pv_w,
        curtailed_wind_w=curtailed_wind_w,
        unserved_w=np.maximum(grid_w - limit_w, 0),
        stored_j=stored_j,
    )


def _check_simple(plant: SupplyPlant) -> None:
    known = isinstance(plant.rule, SelfConsumption | PeakShaving | Arbitrage | RideThrough)
    ramps = np.isfinite(plant.ramp_limit_w_per_s)
    if plant.generators or ramps or not known or plant.battery.fade_frac_per_cycle:
        raise InputError(
            "arrays of sites know no generators, ramp limits, wear or smoothing",
            "dispatch such a site on its own",
        )


def _there_w(source: Source | None, hours: int) -> FloatArray:
    if source is None:
        return np.zeros(hours)
    place = (np.arange(hours) + source.profile.start_h) % source.profile.hourly.size
    return source.capacity_w * source.profile.hourly[place]


def _wanted_w(
    plants: Sequence[SupplyPlant], net_w: FloatArray, price: FloatArray | None
) -> FloatArray:
    """What each rule wants; ride-through is told by its gentle charge (it stops when full)."""
    prices = None if price is None else np.broadcast_to(np.atleast_2d(price), net_w.shape)
    wanted_w = np.empty_like(net_w)
    for k, plant in enumerate(plants):
        rule, power_w = plant.rule, plant.battery.power_w
        if isinstance(rule, PeakShaving):
            wanted_w[k] = rule.target_w - net_w[k]
        elif isinstance(rule, Arbitrage):
            wanted_w[k] = 0.0
            if prices is not None:
                buys = prices[k] <= rule.buy_below_usd_per_mwh
                sells = ~buys & (prices[k] >= rule.sell_above_usd_per_mwh)
                wanted_w[k] = power_w * (buys.astype(float) - sells)
        elif isinstance(rule, RideThrough):
            wanted_w[k] = rule.charge_frac * power_w
        else:
            wanted_w[k] = -net_w[k]
    return wanted_w


def _walk(
    plants: Sequence[SupplyPlant],
    net_w: FloatArray,
    wanted_w: FloatArray,
    limit_w: FloatArray,
    export_limit_w: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Battery power and stored energy, hour after hour; limits of the connection come first."""
    batteries = [p.battery for p in plants]
    rating_w = np.array([b.power_w for b in batteries])
    way = np.array([b.one_way_frac for b in batteries])
    floor_j = np.array([b.floor_j() for b in batteries])
    ceiling_j = np.array([b.ceiling_j() for b in batteries])
    stored = np.array([b.initial_frac * b.energy_j for b in batteries])
    low_w = -export_limit_w[:, None] - net_w
    high_w = limit_w[:, None] - net_w
    asked_w = np.minimum(np.maximum(wanted_w, low_w), high_w)
    asked_w = np.minimum(np.maximum(asked_w, -rating_w[:, None]), rating_w[:, None]).T.copy()
    battery_w, stored_j = np.empty_like(asked_w), np.empty_like(asked_w)
    into, out = 1 / (HOUR_S * way), way / HOUR_S
    gain, loss = HOUR_S * way, HOUR_S / way
    for hour, asked in enumerate(asked_w):
        power = np.minimum(asked, np.maximum(ceiling_j - stored, 0) * into)
        power = np.maximum(power, -np.maximum(stored - floor_j, 0) * out)
        stored = stored + power * np.where(power > 0, gain, loss)
        battery_w[hour], stored_j[hour] = power, stored
    return battery_w.T, stored_j.T
