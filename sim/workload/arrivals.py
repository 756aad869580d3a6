"""When requests come: Poisson, gamma, on-off, and as a trace says.

Each process can be thinned exactly: `thinned(p)` is the process of the arrivals that an
independent coin of probability p keeps. A fleet of n replicas of which k are simulated
draws the thinned process with p = k / n, without drawing what it drops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.units import PS_PER_S, to_s
from sim.workload.course import DAY_S

FloatArray = NDArray[np.float64]

LEAST_DAYS = 2.0
"""A trace of so many days is superposed day on day."""
JITTER_S = 1800.0


class ArrivalProcess(Protocol):
    """A stream of arrival times."""

    @property
    def rate_per_s(self) -> float:
        """Mean arrivals per second."""

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s), shape (n,)."""

    def thinned(self, keep_frac: float) -> Self:
        """The arrivals that an independent coin keeps."""


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and np.isfinite(value)):
            raise InputError(f"{name} = {value}, must be a positive number", path=name)


def _keep(keep_frac: float) -> float:
    if not 0 < keep_frac <= 1:
        raise InputError(f"keep_frac = {keep_frac}, must be in (0, 1]", path="keep_frac")
    return keep_frac


def _uniform_times(rate_per_s: float, span_s: float, rng: np.random.Generator) -> FloatArray:
    """Poisson arrivals on [0, span_s): a Poisson count, then sorted uniform times."""
    count = rng.poisson(rate_per_s * span_s)
    return np.sort(rng.uniform(0.0, span_s, count))


@dataclass(frozen=True, slots=True)
class PoissonArrivals:
    """Independent arrivals at a constant rate."""

    rate_per_s: float

    def __post_init__(self) -> None:
        _positive(rate_per_s=self.rate_per_s)

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s), shape (n,)."""
        return _uniform_times(self.rate_per_s, horizon_s, rng)

    def thinned(self, keep_frac: float) -> PoissonArrivals:
        """Poisson again, at the lower rate."""
        return replace(self, rate_per_s=self.rate_per_s * _keep(keep_frac))


@dataclass(frozen=True, slots=True)
class GammaArrivals:
    """Gamma-distributed gaps: `cv` > 1 is burstier than Poisson, < 1 is more regular.

    Thinning keeps every G-th arrival with G geometric, and the sum of G gamma gaps is a
    gamma gap with G times the shape: so a thinned process is drawn exactly.

    Attributes:
        rate_per_s: mean rate of the process before thinning times `keep_frac`.
        cv: coefficient of variation of the gaps before thinning.
        keep_frac: share of arrivals kept.
    """

    rate_per_s: float
    cv: float
    keep_frac: float = 1.0

    def __post_init__(self) -> None:
        _positive(rate_per_s=self.rate_per_s, cv=self.cv)
        _keep(self.keep_frac)

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s), shape (n,); the first gap starts at 0."""
        blocks: list[FloatArray] = []
        last_s = 0.0
        size = int(self.rate_per_s * horizon_s * 1.05) + 64
        while last_s < horizon_s:
            blocks.append(last_s + np.cumsum(self._gaps_s(size, rng)))
            last_s = float(blocks[-1][-1])
        times = np.concatenate(blocks)
        return times[times < horizon_s]

    def thinned(self, keep_frac: float) -> GammaArrivals:
        """The same gaps, of which a coin keeps some arrivals."""
        return replace(
            self,
            rate_per_s=self.rate_per_s * _keep(keep_frac),
            keep_frac=self.keep_frac * keep_frac,
        )

    def _gaps_s(self, size: int, rng: np.random.Generator) -> FloatArray:
        shape = 1 / self.cv**2
        scale_s = self.keep_frac / (self.rate_per_s * shape)
        merged = rng.geometric(self.keep_frac, size)
        return rng.gamma(shape * merged, scale_s)


@dataclass(frozen=True, slots=True)
class OnOffArrivals:
    """Poisson arrivals whose rate switches between two values (a two-state MMPP).

    The lengths of the phases are exponential. All requests share the phase: thinning lowers
    both rates and leaves the phases as they are.
    """

    on_rate_per_s: float
    off_rate_per_s: float
    mean_on_s: float
    mean_off_s: float

    def __post_init__(self) -> None:
        _positive(
            on_rate_per_s=self.on_rate_per_s, mean_on_s=self.mean_on_s, mean_off_s=self.mean_off_s
        )
        if not 0 <= self.off_rate_per_s < np.inf:
            raise InputError(f"off_rate_per_s = {self.off_rate_per_s}, must be at least 0")

    @property
    def rate_per_s(self) -> float:
        """Mean over both phases."""
        work = self.on_rate_per_s * self.mean_on_s + self.off_rate_per_s * self.mean_off_s
        return work / (self.mean_on_s + self.mean_off_s)

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s); starts in either phase by its share."""
        on = bool(rng.random() < self.mean_on_s / (self.mean_on_s + self.mean_off_s))
        start_s = 0.0
        blocks: list[FloatArray] = [np.empty(0)]
        while start_s < horizon_s:
            mean_s, rate = (
                (self.mean_on_s, self.on_rate_per_s)
                if on
                else (self.mean_off_s, self.off_rate_per_s)
            )
            end_s = min(start_s + rng.exponential(mean_s), horizon_s)
            blocks.append(start_s + _uniform_times(rate, end_s - start_s, rng))
            start_s, on = end_s, not on
        times = np.concatenate(blocks)
        return times[times < horizon_s]

    def thinned(self, keep_frac: float) -> OnOffArrivals:
        """The same phases at lower rates."""
        return replace(
            self,
            on_rate_per_s=self.on_rate_per_s * _keep(keep_frac),
            off_rate_per_s=self.off_rate_per_s * keep_frac,
        )


@dataclass(frozen=True, slots=True, eq=False)
class TraceArrivals:
    """The arrival times of a trace as recorded, repeated end to end.

    Attributes:
        trace_ps: arrival times of the trace, sorted, shape (n,), n >= 2.
        keep_frac: share of arrivals that a coin keeps.
    """

    trace_ps: NDArray[np.int64]
    keep_frac: float = 1.0

    def __post_init__(self) -> None:
        _keep(self.keep_frac)
        _period_s(self.trace_ps)

    @property
    def rate_per_s(self) -> float:
        """Mean rate over one period."""
        return self.keep_frac * len(self.trace_ps) / _period_s(self.trace_ps)

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s), shape (n,)."""
        period_s = _period_s(self.trace_ps)
        once_s = (self.trace_ps - self.trace_ps[0]) / PS_PER_S
        laps = np.arange(int(np.ceil(horizon_s / period_s)))
        times: FloatArray = (laps[:, None] * period_s + once_s[None, :]).ravel()
        times = times[times < horizon_s]
        return times[rng.random(len(times)) < self.keep_frac]

    def thinned(self, keep_frac: float) -> TraceArrivals:
        """The same trace, of which a coin keeps some arrivals."""
        return replace(self, keep_frac=self.keep_frac * _keep(keep_frac))


@dataclass(frozen=True, slots=True, eq=False)
class TraceShapedArrivals:
    """Poisson arrivals whose rate follows a trace, at any mean rate.

    Between two recorded arrivals the rate is constant and one arrival of the trace's own
    rate is expected: a Poisson process on the trace's arrival count, mapped back to time by
    linear interpolation. Bursts longer than a gap keep their form; the order within them
    is random.

    Attributes:
        trace_ps: arrival times of the trace, sorted, shape (n,), n >= 2.
        rate_per_s: mean rate.
    """

    trace_ps: NDArray[np.int64]
    rate_per_s: float

    def __post_init__(self) -> None:
        _positive(rate_per_s=self.rate_per_s)
        _period_s(self.trace_ps)

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s), shape (n,)."""
        count = len(self.trace_ps)
        period_s = _period_s(self.trace_ps)
        laps = int(np.ceil(horizon_s / period_s))
        copies = self.rate_per_s * period_s / count
        marks = _uniform_times(copies, float(count * laps), rng)
        once_s = np.append((self.trace_ps - self.trace_ps[0]) / PS_PER_S, period_s)
        lap = np.floor(marks / count)
        times: FloatArray = lap * period_s + np.interp(
            marks - lap * count, np.arange(count + 1), once_s
        )
        return times[times < horizon_s]

    def thinned(self, keep_frac: float) -> TraceShapedArrivals:
        """The same shape at the lower rate."""
        return replace(self, rate_per_s=self.rate_per_s * _keep(keep_frac))


@dataclass(frozen=True, slots=True, eq=False)
class SuperposedTraceArrivals:
    """Copies of a trace, each begun at a random place of it, on top of each other.

    The copies are independent but for the trace that they share, so variance and mean of a
    count grow alike: the index of dispersion is that of the trace at every scale, whatever the
    rate. A part of a copy is one of which a coin keeps that part. A trace of two days or more
    is shifted by whole days, give or take half an hour, so that its daily course stays.

    Attributes:
        trace_ps: arrival times of the trace, sorted, shape (n,), n >= 2.
        rate_per_s: mean rate of all copies.
        keep_frac: share of arrivals that a coin keeps, of what `copies` of the trace bring.
    """

    trace_ps: NDArray[np.int64]
    rate_per_s: float
    keep_frac: float = 1.0

    def __post_init__(self) -> None:
        _positive(rate_per_s=self.rate_per_s)
        _keep(self.keep_frac)
        _period_s(self.trace_ps)

    @property
    def copies(self) -> float:
        """How many times the trace's own rate there would be without thinning."""
        period_s = _period_s(self.trace_ps)
        return self.rate_per_s / self.keep_frac * period_s / len(self.trace_ps)

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s), shape (n,)."""
        period_s = _period_s(self.trace_ps)
        once_s = (self.trace_ps - self.trace_ps[0]) / PS_PER_S
        laps = np.arange(int(np.ceil(horizon_s / period_s)) + 1)[:, None] * period_s
        parts: list[FloatArray] = [np.empty(0)]
        left = self.copies
        while left > 1e-9:
            begin_s = self._begin_s(period_s, rng)
            times = (laps + once_s[None, :]).ravel() - begin_s
            times = times[(times >= 0) & (times < horizon_s)]
            keep = min(left, 1.0) * self.keep_frac
            parts.append(times if keep == 1 else times[rng.random(len(times)) < keep])
            left -= 1
        return np.sort(np.concatenate(parts))

    def _begin_s(self, period_s: float, rng: np.random.Generator) -> float:
        """Where in the trace a copy begins."""
        days = round(period_s / DAY_S)
        if period_s < LEAST_DAYS * DAY_S:
            return float(rng.uniform(0.0, period_s))
        shift = rng.integers(days) * DAY_S + rng.uniform(-JITTER_S, JITTER_S)
        return float(shift % period_s)

    def thinned(self, keep_frac: float) -> SuperposedTraceArrivals:
        """As many copies, of which a coin keeps some arrivals."""
        return replace(
            self,
            rate_per_s=self.rate_per_s * _keep(keep_frac),
            keep_frac=self.keep_frac * keep_frac,
        )


def _period_s(trace_ps: NDArray[np.int64]) -> float:
    """Length of one lap: the span plus one mean gap, so that repeating keeps the mean rate.

    Raises:
        InputError: fewer than two different times, or times that are not sorted.
    """
    count = len(trace_ps)
    span_ps = int(trace_ps[-1] - trace_ps[0]) if count else 0
    if count < 2 or span_ps <= 0 or np.any(np.diff(trace_ps) < 0):
        raise InputError("a trace of arrivals needs two different times at least, sorted")
    return to_s(span_ps) * count / (count - 1)
