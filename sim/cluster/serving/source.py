"""Where the compiled engine's requests come from: drawn as they are needed, or recorded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.kernels.draw import draw
from sim.errors import InputError
from sim.units import PS_PER_S, to_ps
from sim.workload.counter import counter_key
from sim.workload.lengths import EmpiricalLengths

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

BLOCK_ROWS = 2048
PURPOSES = ("gap", "cell", "tokens", "route")


class Source(Protocol):
    """A stream of requests, in blocks."""

    def block(self) -> tuple[IntArray, FloatArray]:
        """The next requests (columns `A_` of the kernels) with two draws each; empty at the end.

        The arrays are only good until the next call.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Staircase:
    """Rates of arrivals that repeat: `rates_per_s[i]` from i slots of `slot_s` on."""

    rates_per_s: FloatArray
    slot_s: float

    def __post_init__(self) -> None:
        rates = self.rates_per_s
        if not len(rates) or (rates < 0).any() or not np.isfinite(rates).all() or not rates.any():
            raise InputError("a staircase of rates needs numbers of at least 0, one above")
        if not 0 < self.slot_s < np.inf:
            raise InputError(f"slot_s = {self.slot_s}, must be above 0")

    @property
    def mean_per_s(self) -> float:
        """Mean over a lap."""
        return float(self.rates_per_s.mean())


class DrawnSource:
    """Requests drawn by the engine: a Poisson stream with a staircase of rates.

    Args:
        rates: of the stream.
        lengths: joint histogram of prompt and output.
        seed: the run's seed.
        purpose: words that name the stream, for example ("campus.chat", "cell7").
        rows: requests in a block; it changes nothing but the speed.
    """

    def __init__(
        self,
        rates: Staircase,
        lengths: EmpiricalLengths,
        seed: int,
        *purpose: str,
        rows: int = BLOCK_ROWS,
    ):
        keys = [counter_key(seed, *purpose, name) for name in PURPOSES]
        self._keys = np.array(keys, dtype=np.uint64)
        self._rates = rates.rates_per_s / PS_PER_S
        self._slot_ps = to_ps(rates.slot_s)
        self._cells, self._chance = alias_cells(lengths)
        self._arrivals = np.zeros((rows, at.ARRIVAL_COLUMNS), dtype=np.int64)
        self._draws = np.zeros((rows, 2))
        self._index = 0
        self._time_ps = 0

    def block(self) -> tuple[IntArray, FloatArray]:
        """The next requests; the stream has no end."""
        rows = len(self._arrivals)
        self._time_ps = draw(
            self._arrivals,
            self._draws,
            rows,
            self._index,
            self._time_ps,
            self._keys,
            self._rates,
            self._slot_ps,
            self._cells,
            self._chance,
        )
        self._index += rows
        return self._arrivals, self._draws


class RecordedSource:
    """Requests from a table, once."""

    def __init__(self, arrivals: IntArray, draws: FloatArray):
        self._arrivals, self._draws = arrivals, draws
        self._at = 0

    def block(self) -> tuple[IntArray, FloatArray]:
        """The next requests."""
        part = slice(self._at, self._at + BLOCK_ROWS)
        self._at += BLOCK_ROWS
        return self._arrivals[part], self._draws[part]


@lru_cache(maxsize=8)
def alias_cells(lengths: EmpiricalLengths) -> tuple[IntArray, FloatArray]:
    """Cells of a histogram with Walker's alias, and the chance of each to stand for itself.

    Made once for all cells of a fleet, and only read.

    References: [1] Vose, "A linear algorithm for generating random numbers with a given
    distribution", IEEE Trans. Softw. Eng. 17(9), 1991, doi:10.1109/32.92917.
    """
    share = lengths.count / lengths.count.sum() * len(lengths.count)
    alias = np.arange(len(share))
    small = [i for i in range(len(share)) if share[i] < 1]
    large = [i for i in range(len(share)) if share[i] >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        alias[low] = high
        share[high] -= 1 - share[low]
        if share[high] < 1:
            small.append(large.pop())
    for rest in (*small, *large):
        share[rest] = 1.0
    edges = (lengths.input_low, lengths.input_high, lengths.output_low, lengths.output_high)
    return np.stack([*edges, alias], axis=1).astype(np.int64), share
