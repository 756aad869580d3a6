"""What a piecewise-constant signal amounts to over a window: integral, mean, peaks, share.

A window [start, end] is chosen when the result is asked for, so warm-up is a window and no
`if` in a process; the integral does not depend on how often anybody looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.record.timeline import Segments, Timeline
from sim.signals import StepSignal
from sim.units import PS_PER_S, to_ps

SECOND_S: Final = 1.0
QUARTER_HOUR_S: Final = 900.0
PEAK_WINDOWS_S: Final = (SECOND_S, QUARTER_HOUR_S)

_PIECE_BITS: Final = 21
_PIECE_MASK: Final = 2**_PIECE_BITS - 1
_LOW_MANTISSA: Final = np.int64(2**27 - 1)


@dataclass(frozen=True, slots=True)
class Measure:
    """A signal over a window; for power in W the integral is energy in J.

    Args:
        integral: unit x s.
        mean: time-weighted, in the signal's unit.
        p99: the value that the signal does not pass for 99 % of the time.
        max: largest value that held for any time.
        peaks: largest mean over a sliding window, by the window's length in s.
    """

    integral: float
    mean: float
    p99: float
    max: float
    peaks: dict[float, float]


class Integrator:
    """Observer of one signal that answers for any window after the run.

    Args:
        name: the signal's name, with its unit as suffix.
    """

    __slots__ = ("timeline",)

    def __init__(self, name: str):
        self.timeline = Timeline(name)

    @classmethod
    def of(cls, signal: StepSignal) -> Integrator:
        """An integrator that has subscribed to a signal."""
        integrator = cls(signal.name)
        signal.subscribe(integrator)
        return integrator

    def __call__(self, time_ps: int, value: float) -> None:
        """Note that the signal has `value` from `time_ps` on."""
        self.timeline(time_ps, value)

    def integral(self, start_ps: int, end_ps: int) -> float:
        """Exact integral in unit x s, rounded once; errors as `Timeline.between`."""
        return integral(self.timeline.between(start_ps, end_ps))

    def measure(
        self, start_ps: int, end_ps: int, windows_s: Iterable[float] = PEAK_WINDOWS_S
    ) -> Measure:
        """Everything about the signal over [start, end]; errors as `Timeline.between`."""
        segments = self.timeline.between(start_ps, end_ps)
        total = integral(segments)
        return Measure(
            integral=total,
            mean=total / ((end_ps - start_ps) / PS_PER_S),
            p99=quantile(segments, 0.99),
            max=float(segments.values.max()),
            peaks={window_s: peak_mean(segments, window_s) for window_s in windows_s},
        )


def integral(segments: Segments) -> float:
    """Sum of value x duration in unit x s, as if computed without rounding and rounded once.

    A value is split into 26 + 27 bits and a duration into pieces of 21 bits, so that every
    product is exact in a double (above 1e-250); `math.fsum` adds them exactly.
    """
    values = segments.values
    high = (values.view(np.int64) & ~_LOW_MANTISSA).view(np.float64)
    low = values - high
    terms: list[float] = []
    for shift in (0, _PIECE_BITS, 2 * _PIECE_BITS):
        pieces = (segments.durations_ps >> shift) & _PIECE_MASK
        if pieces.any():
            scaled = np.ldexp(pieces.astype(np.float64), shift)
            terms += (high * scaled).tolist()
            terms += (low * scaled).tolist()
    return math.fsum(terms) / PS_PER_S


def peak_mean(segments: Segments, window_s: float) -> float:
    """Largest mean over any window of the given length inside the segments.

    The mean over a window that slides over a piecewise-constant signal is piecewise linear,
    so its largest value is taken where the window starts or ends on a change. All those
    positions are compared in doubles; the best one is then integrated exactly.

    Returns:
        The mean over everything where the window is longer than that.
    """
    edges_ps = segments.edges_ps
    start_ps, end_ps = int(edges_ps[0]), int(edges_ps[-1])
    window_ps = to_ps(window_s)
    if window_ps <= 0:
        return float(segments.values.max())
    if window_ps >= end_ps - start_ps:
        return integral(segments) / ((end_ps - start_ps) / PS_PER_S)
    opening_ps = edges_ps[edges_ps <= end_ps - window_ps]
    closing_ps = edges_ps[edges_ps >= start_ps + window_ps]
    starts_ps = np.concatenate((opening_ps, closing_ps - window_ps))
    relative = segments.values - segments.values.mean()
    cumulative = np.concatenate(([0.0], np.cumsum(relative * segments.durations_ps)))
    sums = _cumulative_at(starts_ps + window_ps, edges_ps, cumulative, relative)
    sums -= _cumulative_at(starts_ps, edges_ps, cumulative, relative)
    best_ps = int(starts_ps[int(np.argmax(sums))])
    return integral(_clip(segments, best_ps, best_ps + window_ps)) / (window_ps / PS_PER_S)


def quantile(segments: Segments, share_frac: float) -> float:
    """The smallest value at or below which the signal stays for `share_frac` of the time."""
    order = np.argsort(segments.values, kind="stable")
    held_ps = np.cumsum(segments.durations_ps[order])
    needed_ps = math.ceil(share_frac * int(held_ps[-1]))
    index = int(np.searchsorted(held_ps, needed_ps, side="left"))
    return float(segments.values[order[min(index, len(order) - 1)]])


def _cumulative_at(
    times_ps: NDArray[np.int64],
    edges_ps: NDArray[np.int64],
    cumulative: NDArray[np.float64],
    values: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Integral from the first edge to each time, in unit x ps, shape (n_times,)."""
    index = np.clip(np.searchsorted(edges_ps, times_ps, side="right") - 1, 0, len(values) - 1)
    since_ps: NDArray[np.int64] = times_ps - edges_ps[index]
    total: NDArray[np.float64] = cumulative[index] + values[index] * since_ps
    return total


def _clip(segments: Segments, start_ps: int, end_ps: int) -> Segments:
    """The part of the segments inside [start, end], which lies within them."""
    edges_ps = segments.edges_ps
    first = int(np.searchsorted(edges_ps, start_ps, side="right")) - 1
    last = int(np.searchsorted(edges_ps, end_ps, side="left"))
    inner_ps = edges_ps[first + 1 : last]
    clipped = np.concatenate(([start_ps], inner_ps, [end_ps])).astype(np.int64)
    return Segments(clipped, segments.values[first:last])
