"""The spread of failures between clusters, against closed forms and by how often it covers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson, t

from sim.errors import InputError
from sim.validation.training_spread import Count, Spread, spread_of

counts = st.builds(
    Count, st.integers(5, 500).map(float), st.floats(5.0, 500.0, allow_subnormal=False)
)


def test_clusters_that_agree_have_no_spread_of_their_own() -> None:
    """k equal ratios: the mean is that ratio, its error that of chance alone."""
    spread = spread_of([Count(200.0, 100.0)] * 4)
    assert spread.median == pytest.approx(2.0)
    assert spread.log_between == 0.0
    assert spread.log_scale == pytest.approx(math.sqrt(1 / 200 / 4))
    assert spread.freedom == 2


def test_equal_counts_give_the_closed_form_of_the_moments() -> None:
    """With one variance v for all: tau^2 = s^2 - v and scale^2 = tau^2 + s^2 / k."""
    ratios = [0.5, 1.0, 2.0, 4.0]
    spread = spread_of([Count(100.0, 100.0 / r) for r in ratios])
    s2 = float(np.var(np.log(ratios), ddof=1))
    assert spread.log_between**2 == pytest.approx(s2 - 1 / 100)
    assert spread.log_scale**2 == pytest.approx(s2 - 1 / 100 + s2 / 4)
    assert spread.log_mean == pytest.approx(float(np.mean(np.log(ratios))))


def test_many_expected_failures_leave_only_the_spread() -> None:
    spread = Spread(log_mean=0.3, log_scale=0.5, log_between=0.4, freedom=4)
    low, high = spread.interval(1e6, 0.8)
    wanted = math.exp(0.3 + 0.5 * float(t.ppf(0.9, 4))) * 1e6
    assert high == pytest.approx(wanted, rel=0.005)
    assert low * high == pytest.approx((math.exp(0.3) * 1e6) ** 2, rel=0.01)
    assert spread.factor(0.9) * 1e6 == pytest.approx(wanted)


def test_no_spread_leaves_only_chance() -> None:
    spread = Spread(log_mean=0.0, log_scale=1e-9, log_between=0.0, freedom=4)
    assert spread.interval(20.0, 0.95) == (poisson.ppf(0.025, 20.0), poisson.ppf(0.975, 20.0))


def test_the_interval_covers_as_often_as_it_says() -> None:
    """Clusters drawn from the model itself, one of seven left out: 80 % lie inside."""
    rng, inside, trials = np.random.default_rng(5), 0, 150
    for _ in range(trials):
        means = rng.uniform(20, 400, 7) * np.exp(rng.normal(0.4, 0.8, 7))
        expected = means / np.exp(rng.normal(0.4, 0.8, 7))
        observed = np.maximum(rng.poisson(means), 1)
        found = [Count(float(o), float(e)) for o, e in zip(observed, expected, strict=True)]
        low, high = spread_of(found[1:]).interval(found[0].expected, 0.8)
        inside += low <= found[0].observed <= high
    assert abs(inside / trials - 0.8) < 3 * math.sqrt(0.8 * 0.2 / trials)


@settings(max_examples=25)
@given(st.lists(counts, min_size=3, max_size=8))
def test_wider_levels_hold_narrower_ones_and_the_median(found: list[Count]) -> None:
    spread = spread_of(found)
    limits = [spread.interval(50.0, level) for level in (0.5, 0.8, 0.95)]
    for (low, high), (wider_low, wider_high) in itertools.pairwise(limits):
        assert wider_low <= low <= high <= wider_high
    assert limits[0][0] <= math.ceil(50 * spread.median)
    assert limits[0][1] >= math.floor(50 * spread.median)


@given(st.lists(counts, min_size=3, max_size=8), st.floats(0.1, 10.0))
def test_another_measure_of_the_known_run_changes_nothing(found: list[Count], by: float) -> None:
    """All expectations times a number: the factor is divided by it."""
    spread = spread_of(found)
    scaled = spread_of([Count(c.observed, c.expected * by) for c in found])
    assert scaled.log_scale == pytest.approx(spread.log_scale, abs=1e-9)
    assert scaled.median * by == pytest.approx(spread.median)


@pytest.mark.parametrize("found", [[], [Count(5, 5)] * 2, [Count(5, 5), Count(5, 5), Count(0, 5)]])
def test_too_few_clusters_are_refused(found: list[Count]) -> None:
    with pytest.raises(InputError, match="tell no spread"):
        spread_of(found)
