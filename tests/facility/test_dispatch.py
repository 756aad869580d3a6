"""A year of supply: arrays and the single site agree; balance; nothing is free."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.facility.battery import Battery
from sim.facility.dispatch import FIELDS, dispatch_site, dispatch_sites
from sim.facility.generator import Generator
from sim.facility.profile import Profile
from sim.facility.rules import Arbitrage, PeakShaving, RideThrough, SelfConsumption, Smoothing
from sim.facility.supply import Source, SupplyPlant

MW, MWH = 1e6, 3.6e9
HOURS = 72


@st.composite
def plants(draw: st.DrawFn) -> SupplyPlant:
    seed = draw(st.integers(0, 1000))
    shape = np.random.default_rng(seed).uniform(0, 1, 30)
    power_mw = draw(st.just(0.0) | st.floats(0.1, 80))
    return SupplyPlant(
        battery=Battery(
            power_mw * MW,
            power_mw * draw(st.floats(0.5, 6)) * MWH,
            round_trip_frac=draw(st.floats(0.6, 1)),
            initial_frac=draw(st.floats(0.05, 0.95)),
        ),
        rule=draw(
            st.sampled_from(
                [SelfConsumption(), PeakShaving(60 * MW), Arbitrage(30, 70), RideThrough()]
            )
        ),
        pv=Source(draw(st.floats(0, 300)) * MW, Profile(shape)),
        wind=draw(st.sampled_from([None, Source(50 * MW, Profile(shape[::-1].copy()))])),
        import_limit_w=draw(st.sampled_from([math.inf, 70 * MW])),
        export_limit_w=draw(st.sampled_from([0.0, 30 * MW])),
    )


@settings(max_examples=40)
@given(st.lists(plants(), min_size=1, max_size=4), st.integers(0, 1000), st.booleans())
def test_arrays_repeat_the_single_site(
    sites: list[SupplyPlant], seed: int, with_price: bool
) -> None:
    random = np.random.default_rng(seed)
    loads_w = random.uniform(0, 120 * MW, (len(sites), HOURS))
    price = random.uniform(0, 100, HOURS) if with_price else None
    together = dispatch_sites(sites, loads_w, price)
    assert np.abs(together.balance_w).max() <= 1e-9 * 300 * MW
    for k, plant in enumerate(sites):
        alone = dispatch_site(plant, loads_w[k], price)
        for name in FIELDS:
            one, many = getattr(alone, name)[0], getattr(together, name)[k]
            np.testing.assert_allclose(many, one, atol=1e-9 * 300 * MW, err_msg=name)
        stored_j = together.stored_j[k]
        slack = 1e-9 * plant.battery.energy_j
        assert stored_j.min() >= plant.battery.floor_j() - slack
        assert stored_j.max() <= plant.battery.ceiling_j() + slack
        start_j = plant.battery.initial_frac * plant.battery.energy_j
        lost_j = together.battery_w[k].sum() * 3600 - (stored_j[-1] - start_j)
        assert lost_j >= -1e-6 * MWH


def test_self_supply_counts_what_the_grid_does_not_give() -> None:
    day = np.r_[np.zeros(12), np.ones(12)]
    plant = SupplyPlant(pv=Source(100 * MW, Profile(day)))
    year = dispatch_site(plant, np.full(48, 100 * MW))
    assert year.self_supply_frac == pytest.approx([0.5])
    stored = Battery(
        100 * MW, 1200 * MWH, round_trip_frac=1, min_frac=0, max_frac=1, initial_frac=0
    )
    twice = SupplyPlant(battery=stored, pv=Source(200 * MW, Profile(day)))
    assert dispatch_site(twice, np.full(48, 100 * MW)).self_supply_frac == pytest.approx([0.75])


@pytest.mark.parametrize(
    "plant",
    [
        SupplyPlant(generators=(Generator("gas", 1.0),)),
        SupplyPlant(rule=Smoothing(60.0)),
        SupplyPlant(ramp_limit_w_per_s=1.0),
        SupplyPlant(battery=Battery(1.0, 3600.0, fade_frac_per_cycle=1e-4)),
    ],
)
def test_arrays_refuse_what_they_do_not_know(plant: SupplyPlant) -> None:
    with pytest.raises(InputError, match="arrays of sites know no"):
        dispatch_sites([plant], np.ones((1, 3)))
