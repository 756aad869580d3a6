"""Integrals, means, peaks and quantiles against brute force in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.record.integral import Integrator, Measure, integral, peak_mean, quantile
from sim.signals import StepSignal
from sim.units import PS_PER_S, to_ps

Steps = list[tuple[int, float]]

VALUES = st.integers(0, 3).map(float) | st.floats(-1e12, 1e12).map(
    lambda value: value if abs(value) > 1e-200 else 0.0
)
STEPS = st.lists(st.tuples(st.integers(1, 10**15) | st.integers(1, 20), VALUES), min_size=1)
SMALL = st.lists(
    st.tuples(st.integers(1, 12), st.integers(0, 9).map(float)), min_size=1, max_size=12
)


def record(steps: Steps) -> tuple[Integrator, int]:
    """An integrator of a signal with (duration in ps, value) steps, and the end."""
    signal = StepSignal("x_w", steps[0][1])
    integrator = Integrator.of(signal)
    time_ps = 0
    for duration_ps, value in steps:
        signal.set(time_ps, value)
        time_ps += duration_ps
    return integrator, time_ps


def exact(steps: Steps, start_ps: int, end_ps: int) -> Fraction:
    """The integral in unit x s, without rounding."""
    total, time_ps = Fraction(0), 0
    for duration_ps, value in steps:
        overlap = min(end_ps, time_ps + duration_ps) - max(start_ps, time_ps)
        total += Fraction(value) * max(0, overlap)
        time_ps += duration_ps
    return total / PS_PER_S


@settings(deadline=None)
@given(STEPS, st.data())
def test_the_integral_is_exact_to_the_last_rounding(steps: Steps, data: st.DataObject) -> None:
    integrator, end = record(steps)
    start = data.draw(st.integers(0, end - 1))
    stop = data.draw(st.integers(start + 1, end))
    expected = exact(steps, start, stop)
    scaled = float(expected * PS_PER_S)
    assert integrator.integral(start, stop) == scaled / PS_PER_S


@settings(deadline=None)
@given(STEPS, st.data())
def test_the_integral_does_not_depend_on_where_it_is_cut(steps: Steps, data: st.DataObject) -> None:
    integrator, end = record(steps)
    cut = data.draw(st.integers(0, end))
    parts = [integrator.integral(a, b) for a, b in ((0, cut), (cut, end)) if b > a]
    scale = math.fsum(abs(value) * duration for duration, value in steps) / PS_PER_S
    assert math.isclose(math.fsum(parts), integrator.integral(0, end), abs_tol=scale * 1e-15)


@settings(deadline=None)
@given(SMALL, st.integers(1, 40))
def test_the_peak_equals_that_of_every_window(steps: Steps, window_ps: int) -> None:
    integrator, end = record(steps)
    segments = integrator.timeline.between(0, end)
    window = min(window_ps, end)
    best = max(exact(steps, start, start + window) for start in range(end - window + 1))
    expected = float(best * PS_PER_S / window)
    assert math.isclose(peak_mean(segments, window_ps / PS_PER_S), expected, rel_tol=1e-12)


@settings(deadline=None)
@given(SMALL, st.floats(0, 1))
def test_the_quantile_equals_that_of_every_picosecond(steps: Steps, share: float) -> None:
    integrator, end = record(steps)
    held = sorted(value for duration, value in steps for _ in range(duration))
    expected = held[max(0, math.ceil(share * end) - 1)]
    assert quantile(integrator.timeline.between(0, end), share) == expected


@settings(deadline=None)
@given(STEPS)
def test_the_measures_are_in_order(steps: Steps) -> None:
    integrator, end = record(steps)
    measure = integrator.measure(0, end)
    slack = 1e-9 * max(abs(value) for _, value in steps)
    assert min(value for _, value in steps) - slack <= measure.mean <= measure.max + slack
    assert min(value for _, value in steps) - slack <= measure.peaks[900.0] <= measure.max + slack
    assert measure.peaks[1.0] <= measure.max + slack
    assert measure.p99 <= measure.max == max(value for _, value in steps)


def test_a_pulse_train_by_hand() -> None:
    """1 s at 100 W, then 9 s at 0 W, for 100 s: 1 kJ, mean 10 W, full peak over 1 s."""
    pulse = [(to_ps(1), 100.0), (to_ps(9), 0.0)]
    integrator, end = record(pulse * 10)
    assert integrator.measure(0, end, windows_s=(1.0, 2.0, 20.0, 900.0)) == Measure(
        integral=1000.0, mean=10.0, p99=100.0, max=100.0,
        peaks={1.0: 100.0, 2.0: 50.0, 20.0: 10.0, 900.0: 10.0},
    )  # fmt: skip
    assert integrator.measure(to_ps(1), to_ps(10)).integral == 0.0


def test_warm_up_is_a_window() -> None:
    integrator, end = record([(to_ps(60), 1e6), (to_ps(60), 100.0)])
    measure = integrator.measure(to_ps(60), end)
    assert (measure.mean, measure.max, measure.peaks[1.0]) == (100.0, 100.0, 100.0)
    with pytest.raises(InputError, match="is empty"):
        integrator.measure(end, end)


def test_a_week_of_many_steps_loses_nothing() -> None:
    steps = [(to_ps(6.048) + n % 3, 1e8 + n / 7) for n in range(100_000)]
    integrator, end = record(steps)
    expected = sum(Fraction(value) * duration for duration, value in steps)
    assert integrator.integral(0, end) == float(expected) / PS_PER_S


def test_a_wrong_integral_would_be_seen() -> None:
    """The oracle notices one picosecond more."""
    steps = [(5, 1.0), (7, 3.0)]
    integrator, end = record(steps)
    assert integral(integrator.timeline.between(0, end)) != float(
        exact([(5, 1.0), (8, 3.0)], 0, 13)
    )


def test_a_peak_window_of_no_length_is_the_largest_value() -> None:
    integrator, end = record([(5, 1.0), (1, 3.0), (5, 1.0)])
    assert peak_mean(integrator.timeline.between(0, end), 0.0) == 3.0
