"""Intervals from a sample of replicas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sim.cluster.serving.estimate import Estimate, Sample, distribution
from sim.randomness import stream


def test_a_total_by_hand() -> None:
    """k = 4 of n = 10: 10 x 5 +- t(3) 10 s / 2 sqrt(0.6)."""
    estimate = Sample(10, 4, 0.95).total(np.array([4.0, 6.0, 5.0, 5.0]))
    half = 3.182446 * 10 * np.sqrt(2 / 3) / 2 * np.sqrt(0.6)
    assert estimate.value == 50
    assert estimate.low == pytest.approx(50 - half, rel=1e-6)
    assert estimate.high == pytest.approx(50 + half, rel=1e-6)


def test_all_replicas_simulated_leave_no_doubt() -> None:
    estimate = Sample(3, 3, 0.95).total(np.array([1.0, 2.0, 6.0]))
    assert (estimate.low, estimate.value, estimate.high) == (9.0, 9.0, 9.0)


def test_one_replica_gives_no_interval() -> None:
    estimate = Sample(10, 1, 0.95).total(np.array([4.0]))
    assert (estimate.value, estimate.low, estimate.high) == (40.0, None, None)


def test_a_bound_is_never_negative() -> None:
    assert Sample(100, 2, 0.95).total(np.array([0.0, 1.0])).low == 0.0


@pytest.mark.parametrize("kind", ["total", "ratio"])
def test_the_interval_covers_as_often_as_it_says(kind: str) -> None:
    """Draw k of n known replicas again and again; the rate must be within its own interval."""
    n, k, tries = 40, 6, 1500
    rng = stream(5, "coverage")
    bottoms = rng.normal(100, 10, n)
    tops = 3 * bottoms + rng.normal(0, 20, n)
    hits = 0
    for _ in range(tries):
        drawn = rng.choice(n, k, replace=False)
        sample = Sample(n, k, 0.9)
        if kind == "total":
            estimate, truth = sample.total(tops[drawn]), tops.sum()
        else:
            found = sample.ratio(tops[drawn], bottoms[drawn])
            assert found is not None
            estimate, truth = found, tops.sum() / bottoms.sum()
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= truth <= estimate.high
    low, high = stats.binom.interval(0.999, tries, 0.9)
    # A ratio of six values is biased a little: two points of coverage are granted to it.
    slack = 0.02 * tries if kind == "ratio" else 0.0
    assert low - slack <= hits <= high + slack


def test_a_ratio_without_output_is_none() -> None:
    assert Sample(4, 2, 0.95).ratio(np.array([1.0, 2.0]), np.zeros(2)) is None


def test_quantiles_are_of_the_pooled_values() -> None:
    found = distribution([np.arange(1, 51.0), np.empty(0), np.arange(51, 101.0)], Sample(9, 3, 0.9))
    assert found is not None
    assert found.p50.value == pytest.approx(50.5)
    assert found.mean.value == pytest.approx(50.5)
    assert found.p90.low is not None
    assert distribution([np.empty(0)], Sample(9, 1, 0.9)) is None


def test_an_estimate_prints_its_interval() -> None:
    assert Estimate(69_800.0, 67_400.0, 72_200.0).describe("W") == "69.8 kW (67.4 kW to 72.2 kW)"
    assert Estimate(5.0, None, None).describe("J") == "5 J (no interval)"
