"""Fitted arrivals: the index of dispersion by formula, by hand and under scaling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from sim.errors import InputError
from sim.randomness import stream
from sim.workload.arrivals import PoissonArrivals, SuperposedTraceArrivals, TraceShapedArrivals
from sim.workload.course import DAY_S, DailyCourse, fit_course
from sim.workload.dispersion import (
    clock_tick_s,
    dispersion_curve,
    dispersion_index,
    scales,
    window_counts,
)
from sim.workload.fit import fit_arrivals
from sim.workload.fitted import FittedArrivals, window_factor

BURSTY = FittedArrivals(
    rate_per_s=6.0,
    blocks_s=(2.0, 20.0),
    weights=(0.4, 0.6),
    spread=0.5,
    batch_extra=0.6,
    windows_s=(0.1,),
    shares=(1.0,),
)
SCALES = (0.05, 0.5, 5.0, 30.0)
SPAN_S = 40_000.0


def curve(process: object, seed: int, span_s: float = SPAN_S) -> np.ndarray:
    times_s = process.times_s(span_s, stream(seed, "arrivals"))  # type: ignore[attr-defined]
    return dispersion_curve(times_s, SCALES, span_s)


def test_counts_and_index_by_hand() -> None:
    times_s = np.array([0.1, 0.2, 0.3, 2.5, 3.9, 4.2])
    assert window_counts(times_s, 1.0, 4.0).tolist() == [3, 0, 1, 1]
    assert dispersion_index(times_s, 1.0, 4.0) == pytest.approx(np.var([3, 0, 1, 1], ddof=1) / 1.25)
    assert np.isnan(dispersion_index(np.empty(0), 1.0, 4.0))
    with pytest.raises(InputError, match="does not fit"):
        window_counts(times_s, 5.0, 4.0)


def test_scales_leave_enough_windows() -> None:
    assert scales(100.0, 0.5) == [0.5, 1.5, 4.5]
    assert scales(1.0, 0.5) == []


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_window_factor_is_the_integral_of_the_correlation(w: float, length: float) -> None:
    """(2 / w) times the integral of (w - u) max(0, 1 - u / L)."""
    most = min(w, length)
    area, _ = quad(lambda u: (w - u) * (1 - u / length), 0, most)
    assert float(window_factor(w, length)) == pytest.approx(2 * area / w, rel=1e-6)


def test_poisson_is_one_at_every_scale() -> None:
    assert curve(PoissonArrivals(6.0), 1) == pytest.approx(np.ones(4), rel=0.1)
    calm = FittedArrivals(6.0)
    assert curve(calm, 1) == pytest.approx(calm.dispersion(np.array(SCALES)), rel=0.1)


def test_drawn_arrivals_have_the_index_of_the_formula() -> None:
    found = np.mean([curve(BURSTY, seed) for seed in range(4)], axis=0)
    assert found == pytest.approx(BURSTY.dispersion(np.array(SCALES)), rel=0.06)
    # The check would see bursts that are left out.
    assert np.any(np.abs(found / FittedArrivals(6.0).dispersion(np.array(SCALES)) - 1) > 0.5)


def test_superposition_keeps_the_index_at_every_scale() -> None:
    """Twelve copies, drawn at once, against the formula and against twelve draws in one."""
    many = BURSTY.scaled(72.0)
    assert many.copies == pytest.approx(12.0)
    assert many.dispersion(np.array(SCALES)) == pytest.approx(BURSTY.dispersion(np.array(SCALES)))
    span_s = 20_000.0
    apart = [BURSTY.times_s(span_s, stream(seed, "copy")) for seed in range(12)]
    together = dispersion_curve(np.sort(np.concatenate(apart)), SCALES, span_s)
    wanted = BURSTY.dispersion(np.array(SCALES))
    assert curve(many, 1, span_s) == pytest.approx(wanted, rel=0.15)
    assert together == pytest.approx(wanted, rel=0.15)


def test_a_shared_burst_grows_with_the_rate() -> None:
    shared = BURSTY.scaled(72.0, copies=1.0)
    one, all_of_them = (float(p.dispersion(30.0)) - 1 for p in (BURSTY, shared))
    batches = 2 * 0.6 * (0.1 - 0.01 / 90) / 0.1
    assert all_of_them - batches == pytest.approx(12 * (one - batches), rel=1e-3)


def test_thinning_lowers_the_index_in_proportion() -> None:
    thin = BURSTY.thinned(0.25)
    expected = 1 + 0.25 * (BURSTY.dispersion(np.array(SCALES)) - 1)
    assert thin.dispersion(np.array(SCALES)) == pytest.approx(expected)
    times_s = BURSTY.times_s(SPAN_S, stream(1, "arrivals"))
    coin = times_s[stream(1, "coin").random(len(times_s)) < 0.25]
    assert dispersion_curve(coin, SCALES, SPAN_S) == pytest.approx(expected, rel=0.12)
    assert curve(thin, 2) == pytest.approx(expected, rel=0.12)
    assert BURSTY.scaled(1.5).dispersion(30.0) == pytest.approx(float(thin.dispersion(30.0)))


def test_copies_of_a_trace_keep_its_index_and_a_rate_shape_does_not() -> None:
    span_s = 8000.0
    trace_ps = np.rint(BURSTY.times_s(span_s, stream(3, "trace")) * 1e12).astype(np.int64)
    own = dispersion_curve(trace_ps / 1e12, SCALES, span_s)
    rate = 16 * len(trace_ps) / span_s
    copied = curve(SuperposedTraceArrivals(trace_ps, rate), 1, span_s)
    assert copied == pytest.approx(own, rel=0.3)
    shaped = curve(TraceShapedArrivals(trace_ps, rate), 1, span_s)
    assert shaped[-1] > 8 * own[-1]  # all sixteen burst together


def test_a_fraction_of_a_copy_is_thinned() -> None:
    trace_ps = np.arange(0, 1000) * 10**12
    process = SuperposedTraceArrivals(trace_ps, 0.25)
    assert process.copies == pytest.approx(0.25)
    assert len(process.times_s(1000.0, stream(1, "x"))) == pytest.approx(250, abs=60)


def test_copies_of_days_keep_the_course_of_the_day() -> None:
    course = DailyCourse((1.0,), (0.0,))
    days = FittedArrivals(0.05, course=course).times_s(3 * DAY_S, stream(1, "days"))
    copies = SuperposedTraceArrivals(np.rint(days * 1e12).astype(np.int64), 0.5)
    hours = np.bincount((copies.times_s(DAY_S, stream(2, "days")) / 3600).astype(int), minlength=24)
    expected = course.factor((np.arange(24) + 0.5) * 3600) * hours.sum() / 24
    assert np.corrcoef(hours, expected)[0, 1] > 0.97


def test_a_daily_course_is_found() -> None:
    course = DailyCourse((0.5, -0.2), (0.3, 0.1))
    times_s = FittedArrivals(0.5, course=course).times_s(3 * DAY_S, stream(1, "days"))
    found = fit_course(times_s, 3 * DAY_S)
    assert (*found.cosines, *found.sines) == pytest.approx((0.5, -0.2, 0.3, 0.1), abs=0.02)
    grid = np.arange(0, DAY_S, 60.0)
    assert float(found.factor(grid).mean()) == pytest.approx(1.0, abs=1e-4)
    assert fit_course(times_s[times_s < DAY_S / 2], DAY_S / 2) == DailyCourse()


def test_a_fit_finds_the_index_again() -> None:
    times_s = BURSTY.times_s(SPAN_S, stream(5, "arrivals"))
    found = fit_arrivals(times_s, SPAN_S)
    assert found.rate_per_s == pytest.approx(6.0, rel=0.05)
    windows = np.array([0.1, 1.0, 10.0, 100.0])
    assert found.dispersion(windows) == pytest.approx(BURSTY.dispersion(windows), rel=0.15)


def test_bursts_under_a_daily_course_are_told_apart() -> None:
    course = DailyCourse((0.8,), (0.0,))
    made = FittedArrivals(1.0, (60.0,), (1.0,), 0.3, course=course)
    found = fit_arrivals(made.times_s(2 * DAY_S, stream(1, "d")), 2 * DAY_S)
    windows = np.array([10.0, 60.0, 600.0])
    assert found.dispersion(windows) == pytest.approx(made.dispersion(windows), rel=0.25)
    assert found.course.peak_frac == pytest.approx(course.peak_frac, rel=0.05)


def test_a_poisson_trace_gets_no_bursts() -> None:
    times_s = PoissonArrivals(5.0).times_s(20_000.0, stream(2, "p"))
    assert fit_arrivals(times_s, 20_000.0).dispersion(1000.0) < 1.5


def test_a_coarse_clock_is_seen() -> None:
    fine = PoissonArrivals(5.0).times_s(2000.0, stream(1, "p"))
    assert clock_tick_s(fine) == 0
    assert clock_tick_s(np.floor(fine / 3) * 3) == 3.0
    model = fit_arrivals(np.floor(fine / 3) * 3, 2000.0, 3.0)
    assert all(length >= 6.0 for length in (*model.blocks_s, *model.windows_s))


@settings(deadline=None)
@given(st.floats(0.01, 50), st.floats(0.05, 1), st.integers(0, 2**32))
def test_times_are_sorted_inside_and_repeatable(
    horizon_s: float, keep_frac: float, seed: int
) -> None:
    process = BURSTY.thinned(keep_frac)
    times_s = process.times_s(horizon_s, stream(seed, "a"))
    assert np.all(np.diff(times_s) >= 0)
    assert np.all((times_s >= 0) & (times_s < horizon_s))
    assert np.array_equal(times_s, process.times_s(horizon_s, stream(seed, "a")))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate_per_s": 0.0}, "rate_per_s"),
        ({"copies": 0.5}, "copies"),
        ({"spread": -1.0}, "spread"),
        ({"blocks_s": (1.0,)}, "blocks"),
        ({"blocks_s": (-1.0,), "weights": (1.0,)}, "blocks"),
        ({"blocks_s": (1.0, 2.0), "weights": (0.7, 0.7)}, "sum to 1"),
        ({"batch_extra": 1.0}, "without a window"),
    ],
)
def test_bad_parameters_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FittedArrivals(**{"rate_per_s": 1.0, **changes})  # type: ignore[arg-type]
    for bad in (0.0, 1.5):
        with pytest.raises(InputError, match="keep_frac"):
            BURSTY.thinned(bad)
    with pytest.raises(InputError, match="above 0"):
        BURSTY.scaled(-1.0)
    with pytest.raises(InputError, match="pairs of finite"):
        DailyCourse((1.0,), ())
