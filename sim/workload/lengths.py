"""How long requests are: prompt and output tokens, drawn together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.datum import data_names, read_table
from sim.errors import InputError, UnknownNameError

IntArray = NDArray[np.int64]
LengthColumns = tuple[IntArray, IntArray]
"""(input tokens, output tokens), each of shape (n,) and at least 1."""

TRACE_FOLDER = "traces"
TAIL_DIVISIONS = np.array([1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0])
"""Where the last bin of a margin is divided: 1/d of its requests lie above."""


class LengthDistribution(Protocol):
    """A joint distribution of prompt and output length."""

    @property
    def mean_tokens(self) -> tuple[float, float]:
        """Mean input and output tokens."""

    def sample(self, size: int, rng: np.random.Generator) -> LengthColumns:
        """Draw `size` pairs."""


def _at_least_one(**values: float) -> None:
    for name, value in values.items():
        if not (value >= 1 and np.isfinite(value)):
            raise InputError(f"{name} = {value}, must be at least 1 token", path=name)


@dataclass(frozen=True, slots=True)
class ConstantLengths:
    """All requests alike."""

    input_tokens: int
    output_tokens: int

    def __post_init__(self) -> None:
        _at_least_one(input_tokens=self.input_tokens, output_tokens=self.output_tokens)

    @property
    def mean_tokens(self) -> tuple[float, float]:
        """Mean input and output tokens."""
        return float(self.input_tokens), float(self.output_tokens)

    def sample(self, size: int, rng: np.random.Generator) -> LengthColumns:  # noqa: ARG002
        """Draw `size` pairs; no random number is used."""
        return np.full(size, self.input_tokens), np.full(size, self.output_tokens)


@dataclass(frozen=True, slots=True)
class LognormalLengths:
    """Log-normal lengths with a correlation of their logarithms, rounded up to whole tokens.

    Attributes:
        median_input_tokens: median of the prompt before rounding.
        median_output_tokens: median of the output before rounding.
        sigma_input: standard deviation of ln(input tokens).
        sigma_output: standard deviation of ln(output tokens).
        correlation: of the two logarithms, -1 to 1.
        max_tokens: longer draws are cut to this.
    """

    median_input_tokens: float
    median_output_tokens: float
    sigma_input: float
    sigma_output: float
    correlation: float = 0.0
    max_tokens: int = 1_000_000

    def __post_init__(self) -> None:
        _at_least_one(
            median_input_tokens=self.median_input_tokens,
            median_output_tokens=self.median_output_tokens,
            max_tokens=self.max_tokens,
        )
        if not (0 <= self.sigma_input < np.inf and 0 <= self.sigma_output < np.inf):
            raise InputError(f"sigmas {self.sigma_input}, {self.sigma_output} must be at least 0")
        if not -1 <= self.correlation <= 1:
            raise InputError(f"correlation = {self.correlation}, must be in [-1, 1]")

    @property
    def mean_tokens(self) -> tuple[float, float]:
        """Mean input and output tokens, before rounding and cut."""
        return (
            float(self.median_input_tokens * np.exp(self.sigma_input**2 / 2)),
            float(self.median_output_tokens * np.exp(self.sigma_output**2 / 2)),
        )

    def sample(self, size: int, rng: np.random.Generator) -> LengthColumns:
        """Draw `size` pairs."""
        first, second = rng.standard_normal((2, size))
        mixed = self.correlation * first + np.sqrt(1 - self.correlation**2) * second
        return (
            self._tokens(self.median_input_tokens, self.sigma_input * first),
            self._tokens(self.median_output_tokens, self.sigma_output * mixed),
        )

    def _tokens(self, median: float, log_deviation: NDArray[np.float64]) -> IntArray:
        tokens = np.ceil(np.minimum(median * np.exp(log_deviation), self.max_tokens))
        return np.maximum(tokens, 1).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class EmpiricalLengths:
    """A joint histogram of a trace: cells with a count, uniform inside a cell.

    Keeps the correlation of prompt and output down to the size of the cells.

    Attributes:
        input_low: smallest prompt of each cell, shape (n_cells,); likewise the others.
        input_high: largest prompt of each cell, inclusive.
        output_low: smallest output of each cell.
        output_high: largest output of each cell, inclusive.
        count: requests in each cell.
    """

    input_low: IntArray
    input_high: IntArray
    output_low: IntArray
    output_high: IntArray
    count: IntArray

    def __post_init__(self) -> None:
        bad = (
            (self.input_low < 1)
            | (self.output_low < 1)
            | (self.input_high < self.input_low)
            | (self.output_high < self.output_low)
            | (self.count < 1)
        )
        if not len(self.count) or bad.any():
            raise InputError(
                f"length histogram: {int(bad.sum())} of {len(bad)} cells are malformed"
            )

    @property
    def mean_tokens(self) -> tuple[float, float]:
        """Mean input and output tokens of the histogram."""
        weights = self.count / self.count.sum()
        return (
            float(weights @ (self.input_low + self.input_high) / 2),
            float(weights @ (self.output_low + self.output_high) / 2),
        )

    def sample(self, size: int, rng: np.random.Generator) -> LengthColumns:
        """Draw `size` pairs: a cell by its count, then uniform whole numbers inside."""
        cell = rng.choice(len(self.count), size, p=self.count / self.count.sum())
        return (
            rng.integers(self.input_low[cell], self.input_high[cell], endpoint=True),
            rng.integers(self.output_low[cell], self.output_high[cell], endpoint=True),
        )


def length_histogram(
    input_tokens: IntArray, output_tokens: IntArray, bins: int
) -> EmpiricalLengths:
    """Summarise pairs of lengths as a joint histogram.

    The edges are quantiles of each margin; a value that takes more than half a bin's share
    gets a bin of its own, and the last bin, the long tail, is divided again. Each cell is
    cut to the smallest box around its requests.

    Args:
        input_tokens: shape (n,), at least 1.
        output_tokens: shape (n,), at least 1.
        bins: bins of equal count of each margin, before the tail is divided.
    """
    row = np.searchsorted(_edges(input_tokens, bins), input_tokens, side="right")
    column = np.searchsorted(_edges(output_tokens, bins), output_tokens, side="right")
    _, cell, count = np.unique(
        row * len(input_tokens) + column, return_inverse=True, return_counts=True
    )
    cells = len(count)
    return EmpiricalLengths(
        input_low=_extreme(input_tokens, cell, cells, np.minimum),
        input_high=_extreme(input_tokens, cell, cells, np.maximum),
        output_low=_extreme(output_tokens, cell, cells, np.minimum),
        output_high=_extreme(output_tokens, cell, cells, np.maximum),
        count=count.astype(np.int64),
    )


def _edges(tokens: IntArray, bins: int) -> IntArray:
    """Inner edges of the bins of a margin; a bin is [edge, next edge)."""
    levels = np.concatenate([np.arange(1, bins) / bins, 1 - 1 / (bins * TAIL_DIVISIONS)])
    quantiles = np.quantile(tokens, levels, method="inverted_cdf")
    value, count = np.unique(tokens, return_counts=True)
    frequent = value[count > len(tokens) / (2 * bins)]
    return np.unique(np.concatenate([quantiles, frequent, frequent + 1]))


def _extreme(tokens: IntArray, cell: IntArray, n_cells: int, pick: np.ufunc) -> IntArray:
    start = np.iinfo(np.int64).max if pick is np.minimum else 0
    result = np.full(n_cells, start, dtype=np.int64)
    pick.at(result, cell, tokens)
    return result


COLUMNS = ("input_low", "input_high", "output_low", "output_high", "count")


@cache
def trace_lengths(name: str) -> EmpiricalLengths:
    """The joint length histogram of a trace that ships with the product.

    Args:
        name: for example `azure-conv-2023`.

    Raises:
        UnknownNameError: no such trace.
    """
    known = data_names(TRACE_FOLDER, ".csv")
    if name not in known:
        raise UnknownNameError("trace", name, known, path="requests.trace")
    rows = read_table(f"{TRACE_FOLDER}/{name}.csv")
    return EmpiricalLengths(
        *(np.array([int(row[column]) for row in rows], dtype=np.int64) for column in COLUMNS)
    )
