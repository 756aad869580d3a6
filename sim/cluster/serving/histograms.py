"""Latencies from the histograms of the compiled engine, read at the middle of a bucket."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.estimate import Distribution, Estimate
from sim.cluster.serving.kernels import layout as at
from sim.units import PS_PER_S

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

LEVELS = (0.5, 0.9, 0.99)


def histogram_quantile_s(counts: IntArray, level: float) -> float | None:
    """The value at a level of a histogram of the kernels, within 0.4 %; None without values."""
    total = int(counts.sum())
    if not total:
        return None
    rank = max(1, int(np.ceil(level * total)))
    bucket = int(np.searchsorted(np.cumsum(counts), rank))
    return float(bucket_middles_s(np.array([bucket]))[0])


def bucket_middles_s(places: IntArray) -> FloatArray:
    """The middle of each bucket of the kernels, shape (n,)."""
    low, high = (_bucket_edges_ps(places + i) for i in (0, 1))
    return np.asarray(0.5 * (low + high) / PS_PER_S)


def buckets(values_ps: FloatArray) -> IntArray:
    """The kernels' bucket of each value, shape (n,)."""
    bits = np.ascontiguousarray(values_ps).view(np.int64) >> at.HISTOGRAM_SHIFT
    found: IntArray = np.clip(bits - at.HISTOGRAM_LOW, 0, at.HISTOGRAM_BUCKETS - 1)
    return found


def _bucket_edges_ps(places: IntArray) -> FloatArray:
    bits = (places.astype(np.int64) + at.HISTOGRAM_LOW) << np.int64(at.HISTOGRAM_SHIFT)
    return bits.view(np.float64)


def pooled_distribution(counts: IntArray, sum_ps: float) -> Distribution | None:
    """Quantiles and mean of all requests of a fleet; None without any.

    Args:
        counts: a histogram, shape (buckets,). sum_ps: of its values.
    """
    total = int(counts.sum())
    if not total:
        return None
    quantiles = [histogram_quantile_s(counts, level) or 0.0 for level in LEVELS]
    return Distribution(*map(exact, (*quantiles, float(sum_ps) / total / PS_PER_S)))


def exact(value: float) -> Estimate:
    """A figure without an interval: everything was simulated."""
    return Estimate(value, value, value)
