"""A battery's recorded signals: by hand, over a run of a supply, and where the law must fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import LawViolation
from sim.facility.battery import Battery
from sim.record.laws import Recorded
from sim.record.storage_law import check_stored, stored_at

BATTERY = Battery(power_w=100.0, energy_j=1e6, round_trip_frac=0.81, min_frac=0.0, max_frac=1.0)


def power(*changes: tuple[float, float]) -> Recorded:
    return Recorded("s.battery_w", *map(np.array, zip(*changes, strict=True)))


def stored(*changes: tuple[float, float]) -> Recorded:
    return Recorded("s.stored_j", *map(np.array, zip(*changes, strict=True)))


def check(held: Recorded, drawn: Recorded) -> None:
    check_stored(held, drawn, BATTERY.one_way_frac, BATTERY.floor_j(), BATTERY.ceiling_j())


def test_by_hand_nine_tenths_go_in_and_ten_ninths_come_out() -> None:
    """100 W for 10 s, then -90 W for 10 s: +900 J, -1000 J."""
    drawn = power((0.0, 100.0), (10.0, -90.0), (20.0, 0.0))
    found = stored_at(drawn, 5000.0, 0.9, np.array([0.0, 5.0, 10.0, 20.0, 99.0]))
    assert found == pytest.approx([5000, 5450, 5900, 4900, 4900])
    check(stored((0.0, 5000.0), (10.0, 5900.0), (20.0, 4900.0)), drawn)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.floats(0.5, 60))
def test_what_the_battery_says_itself_agrees(powers_w: list[float], dt_s: float) -> None:
    held_j, changes = 5e5, []
    for k, watts in enumerate(powers_w):
        changes.append((k * dt_s, held_j))
        held_j = BATTERY.stored_after_j(held_j, watts, dt_s)
    check(stored(*changes), power(*((k * dt_s, w) for k, w in enumerate(powers_w))))


@pytest.mark.parametrize(
    ("held", "drawn", "match"),
    [
        (
            stored((0.0, 5000.0), (10.0, 6000.0)),
            power((0.0, 100.0), (10.0, 0.0)),
            r"s.stored_j = 6000.0 J at 10.0 s, but the integral of its power is 5900",
        ),
        (
            stored((0.0, 5000.0)),
            power((0.0, 0.0), (3.0, 1.0), (4.0, 0.0)),
            r"at 4.0 s, but the integral",
        ),
        (
            stored((0.0, 1e6), (10.0, 1e6 + 900)),
            power((0.0, 100.0), (10.0, 0.0)),
            "but the most it may hold is 1000000.0 J",
        ),
        (
            stored((0.0, 50.0), (1.0, -50.0)),
            power((0.0, -90.0), (1.0, 0.0)),
            "but the least it must keep is 0.0 J",
        ),
    ],
)
def test_a_battery_that_makes_or_loses_energy_or_leaves_its_window_is_found(
    held: Recorded, drawn: Recorded, match: str
) -> None:
    with pytest.raises(LawViolation, match=match):
        check(held, drawn)


def test_the_one_way_efficiency_is_the_root_of_the_round_trip() -> None:
    assert math.isclose(BATTERY.one_way_frac, 0.9)
