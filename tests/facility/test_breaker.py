"""Breakers: the curve, changing loads, and capping as the answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import CapacityError
from sim.facility.breaker import Breaker, breaker

ELEMENT = breaker(1e6)


@given(st.floats(1.06, 7.9), st.floats(0, 1))
def test_a_steady_overload_trips_when_the_curve_says(load: float, before: float) -> None:
    """Against the heat equation, integrated in small steps."""
    wait_s = ELEMENT.trip_s(load, before)
    tau, hold = ELEMENT.time_constant_s, ELEMENT.hold_frac
    heat = load**2 + (before**2 - load**2) * math.exp(-wait_s / tau)
    assert heat == pytest.approx(hold**2, rel=1e-9)


def test_the_curve_is_that_of_the_standard() -> None:
    """135 % trips within 2 h from cold (UL 489); 105 % never; 8 times at once; more is sooner."""
    assert ELEMENT.trip_s(1.35) < 7200
    assert ELEMENT.trip_s(1.05) == math.inf
    assert ELEMENT.trip_s(8.0) == 0
    times = [ELEMENT.trip_s(r, 0.9) for r in (1.1, 1.2, 1.35, 2, 5)]
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(33 * 60, rel=0.05)


def test_a_load_that_falls_back_in_time_does_not_trip() -> None:
    """Capping within minutes saves the breaker; too late it does not."""
    over_s = ELEMENT.trip_s(1.2, 0.9)
    capped = [(3600, 0.9e6), (0.9 * over_s, 1.2e6), (7200, 0.95e6)]
    late = [(3600, 0.9e6), (1.1 * over_s, 1.2e6), (7200, 0.95e6)]
    assert ELEMENT.first_trip_s(capped) is None
    assert ELEMENT.first_trip_s(late) == pytest.approx(3600 + over_s)


@given(st.lists(st.tuples(st.floats(1, 3000), st.floats(0, 1.6)), min_size=1, max_size=8))
def test_splitting_an_interval_changes_nothing(story: list[tuple[float, float]]) -> None:
    watts = [(t, r * 1e6) for t, r in story]
    halves = [(t / 2, w) for t, w in watts for _ in range(2)]
    once, twice = ELEMENT.first_trip_s(watts), ELEMENT.first_trip_s(halves)
    assert (once is None) == (twice is None)
    if once is not None and twice is not None:
        assert twice == pytest.approx(once, rel=1e-6, abs=1e-6)


def test_independent_racks_average_out_and_racks_in_step_do_not() -> None:
    """Twenty per cent more racks than the row is rated for: serving holds, training trips.

    50 racks between 60 and 100 % of their rating: each on its own, or all at once.
    """
    random = np.random.default_rng(1)
    share = random.uniform(0.6, 1.0, (2000, 60))
    row = breaker(50.0)
    alone = [(60.0, float(s.sum())) for s in share]
    in_step = [(1800.0, 60 * (0.6 if k % 2 else 1.0)) for k in range(60)]
    assert row.first_trip_s(alone) is None
    assert row.first_trip_s(in_step) is not None


def test_nonsense_is_refused() -> None:
    with pytest.raises(CapacityError, match="a breaker of 0 W"):
        Breaker(0.0, 1.05, 100.0, 8.0)
    with pytest.raises(CapacityError, match=r"holds 0\.9"):
        Breaker(1.0, 0.9, 100.0, 8.0)
