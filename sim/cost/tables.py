"""The cost of a step as tables of whole numbers: what a fast engine reads.

A step has d decoding sequences with S cached tokens in all, and q chunks of prompts: chunk
i brings n_i new tokens onto c_i cached ones. P = sum n_i. With `k` the segment of the cached
tokens (the last with `edge[d, k] <= S`):

    decode(d, S) = base[d, k] + slope[d, k] (S - edge[d, k])
    without chunks:  cost = decode(d, S)
    with chunks:     cost = token[d + P] + (d + q) sequence + decode(d, S) - alone[d]
                            + pair sum(n_i c_i + n_i (n_i - 1) / 2) + read sum(c_i)

`alone[d]` is what a step of d sequences costs without attention over the cache: with chunks,
the linear layers read their weights once for both, and attention runs one kernel for each.

Times are whole picoseconds and energies whole nanojoules, so sums are exact in any order
and two engines that read the same table agree to the last picosecond and joule. All
quantities are linear in what is counted: an engine may count steps per (d, k) and price
them later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.coster import StepCoster
from sim.cost.segments import segments
from sim.cost.step import StepCost
from sim.cost.uniform import Points, UniformCoster
from sim.errors import InputError
from sim.units import PS_PER_S

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

QUANTITIES: Final = ("time_ps", "energy_nj", "flops", "hbm_bytes", "weight_bytes", "link_bytes")
TIME, ENERGY, FLOPS, HBM, WEIGHTS, LINKS = range(6)
NJ_PER_J: Final = 1e9
CONTEXTS_TOKENS: Final = (1, *(round(64 * 2 ** (n / 4)) for n in range(41)))
"""Contexts at which a coster is asked; segments begin at some of them."""
PROBE_CONTEXT_TOKENS: Final = 1024
PROBE_MIXED_TOKENS: Final = (64, 256)
PROBE_FAR_TOKENS: Final = 8193
PROBE_CHUNKS_TOKENS: Final = (32, 512)
SCALES: Final = np.array([PS_PER_S, NJ_PER_J, 1.0, 1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class StepTables:
    """Tables of a replica's step cost; all values are whole numbers (kept as int64).

    Attributes:
        edge: cached tokens where segments begin, shape (D + 1, K), edge[:, 0] = 0.
        base: shape (6, D + 1, K); the first axis is `QUANTITIES`.
        slope: per cached token, shape (6, D + 1, K).
        alone: of decoding without attention, taken off with chunks, shape (6, D + 1).
        token: shape (6, T + 1), by new tokens in a step with chunks.
        sequence, pair, read: shape (6,).
        gpus, idle_power_w, kv_capacity_tokens, max_sequences: of the replica.
        unloaded_power_w, loading_power_w: of the replica that is off, or reads its model.
    """

    edge: IntArray
    base: IntArray
    slope: IntArray
    alone: IntArray
    token: IntArray
    sequence: IntArray
    pair: IntArray
    read: IntArray
    gpus: int
    idle_power_w: float
    kv_capacity_tokens: int
    max_sequences: int
    unloaded_power_w: float
    loading_power_w: float

    def dark_j(self, off_ps: int, loading_ps: int) -> float:
        """Energy of a replica without a model, and while it is loaded."""
        off_j = off_ps / PS_PER_S * self.unloaded_power_w
        return off_j + loading_ps / PS_PER_S * self.loading_power_w

    @property
    def max_tokens(self) -> int:
        """Most new tokens of a step with chunks."""
        return int(self.token.shape[1]) - 1

    def decode_steps(self, decodes: IntArray, cached: IntArray) -> IntArray:
        """All quantities of many decode steps at once, shape (6, n).

        Args:
            decodes: sequences of each step. cached: their cached tokens in all, shape (n,).
        """
        segment = (self.edge[decodes, 1:] <= cached[:, None]).sum(axis=1)
        over = cached - self.edge[decodes, segment]
        return np.asarray(self.base[:, decodes, segment] + self.slope[:, decodes, segment] * over)

    def check(self, max_seqs: int, max_tokens: int) -> None:
        """Whether the tables reach these limits.

        Raises:
            InputError: they do not.
        """
        have = (self.base.shape[1] - 1, self.max_tokens)
        if max_seqs > have[0] or max_tokens > have[1]:
            raise InputError(
                f"step tables reach {have[0]} sequences and {have[1]} tokens, "
                f"the rules allow {max_seqs} and {max_tokens}",
                "build the tables with the limits of the rules",
            )

    def step(self, prefill: Sequence[tuple[int, int]], decode_contexts: Sequence[int]) -> IntArray:
        """All quantities of one step, shape (6,)."""
        decodes, cached = len(decode_contexts), sum(decode_contexts)
        segment = int(np.searchsorted(self.edge[decodes], cached, side="right")) - 1
        over = cached - int(self.edge[decodes, segment])
        decode = self.base[:, decodes, segment] + self.slope[:, decodes, segment] * over
        if not prefill:
            return np.asarray(decode)
        tokens = decodes + sum(new for new, _ in prefill)
        pairs = sum(new * old + new * (new - 1) // 2 for new, old in prefill)
        reads = sum(old for _, old in prefill)
        return np.asarray(
            self.token[:, tokens]
            + self.sequence * (decodes + len(prefill))
            + decode
            - self.alone[:, decodes]
            + self.pair * pairs
            + self.read * reads
        )


class TableCoster:
    """A `StepCoster` that reads the tables, so that any engine can be held to them."""

    def __init__(self, tables: StepTables):
        self.tables = tables
        self.gpus = tables.gpus
        self.idle_power_w = tables.idle_power_w
        self.unloaded_power_w = tables.unloaded_power_w
        self.loading_power_w = tables.loading_power_w
        self.kv_capacity_tokens = tables.kv_capacity_tokens
        self.max_sequences = tables.max_sequences

    def cost(self, prefill: Sequence[tuple[int, int]], decode_contexts: Sequence[int]) -> StepCost:
        """Cost of one step, as the tables say."""
        values = self.tables.step(prefill, decode_contexts) / SCALES
        time_s, energy_j, flops, hbm, weights, links = values.tolist()
        return StepCost(time_s, energy_j, flops, hbm, weights, links, "table")


def build_tables(
    coster: StepCoster, max_seqs: int, max_tokens: int, like: StepTables | None = None
) -> StepTables:
    """Sample a coster into tables.

    Between the sampled numbers of sequences and tokens the tables are linear. A mixed step is
    the sum of its parts: within 0.3 % of the coster below the power limit, within 5 % at it,
    where the clock follows all parts together (long chunks; a test holds both bounds). Chunked
    attention (Llama 4) falls back at each chunk's end, which the sampled contexts do not resolve:
    up to 6 % in time and 8 % in energy too low before one.

    Args:
        coster: any step coster.
        max_seqs: most decoding sequences.
        max_tokens: most new tokens of a step.
        like: tables of the same work at another clock, whose segments are kept, so that an
            engine can change from one to the other in the middle of a run.

    Raises:
        InputError: a limit below one.
    """
    if max_seqs < 1 or max_tokens < 1:
        raise InputError(f"step tables of {max_seqs} sequences and {max_tokens} tokens")
    contexts, grid = np.array(CONTEXTS_TOKENS), _grid(max_seqs)
    counts, places = np.repeat(grid, len(contexts)), np.tile(contexts, len(grid))
    none = np.zeros_like(counts)
    sampled = _asked(coster, Points(counts, places, none, none, none))
    sampled = sampled.reshape(len(grid), len(contexts), len(QUANTITIES))
    values = _fill(np.moveaxis(sampled, 2, 0), grid, max_seqs)
    edge, base, slope = segments(values, contexts, None if like is None else like.edge)
    pair, read = chunk_prices(coster)
    sequence = _sequence_price(coster, pair)
    alone = _alone(coster, grid, max_tokens, pair, sequence)
    token = _token_table(coster, max_tokens, pair, sequence)
    return StepTables(
        edge=edge,
        base=base,
        slope=slope,
        alone=_whole(_fill(alone[:, :, None], grid, max_seqs)[:, :, 0]),
        token=token,
        sequence=_whole(sequence),
        pair=_whole(pair),
        read=_whole(read),
        gpus=coster.gpus,
        idle_power_w=coster.idle_power_w,
        kv_capacity_tokens=coster.kv_capacity_tokens,
        max_sequences=coster.max_sequences,
        unloaded_power_w=coster.unloaded_power_w,
        loading_power_w=coster.loading_power_w,
    )


def _asked(coster: StepCoster, points: Points) -> FloatArray:
    """Scaled quantities of steps, shape (n, 6): at once where the coster can, else each."""
    if isinstance(coster, UniformCoster):
        return np.asarray(coster.uniform_costs(points) * SCALES)
    return np.array([_amounts(coster.cost(*batch)) for batch in points.batches()])


def _prompts(*chunks: tuple[int, int, int]) -> Points:
    """Steps of (chunks, new tokens, cached tokens) without decoding."""
    count, new, cached = np.array(chunks).T
    return Points(0 * count, 0 * count, count, new, cached)


def _amounts(cost: StepCost) -> FloatArray:
    parts = (cost.time_s, cost.energy_j, cost.flops)
    rest = (cost.hbm_bytes, cost.weight_bytes, cost.link_bytes)
    return np.asarray(np.array([*parts, *rest]) * SCALES)


def _whole(values: FloatArray) -> IntArray:
    return np.asarray(np.rint(values), dtype=np.int64)


def _grid(most: int) -> IntArray:
    """Small numbers all, then steps of about a 32nd, and the largest."""
    grid = list(range(1, min(most, 64) + 1))
    while grid[-1] < most:
        grid.append(min(most, grid[-1] + max(1, grid[-1] // 32)))
    return np.array(grid)


def _fill(sampled: FloatArray, grid: IntArray, most: int) -> FloatArray:
    """From the sampled numbers of sequences to all of 0..most; row 0 is zero."""
    filled = np.zeros((sampled.shape[0], most + 1, sampled.shape[2]))
    for quantity in range(sampled.shape[0]):
        for column in range(sampled.shape[2]):
            filled[quantity, 1:, column] = np.interp(
                np.arange(1, most + 1), grid, sampled[quantity, :, column]
            )
    return filled


def chunk_prices(coster: StepCoster) -> tuple[FloatArray, FloatArray]:
    """Price of a pair of tokens and of a cached token read, from two chunks' slopes."""
    small, large = PROBE_CHUNKS_TOKENS

    def slope(new: int) -> FloatArray:
        near, far = _asked(coster, _prompts((1, new, 1), (1, new, PROBE_FAR_TOKENS)))
        return np.asarray((far - near) / (PROBE_FAR_TOKENS - 1))

    low, high = slope(small), slope(large)
    pair = np.maximum(_whole((high - low) / (large - small)), 0).astype(float)
    read = np.maximum(_whole(low - small * pair), 0).astype(float)
    return pair, read


def _sequence_price(coster: StepCoster, pair: FloatArray) -> FloatArray:
    """What one more sequence costs at the same number of tokens (sampling, logits)."""
    parts, each = 8, 64
    many, one = _asked(coster, _prompts((parts, each, 0), (1, each * parts, 0)))
    more = _pairs(each * parts) - parts * _pairs(each)
    return np.maximum(_whole((many - one + more * pair) / (parts - 1)), 0).astype(float)


def _alone(
    coster: StepCoster, grid: IntArray, max_tokens: int, pair: FloatArray, sequence: FloatArray
) -> FloatArray:
    """What decoding without attention costs, shape (6, n), so that mixed steps come out right.

    The mean over steps with small and large chunks; below the power limit all give the same.
    """
    none, one = np.zeros_like(grid), np.ones_like(grid)
    context = np.full_like(grid, PROBE_CONTEXT_TOKENS)
    decoding = _asked(coster, Points(grid, context, none, none, none))
    found = []
    for new in sorted({min(size, max_tokens) for size in PROBE_MIXED_TOKENS}):
        mixed = _asked(coster, Points(grid, context, one, new * one, none))
        whole = _asked(coster, Points(none, none, one, grid + new, none))
        pairs = np.array([_pairs(new) - _pairs(int(n) + new) for n in grid])
        found.append(whole + np.outer(pairs, pair) + np.outer(grid, sequence) + decoding - mixed)
    return np.asarray(np.mean(found, axis=0).T)


def _token_table(
    coster: StepCoster, max_tokens: int, pair: FloatArray, sequence: FloatArray
) -> IntArray:
    grid = _grid(max_tokens)
    sampled = (
        _asked(coster, _prompts(*((1, int(n), 0) for n in grid)))
        - sequence
        - np.outer([_pairs(int(n)) for n in grid], pair)
    )
    table = np.zeros((len(QUANTITIES), max_tokens + 1), dtype=np.int64)
    for quantity in range(len(QUANTITIES)):
        table[quantity, 1:] = _whole(
            np.interp(np.arange(1, max_tokens + 1), grid, sampled[:, quantity])
        )
    table[:2, 1:] = np.maximum(table[:2, 1:], 1)
    return np.maximum(table, 0)


def _pairs(new: int) -> int:
    return new * (new - 1) // 2
