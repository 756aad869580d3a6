"""Fitting arrivals and lengths to a trace, and judging the fit on a half that it did not see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.randomness import stream
from sim.units import PS_PER_S
from sim.workload.copula import CopulaLengths, fit_copula, spearman
from sim.workload.course import DailyCourse, fit_course
from sim.workload.dispersion import (
    LEAST_WINDOWS,
    clock_tick_s,
    detrended_index,
    dispersion_index,
    scales,
    window_counts,
)
from sim.workload.fitted import FittedArrivals, window_factor
from sim.workload.lengths import EmpiricalLengths, LengthDistribution, length_histogram
from sim.workload.requests import RequestTable

FloatArray = NDArray[np.float64]

LEAST_REQUESTS: Final = 200
BINS: Final = 40
TICKS: Final = 2.0
"""Shortest scale in ticks of the trace's clock."""
LEAST_SCALE_S: Final = 0.03
FEW_REQUESTS: Final = 3.0
"""Requests in a length below which its bursts are told as batches."""
NEGLIGIBLE: Final = 1e-3
"""Contributions to the index of dispersion that are left out."""
DRAWS: Final = 8
LEVELS: Final = (0.1, 0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class TraceModel:
    """What was fitted to a trace.

    Attributes:
        arrivals: at the trace's own rate. lengths: resampled pairs; copula: beside them.
        tick_s: of the trace's clock, 0 if it is fine; below it nothing is known.
        requests: rows that it was fitted on. span_s: how long they took.
    """

    arrivals: FittedArrivals
    lengths: EmpiricalLengths
    copula: CopulaLengths
    tick_s: float
    requests: int
    span_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of the held-out half.

    Attributes:
        seen: the half that was fitted on, as it is: what a perfect memory would tell.
        fitted: the model. held_out: the other half.
    """

    measure: str
    seen: float
    fitted: float
    held_out: float

    @property
    def error_frac(self) -> float:
        """Of the model against the held-out half."""
        return self.fitted / self.held_out - 1 if self.held_out else float("nan")

    @property
    def drift_frac(self) -> float:
        """Of the seen half against the held-out half: no model can be expected to do better."""
        return self.seen / self.held_out - 1 if self.held_out else float("nan")


def fit_trace(table: RequestTable) -> TraceModel:
    """Fit arrivals and lengths.

    Raises:
        InputError: fewer than 200 requests, or all at one instant.
    """
    if len(table) < LEAST_REQUESTS:
        raise InputError(
            f"{len(table)} requests are too few to fit, at least {LEAST_REQUESTS}",
            "replay the trace with kind: trace",
        )
    times_s = (table.arrival_ps - table.arrival_ps[0]) / PS_PER_S
    span_s = _span_s(times_s)
    tick_s = clock_tick_s(times_s)
    return TraceModel(
        fit_arrivals(times_s, span_s, tick_s),
        length_histogram(table.input_tokens, table.output_tokens, BINS),
        fit_copula(table.input_tokens, table.output_tokens),
        tick_s,
        len(table),
        span_s,
    )


def _span_s(times_s: FloatArray) -> float:
    """From the first arrival to one mean gap behind the last."""
    last = float(times_s[-1])
    if last <= 0:
        raise InputError("all requests of the trace arrive at one instant")
    return last * len(times_s) / (len(times_s) - 1)


def fit_arrivals(times_s: FloatArray, span_s: float, tick_s: float = 0.0) -> FittedArrivals:
    """A daily course, bursts and batches that have the index of dispersion at every scale.

    Weighted non-negative least squares of IDC(w) - 1 on g(w, L), with lengths L like the
    scales w. A component with few requests in its length is one of batches; the others are
    bursts of the rate, with weights that make their spreads alike.

    Args:
        times_s: sorted arrivals in [0, span_s).
    """
    course = fit_course(times_s, span_s)
    rate = len(times_s) / span_s
    windows = np.array(scales(span_s, max(LEAST_SCALE_S, TICKS * tick_s)))
    if not len(windows):
        return FittedArrivals(rate, course=course)
    seen = np.array([_index(times_s, float(w), span_s, rate, course) for w in windows])
    lengths = np.append(windows, 3 * windows[-1])
    batches = rate * lengths < FEW_REQUESTS
    strength = rate * np.where(batches, 1.0, course.mean_square)
    variance = _variances(windows, seen, lengths, strength, span_s)
    roots = np.sqrt(np.where(batches, 0.0, variance))
    pairs = np.where(batches, rate * variance * lengths, 0.0)
    blocks, windows_of = roots > 0, pairs > 0
    return FittedArrivals(
        rate,
        _floats(lengths[blocks]),
        _floats(roots[blocks] / max(roots.sum(), 1e-300)),
        float(roots.sum() ** 2),
        1.0,
        float(pairs.sum() / 2),
        _floats(lengths[windows_of]),
        _floats(pairs[windows_of] / max(pairs.sum(), 1e-300)),
        course,
    )


def _floats(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _variances(
    windows: FloatArray, seen: FloatArray, lengths: FloatArray, strength: FloatArray, span_s: float
) -> FloatArray:
    """Variance of the relative rate that has each length, shape (len(lengths),).

    The variance about the mean of n windows lacks that of the mean itself, which is
    IDC(span) / n; the design holds that. The relative error of an index is about
    sqrt(2 / n), so long scales, of which few fit, count less.

    Args:
        windows, seen: scales and their IDC. strength: rate that a variance of 1 acts on.
    """
    from scipy.optimize import nnls

    count = span_s / windows
    whole = window_factor(span_s, lengths)[None, :]
    design = window_factor(windows[:, None], lengths[None, :]) - whole / count[:, None]
    design *= strength[None, :] * (count / (count - 1))[:, None]
    sure = np.sqrt(count) / np.maximum(seen, 1.0)
    found = nnls(design * sure[:, None], np.maximum(seen - 1, 0.0) * sure)[0]
    return np.where(found * lengths > NEGLIGIBLE / strength, found, 0.0)


def _index(
    times_s: FloatArray, window_s: float, span_s: float, rate: float, course: DailyCourse
) -> float:
    if not course.cosines:
        return dispersion_index(times_s, window_s, span_s)
    windows = int(span_s / window_s * (1 + 1e-12))
    middle = np.asarray((np.arange(windows) + 0.5) * window_s)
    return detrended_index(times_s, rate * window_s * course.factor(middle), window_s, span_s)


def judge(table: RequestTable, seed: int = 1) -> tuple[TraceModel, list[Row]]:
    """Fit on the first half of the time, compare with the second.

    The model's figures are means of several draws as long as the held-out half.
    """
    arrivals_s = (table.arrival_ps - table.arrival_ps[0]) / PS_PER_S
    cut = int(np.searchsorted(arrivals_s, _span_s(arrivals_s) / 2))
    if min(cut, len(table) - cut) < LEAST_REQUESTS:
        raise InputError(
            f"halves of {cut} and {len(table) - cut} requests are too few to judge a fit by, "
            f"at least {LEAST_REQUESTS} each"
        )
    first, second = (_part(table, part) for part in (slice(None, cut), slice(cut, None)))
    model = fit_trace(first)
    return model, [*_arrival_rows(first, second, model, seed), *_length_rows(first, second, model)]


def _part(table: RequestTable, part: slice) -> RequestTable:
    arrival, tokens_in, tokens_out, *_ = (column[part] for column in table.columns)
    return RequestTable(arrival - arrival[0], tokens_in, tokens_out)


def _arrival_rows(
    first: RequestTable, second: RequestTable, model: TraceModel, seed: int
) -> Iterator[Row]:
    halves = [half.arrival_ps / PS_PER_S for half in (first, second)]
    span_s = _span_s(halves[1])
    shift_s = model.span_s if model.arrivals.course.cosines else 0.0
    drawn = []
    for number in range(DRAWS):
        rng = stream(seed, "fit", "judge", str(number))
        times = model.arrivals.times_s(span_s + shift_s, rng)
        drawn.append(times[times >= shift_s] - shift_s)
    seen = _arrival_figures(halves[0], model.span_s, span_s, model.tick_s)
    held_out = _arrival_figures(halves[1], span_s, span_s, model.tick_s)
    made = [_arrival_figures(times, span_s, span_s, model.tick_s) for times in drawn]
    for name, value in held_out.items():
        yield Row(name, seen[name], float(np.mean([m[name] for m in made])), value)


def _arrival_figures(
    times_s: FloatArray, span_s: float, common_s: float, tick_s: float
) -> dict[str, float]:
    """Rate, quantiles of gaps and of counts a minute, IDC by scale."""
    found = {"rate [1/s]": len(times_s) / span_s}
    if not tick_s:
        gaps = np.diff(times_s)
        found |= {f"gap p{100 * q:g} [s]": float(np.quantile(gaps, q)) for q in LEVELS[1:]}
    if span_s >= 60 * LEAST_WINDOWS / 2:
        counts = window_counts(times_s, 60.0, span_s)
        found |= {f"per minute p{100 * q:g}": float(np.quantile(counts, q)) for q in LEVELS[:3]}
    for window_s in scales(0.9 * min(span_s, common_s), max(LEAST_SCALE_S, TICKS * tick_s)):
        found[f"IDC at {window_s:.3g} s"] = dispersion_index(times_s, window_s, span_s)
    return found


def _length_rows(first: RequestTable, second: RequestTable, model: TraceModel) -> Iterator[Row]:
    halves = [(half.input_tokens, half.output_tokens) for half in (first, second)]
    ways: dict[str, LengthDistribution] = {"pairs": model.lengths, "copula": model.copula}
    for way, lengths in ways.items():
        made = lengths.sample(200_000, stream(1, "fit", "lengths"))
        for side, name in enumerate(("input", "output")):
            for level in (*LEVELS, 0.999):
                values = [float(np.quantile(pair[side], level)) for pair in (*halves, made)]
                yield Row(f"{way}: {name} p{100 * level:g}", values[0], values[2], values[1])
            values = [float(pair[side].mean()) for pair in (*halves, made)]
            yield Row(f"{way}: {name} mean", values[0], values[2], values[1])
        ranks = [spearman(*pair) for pair in (*halves, made)]
        yield Row(f"{way}: rank correlation", ranks[0], ranks[2], ranks[1])
