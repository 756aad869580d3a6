"""How bursty arrivals are: the index of dispersion for counts, by time scale.

IDC(w) = Var N(w) / E N(w), N(w) the arrivals in a window of length w [1]. It is 1 at every
scale for a Poisson process. Where arrivals share a random rate, it grows with w up to the
time over which the rate is correlated.

References: [1] Cox, Lewis, "The Statistical Analysis of Series of Events" (1966), section 4.5;
Gusella, "Characterizing the variability of arrival processes with indexes of dispersion",
IEEE JSAC 9(2), 1991, doi:10.1109/49.68448.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError

FloatArray = NDArray[np.float64]

LEAST_WINDOWS = 20
"""Windows that a span must hold for a variance to mean something (some 30 % of error)."""


def window_counts(times_s: FloatArray, window_s: float, span_s: float) -> NDArray[np.int64]:
    """Arrivals in each whole window of [0, span_s), shape (floor(span / window),)."""
    count = int(span_s / window_s * (1 + 1e-12))
    if count < 1:
        raise InputError(f"a window of {window_s:g} s does not fit into {span_s:g} s")
    place = np.floor(times_s / window_s).astype(np.int64)
    return np.bincount(place[(place >= 0) & (place < count)], minlength=count)


def dispersion_index(times_s: FloatArray, window_s: float, span_s: float) -> float:
    """IDC at one scale: variance over mean of the counts; nan without an arrival.

    Args:
        times_s: arrivals, shape (n,). window_s: the scale. span_s: how long was watched.
    """
    counts = window_counts(times_s, window_s, span_s)
    mean = float(counts.mean())
    return float(counts.var(ddof=1)) / mean if mean and len(counts) > 1 else float("nan")


def detrended_index(
    times_s: FloatArray, expected: FloatArray, window_s: float, span_s: float
) -> float:
    """IDC around a mean that changes in time: the sum of squared deviations over the sum of means.

    Args:
        expected: mean count of each window, shape (floor(span / window),).
    """
    counts = window_counts(times_s, window_s, span_s)
    total = float(expected.sum())
    return float(((counts - expected) ** 2).sum()) / total if total else float("nan")


def dispersion_curve(times_s: FloatArray, windows_s: Sequence[float], span_s: float) -> FloatArray:
    """IDC at several scales, shape (len(windows),)."""
    return np.array([dispersion_index(times_s, w, span_s) for w in windows_s])


def scales(span_s: float, least_s: float, ratio: float = 3.0) -> list[float]:
    """Windows from `least_s` on, each `ratio` times the last, that fit often enough."""
    most = span_s / LEAST_WINDOWS
    found = []
    window = least_s
    while window <= most * (1 + 1e-9):
        found.append(window)
        window *= ratio
    return found


def clock_tick_s(times_s: FloatArray) -> float:
    """The grid that recorded times lie on, 0 where none is seen.

    A trace whose clock ticks coarsely (many arrivals at one instant, the instants at even
    distances) says nothing about what happens within a tick.
    """
    gaps = np.diff(times_s)
    apart = gaps[gaps > 0]
    if not len(apart) or len(apart) > 0.5 * len(gaps):
        return 0.0
    tick = float(np.median(apart))
    off = np.abs(apart / tick - np.rint(apart / tick))
    return tick if np.quantile(off, 0.9) < 0.01 else 0.0
