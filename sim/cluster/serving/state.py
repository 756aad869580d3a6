"""The arrays of the compiled engine: how they are made, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.request_cost import SHARED, growth_prices
from sim.control.routers import affinity_tokens
from sim.control.serving import BatchRules, Limits
from sim.cost.tables import ENERGY, FLOPS, HBM, NJ_PER_J, TIME, StepTables
from sim.errors import InputError
from sim.units import PS_PER_S, to_ps
from sim.workload.requests import RequestTable

IntArray = NDArray[np.int64]

ROUTER_CODES = {
    "round-robin": at.ROUND_ROBIN,
    "join-shortest-queue": at.SHORTEST,
    "power-of-two": at.CHOICE,
    "random": at.RANDOM,
    "least-kv": at.LEAST_KV,
    "session-sticky": at.STICKY,
    "prefix-affinity": at.AFFINITY,
}
MODE_CODES = {
    "chunked-prefill": at.CHUNKED,
    "prefill-priority": at.PREFILL_FIRST,
    "decode-priority": at.DECODE_FIRST,
}
FIRST_ROWS = 1024
LOG_ROWS = 65_536
"""Of the log, after which it is emptied."""
MOST_BIN_S = 3600.0
NO_SHARE = int(np.float64(np.nan).view(np.int64))
"""In the log's columns of shares, where they are not kept: the bits of NaN."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is counted beside the totals.

    Attributes:
        window_ps: completions in [start, end) are in the histograms and the window's tallies.
        bin_s: width of the power's bins, at most an hour.
        bins: how many; the last one takes what comes later.
        log: whether to keep each request's times.
        shares: whether the log tells its share of the work too, which makes the engine slower;
            else those columns are NaN.

    Raises:
        InputError: shares are asked for without a log.
    """

    window_ps: tuple[int, int] = (0, at.NEVER)
    bin_s: float = 3600.0
    bins: int = 1
    log: bool = False
    shares: bool = False

    def __post_init__(self) -> None:
        if self.shares and not self.log:
            raise InputError("shares of requests need a log")


def arrival_rows(requests: RequestTable) -> IntArray:
    """Requests as the kernels read them."""
    rows = np.zeros((len(requests), at.ARRIVAL_COLUMNS), dtype=np.int64)
    rows[:, at.A_TIME] = requests.arrival_ps
    rows[:, at.A_INPUT] = requests.input_tokens
    rows[:, at.A_OUTPUT] = requests.output_tokens
    rows[:, at.A_CLASS], rows[:, at.A_KEY] = requests.columns[3], requests.columns[4]
    return rows


def prefix_rows(rows: IntArray, blocks: list[tuple[int, ...]]) -> IntArray:
    """Tell the rows where the blocks of their prompts are; returns all blocks in a line."""
    counts = np.array([len(line) for line in blocks], dtype=np.int64)
    rows[:, at.A_CACHED] = counts
    rows[:, at.A_FIRST] = np.cumsum(counts) - counts
    return np.array([key for line in blocks for key in line], dtype=np.int64)


def limits_row(
    own: Limits, watch: Watch, rules: BatchRules, replicas: int, router: str
) -> IntArray:
    """The kernels' `limits`."""
    if not 0 < watch.bin_s <= MOST_BIN_S:
        raise InputError(f"bin_s = {watch.bin_s}, must be above 0 and at most {MOST_BIN_S:g} s")
    row = np.zeros(at.LIMITS, dtype=np.int64)
    row[at.MODE] = MODE_CODES[rules.batcher]
    row[at.MAX_SEQS], row[at.MAX_TOKENS] = own.max_seqs, own.max_tokens
    row[at.BLOCK], row[at.TOTAL] = own.block_size, own.total_blocks
    row[at.WATERMARK], row[at.ROUTER] = own.watermark_blocks, ROUTER_CODES[router]
    row[at.START_PS], row[at.END_PS] = watch.window_ps
    row[at.BIN_PS], row[at.UP] = round(watch.bin_s * PS_PER_S), replicas
    row[at.USED_CLASSES] = len(rules.classes)
    row[at.AFFINITY_LOAD] = affinity_tokens()
    row[at.PREFIX_TOKENS] = rules.prefix_block_tokens
    row[at.SWAP] = int(rules.preemption == "swap")
    row[at.SWAP_PS] = to_ps(rules.swap_s_per_block)
    row[at.SWAP_NJ] = round(rules.swap_j_per_block * NJ_PER_J)
    row[at.LOG_ROOM] = LOG_ROWS if watch.log else at.NEVER
    return row


def priced(cell: at.Cell, tables: StepTables) -> list[float]:
    """The six quantities of all counted steps."""
    count, over = cell.steps[:, :, 0], cell.steps[:, :, 1]
    total = cell.total
    mixed_sequences = float(np.arange(len(cell.mixed)) @ cell.mixed)
    priced = []
    for q in range(len(tables.pair)):
        value = float((tables.base[q] * count.astype(float)).sum())
        value += float((tables.slope[q] * over.astype(float)).sum())
        value -= float(tables.alone[q] @ cell.mixed.astype(float))
        value += float(tables.token[q] @ cell.tokens.astype(float))
        value += float(tables.sequence[q]) * (float(total[at.CHUNKS]) + mixed_sequences)
        value += float(tables.pair[q]) * float(total[at.ALL_PAIRS])
        value += float(tables.read[q]) * float(total[at.ALL_READS])
        priced.append(value)
    return priced


def summed(rows: IntArray) -> tuple[int, int]:
    """Exact sums of two columns; a hundred replicas for a day are over 2**63 nanojoules."""
    high, low = (rows >> 32).sum(axis=0), (rows & 0xFFFFFFFF).sum(axis=0)
    first, second = ((int(h) << 32) + int(n) for h, n in zip(high, low, strict=True))
    return first, second


@lru_cache(maxsize=8)
def prices(tables: StepTables) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Time and energy as the kernels read them; made once for all cells of a fleet."""
    pairs = (tables.base[TIME], tables.slope[TIME], tables.base[ENERGY], tables.slope[ENERGY])
    parts = [q[i] for i in (TIME, ENERGY) for q in (tables.sequence, tables.pair, tables.read)]
    token = np.stack([tables.token[TIME], tables.token[ENERGY]], axis=1)
    alone = np.stack([tables.alone[TIME], tables.alone[ENERGY]], axis=1)
    return np.stack(pairs, axis=2), alone, token, np.array(parts, dtype=np.int64)


@lru_cache(maxsize=8)
def worth(tables: StepTables) -> dict[str, Any]:
    """What the kernels divide steps by: arrays by their names, the same in all cells."""
    works = [FLOPS, HBM]
    pairs = [values[work] for work in works for values in (tables.base, tables.slope)]
    parts = [tables.sequence, tables.pair, tables.read]
    return {
        "worth": np.concatenate([growth_prices(tables), np.stack(pairs, axis=2)], axis=2),
        "worth_token": np.ascontiguousarray(tables.token[works].T),
        "worth_alone": np.ascontiguousarray(tables.alone[works].T),
        "worth_part": np.array([part[SHARED] for part in parts], dtype=np.int64).T.copy(),
    }


def make_cell(tables: StepTables, rules: BatchRules, limits: IntArray, watch: Watch) -> at.Cell:
    """The arrays of replicas from which nothing is asked yet."""

    def zeros(*shape: int) -> IntArray:
        return np.zeros(shape, dtype=np.int64)

    replicas = int(limits[at.UP])
    rep = zeros(replicas, at.REP_COLUMNS)
    rep[:, [at.PART, *range(at.HEAD, at.TAIL + at.CLASSES)]] = -1
    rep[:, at.BIN_END] = limits[at.BIN_PS] if watch.bins > 1 else at.NEVER
    price, alone, token, part = prices(tables)
    return at.Cell(
        rep=rep,
        due=np.full(replicas, at.NEVER, dtype=np.int64),
        load=zeros(replicas),
        up=np.arange(replicas),
        run=zeros(replicas, int(limits[at.MAX_SEQS])),
        phase=zeros(replicas, int(limits[at.BLOCK])),
        pool=free_rows(0, FIRST_ROWS),
        extra=zeros(FIRST_ROWS if watch.log else 0, at.EXTRA_COLUMNS),
        limits=limits,
        total=zeros(at.TOTALS),
        tally=zeros(at.CLASSES, at.TALLIES),
        rules=_class_bounds(rules),
        steps=zeros(*price.shape[:2], 2),
        mixed=zeros(price.shape[0]),
        tokens=zeros(len(token)),
        histogram=zeros(len(rules.classes), 3, at.HISTOGRAM_BUCKETS),
        sums=np.zeros((len(rules.classes), 3)),
        bins=zeros(watch.bins, 2),
        edge=tables.edge.astype(np.int64),
        price=price.copy(),
        alone=alone.copy(),
        token=token.copy(),
        part=part.copy(),
        store=zeros(replicas, rules.prefix_blocks, 4),
        bucket=zeros(replicas, 2 * rules.prefix_blocks + 1) - 1,
        ends=np.tile(np.array([-1, -1, 0], dtype=np.int64), (replicas, 1)),
        hashes=zeros(0),
        log=_empty_log(watch, int(limits[at.MAX_SEQS])),
        ledger=zeros(replicas if watch.shares else 0, at.SHARES, at.LEDGER_COLUMNS),
        rest=np.zeros((replicas if watch.shares else 0, 2 * at.SHARES)),
        paid=np.zeros((FIRST_ROWS if watch.shares else 0, at.SHARES)),
        **{
            name: values if watch.shares else values[:0].copy()
            for name, values in worth(tables).items()
        },
    )


def _empty_log(watch: Watch, max_seqs: int) -> IntArray:
    """Room for the log; shares that nobody writes there are no numbers."""
    rows = LOG_ROWS + max_seqs + 1 if watch.log else 0  # a turn may end all of a batch
    log = np.zeros((rows, at.LOG_COLUMNS), dtype=np.int64)
    log[:, at.L_SHARES :] = NO_SHARE
    return log


def _class_bounds(rules: BatchRules) -> IntArray:
    """The kernels' `rules`."""
    bounds = np.full((at.CLASSES, 3), at.NEVER, dtype=np.int64)
    for row, rule in zip(bounds, rules.classes, strict=False):
        if rule.max_queue_tokens is not None:
            row[at.QUEUE_TOKENS] = rule.max_queue_tokens
        if rule.slo_ttft_s is not None:
            row[at.SLO_TTFT_PS] = to_ps(rule.slo_ttft_s)
        if rule.slo_tpot_s is not None:
            row[at.SLO_TPOT_PS] = to_ps(rule.slo_tpot_s)
    return bounds


def free_rows(begin: int, count: int) -> IntArray:
    """Free rows, linked in order."""
    rows = np.zeros((count, 8), dtype=np.int64)
    rows[:, at.NEXT] = np.arange(begin + 1, begin + count + 1)
    rows[-1, at.NEXT] = -1
    return rows
