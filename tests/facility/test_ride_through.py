"""What leaves the grid in a disturbance, and when it is back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.facility.ride_through import (
    Excursion,
    describe,
    ride_through,
    ride_through_settings,
    stands,
)
from sim.facility.swing import filtered_swing_w, smooth_swing

SETTINGS = ride_through_settings()


@pytest.mark.parametrize(
    ("duration_s", "voltage_pu", "held"),
    [
        (0.02, 0.0, True), (0.03, 0.0, False), (0.4, 0.7, True), (0.6, 0.7, False), (9, 0.8, True),
        (11, 0.8, False), (1e6, 0.9, True), (0.4, 1.2, True), (0.6, 1.2, False),
    ],
)  # fmt: skip
def test_the_itic_curve(duration_s: float, voltage_pu: float, held: bool) -> None:
    assert stands(duration_s, voltage_pu) is held


def test_six_faults_in_82_seconds_hold_the_load_off_the_grid() -> None:
    """The event of 2024-07-10: 1,500 MW left, and came back by hand only."""
    faults = [Excursion(t, 0.1, 0.6) for t in (0, 16, 32, 48, 64, 82)]
    result = ride_through(SETTINGS, faults)
    assert result.largest_frac == pytest.approx(1.0)
    assert result.locked_frac == pytest.approx(1.0)
    assert result.lost_frac == 0
    assert result.back_s > 3600
    assert result.off_grid_frac(120.0) == pytest.approx(1.0)
    assert "1500.0 MW leave the grid" in describe(result, 1.5e9)


def test_one_fault_walks_in_after_half_a_minute() -> None:
    result = ride_through(SETTINGS, [Excursion(0, 0.1, 0.6)])
    assert result.locked_frac == 0
    assert result.back_s == pytest.approx(40.1)
    assert result.off_grid_frac(25.1) == pytest.approx(0.5, abs=0.01)
    assert result.steps(100e6)[-1] == pytest.approx((40.1, 0.0))


def test_a_shallow_dip_takes_some_blocks_and_a_short_one_none() -> None:
    assert 0 < ride_through(SETTINGS, [Excursion(0, 0.1, 0.86)]).largest_frac < 1
    assert ride_through(SETTINGS, [Excursion(0, 0.005, 0.0)]).absences == ()
    assert ride_through(SETTINGS, [Excursion(0, 5, 0.95)]).absences == ()
    assert describe(ride_through(SETTINGS, []), 1e6).startswith("rides through")


def test_frequency_outside_the_window_takes_all() -> None:
    result = ride_through(SETTINGS, [Excursion(0, 3, frequency_hz=58.5)])
    assert result.largest_frac == pytest.approx(1.0)


def test_without_generators_the_battery_ends_before_the_operator_comes() -> None:
    alone = ride_through_settings(generators=False)
    lost = ride_through(alone, [Excursion(t, 0.1, 0.6) for t in (0, 10, 20)])
    assert lost.lost_frac == pytest.approx(1.0)
    assert ride_through(alone, [Excursion(0, 0.1, 0.6)]).lost_frac == 0


def test_load_without_ups_follows_the_itic_curve() -> None:
    bare = replace(SETTINGS, without_ups_frac=0.2)
    deep = ride_through(bare, [Excursion(0, 1.0, 0.5)])
    assert deep.lost_frac == pytest.approx(0.2)
    assert deep.largest_frac == pytest.approx(1.0)
    assert ride_through(bare, [Excursion(0, 0.01, 0.5)]).lost_frac == 0


@given(
    st.lists(st.tuples(st.floats(0.5, 100), st.floats(0.01, 2), st.floats(0, 1.3)), max_size=8),
    st.floats(0, 1), st.sampled_from(["staged", "manual"]),
)  # fmt: skip
def test_never_more_than_the_load_and_all_comes_back(
    story: list[tuple[float, float, float]], bare_frac: float, back: str
) -> None:
    settings = replace(SETTINGS, without_ups_frac=bare_frac, back=back)  # type: ignore[arg-type]
    excursions, time_s = [], 0.0
    for gap_s, length_s, voltage_pu in story:
        time_s += gap_s
        excursions.append(Excursion(time_s, length_s, voltage_pu))
        time_s += length_s
    result = ride_through(settings, excursions)
    assert all(0 <= watts <= 100e6 * (1 + 1e-9) for _, watts in result.steps(100e6))
    assert result.off_grid_frac(result.back_s + 1) == 0


def test_disorder_is_refused() -> None:
    with pytest.raises(InputError, match="one after another"):
        ride_through(SETTINGS, [Excursion(5, 1, 0.5), Excursion(0, 1, 0.5)])
    with pytest.raises(InputError, match="an excursion of 0 s"):
        ride_through(SETTINGS, [Excursion(0, 0, 0.5)])
    with pytest.raises(InputError, match="0 blocks"):
        ride_through_settings(blocks=0)


# --- swings


def test_a_store_flattens_a_square_wave_by_what_it_holds() -> None:
    wave = [(1.0, 100.0), (1.0, 20.0)]
    assert smooth_swing(wave).swing_w == 80
    assert smooth_swing(wave, store_j=20).swing_w == pytest.approx(40)
    assert smooth_swing(wave, store_j=40).swing_w == pytest.approx(0, abs=1e-9)
    assert smooth_swing(wave, store_j=1e6).mean_w == 60


def test_a_floor_narrows_the_swing_and_burns_what_it_adds() -> None:
    swing = smooth_swing([(1.0, 100.0), (1.0, 20.0)], floor_w=60)
    assert (swing.swing_w, swing.burnt_w) == (40, 20)


phases = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1000)), min_size=1, max_size=6)


@given(phases, st.floats(0, 5000), st.floats(0, 5000))
def test_more_storage_never_widens_the_band(
    step: list[tuple[float, float]], a_j: float, more_j: float
) -> None:
    less, more = smooth_swing(step, a_j), smooth_swing(step, a_j + more_j)
    assert more.swing_w <= less.swing_w + 1e-6
    assert less.low_w - 1e-6 <= less.mean_w <= less.high_w + 1e-6
    beyond_j = sum(t * max(w - less.high_w, 0) for t, w in step)
    assert beyond_j <= a_j + 1e-3


@given(phases, st.floats(0.1, 1000))
def test_a_filter_never_widens_and_slower_is_flatter(
    step: list[tuple[float, float]], tau_s: float
) -> None:
    bare = max(w for _, w in step) - min(w for _, w in step)
    fast, slow = filtered_swing_w(step, tau_s, 1e9), filtered_swing_w(step, 3 * tau_s, 1e9)
    assert slow <= fast + 1e-6 <= bare + 2e-6
    assert filtered_swing_w(step, tau_s, 0.0) == pytest.approx(bare, abs=1e-9)


def test_a_filter_on_a_square_wave_in_closed_form() -> None:
    """Half periods of T and time constant tau: the swing shrinks by tanh(T / 2 tau)."""
    import math

    wave = [(2.0, 100.0), (2.0, 0.0)]
    assert filtered_swing_w(wave, 5.0, 1e9) == pytest.approx(100 * math.tanh(2 / 10))
    assert filtered_swing_w(wave, 500.0, 10.0) == pytest.approx(80)  # 10 W up, 10 W down
    with pytest.raises(InputError, match="time constant"):
        filtered_swing_w(wave, 0.0, 1.0)
    with pytest.raises(InputError, match="phases"):
        smooth_swing([])
    with pytest.raises(InputError, match="below 0"):
        smooth_swing([(1.0, 5.0), (1.0, -1.0)])
