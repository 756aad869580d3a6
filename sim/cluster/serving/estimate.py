"""Figures of a fleet of n replicas from k simulated ones, with their interval.

Simple random sampling without replacement: a total is n times the mean of the sample, its
standard error n s / sqrt(k) sqrt(1 - k / n), and the interval Student's t with k - 1
degrees of freedom [1]. Replicas that share a router are not quite independent (what one
gets, another does not), which makes the interval of a total too wide rather than too
narrow. With one simulated replica there is no interval.

References: [1] Cochran, Sampling Techniques, 3rd ed. (1977), sections 2.6 and 2.13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.units import si

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its confidence interval; the bounds are None where k = 1."""

    value: float
    low: float | None
    high: float | None

    def describe(self, unit: str) -> str:
        """`69.8 kW (67.4 kW to 72.2 kW)`; without an interval, it says so."""
        if self.low is None or self.high is None:
            return f"{si(self.value, unit)} (no interval)"
        return f"{si(self.value, unit)} ({si(self.low, unit)} to {si(self.high, unit)})"


@dataclass(frozen=True, slots=True)
class Sample:
    """How a sample speaks for a fleet.

    Attributes:
        fleet: replicas of the fleet, n.
        simulated: replicas simulated, k <= n.
        confidence: of the intervals, for example 0.95.
    """

    fleet: int
    simulated: int
    confidence: float

    def total(self, values: FloatArray) -> Estimate:
        """Sum over the fleet of a quantity known for each simulated replica, shape (k,)."""
        half = self._half_width(values)
        return _around(self.fleet * float(np.mean(values)), half, self.fleet)

    def ratio(self, tops: FloatArray, bottoms: FloatArray) -> Estimate | None:
        """Ratio of two totals, by linearisation; None where the bottom is zero."""
        mean_bottom = float(np.mean(bottoms))
        if mean_bottom == 0:
            return None
        value = float(np.mean(tops)) / mean_bottom
        half = self._half_width((tops - value * bottoms) / mean_bottom)
        return _around(value, half, 1)

    def statistic(self, pooled: float, each: FloatArray) -> Estimate:
        """A statistic of all requests; its interval from the same statistic per replica.

        Args:
            pooled: over the requests of all simulated replicas.
            each: per simulated replica that had requests, shape (<= k,).
        """
        return _around(pooled, self._half_width(each), 1)

    def _half_width(self, values: FloatArray) -> float | None:
        count = len(values)
        if count < 2:
            return None
        from scipy.special import stdtrit

        quantile = float(stdtrit(count - 1, (1 + self.confidence) / 2))
        unseen_frac = max(0.0, 1 - self.simulated / self.fleet)
        return quantile * float(np.std(values, ddof=1)) * float(np.sqrt(unseen_frac / count))


def _around(value: float, half: float | None, factor: float) -> Estimate:
    if half is None:
        return Estimate(value, None, None)
    return Estimate(value, max(0.0, value - factor * half), value + factor * half)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Quantiles and mean of a latency, in seconds."""

    p50: Estimate
    p90: Estimate
    p99: Estimate
    mean: Estimate


def distribution(by_replica: Sequence[FloatArray], sample: Sample) -> Distribution | None:
    """Quantiles and mean of the pooled values; None without values.

    Args:
        by_replica: values of each simulated replica, shapes (m_i,).
        sample: how they speak for the fleet.
    """
    filled = [values for values in by_replica if len(values)]
    if not filled:
        return None
    pooled = np.concatenate(filled)

    def quantile(level: float) -> Estimate:
        each = np.array([np.quantile(values, level) for values in filled])
        return sample.statistic(float(np.quantile(pooled, level)), each)

    means = np.array([values.mean() for values in filled])
    return Distribution(
        quantile(0.5), quantile(0.9), quantile(0.99), sample.statistic(float(pooled.mean()), means)
    )
