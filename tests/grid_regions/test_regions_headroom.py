"""Flexible headroom: the published figures, and the method by hand and by search."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError, UnknownNameError
from sim.grid.regions.headroom import areas, curtailment, from_hours, headroom, load_at
from sim.grid.regions.national import national

START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("area", "gw"), [("ERCOT", 10.0), ("NYISO", 4.0), ("TVA", 4.5)])
def test_published_figures_at_half_a_percent(area: str, gw: float) -> None:
    assert round(headroom(area, 0.005).load_mw / 1e3, 1) == gw


def test_more_curtailment_makes_more_room_and_lasts_a_few_hours() -> None:
    found = [headroom("ERCOT", rate) for rate in (0.0025, 0.005, 0.01)]
    assert found[0].load_mw < found[1].load_mw < found[2].load_mw
    assert found[1].years == tuple(range(2016, 2025))
    assert 1 < found[1].mean_event_h < 12
    assert found[1].half_left_share > 0.5
    assert found[1].curtailed_mwh_per_y == pytest.approx(
        0.005 * found[1].load_mw * 78912 / (78912 / 8766), rel=1e-6
    )
    assert {s.season for s in found[1].seasons} == {"summer", "winter"}


def test_the_published_sum_lies_between_two_years_as_they_are_and_raised_to_nine() -> None:
    """76, 98 to 100 and 126 GW at 0.25, 0.5 and 1 %."""
    for rate, published in ((0.0025, 76.0), (0.005, 98.0), (0.01, 126.0)):
        found = national(rate)
        assert len(found.nine_years_gw) == 9
        assert found.low_gw < published < found.high_gw
        assert found.low_gw > 0.85 * published
        assert found.two_over_nine_range[0] < found.two_over_nine < found.two_over_nine_range[1]
    assert found.nine_years_gw["TEX"] == pytest.approx(headroom("ERCOT", 0.01).load_mw / 1e3)


def test_the_curtailment_of_a_load_is_the_inverse_of_the_headroom() -> None:
    for rate in (0.001, 0.02):
        wanted = headroom("TVA", rate)
        found = curtailment("TVA", wanted.load_mw)
        assert found.curtailment_frac == pytest.approx(rate, rel=1e-6)
        assert found.curtailed_h_per_y == pytest.approx(wanted.curtailed_h_per_y, abs=0.2)
    assert curtailment("TVA", 0.001).curtailed_h_per_y < 2
    with pytest.raises(InputError, match="load of 0 MW"):
        curtailment("TVA", 0.0)


def test_by_hand() -> None:
    """Two hours at the peak of 100 MW, two at 60: L = 10 is curtailed by 20 of 40 MWh."""
    found = from_hours("x", np.array([100.0, 60, 100, 60]), START, 0.5)
    assert found.load_mw == pytest.approx(40)  # at any load up to 40 half is curtailed
    assert found.deepest_mw == pytest.approx(40)
    assert (found.mean_event_h, found.longest_event_h) == (1.0, 1)
    quarter = from_hours("x", np.array([100.0, 60, 60, 60]), START, 0.25)
    assert quarter.load_mw == pytest.approx(40)


def test_seasons_have_their_own_threshold() -> None:
    demand = np.full(8784, 50.0)
    demand[100], demand[5000] = 80.0, 100.0
    found = {s.season: s for s in from_hours("x", demand, START, 0.01).seasons}
    assert (found["winter"].threshold_mw, found["summer"].threshold_mw) == (80.0, 100.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1000), min_size=2, max_size=40), st.floats(0.001, 0.9))
def test_exact_load_equals_a_search(gaps: list[float], rate: float) -> None:
    gap = np.array(gaps) - min(gaps)
    load = load_at(gap, rate)
    if load > 1e-6:
        share = np.maximum(load - gap, 0).sum() / (load * len(gap))
        low, high = 0.0, 1e7
        for _ in range(100):
            middle = (low + high) / 2
            cut = np.maximum(middle - gap, 0).sum() / max(middle * len(gap), 1e-300)
            low, high = (middle, high) if cut <= rate else (low, middle)
        assert share == pytest.approx(rate, rel=1e-6) or load <= low + 1e-6


def test_short_series_say_so_and_unknown_areas_are_named() -> None:
    assert "only 2 years" in headroom("MIDA", 0.005).notes[0]
    assert "only 1 years" in headroom("PJM-DOM", 0.005).notes[0]
    assert headroom("TVA", 0.005).notes == ()
    with pytest.raises(UnknownNameError, match="area 'PJN-DOM'"):
        headroom("PJN-DOM", 0.005)
    with pytest.raises(InputError, match="curtailment 0 is outside"):
        headroom("ERCOT", 0.0)
    with pytest.raises(InputError, match="has gaps"):
        from_hours("x", np.array([1.0, np.nan]), START, 0.1)
    assert len(areas()["2016-2024"]) == 9
