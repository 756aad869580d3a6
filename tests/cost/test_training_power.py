"""Phases of a step, its spectrum against a numeric Fourier transform, and smoothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import arch
from sim.cost.layout import Layout
from sim.cost.training import training_step
from sim.cost.training_phases import Part, Phase, phases_of
from sim.cost.training_power import (
    extra_energy_j,
    floored,
    ramp_limited,
    smoothed,
    spectrum,
    swing,
)
from sim.cost.training_setup import TrainingSetup
from sim.hardware.node import load_node

PHASES = st.lists(
    st.builds(Phase, st.just("p"), st.floats(0.01, 5.0), st.floats(100.0, 700.0)),
    min_size=1,
    max_size=9,
)


def parts(bubble_s: float = 0.6) -> tuple[Part, ...]:
    return (
        Part("forward", "pipeline", 1.0, 700.0),
        Part("backward", "pipeline", 2.0, 700.0),
        Part("bubble", "pipeline", bubble_s, 200.0),
        Part("gradient exchange", "exchange", 0.3, 230.0),
        Part("optimiser", "optimiser", 0.1, 400.0),
    )


@given(st.integers(1, 40), st.floats(0.05, 0.95), st.floats(0.01, 2.5))
def test_phases_have_exactly_the_time_and_energy_of_the_parts(
    stages: int, forward_frac: float, bubble_s: float
) -> None:
    found = phases_of(parts(bubble_s), stages, forward_frac)
    assert math.fsum(p.time_s for p in found) == pytest.approx(3.4 + bubble_s)
    assert math.fsum(p.energy_j for p in found) == pytest.approx(
        math.fsum(p.energy_j for p in parts(bubble_s))
    )
    assert all(200 <= p.gpu_power_w <= 700 + 1e-9 for p in found)


def test_power_climbs_while_the_pipeline_fills_and_falls_while_it_drains() -> None:
    found = phases_of(parts(), 4, 1 / 3)
    assert [p.name for p in found] == [
        *["fill"] * 3,
        "steady",
        *["drain"] * 3,
        "exchange",
        "optimiser",
    ]
    fill = [p.gpu_power_w for p in found if p.name == "fill"]
    drain = [p.gpu_power_w for p in found if p.name == "drain"]
    assert fill == sorted(fill)
    assert drain == fill[::-1]
    assert sum(p.time_s for p in found if p.name == "fill") == pytest.approx(0.6 / 3)


def test_a_square_wave_has_its_textbook_spectrum() -> None:
    """Amplitude of the n-th harmonic of a square wave of height h: 2 h / (pi n), n odd."""
    wave = [Phase("high", 0.5, 700.0), Phase("low", 0.5, 200.0)]
    found = spectrum(wave, gpus=1, highest_hz=5.0)
    for harmonic in found:
        n = round(harmonic.hz)
        expected = 2 * 500 / (math.pi * n) if n % 2 else 0.0
        assert harmonic.amplitude_w == pytest.approx(expected, abs=1e-9)


@given(PHASES)
def test_the_spectrum_is_that_of_a_fine_numeric_transform(wave: list[Phase]) -> None:
    period = sum(p.time_s for p in wave)
    points = 8192
    edges = np.cumsum([p.time_s for p in wave])
    place = np.searchsorted(edges, (np.arange(points) + 0.5) / points * period, side="right")
    samples = np.array([p.gpu_power_w for p in wave])[np.minimum(place, len(wave) - 1)]
    numeric = 2 * np.abs(np.fft.rfft(samples)) / points
    exact = spectrum(wave, 1, highest_hz=4 / period)
    for n, harmonic in enumerate(exact, start=1):
        assert harmonic.amplitude_w == pytest.approx(numeric[n], abs=2.0)


@given(PHASES, st.floats(0, 700), st.floats(20, 1e5))
def test_smoothing_adds_energy_keeps_time_and_the_limits(
    wave: list[Phase], floor_w: float, slope: float
) -> None:
    found = smoothed(wave, floor_w, slope)
    assert math.fsum(p.time_s for p in found) == pytest.approx(math.fsum(p.time_s for p in wave))
    assert extra_energy_j(wave, found) >= -1e-6
    assert all(p.gpu_power_w >= floor_w - 1e-9 for p in found)
    highest_w = max(floor_w, *(p.gpu_power_w for p in wave))
    assert all(p.gpu_power_w <= highest_w * (1 + 1e-12) for p in found)


def test_a_ramp_limit_bends_a_dip_as_by_hand() -> None:
    """From 700 to 300 W for 4 s at 100 W/s: down for 2 s, up for 2 s, mean 600 W."""
    wave = [Phase("high", 10.0, 700.0), Phase("low", 4.0, 300.0)]
    found = ramp_limited(wave, 100.0)
    assert extra_energy_j(wave, found) == pytest.approx(4 * (600 - 300), rel=1e-3)
    levels = [p.gpu_power_w for p in found]
    assert min(levels) == pytest.approx(525.0, abs=1.0)
    assert swing(found, 1).largest_step_w < 60
    assert swing(wave, 1).largest_step_w == 400


def test_a_floor_at_the_peak_leaves_no_swing() -> None:
    wave = [Phase("high", 1.0, 700.0), Phase("low", 1.0, 200.0)]
    found = swing(floored(wave, 700.0), 1000)
    assert found.peak_to_peak_w == found.largest_step_w == 0
    assert all(h.amplitude_w < 1e-6 for h in found.spectrum)


def test_swings_of_a_large_job_are_tens_of_megawatts_at_tenths_of_a_hertz() -> None:
    """100,000 GPUs of a synchronous job: published 0.2 to 3 Hz and tens of MW."""
    model = arch.load("gpt6-class-moe")
    layout = Layout(4, 8, 3100, ep=32, zero=1, virtual_stages=12)
    setup = TrainingSetup(model, layout, 8192, 100_663_296, recompute="full")
    cost = training_step(setup, load_node())
    found = swing(cost.phases, cost.gpus)
    assert 10e6 < found.peak_to_peak_w < 70e6
    strongest = max(found.spectrum, key=lambda h: h.amplitude_w)
    assert 0.05 < strongest.hz < 3
    assert found.ramps_w[0.1] <= found.ramps_w[1.0] <= found.ramps_w[10.0] + 1e-6
