"""Readings: by hand, in the right direction, with what was short before kept apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from grid_cases import area, figures, hour, network, spread, zone
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError, UnknownNameError
from sim.grid import frequency
from sim.grid.network import Interface, Network
from sim.grid.readings import LIMITS, Limit, Reading, answer, counted
from sim.grid.us_states import us_states
from sim.grid.verdict import GridVerdict, assess


def reading(verdict: GridVerdict, zone: str, limit: Limit) -> Reading:
    return next(found for found in verdict.of(zone) if found.limit == limit)


def small(**more: object) -> Network:
    zones = (
        zone("A", 1000.0, 1300.0, nerc_areas=("AREA", "LOST")),
        zone("B", 500.0, 450.0, nerc_areas=("AREA", "TIGHT")),
    )
    fields: dict[str, object] = {
        "zones": zones,
        "interfaces": (Interface("A", "B", 120.0, 50.0),),
        "hours": (hour(2),),
        "areas": (area(), area("TIGHT", 300.0)),
        "frequency": (figures(),),
    }
    return network({}, **(fields | more))


def test_all_limits_in_order_and_by_hand() -> None:
    verdict = assess(small(), {"B": 40.0}, {"B": 25.0}, samples=2)
    assert tuple(found.limit for found in verdict.of("B")) == LIMITS
    margin = {found.limit: found.margin_mw for found in verdict.of("B")}
    assert margin["energy"] == pytest.approx(1750 - 1500 - 40)
    assert margin["interface"] == pytest.approx(120 + 450 - 500 - 40)
    assert margin["reserve"] == pytest.approx(300 * (1.32 / 1.1 - 1) - 40)  # TIGHT, not AREA
    assert margin["frequency"] == pytest.approx(100 - 40)
    assert margin["swing"] == pytest.approx(0.02 * 500 / 0.1 - 25)
    assert margin["branch"] is margin["voltage"] is None
    assert reading(verdict, "B", "interface").at == "limits into B: A-B"
    assert "TIGHT" in reading(verdict, "B", "reserve").at
    assert "tightest of AREA, TIGHT" in reading(verdict, "B", "reserve").detail
    assert verdict.share_of_peak == (("B", 0.08),)
    first = verdict.first("B")
    assert first
    assert first.limit == "reserve"


def test_reserve_says_which_area_has_no_margin() -> None:
    found = reading(assess(small(), {"A": 1.0}, samples=1), "A", "reserve")
    assert "no margin known for LOST" in found.detail


def test_exact_figures_leave_no_doubt() -> None:
    verdict = assess(small(), {"B": 80.0}, samples=2)
    found = reading(verdict, "B", "interface")
    assert (found.verdict, found.binds, found.probability) == ("binds", True, 1.0)
    assert found.margin_low_mw == found.margin_mw == found.margin_high_mw
    assert reading(verdict, "B", "energy").verdict == "holds"


def test_indeterminate_when_the_range_holds_the_limit() -> None:
    net = small(hours=(hour(2, gas=spread(1.0, 0.9, 1.1)),))
    verdict = assess(net, {"B": 60.0}, samples=64)
    found = reading(verdict, "B", "interface")  # 120 + 450 x U(0.9, 1.1) - 500 - 60
    assert found.verdict == "indeterminate"
    assert found.binds is None
    assert found.probability == pytest.approx(35 / 90, abs=0.05)
    assert found.margin_low_mw is not None
    assert found.margin_low_mw == pytest.approx(10 - 40.5, abs=3.0)


def test_range_of_the_load_counts() -> None:
    net = small()
    sure = assess(net, {"B": 60.0}, samples=64)
    wide = assess(net, {"B": 60.0}, load_low_mw={"B": 40.0}, load_high_mw={"B": 80.0}, samples=64)
    assert reading(sure, "B", "interface").verdict == "holds"
    assert reading(wide, "B", "interface").verdict == "indeterminate"
    assert reading(wide, "B", "interface").margin_mw == reading(sure, "B", "interface").margin_mw


def test_short_before_is_reported_apart() -> None:
    zones = (zone("A", 1000.0, 1300.0), zone("B", 500.0, 350.0))
    net = small(zones=zones)
    at_b = reading(assess(net, {"B": 10.0}, samples=2), "B", "interface")
    assert at_b.preexisting == "B was 30 MW short before the load"
    assert at_b.preexisting_mw == pytest.approx(30.0)
    assert at_b.margin_mw == pytest.approx(-10.0)  # the load alone, not the 30 MW
    assert at_b.verdict == "binds"
    at_a = reading(assess(net, {"A": 10.0}, samples=2), "A", "interface")
    assert at_a.verdict == "holds"  # B's shortage is not A's doing
    assert at_a.margin_mw == pytest.approx(1300 - 1000 - 120 - 10)
    assert at_a.preexisting == "30 MW short elsewhere"


def test_probability_is_about_the_change() -> None:
    margin = np.array([9.0, -5.0, -5.0, 10.0, 10.0, -1.0])
    short = np.array([False, True, True, False, False, False])
    assert list(counted(margin, short)) == [10.0, 10.0, -1.0]
    assert list(counted(margin, ~short)) == list(margin[1:])  # most were short: all count
    assert list(counted(margin, np.zeros(6, dtype=bool))) == list(margin[1:])
    assert [answer(p) for p in (0.0, 0.05, 0.06, 0.94, 0.95)] == [
        "holds",
        "holds",
        "indeterminate",
        "indeterminate",
        "binds",
    ]


def test_ercot_may_be_short_without_the_load_and_150_mw_change_little() -> None:
    found = reading(assess(us_states(), {"TX-ERCOT": 150.0}, samples=64), "TX-ERCOT", "energy")
    assert 0.0 < found.short_before < 0.5
    assert "short before the load in" in found.preexisting
    assert found.verdict == "holds"


def test_sites_stand_together() -> None:
    net = small()
    alone = assess(net, {"A": 100.0}, samples=1)
    both = assess(net, {"A": 100.0, "B": 60.0}, {"A": 30.0, "B": 60.0}, samples=1)
    assert reading(alone, "A", "energy").margin_mw == pytest.approx(150.0)
    assert reading(both, "A", "energy").margin_mw == pytest.approx(90.0)
    assert reading(both, "B", "interface").margin_mw == pytest.approx(10.0)
    assert reading(both, "A", "swing").margin_mw == pytest.approx(100.0 - 90.0)  # in step
    assert reading(both, "A", "frequency").margin_mw == pytest.approx(0.0)  # own site only
    assert reading(both, "B", "reserve").margin_mw == pytest.approx(60.0 - 60.0)
    assert reading(both, "A", "reserve").margin_mw == pytest.approx(200.0 - 160.0)


def test_a_site_that_alone_is_fine_binds_when_others_take_the_power() -> None:
    verdict = assess(small(), {"A": 400.0, "B": 10.0}, samples=1)
    found = reading(verdict, "B", "energy")
    assert found.margin_mw == pytest.approx(250 - 410)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.0, 500.0), min_size=2, max_size=4), st.booleans())
def test_more_load_never_raises_a_margin(loads: list[float], elsewhere: bool) -> None:
    """For a site's own load, and for a load at its neighbour."""
    net = small(hours=(hour(2, gas=spread(1.0, 0.8, 1.1)),))
    mine = {"B": 50.0} if elsewhere else {}
    where = "A" if elsewhere else "B"
    found = [assess(net, {**mine, where: load}, samples=4).of("B") for load in sorted(loads)]
    for less, more in pairwise(found):
        for a, b in zip(less, more, strict=True):
            if a.margin_mw is not None:
                assert b.margin_mw is not None
                assert b.margin_mw <= a.margin_mw + 1e-6
                assert (b.margin_low_mw or 0.0) <= (a.margin_low_mw or 0.0) + 1e-6
                assert (b.probability or 0.0) >= (a.probability or 0.0)


def test_frequency_step_of_ercot() -> None:
    ercot = us_states().frequency[2]
    assert frequency.step_hz(700.0, ercot) == pytest.approx(0.1)
    verdict = assess(us_states(), {"TX-ERCOT": 3000.0}, samples=4)
    found = reading(verdict, "TX-ERCOT", "frequency")
    assert found.margin_mw == pytest.approx(-400.0)
    assert found.verdict == "binds"
    assert "+0.429 Hz" in found.detail
    assert any("read second-hand" in text for text in found.assumptions)


def test_islands_and_dc_say_what_is_known() -> None:
    verdict = assess(us_states(), {"AK": 150.0, "HI": 150.0, "DC": 150.0}, samples=1)
    for name in ("AK", "HI"):
        assert {found.verdict for found in verdict.of(name)} == {"not-assessed"}
        assert verdict.first(name) is None
    assert "2,853 MW" in reading(verdict, "AK", "energy").detail
    assert "no interface in the data" in reading(verdict, "DC", "interface").detail
    assert reading(verdict, "DC", "reserve").at == "PJM"
    assert reading(verdict, "DC", "frequency").verdict != "not-assessed"
    assert verdict.dispatches == ()


def test_same_seed_same_verdict() -> None:
    net = us_states()
    one, two, other = (assess(net, {"VA": 150.0}, samples=4, seed=s) for s in (1, 1, 2))
    assert one == two
    assert one != other
    nominal = [(x.margin_mw, x.at, x.hour) for x in one.readings]
    assert nominal == [(x.margin_mw, x.at, x.hour) for x in other.readings]


def test_a_site_elsewhere_keeps_its_random_numbers() -> None:
    """Common random numbers: a site in ERCOT does not change what VA draws."""
    net = us_states()
    alone = assess(net, {"VA": 150.0}, samples=4)
    both = assess(net, {"VA": 150.0, "TX-ERCOT": 150.0}, samples=4)
    assert reading(alone, "VA", "reserve") == reading(both, "VA", "reserve")
    assert reading(alone, "VA", "frequency") == reading(both, "VA", "frequency")


def test_spreading_lowers_what_each_zone_carries() -> None:
    net = us_states()
    one = assess(net, {"RI": 1500.0}, samples=4)
    four = assess(net, dict.fromkeys(["RI", "OH", "IN", "IL"], 375.0), samples=4)
    assert reading(one, "RI", "interface").verdict == "binds"
    assert reading(four, "RI", "interface").verdict == "holds"


@pytest.mark.parametrize(
    ("loads", "low", "high", "match"),
    [
        ({"VA": -1.0}, {}, {}, "-1 MW"),
        ({"VA": float("nan")}, {}, {}, "nan MW"),
        ({"VA": float("inf")}, {}, {}, "inf MW"),
        ({"VA": 5.0}, {"VA": 6.0}, {}, "range 6 to 5"),
        ({"VA": 5.0}, {}, {"VA": 4.0}, "range 5 to 4"),
        ({"VA": 5.0}, {"OH": 4.0}, {}, "no load"),
        ({"VA": 5.0, "virginia": 5.0}, {}, {}, "named twice"),
        ({"TX": 5.0}, {}, {}, "choose TX-ERCOT or TX-other"),
    ],
)
def test_bad_loads(
    loads: dict[str, float], low: dict[str, float], high: dict[str, float], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        assess(us_states(), loads, load_low_mw=low, load_high_mw=high, samples=1)


def test_bad_swing_name_and_samples() -> None:
    with pytest.raises(InputError, match="swing in VA: -1 MW"):
        assess(us_states(), {"VA": 5.0}, {"VA": -1.0}, samples=1)
    with pytest.raises(UnknownNameError, match="did you mean 'TX-ERCOT'"):
        assess(us_states(), {"TX-ERCOTT": 5.0}, samples=1)
    with pytest.raises(InputError, match="samples: 0"):
        assess(us_states(), {"VA": 5.0}, samples=0)
