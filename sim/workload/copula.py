"""Heavy-tailed lengths that hang together: fitted margins, joined by a Gaussian copula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.workload.lengths import IntArray, LengthColumns

FloatArray = NDArray[np.float64]

POINTS: Final = 200
TAIL_FRAC: Final = 0.01
LEAST_TAIL: Final = 20
"""Values that a tail is fitted on, at least; with fewer it ends at the longest seen."""
STRETCH: Final = 2.0
"""A tail is cut at so many times the longest value seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Margin:
    """One length: quantiles of its body, and a Pareto tail above the last of them.

    Attributes:
        levels: rising probabilities from 0 on. values: tokens at them, likewise rising.
        tail_index: exponent of the Pareto tail, inf for none.
        most: longest value that is drawn.
    """

    levels: FloatArray
    values: FloatArray
    tail_index: float
    most: float

    def __post_init__(self) -> None:
        rising = (np.diff(self.levels) > 0).all() and (np.diff(self.values) >= 0).all()
        if len(self.levels) != len(self.values) or len(self.levels) < 2 or not rising:
            raise InputError("a margin needs two quantiles at least, at rising levels")
        if self.values[0] < 1 or self.tail_index <= 0 or self.most < self.values[-1]:
            raise InputError(
                f"margin from {self.values[0]:g} to {self.most:g} tokens, tail {self.tail_index:g}"
            )

    def quantile(self, level: FloatArray) -> FloatArray:
        """Tokens at probabilities, not rounded; shape as given."""
        body = np.exp(np.interp(level, self.levels, np.log(self.values)))
        top = self.levels[-1]
        if top >= 1 or not np.isfinite(self.tail_index):
            return np.minimum(body, self.most)
        above = np.clip((1 - level) / (1 - top), 1e-12, 1.0)
        tail = self.values[-1] * above ** (-1 / self.tail_index)
        return np.minimum(np.where(level > top, tail, body), self.most)


@dataclass(frozen=True, slots=True, eq=False)
class CopulaLengths:
    """Prompt and output with fitted margins and the correlation of their normal scores."""

    input: Margin
    output: Margin
    correlation: float

    def __post_init__(self) -> None:
        if not -1 <= self.correlation <= 1:
            raise InputError(f"correlation = {self.correlation}, must be in [-1, 1]")

    @property
    def mean_tokens(self) -> tuple[float, float]:
        """Mean input and output tokens, by integration over the quantiles."""
        level = (np.arange(100_000) + 0.5) / 100_000
        return tuple(float(np.rint(m.quantile(level)).mean()) for m in (self.input, self.output))  # type: ignore[return-value]

    def sample(self, size: int, rng: np.random.Generator) -> LengthColumns:
        """Draw `size` pairs."""
        from scipy.special import ndtr

        first, second = rng.standard_normal((2, size))
        mixed = self.correlation * first + np.sqrt(1 - self.correlation**2) * second
        return (
            np.rint(self.input.quantile(ndtr(first))).astype(np.int64),
            np.rint(self.output.quantile(ndtr(mixed))).astype(np.int64),
        )


def fit_margin(tokens: IntArray) -> Margin:
    """Quantiles up to the 99th percentile, and a Pareto tail above it by Hill's estimator [1].

    References: [1] Hill, "A simple general approach to inference about the tail of a
    distribution", Ann. Statist. 3(5), 1975, doi:10.1214/aos/1176343247.
    """
    if not len(tokens) or tokens.min() < 1:
        raise InputError("lengths must be at least 1 token", "leave out the bad rows")
    top = 1 - TAIL_FRAC
    edge = float(np.quantile(tokens, top))
    above = tokens[tokens > edge]
    most = float(tokens.max())
    if len(above) < LEAST_TAIL:
        levels = np.linspace(0, 1, POINTS + 1)
        return Margin(levels, np.quantile(tokens, levels), np.inf, most)
    levels = np.linspace(0, top, POINTS + 1)
    index = 1 / float(np.log(above / edge).mean())
    return Margin(levels, np.quantile(tokens, levels), index, STRETCH * most)


def fit_copula(input_tokens: IntArray, output_tokens: IntArray) -> CopulaLengths:
    """Margins and copula of pairs of lengths.

    The correlation is that of the normal scores: 2 sin(pi r / 6) of Spearman's r.
    """
    rank = spearman(input_tokens, output_tokens)
    score = 2 * np.sin(np.pi * rank / 6)
    return CopulaLengths(fit_margin(input_tokens), fit_margin(output_tokens), float(score))


def spearman(first: IntArray, second: IntArray) -> float:
    """Rank correlation, ties by their mean rank; 0 where one does not vary."""
    from scipy.stats import rankdata

    one, two = rankdata(first), rankdata(second)
    if np.ptp(one) == 0 or np.ptp(two) == 0:
        return 0.0
    return float(np.corrcoef(one, two)[0, 1])
