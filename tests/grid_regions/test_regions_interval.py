"""Single hours for a control loop: against the day ahead, prices, carbon, shortage, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from sim.errors import InputError, UnknownNameError
from sim.grid.regions.case import RegionCase, region_case
from sim.grid.regions.dispatch import run_year
from sim.grid.regions.interval import IntervalDispatch

DAY = 220


@pytest.fixture(scope="module")
def case() -> RegionCase:
    return region_case("us-states", mixed_years=True)


@pytest.fixture(scope="module")
def dispatch(case: RegionCase) -> IntervalDispatch:
    return IntervalDispatch(case)


def test_the_expected_load_costs_no_more_than_in_the_day_ahead(
    case: RegionCase, dispatch: IntervalDispatch
) -> None:
    day = run_year(case, days=1, first_day=DAY)
    co2 = float((day.generation_mw @ day.supply.co2_kg_per_mwh).sum())
    found = [dispatch.solve(DAY * 24 + k) for k in range(24)]
    assert sum(f.emissions_kg_per_h for f in found) == pytest.approx(co2, rel=0.03)
    assert sum(f.cost_usd_per_h for f in found) == pytest.approx(day.cost_usd, rel=0.01)
    assert sum(sum(f.unserved_mw.values()) for f in found) <= day.unserved_mw.sum() + 1e-6
    price = np.array([list(f.price_usd_per_mwh.values()) for f in found])
    assert np.median(np.abs(price - day.price_usd_per_mwh)) < 1.5


def test_more_load_is_never_cheaper_and_at_last_is_shed(dispatch: IntervalDispatch) -> None:
    hour, price, margin = DAY * 24 + 22, 0.0, np.inf
    for mw in (0.0, 2_000.0, 10_000.0, 30_000.0, 60_000.0):
        found = dispatch.solve(hour, {"va": mw})
        assert found.price_usd_per_mwh["VA"] >= price - 1e-6
        assert found.reserve_margin_mw["VA"] <= margin + 1e-6
        price, margin = found.price_usd_per_mwh["VA"], found.reserve_margin_mw["VA"]
    assert found.unserved_mw["VA"] > 0
    assert price == pytest.approx(5000.0)
    assert any("VA" in (line.source, line.target) for line in found.congestion)


def test_price_and_carbon_are_those_of_one_more_mw(dispatch: IntervalDispatch) -> None:
    for zone, hour in (("VA", DAY * 24 + 3), ("TX-ERCOT", 9), ("WA", 4000)):
        before = dispatch.solve(hour, {zone: 500.0})
        after = dispatch.solve(hour, {zone: 500.01})
        cost = (after.cost_usd_per_h - before.cost_usd_per_h) / 0.01
        kg = (after.emissions_kg_per_h - before.emissions_kg_per_h) / 0.01
        assert cost == pytest.approx(before.price_usd_per_mwh[zone], rel=1e-3)
        assert kg == pytest.approx(before.carbon_kg_per_mwh[zone], rel=1e-3, abs=0.1)


def test_an_hour_does_not_depend_on_the_hours_asked_before(case: RegionCase) -> None:
    one, two = IntervalDispatch(case, {"VA": 100.0}), IntervalDispatch(case, {"VA": 100.0})
    for hour in (5000, 5001, 5002):
        one.solve(hour, {"VA": 90.0})
    a, b = one.solve(5001, {"VA": 130.0}), two.solve(5001, {"VA": 130.0})
    assert a.cost_usd_per_h == pytest.approx(b.cost_usd_per_h, rel=1e-9)
    assert a.price_usd_per_mwh["VA"] == pytest.approx(b.price_usd_per_mwh["VA"], rel=1e-6)


def test_less_than_expected_is_solved_too(case: RegionCase) -> None:
    ready = IntervalDispatch(case, {"VA": 8_000.0, "WY": 500.0})
    assert sum(ready.solve(4000).unserved_mw.values()) == pytest.approx(0)


def test_bad_input(dispatch: IntervalDispatch) -> None:
    with pytest.raises(InputError, match="hour 9000 is outside 0 to 8783"):
        dispatch.solve(9000)
    with pytest.raises(InputError, match="load in VA: -1 MW"):
        dispatch.solve(1, {"VA": -1.0})
    with pytest.raises(UnknownNameError, match="zone 'XX'"):
        dispatch.solve(1, {"XX": 1.0})
    with pytest.raises(InputError, match="load of 2024 with wind and sun of 2022"):
        IntervalDispatch.of_case("us-states")
    assert any("schedule" in text for text in dispatch.assumptions)
