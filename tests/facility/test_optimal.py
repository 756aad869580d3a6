"""The optimal dispatch against hand-made cases and rules; the cheapest self-supply."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.facility.battery import Battery
from sim.facility.dispatch import dispatch_site
from sim.facility.generator import Generator
from sim.facility.optimal import dispatch_optimal, energy_cost_usd
from sim.facility.profile import Profile
from sim.facility.rules import Arbitrage, PeakShaving, SelfConsumption
from sim.facility.sizing import size_self_supply, walk
from sim.facility.solar import pv_profile
from sim.facility.supply import Source, SupplyPlant
from sim.facility.weather import climate

MW, MWH = 1e6, 3.6e9
DAY = np.r_[np.zeros(6), np.sin(np.linspace(0, np.pi, 12)), np.zeros(6)]


def test_a_case_by_hand() -> None:
    """Two hours, cheap then dear: charge 10 MWh, give 8.1 back."""
    battery = Battery(10 * MW, 40 * MWH, round_trip_frac=0.81, min_frac=0, initial_frac=0)
    plant = SupplyPlant(battery=battery)
    found = dispatch_optimal(plant, np.full(2, 50 * MW), np.array([10.0, 100.0]))
    assert found.year.battery_w[0] == pytest.approx([10 * MW, -8.1 * MW])
    assert found.cost_usd == pytest.approx(60 * 10 + 41.9 * 100, abs=0.5)


def test_without_a_spread_that_pays_nothing_moves() -> None:
    battery = Battery(10 * MW, 40 * MWH, round_trip_frac=0.81)
    found = dispatch_optimal(
        SupplyPlant(battery=battery), np.full(4, 50 * MW), np.array([50.0, 55, 50, 55])
    )
    assert np.abs(found.year.battery_w).max() < 1


def test_generators_run_above_their_cost_and_peaks_are_paid_once() -> None:
    gas = Generator("gas", 20 * MW, efficiency_frac=0.4, fuel_usd_per_mwh=12, rule="price")
    price = np.array([20.0, 40.0])
    found = dispatch_optimal(SupplyPlant(generators=(gas,)), np.full(2, 50 * MW), price)
    assert found.year.generation_w[0] == pytest.approx([0, 20 * MW])
    load = np.array([10.0, 50.0]) * MW
    battery = Battery(20 * MW, 60 * MWH, round_trip_frac=1, min_frac=0, initial_frac=0.5)
    flat = dispatch_optimal(
        SupplyPlant(battery=battery), load, np.array([30.0, 30.0]), demand_usd_per_kw_month=10
    )
    assert flat.year.import_w[0] == pytest.approx([30 * MW, 30 * MW])


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.7, 1), st.booleans())
def test_no_rule_beats_the_optimum_and_nothing_is_free(
    seed: int, round_trip: float, limited: bool
) -> None:
    random = np.random.default_rng(seed)
    hours = 72
    price = random.uniform(5, 150, hours)
    load = random.uniform(40, 60, hours) * MW
    plant = SupplyPlant(
        battery=Battery(15 * MW, 60 * MWH, round_trip_frac=round_trip, initial_frac=0.05),
        pv=Source(40 * MW, Profile(np.tile(DAY, 3) * random.uniform(0.2, 1, hours))),
        import_limit_w=70 * MW if limited else math.inf,
    )
    best = dispatch_optimal(plant, load, price)
    assert np.abs(best.year.balance_w).max() <= 1e-9 * 100 * MW
    battery = plant.battery
    slack = 1e-7 * battery.energy_j
    assert best.year.stored_j.min() >= battery.floor_j() - slack
    assert best.year.stored_j.max() <= battery.ceiling_j() + slack
    charged = np.maximum(best.year.battery_w, 0).sum() * 3600
    given_j = np.maximum(-best.year.battery_w, 0).sum() * 3600
    kept_j = best.year.stored_j[0, -1] - battery.initial_frac * battery.energy_j
    assert charged * battery.one_way_frac - given_j / battery.one_way_frac == pytest.approx(
        kept_j, abs=1e-5 * battery.energy_j
    )
    best_usd = energy_cost_usd(best.year, price, plant)
    for rule in (SelfConsumption(), PeakShaving(45 * MW), Arbitrage(40, 100)):
        year = dispatch_site(replace(plant, rule=rule), load, price)
        # What a rule leaves stored above the start is worth no more than the dearest hour.
        left_mwh = (year.stored_j[0, -1] - plant.battery.floor_j()) / MWH
        credit_usd = max(left_mwh, 0.0) * price.max()
        assert best_usd <= energy_cost_usd(year, price, plant) + credit_usd + 1e-6


def test_loops_and_lengths_are_refused() -> None:
    plant = SupplyPlant(export_limit_w=1 * MW)
    with pytest.raises(InputError, match="pays more than the import"):
        dispatch_optimal(plant, np.ones(3), np.full(3, 10.0), export_usd_per_mwh=20)
    with pytest.raises(InputError, match="3 hours of load, 2 of prices"):
        dispatch_optimal(plant, np.ones(3), np.ones(2))


# --- sizing


def test_the_cheapest_pair_reaches_its_target_and_neighbours_cost_more() -> None:
    weather = climate("phoenix")
    sun = weather.utc(pv_profile(weather))
    load = np.full(8760, 100 * MW)
    half, most = size_self_supply(load, sun, (0.5, 0.8))
    assert half.self_supply_frac == pytest.approx(0.5, abs=1e-3)
    assert most.self_supply_frac == pytest.approx(0.8, abs=1e-3)
    assert half.reached
    assert most.pv_w > half.pv_w
    assert most.battery_j > half.battery_j
    assert most.usd_per_mwh > half.usd_per_mwh
    # The same target with 15 % less PV needs so much more battery that it costs more.
    model = Battery(1.0, 3600.0)
    pv = np.full(40, 0.85 * most.pv_w)
    stores = np.linspace(most.battery_j, 4 * most.battery_j, 40)
    imported, _ = walk(load, sun, pv, stores, model, 4.0)
    reached = 1 - imported / load.sum() >= 0.8
    if reached.any():
        more_j = stores[np.argmax(reached)]
        saved_usd = 0.15 * most.pv_w * 1.45 * 0.0888
        assert (more_j - most.battery_j) / 3.6e6 * 250 * 0.1168 > saved_usd * 0.9


def test_the_walk_is_the_dispatch_of_a_single_site() -> None:
    weather = climate("dallas")
    sun = weather.utc(pv_profile(weather))[:2000]
    load = np.full(2000, 100 * MW)
    battery_j, pv_w = 800 * MWH, 400 * MW
    imported, curtailed = walk(
        load, sun, np.array([pv_w]), np.array([battery_j]), Battery(1.0, 3600.0), 4.0
    )
    battery = Battery(battery_j / (4 * 3600), battery_j, initial_frac=0.05)
    year = dispatch_site(SupplyPlant(battery=battery, pv=Source(pv_w, Profile(sun))), load)
    assert imported[0] == pytest.approx(year.import_w.sum(), rel=1e-9)
    assert curtailed[0] == pytest.approx(year.curtailed_pv_w.sum(), rel=1e-9)


def test_what_cannot_be_reached_is_told() -> None:
    sun = np.zeros(8760)
    sun[:100] = 1.0
    (found,) = size_self_supply(np.full(8760, 1 * MW), sun, (0.9,))
    assert not found.reached
    with pytest.raises(InputError, match="0 in all"):
        size_self_supply(np.ones(10), np.zeros(10), (0.5,))
    with pytest.raises(InputError, match="a target of 1"):
        size_self_supply(np.ones(10), np.ones(10), (1.0,))
