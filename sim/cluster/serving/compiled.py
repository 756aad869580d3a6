"""Replicas behind one router on the compiled engine: what goes in, what comes out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving import engine
from sim.control.serving import BatchRules, replica_limits
from sim.cost.tables import ENERGY, NJ_PER_J, TIME, StepTables
from sim.errors import UnknownNameError
from sim.units import to_s
from sim.workload.requests import RequestTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

ROUTER_CODES = {
    "round-robin": engine.ROUND_ROBIN,
    "join-shortest-queue": engine.SHORTEST,
    "power-of-two": engine.TWO,
}
FIRST_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Totals:
    """What replicas did up to an instant, chip boundary; steps under way count in part.

    Attributes:
        flops, hbm_bytes: of finished steps.
        steps: finished steps. sequences: decoding sequences in them, summed.
    """

    arrived: int
    dropped: int
    completed: int
    tokens_in: int
    tokens_out: int
    preempted: int
    recomputed_tokens: int
    steps: int
    sequences: int
    busy_s: float
    energy_j: float
    flops: float
    hbm_bytes: float


class CompiledReplicas:
    """Equal replicas behind one router, advanced by the compiled engine.

    Args:
        tables: what a step costs.
        rules: how steps are formed.
        replicas: how many, at least 1.
        router: name of the router.
        record: for how many requests to keep times; 0 keeps none.

    Raises:
        CapacityError: no request fits; InputError: the tables do not reach the rules;
            UnknownNameError: no such router.
    """

    def __init__(
        self,
        tables: StepTables,
        rules: BatchRules,
        replicas: int = 1,
        router: str = "round-robin",
        record: int = 0,
    ):
        if router not in ROUTER_CODES:
            raise UnknownNameError("router", router, ROUTER_CODES, path="router")
        limits = replica_limits(rules, tables.kv_capacity_tokens, tables.max_sequences)
        tables.check(limits.max_seqs, limits.max_tokens)
        self.tables = tables
        self.limits = limits
        numbers = [int(limits.chunked), limits.max_seqs, limits.max_tokens, limits.block_size]
        numbers += [limits.total_blocks, limits.watermark_blocks, ROUTER_CODES[router]]
        self.cell = _cell(tables, numbers, replicas, record)

    @property
    def records(self) -> IntArray:
        """Times by request, shape (n, 7): see the `R_` columns of the engine."""
        return self.cell.record

    def bring(
        self, requests: RequestTable, draws: FloatArray, until_ps: int = engine.NEVER
    ) -> None:
        """Submit all requests that arrive before an instant, in order.

        Args:
            requests: sorted by arrival, none before those of an earlier call.
            draws: two uniform numbers a request, shape (n, 2).
        """
        columns = (requests.arrival_ps, requests.input_tokens, requests.output_tokens)
        at, end = 0, len(requests)
        while at < end:
            at = engine.bring(self.cell, *columns, draws, at, end, until_ps)
            if self.cell.total[engine.FREE_ROW] >= 0:
                return
            self.cell = self.cell._replace(pool=_grown(self.cell))

    def settle(self, time_ps: int) -> None:
        """End the steps that end by an instant, begin those that begin before it."""
        engine.settle(self.cell, time_ps)

    def totals(self, time_ps: int) -> Totals:
        """Sums up to an instant that the replicas were settled to."""
        cell, total = self.cell, self.cell.total
        values = _priced(cell, self.tables)
        more_nj, more_ps = engine.under_way(cell, time_ps, *_energy_columns(self.tables))
        busy_ps = int(cell.rep[:, engine.BUSY].sum()) + more_ps
        idle_s = to_s(len(cell.due) * time_ps - busy_ps)
        sequences = np.arange(len(cell.mixed)) @ cell.steps[:, :, 0].sum(axis=1)
        return Totals(
            arrived=int(total[engine.ARRIVED]),
            dropped=int(total[engine.DROPPED]),
            completed=int(total[engine.COMPLETED]),
            tokens_in=int(total[engine.TOKENS_IN]),
            tokens_out=int(total[engine.TOKENS_OUT]),
            preempted=int(total[engine.PREEMPTED]),
            recomputed_tokens=int(total[engine.RECOMPUTED]),
            steps=int(total[engine.MIXED] + total[engine.DECODE_STEPS]),
            sequences=int(sequences),
            busy_s=to_s(busy_ps),
            energy_j=(values[ENERGY] + more_nj) / NJ_PER_J + idle_s * self.tables.idle_power_w,
            flops=values[2],
            hbm_bytes=values[3],
        )


def _priced(cell: engine.Cell, tables: StepTables) -> list[float]:
    """The six quantities of all counted steps."""
    count, over = cell.steps[:, :, 0], cell.steps[:, :, 1]
    total = cell.total
    tops = (total[engine.CHUNKS], total[engine.ALL_PAIRS], total[engine.ALL_READS])
    mixed_sequences = float(np.arange(len(cell.mixed)) @ cell.mixed)
    priced = []
    for q in range(len(tables.pair)):
        value = float((tables.base[q] * count.astype(float)).sum())
        value += float((tables.slope[q] * over.astype(float)).sum())
        value -= float(tables.base[q][:, 0] @ cell.mixed.astype(float))
        value += float(tables.token[q] @ cell.tokens.astype(float))
        value += float(tables.sequence[q]) * (float(tops[0]) + mixed_sequences)
        value += float(tables.pair[q]) * float(tops[1]) + float(tables.read[q]) * float(tops[2])
        priced.append(value)
    return priced


def _energy_columns(tables: StepTables) -> tuple[IntArray, IntArray, IntArray]:
    energy = np.stack([tables.base[ENERGY], tables.slope[ENERGY]], axis=2)
    parts = np.array([tables.sequence[ENERGY], tables.pair[ENERGY], tables.read[ENERGY]])
    return energy, np.ascontiguousarray(tables.token[ENERGY]), parts


def _cell(tables: StepTables, numbers: list[int], replicas: int, record: int) -> engine.Cell:
    def zeros(*shape: int) -> IntArray:
        return np.zeros(shape, dtype=np.int64)

    rep = zeros(replicas, engine.REP_COLUMNS)
    rep[:, [engine.HEAD, engine.TAIL, engine.NEXT_IN]] = -1
    kept = zeros(record, 7)
    kept[:, [engine.R_START, engine.R_FIRST, engine.R_END]] = -1
    price = np.stack([tables.base[TIME], tables.slope[TIME]], axis=2)
    return engine.Cell(
        rep=rep,
        due=np.full(replicas, engine.NEVER, dtype=np.int64),
        load=zeros(replicas),
        pool=_rows(0, FIRST_ROWS),
        heap=zeros(replicas, numbers[engine.MAX_SEQS]),
        phase=zeros(replicas, numbers[engine.BLOCK]),
        limits=np.array([*numbers, 0, engine.NEVER], dtype=np.int64),
        total=zeros(engine.TOTAL_COLUMNS),
        steps=zeros(*price.shape[:2], 2),
        mixed=zeros(price.shape[0]),
        tokens=zeros(tables.token.shape[1]),
        histogram=zeros(3, engine.HISTOGRAM_BUCKETS),
        sums=np.zeros(4),
        edge=tables.edge,
        price=price,
        token_ps=np.ascontiguousarray(tables.token[TIME]),
        part_ps=np.array([tables.sequence[TIME], tables.pair[TIME], tables.read[TIME]]),
        record=kept,
    )


def _rows(begin: int, count: int) -> IntArray:
    """Free rows, linked in order."""
    rows = np.zeros((count, 8), dtype=np.int64)
    rows[:, engine.NEXT] = np.arange(begin + 1, begin + count + 1)
    rows[-1, engine.NEXT] = -1
    return rows


def _grown(cell: engine.Cell) -> IntArray:
    """Twice the rows, when none is free."""
    held = len(cell.pool)
    cell.total[engine.FREE_ROW] = held
    return np.concatenate([cell.pool, _rows(held, held)])
