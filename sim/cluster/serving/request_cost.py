"""What a request costs: its share of each step it was in (DESIGN.md section 9).

A step's time, FLOPs, bytes and energy are each divided in two parts:

1. The own part: what grows with a sequence's own context. A decoding sequence with c cached
   tokens owns c times the growth of the step's cost per cached token: what as many sequences
   cost more than with an empty cache, divided by the tokens in it. The growth is read at both
   ends of the piece of the cost curve that the step is on, and the smaller one holds. A prefill
   chunk of n tokens on c cached ones owns n c + n (n - 1) / 2 times the cost per pair of tokens
   and c times the cost per cached token read (a chunk reads its context once). The pieces are
   the segments of the coster's tables; without tables it is asked at contexts that double.
2. The rest (weights, linear layers, collectives, static power) is shared by the new tokens
   in the step.

Where the own parts would exceed a step's total, that total is shared by tokens alone. So the
shares of a step sum to the step, and shares plus idle sum to the meter. Prices are constant on
a piece, so both parts have closed forms over k equal steps (`kernels.shares`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.coster import PrefillChunk, StepCoster
from sim.cost.segments import NEVER_TOKENS
from sim.cost.step import StepCost
from sim.cost.tables import (
    ENERGY,
    FLOPS,
    HBM,
    SCALES,
    TIME,
    StepTables,
    TableCoster,
    chunk_prices,
)

IntArray = NDArray[np.int64]
Amounts = tuple[float, float, float, float]
"""(time_s, flops, hbm_bytes, energy_j)."""

NOTHING: Amounts = (0.0, 0.0, 0.0, 0.0)
SHARED = [TIME, FLOPS, HBM, ENERGY]
"""Of the tables' quantities, those that are divided, in the order of `Amounts`."""
SHARED_SCALES = SCALES[SHARED]
ROUNDING_FRAC = 1e-12


class OwnPrices(Protocol):
    """Cost that grows with a sequence's own context.

    Attributes:
        pair: per pair of tokens of a prefill chunk. read: per cached token that it reads.
    """

    pair: Amounts
    read: Amounts

    def decode(self, decodes: int, cached: int) -> Amounts:
        """Per cached token of decoding sequences, which have so many tokens cached in all."""


class TablePrices:
    """Own prices of step tables (see `OwnPrices`)."""

    def __init__(self, tables: StepTables):
        self._edge = tables.edge
        self._growth = growth_prices(tables) / SHARED_SCALES
        self.pair = _four(tables.pair[SHARED] / SHARED_SCALES)
        self.read = _four(tables.read[SHARED] / SHARED_SCALES)

    def decode(self, decodes: int, cached: int) -> Amounts:
        """Growth of the segment."""
        segment = int(np.searchsorted(self._edge[decodes], cached, side="right")) - 1
        return _four(self._growth[decodes, segment]) if decodes else NOTHING


@dataclass(slots=True)
class AskedPrices:
    """Own prices of a coster without tables, asked where they are wanted (see `OwnPrices`)."""

    coster: StepCoster
    pair: Amounts
    read: Amounts
    _known: dict[tuple[int, int], Amounts] = field(default_factory=dict)

    def decode(self, decodes: int, cached: int) -> Amounts:
        """Growth between the powers of two around the mean context."""
        if not decodes:
            return NOTHING
        key = decodes, max(1, cached // decodes).bit_length()
        if key not in self._known:
            grown = [self._growth(decodes, 1 << n) for n in (key[1] - 1, key[1]) if n]
            self._known[key] = _four(np.maximum(np.min(grown, axis=0), 0.0))
        return self._known[key]

    def _growth(self, decodes: int, context: int) -> NDArray[np.float64]:
        """Per cached token, from contexts of one token on.

        From there, so that what a sequence costs once it has any context (a recurrent state
        to read) counts as the rest.
        """
        empty, full = (amounts(self.coster.cost((), (c,) * decodes)) for c in (1, context))
        return np.subtract(full, empty) / (decodes * (context - 1))


@dataclass(frozen=True, slots=True)
class StepPrices:
    """One step's prices: per new token, and for the own parts that are charged."""

    token: Amounts
    decode: Amounts
    pair: Amounts
    read: Amounts

    def decode_share(self, cached: int) -> Amounts:
        """Share of a decoding sequence."""
        t, d = self.token, self.decode
        return (
            t[0] + d[0] * cached,
            t[1] + d[1] * cached,
            t[2] + d[2] * cached,
            t[3] + d[3] * cached,
        )

    def prefill_share(self, new: int, cached: int) -> Amounts:
        """Share of a prefill chunk."""
        t, p, r, pairs = self.token, self.pair, self.read, chunk_pairs(new, cached)
        return (
            t[0] * new + p[0] * pairs + r[0] * cached,
            t[1] * new + p[1] * pairs + r[1] * cached,
            t[2] * new + p[2] * pairs + r[2] * cached,
            t[3] * new + p[3] * pairs + r[3] * cached,
        )


def chunk_pairs(new: int, cached: int) -> int:
    """Pairs of a chunk's token and an earlier token."""
    return new * cached + new * (new - 1) // 2


def amounts(cost: StepCost) -> Amounts:
    """The four shared quantities of a step."""
    return (cost.time_s, cost.flops, cost.hbm_bytes, cost.energy_j)


def own_prices(coster: StepCoster) -> OwnPrices:
    """Prices of the parts that belong to one sequence."""
    if isinstance(coster, TableCoster):
        return TablePrices(coster.tables)
    pair, read = (_four(price[SHARED] / SHARED_SCALES) for price in chunk_prices(coster))
    return AskedPrices(coster, pair, read)


@lru_cache(maxsize=8)
def growth_prices(tables: StepTables) -> IntArray:
    """Cost per cached token over that of an empty cache: whole ps, FLOPs, bytes and nJ.

    The smaller one of both ends of a segment, so that the rest of a decode step is nowhere
    on it below what the step costs with an empty cache.

    Returns:
        Shape (D + 1, K, 4), in the order of `Amounts`.
    """
    base, slope, edge = tables.base[SHARED], tables.slope[SHARED], tables.edge
    empty = base[:, :, :1]
    left = np.where(edge > 0, (base - empty) // np.maximum(edge, 1), slope)
    after = np.full_like(edge, NEVER_TOKENS)
    after[:, :-1] = edge[:, 1:]
    ends = after < NEVER_TOKENS
    end = np.maximum(np.where(ends, after, 1), 1)
    reached = base + slope * np.where(ends, after - edge, 0)
    right = np.where(ends, (reached - empty) // end, slope)
    return np.ascontiguousarray(np.moveaxis(np.maximum(np.minimum(left, right), 0), 0, 2))


def step_prices(
    cost: StepCost,
    prefill: Sequence[PrefillChunk],
    decode_contexts: Sequence[int],
    own: OwnPrices,
) -> StepPrices:
    """Divide a step among its sequences.

    Args:
        cost: the step.
        prefill: its chunks.
        decode_contexts: cached tokens of its decoding sequences.
        own: prices of the own parts.
    """
    tokens = len(decode_contexts)
    pairs = reads = 0
    for new, cached in prefill:
        tokens += new
        pairs += chunk_pairs(new, cached)
        reads += cached
    decode_reads = sum(decode_contexts)
    decode = own.decode(len(decode_contexts), decode_reads)
    token, charged = [], []
    for index, total in enumerate(amounts(cost)):
        owned = decode[index] * decode_reads + own.pair[index] * pairs + own.read[index] * reads
        within = owned <= total * (1 + ROUNDING_FRAC)
        charged.append(float(within))
        token.append(max(0.0, total - owned if within else total) / tokens)
    return StepPrices(
        _four(token),
        _four(np.multiply(charged, decode)),
        _four(np.multiply(charged, own.pair)),
        _four(np.multiply(charged, own.read)),
    )


def _four(values: Sequence[float] | NDArray[np.float64]) -> Amounts:
    return (float(values[0]), float(values[1]), float(values[2]), float(values[3]))
