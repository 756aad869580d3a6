"""Frequency: closed forms, an integrator of another kind, measured events, relays, pulses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from sim.datum import data
from sim.errors import InputError, UnknownNameError
from sim.grid.dynamic.interconnections import (
    CANYON_HZ,
    CANYON_MW,
    DYNAMICS,
    NAMES,
    ODESSA_MW,
    fit_time_s,
    interconnection,
    not_primary,
    online_from_output,
)
from sim.grid.dynamic.model import FastResponse, Governor, Island, Pulse, Relay, Step
from sim.grid.dynamic.oscillation import TwoAreas, harmonic_mw
from sim.grid.dynamic.swing import simulate
from sim.grid.regions.odessa import island_at, predict_odessa, sunny_hours
from sim.grid.regions.trip import allowed_loss_mw, highest_hz, largest_loss_mw


def linear(time_s: float = 4.0, damping: float = 1.0) -> Island:
    governor = Governor("g", 20000, dead_band_hz=0.0, time_s=time_s)
    return Island("x", 200e3, 40000, damping, (governor,))


def test_inertia_alone_falls_in_a_straight_line() -> None:
    run = simulate(Island("x", 100e3, 0.0, 0.0), [Step(1.0, 500.0)], duration_s=5.0)
    slope = -60 * 500 / (2 * 100e3)
    assert run.rocof_hz_per_s == pytest.approx(slope, rel=1e-6)
    assert run.frequency_hz[-1] == pytest.approx(60 + slope * 4, rel=1e-9)


def test_damping_alone_is_an_exponential() -> None:
    island = Island("x", 100e3, 30000, 2.0)
    run = simulate(island, [Step(0.0, 600.0)], duration_s=30.0)
    rate = 60 / (2 * 100e3) * island.damping_mw_per_hz
    expected = 60 - 600 / island.damping_mw_per_hz * (1 - np.exp(-rate * run.time_s))
    assert run.frequency_hz == pytest.approx(expected, abs=1e-9)


def test_closed_form_of_the_linear_second_order_response() -> None:
    """M f' = -P - D f - p, T p' = K f - p ... with p = -governor: damped oscillation."""
    island = linear()
    m, d = 2 * island.inertia_mws / 60, island.damping_mw_per_hz
    k, t_gov, loss = island.governors[0].slope_mw_per_hz(up=True), 4.0, 1000.0
    w2, two_zw = (d + k) / (m * t_gov), 1 / t_gov + d / m
    settled = loss / (d + k)
    sigma, wd = two_zw / 2, math.sqrt(w2 - two_zw**2 / 4)
    run = simulate(island, [Step(0.0, loss)], duration_s=40.0)
    t = run.time_s
    slope0 = -loss / m
    shape = np.cos(wd * t) + (slope0 / settled * -1 * -1 + sigma) / wd * np.sin(wd * t)
    expected = 60 - settled + settled * np.exp(-sigma * t) * shape
    assert run.frequency_hz == pytest.approx(expected, abs=5e-4)
    assert run.settled_hz == pytest.approx(60 - settled, abs=3e-3)
    assert run.nadir_hz < run.settled_hz - 0.01
    assert island.settled_hz(loss) == pytest.approx(settled, rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    st.floats(80e3, 500e3),
    st.floats(100, 3000),
    st.floats(0.5, 8.0),
    st.floats(0.0, 0.05),
    st.floats(300, 5000),
    st.floats(50, 2000),
)
def test_limits_agree_with_an_integrator_of_another_kind(
    energy: float, loss: float, time_s: float, band: float, headroom: float, rate: float
) -> None:
    governor = Governor("g", 20000, 0.05, band, 1, 1, headroom, headroom, rate, time_s)
    island = Island("x", energy, 40000, 1.5, (governor,))

    def slope(_: float, state: np.ndarray) -> list[float]:
        f, p = state
        target = min(max(0.0, -f - band) * governor.slope_mw_per_hz(up=True), headroom)
        target -= min(max(0.0, f - band) * governor.slope_mw_per_hz(up=False), headroom)
        dp = min(max((target - p) / time_s, -rate), rate)
        return [60 / (2 * energy) * (p - loss - island.damping_mw_per_hz * f), dp]

    grid = np.linspace(0, 14, 141)
    exact = solve_ivp(slope, (0, 14), [0.0, 0.0], t_eval=grid, max_step=0.02, rtol=1e-8)
    run = simulate(island, [Step(0.0, loss)], duration_s=14.0)
    assert not run.collapsed or loss > headroom
    if not run.collapsed:
        mine = np.interp(grid, run.time_s, run.frequency_hz - 60)
        assert mine == pytest.approx(exact.y[0], abs=0.004 * max(1.0, loss / 1000))


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_loss_settles_at_the_measured_response(name: str) -> None:
    island = interconnection(name)
    loss = data(DYNAMICS)[f"reference_loss_mw.{name}"].value
    measured = data("grid/frequency.yaml")[f"{name}.response_mw_per_0.1hz"].value
    assert island.response_mw_per_tenth_hz(loss) == pytest.approx(measured, rel=1e-6)
    assert all(0 < governor.share_up < 0.7 for governor in island.governors)


def test_canyon_2_is_fitted_and_odessa_predicted_within_a_fifth() -> None:
    """The fit knows the West; ERCOT's event is asked at the measured hours of its day."""
    assert data(DYNAMICS)["governor.time_s"].value == pytest.approx(fit_time_s(), abs=0.01)
    fitted = simulate(interconnection("western"), [Step(0.0, CANYON_MW)])
    assert fitted.nadir_hz == pytest.approx(CANYON_HZ, abs=0.002)
    found = predict_odessa()
    assert abs(found.error_frac) < 0.20
    assert found.error_low_frac <= found.error_frac <= found.error_high_frac < 0.27
    assert 0.5 < found.within_share <= 1
    # The rule that was added after the miss was seen: without it the miss is larger.
    assert found.error_frac < found.without_rule_error_frac < 0.20
    assert found.without_rule_high_frac > found.error_high_frac
    assert found.without_rule_low_frac <= found.without_rule_error_frac
    assert found.without_rule_error_frac <= found.without_rule_high_frac
    per_mva = data(DYNAMICS)["power_factor"].value
    assert found.without_rule_inertia_gws == pytest.approx(per_mva * found.inertia_gws)
    assert "added after the miss" in found.note
    assert found.hours == len(sunny_hours()) >= 10
    run = simulate(island_at(sunny_hours()[0]), [Step(0.0, ODESSA_MW)])
    assert run.nadir_hz == pytest.approx(found.nadir_hz, abs=1e-3)
    assert [trip.name for trip in run.trips] == ["load resources"]
    assert run.ufls_mw == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_allowed_loss_reaches_the_limit_and_no_more(name: str) -> None:
    limit, published = highest_hz(name)
    assert published == (name == "ercot")
    allowed = allowed_loss_mw(name, 8)
    assert len(allowed) == 9
    island = interconnection(name)
    at = simulate(island, [Step(0.0, -float(allowed[0]))], duration_s=15.0)
    assert at.zenith_hz == pytest.approx(limit, abs=2e-3 * (limit - 60))
    assert largest_loss_mw(island, 0.1) < largest_loss_mw(island, 0.3)
    if name == "ercot":
        assert allowed[0] == pytest.approx(2600, rel=0.005)


def test_losing_2600_mw_of_load_takes_ercot_to_its_limit() -> None:
    run = simulate(interconnection("ercot"), [Step(0.0, -2600.0)])
    assert run.zenith_hz == pytest.approx(60.4, abs=0.003)
    low = simulate(interconnection("ercot", inertia_gws=130.0), [Step(0.0, -2600.0)])
    assert low.zenith_hz > run.zenith_hz
    small = simulate(interconnection("ercot"), [Step(0.0, -150.0)])
    assert small.zenith_hz < 60.05


def test_virginia_2024_moves_the_east_by_less_than_a_tenth() -> None:
    steps = [Step(1.0 + 82 * k / 5, -250.0) for k in range(6)]
    run = simulate(interconnection("eastern"), steps, duration_s=160.0)
    at_once = simulate(interconnection("eastern"), [Step(1.0, -1500.0)])
    assert 60.03 < run.zenith_hz <= at_once.zenith_hz < 60.1


def test_ufls_stops_a_fall_that_governors_cannot() -> None:
    """ERCOT at its lowest inertia, 6 GW lost: stages act in order, frequency comes back."""
    run = simulate(interconnection("ercot", inertia_gws=130.0), [Step(0.0, 9000.0)])
    stages = [trip.name for trip in run.trips if trip.is_ufls]
    assert stages == sorted(stages)
    assert run.ufls_mw > 0
    assert run.settled_hz > run.nadir_hz
    bare = Island("x", 100e3, 20000, 1.0)
    assert simulate(bare, [Step(0.0, 9000.0)]).collapsed


def test_a_relay_waits_for_its_delay_without_a_break() -> None:
    relay = Relay("r", "under", 59.9, 400.0, delay_s=0.5)
    island = Island("x", 100e3, 0.0, 0.0, relays=(relay,))
    blip = simulate(island, [Step(0.0, 1000.0), Step(0.4, -2000.0), Step(0.8, 1000.0)])
    assert blip.trips == ()
    held = simulate(island, [Step(0.0, 1000.0)], duration_s=3.0)
    crossed = 0.1 / (60 * 1000 / (2 * 100e3))
    assert held.trips[0].time_s == pytest.approx(crossed + 0.5, abs=0.03)
    over = Relay("g", "over", 60.1, 300.0)
    rising = simulate(Island("x", 100e3, 0.0, 0.0, relays=(over,)), [Step(0.0, -300.0)])
    assert rising.frequency_hz[-1] == pytest.approx(rising.zenith_hz)


def test_fast_response_helps_both_ways_and_holds_its_time() -> None:
    low = FastResponse("b", 59.95, 500.0, 0.1, 0.2)
    high = FastResponse("d", 60.05, 500.0, 0.1, 0.2)
    for fast, loss in ((low, 800.0), (high, -800.0)):
        with_it = simulate(Island("x", 100e3, 3e4, 1.0, fast=(fast,)), [Step(0.0, loss)])
        bare = simulate(Island("x", 100e3, 3e4, 1.0), [Step(0.0, loss)])
        assert abs(with_it.frequency_hz[-1] - 60) < 0.5 * abs(bare.frequency_hz[-1] - 60)
    brief = FastResponse("b", 59.95, 500.0, 0.1, 0.2, hold_s=5.0)
    run = simulate(Island("x", 100e3, 3e4, 1.0, fast=(brief,)), [Step(0.0, 800.0)])
    bare = simulate(Island("x", 100e3, 3e4, 1.0), [Step(0.0, 800.0)])
    assert run.frequency_hz[-1] == pytest.approx(bare.frequency_hz[-1], abs=0.01)


def test_a_pulse_inside_the_dead_band_meets_inertia_and_damping_only() -> None:
    island = linear()
    still = Island("x", island.inertia_mws, island.load_mw, island.damping)
    pulse = Pulse(100.0, 2.0, sine=True)
    run = simulate(still, pulses=[pulse], duration_s=60.0)
    m, d, w = 2 * still.inertia_mws / 60, still.damping_mw_per_hz, math.pi
    assert run.peak_to_peak_hz == pytest.approx(100 / math.hypot(d, m * w), rel=0.01)
    slow = simulate(still, pulses=[Pulse(100.0, 20.0, sine=True)], duration_s=90.0)
    assert slow.peak_to_peak_hz > 5 * run.peak_to_peak_hz


def test_a_square_pulse_has_no_mean() -> None:
    pulse = Pulse(100.0, 3.0, duty_frac=0.3)
    at = [pulse.at(0.003 * k + 0.0015) for k in range(1000)]
    assert np.mean(at) == pytest.approx(0, abs=1e-9)
    assert max(at) - min(at) == 100


def test_amplification_against_a_simulated_pair_of_machines() -> None:
    areas = TwoAreas(0.5, 0.08, 0.3)
    w0, z, p = 2 * math.pi * 0.5, 0.08, 100.0
    for hz in (0.1, 0.5, 0.8):
        w = 2 * math.pi * hz

        def slope(t: float, s: np.ndarray, w: float = w) -> list[float]:
            # s: tie flow and its rate; the far side carries M2 / (M1 + M2) of a slow swing.
            force = w0**2 * 0.7 * p / 2 * math.sin(w * t)
            return [s[1], force - 2 * z * w0 * s[1] - w0**2 * s[0]]

        found = solve_ivp(slope, (0, 80), [0, 0], max_step=0.02)
        tail = found.y[0][found.t > 60]
        assert areas.tie_mw(p, hz) == pytest.approx(tail.max() - tail.min(), rel=0.02)
    assert areas.amplification(0.5) == pytest.approx(1 / (2 * z))
    assert areas.amplification(1e-6) == pytest.approx(1.0)


def test_a_slow_square_reaches_the_mode_with_a_harmonic() -> None:
    areas = TwoAreas(0.6, 0.05, 0.3)
    assert harmonic_mw(100, 1, 0.5) == pytest.approx(400 / math.pi)
    assert harmonic_mw(100, 2, 0.5) == pytest.approx(0, abs=1e-9)
    assert areas.square_tie_mw(100, 0.2) == pytest.approx(
        areas.tie_mw(harmonic_mw(100, 3, 0.5), 0.6)
    )


def test_inertia_follows_the_machines_on_line() -> None:
    few = online_from_output({"gas": 10000.0, "wind": 20000.0}, 30000.0)
    many = online_from_output({"gas": 30000.0}, 30000.0)
    assert few.rating_mw.keys() == {"gas"}
    table = data(DYNAMICS)
    assert many.inertia_mws(table) == pytest.approx(3 * few.inertia_mws(table))
    run = [
        simulate(interconnection("ercot", online=online), [Step(0.0, 1500.0)])
        for online in (few, many)
    ]
    assert run[0].nadir_hz < run[1].nadir_hz
    assert run[0].rocof_hz_per_s < run[1].rocof_hz_per_s


def test_figures_without_a_primary_source_are_marked() -> None:
    marked = not_primary(interconnection("eastern"))
    assert any("second-hand" in text for text in marked)
    assert any("UFLS stages of the eastern interconnection: not found" in t for t in marked)
    assert not any("[primary:" in text for text in marked)
    whole = interconnection("eastern").assumptions
    assert len(whole) > len(marked)


def test_bad_input() -> None:
    with pytest.raises(UnknownNameError, match="interconnection 'quebec'"):
        interconnection("quebec")
    with pytest.raises(InputError, match="unknown figure 'x'"):
        interconnection("ercot", changes={"x": 1.0})
    with pytest.raises(InputError, match="step of 5 MW at 99 s"):
        simulate(linear(), [Step(99.0, 5.0)])
    with pytest.raises(InputError, match="duration 0 s"):
        simulate(linear(), duration_s=0)
    with pytest.raises(InputError, match="inertia 0 MW s"):
        Island("x", 0.0, 1.0)
    with pytest.raises(InputError, match="pulse of 5 MW, period 0 s"):
        Pulse(5.0, 0.0)
    with pytest.raises(InputError, match="mode 0 Hz"):
        TwoAreas(0.0, 0.1, 0.5)
    with pytest.raises(InputError, match="100 MW settles at"):
        interconnection("eastern", changes={"reference_loss_mw.eastern": 100.0})


def test_a_figure_given_for_inertia_reaches_the_machines_of_an_hour() -> None:
    hour = sunny_hours()[0]
    per_mva = data(DYNAMICS)["power_factor"].value
    usual, per_mw = island_at(hour), island_at(hour, {"power_factor": 1.0})
    assert per_mw.inertia_mws == pytest.approx(per_mva * usual.inertia_mws)
    heavier = island_at(hour, {"inertia_constant_s.gas": 9.0})
    assert heavier.inertia_mws > usual.inertia_mws
