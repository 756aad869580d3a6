"""Arrival processes: rates, burstiness, and exact thinning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.randomness import stream
from sim.workload.arrivals import (
    ArrivalProcess,
    GammaArrivals,
    OnOffArrivals,
    PoissonArrivals,
    SuperposedTraceArrivals,
    TraceArrivals,
    TraceShapedArrivals,
)
from sim.workload.fitted import FittedArrivals

TRACE_PS = np.sort(stream(1, "trace").integers(0, 100 * 10**12, 400))
PROCESSES: dict[str, ArrivalProcess] = {
    "poisson": PoissonArrivals(8.0),
    "bursty": GammaArrivals(8.0, 2.0),
    "regular": GammaArrivals(8.0, 0.3),
    "thinned": GammaArrivals(16.0, 2.0).thinned(0.5),
    "on-off": OnOffArrivals(20.0, 1.0, 3.0, 5.0),
    "trace": TraceArrivals(TRACE_PS),
    "shaped": TraceShapedArrivals(TRACE_PS, 8.0),
    "superposed": SuperposedTraceArrivals(TRACE_PS, 10.0),
    "superposed thinned": SuperposedTraceArrivals(TRACE_PS, 16.0).thinned(0.5),
    "fitted": FittedArrivals(8.0, (2.0, 0.5), (0.3, 0.7), 0.8),
    "batches": FittedArrivals(8.0, batch_extra=1.5, windows_s=(0.4,), shares=(1.0,)),
}


def counts(process: ArrivalProcess, horizon_s: float, runs: int) -> np.ndarray:
    return np.array(
        [len(process.times_s(horizon_s, stream(seed, "arrivals"))) for seed in range(runs)]
    )


@pytest.mark.parametrize("name", sorted(PROCESSES))
def test_the_mean_rate_is_what_it_says(name: str) -> None:
    """Within the 99.9 % t-interval of 40 runs; the recorded trace has one count, exactly."""
    process, horizon_s = PROCESSES[name], 300.0
    found = counts(process, horizon_s, 40)
    expected = process.rate_per_s * horizon_s
    spread = float(np.std(found, ddof=1)) / np.sqrt(40)
    tolerance = float(stats.t.ppf(0.9995, 39)) * spread if name != "trace" else 4.0
    # A renewal process that starts at an arrival expects (cv^2 - 1) / 2 arrivals more.
    excess = 1.5 if name in ("bursty", "thinned") else 0.5 if name == "regular" else 0.0
    assert abs(found.mean() - expected) <= tolerance + excess
    assert tolerance < 0.1 * expected


@given(
    st.sampled_from(sorted(PROCESSES)),
    st.floats(0.01, 50),
    st.floats(0.05, 1),
    st.integers(0, 2**32),
)
def test_times_are_sorted_and_inside_the_horizon(
    name: str, horizon_s: float, keep_frac: float, seed: int
) -> None:
    process = PROCESSES[name].thinned(keep_frac)
    times_s = process.times_s(horizon_s, stream(seed, "arrivals"))
    assert np.all(np.diff(times_s) >= 0)
    assert np.all((times_s >= 0) & (times_s < horizon_s))
    assert process.rate_per_s == pytest.approx(PROCESSES[name].rate_per_s * keep_frac)


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0])
def test_gamma_gaps_have_their_cv(cv: float) -> None:
    """Within a 99.9 % interval from 30 runs."""
    found = []
    for seed in range(30):
        gaps = np.diff(GammaArrivals(50.0, cv).times_s(200.0, stream(seed, "gaps")))
        found.append(gaps.std() / gaps.mean())
    half = float(stats.t.ppf(0.9995, 29)) * np.std(found, ddof=1) / np.sqrt(30)
    # The sample's cv is a little low for long tails, by about cv^3 / n.
    assert abs(np.mean(found) - cv) <= half + cv**3 / 1e4


@pytest.mark.parametrize("cv", [0.4, 2.0])
def test_thinned_gamma_is_gamma_thinned_by_a_coin(cv: float) -> None:
    """Two-sample Kolmogorov-Smirnov on the gaps."""
    keep = 0.2
    whole = GammaArrivals(100.0, cv).times_s(400.0, stream(1, "whole"))
    coin = whole[stream(2, "coin").random(len(whole)) < keep]
    direct = GammaArrivals(100.0, cv).thinned(keep).times_s(400.0, stream(3, "direct"))
    assert stats.ks_2samp(np.diff(coin), np.diff(direct)).pvalue > 0.001
    other = GammaArrivals(100.0 * keep, cv).times_s(400.0, stream(3, "direct"))
    assert stats.ks_2samp(np.diff(coin), np.diff(other)).pvalue < 1e-6


def test_on_off_is_burstier_than_poisson() -> None:
    """Index of dispersion of counts: 1 for Poisson."""
    process = OnOffArrivals(20.0, 0.0, 3.0, 5.0)
    assert process.rate_per_s == pytest.approx(7.5)
    found = counts(process, 200.0, 60)
    assert found.var(ddof=1) / found.mean() > 5


def test_a_trace_is_replayed_and_repeated() -> None:
    trace = TraceArrivals(np.array([5, 6, 8]) * 10**12)
    rng = stream(1, "unused")
    assert trace.times_s(10.0, rng).tolist() == [0.0, 1.0, 3.0, 4.5, 5.5, 7.5, 9.0]
    assert trace.rate_per_s == pytest.approx(3 / 4.5)


def test_a_shaped_trace_follows_its_bursts() -> None:
    """99 arrivals in the first second, one at the 100th: at ten times the rate, too."""
    trace_ps = np.append(np.linspace(0, 10**12, 99), 100 * 10**12).astype(np.int64)
    process = TraceShapedArrivals(trace_ps, 10.0)
    times_s = process.times_s(100.0, stream(4, "shape"))
    early = np.mean(times_s < 1.0)
    assert abs(early - 0.98) < 4 * np.sqrt(0.98 * 0.02 / len(times_s))


@pytest.mark.parametrize(
    "build",
    [
        lambda: PoissonArrivals(0.0),
        lambda: PoissonArrivals(float("nan")),
        lambda: GammaArrivals(1.0, 0.0),
        lambda: GammaArrivals(1.0, float("inf")),
        lambda: OnOffArrivals(1.0, -1.0, 1.0, 1.0),
        lambda: OnOffArrivals(1.0, 0.0, 0.0, 1.0),
        lambda: TraceArrivals(np.array([1])),
        lambda: TraceArrivals(np.array([], dtype=np.int64)),
        lambda: TraceArrivals(np.array([7, 7])),
        lambda: TraceShapedArrivals(np.array([0, 9, 5, 10]), 1.0),
        lambda: PoissonArrivals(1.0).thinned(0.0),
        lambda: TraceArrivals(TRACE_PS).thinned(1.5),
    ],
)
def test_impossible_processes_are_refused(build) -> None:
    with pytest.raises(InputError):
        build()
