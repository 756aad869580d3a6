"""Replicas behind one router on the compiled engine: what goes in, what comes out.

The kernels are told by `kernels.layout`. They give each request the times of the reference
replica, to the picosecond. Between two events at a replica (an arrival that may enter, a
completion, a segment's edge of the step cost, the cache running full) the batch is the same
d sequences, and step j of a jump lasts T1 + (j - 1) CD. So k steps end
k T1 + CD k (k - 1) / 2 after the first began, and the steps until an instant are the root
of a quadratic, corrected to the exact integer. Chunks of one long prompt that fill their
steps jump likewise. A jump of decodes is cut when a request comes that may enter.

Replicas are advanced only when somebody looks at them (a router, a control tick): steps
that end at or before an instant are ended, then requests arrive, then steps begin.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import add

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.availability import Availability
from sim.cluster.serving.cell_log import CellLog
from sim.cluster.serving.histograms import histogram_quantile_s
from sim.cluster.serving.jit import is_stored
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.kernels.bring import bring
from sim.cluster.serving.kernels.power import cut, flush
from sim.cluster.serving.state import (
    ROUTER_CODES,
    Watch,
    arrival_rows,
    free_rows,
    limits_row,
    make_cell,
    prefix_rows,
    priced,
    prices,
    summed,
    worth,
)
from sim.control.serving import BatchRules, replica_limits
from sim.cost.tables import ENERGY, FLOPS, HBM, NJ_PER_J, StepTables
from sim.errors import InputError, LawViolation, UnknownNameError
from sim.units import to_s
from sim.workload.requests import RequestTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Totals:
    """What replicas did up to an instant, chip boundary; steps under way count in part.

    Attributes:
        flops, hbm_bytes: of finished steps.
        prefix_tokens: prompt tokens that came with a request or from a prefix store.
        steps: finished steps. sequences: decoding sequences in them, summed.
        turns: jumps that the engine made for them.
    """

    arrived: int
    dropped: int
    shed: int
    completed: int
    tokens_in: int
    tokens_out: int
    preempted: int
    recomputed_tokens: int
    swapped_blocks: int
    prefix_tokens: int
    steps: int
    sequences: int
    turns: int
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
        watch: what is counted beside the totals.

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
        watch: Watch | None = None,
    ):
        if router not in ROUTER_CODES:
            raise UnknownNameError("router", router, ROUTER_CODES, path="router")
        limits = replica_limits(rules, tables.kv_capacity_tokens, tables.max_sequences)
        tables.check(limits.max_seqs, limits.max_tokens)
        self.tables = tables
        self.limits = limits
        self.watch = watch or Watch()
        self.cell = make_cell(
            tables, rules, limits_row(limits, self.watch, rules, replicas, router), self.watch
        )
        self._log = CellLog()
        self._taken = (0, 0)
        self._recosted = False
        self._availability = Availability()

    def bring(
        self,
        requests: RequestTable | IntArray,
        draws: FloatArray,
        until_ps: int = at.NEVER,
        begin: int = 0,
    ) -> int:
        """Submit the requests that arrive before an instant, in order; advance to it.

        Args:
            requests: sorted by arrival, none before those of an earlier call; a table, or
                the columns `A_` of the kernels.
            draws: two uniform numbers a request, shape (n, 2).
            until_ps: where to stop; without it, replicas stay where the last look left them.
            begin: the first request to submit.

        Returns:
            The first request not submitted.
        """
        rows = requests if isinstance(requests, np.ndarray) else self._rows(requests)
        done = self.submit(rows, draws, until_ps, begin)
        if until_ps < at.NEVER:
            self.settle(until_ps)
        return done

    def _rows(self, requests: RequestTable) -> IntArray:
        """Requests as the kernels read them."""
        rows = arrival_rows(requests)
        if self.cell.store.shape[1]:
            self.know_blocks(prefix_rows(rows, requests.blocks or [()] * len(rows)))
        return rows

    def know_blocks(self, blocks: IntArray) -> None:
        """Take the blocks of the prompts to come, in a line, for the prefix stores."""
        self.cell = self.cell._replace(hashes=blocks)

    def prefix_tokens(self) -> tuple[int, int]:
        """Prompt tokens that came from prefix stores, and all of the requests taken so far."""
        cell = self.cell
        held = [self.queue(int(r)) for r in np.flatnonzero(cell.load)]
        read = sum(int(cell.pool[rows, at.INPUT].sum()) for rows in held)
        return int(cell.total[at.GIVEN]), int(cell.tally[:, at.TOKENS_IN].sum()) + read

    def submit(
        self, rows: IntArray, draws: FloatArray, until_ps: int = at.NEVER, begin: int = 0
    ) -> int:
        """Like `bring`, of rows as the kernels read them, without settling at the end."""
        done = begin
        while done < len(rows):
            done = bring(self.cell, rows, draws, done, len(rows), until_ps)
            if not self._log.drain_full(self.cell) and done < len(rows):
                if rows[done, at.A_TIME] >= until_ps:
                    break
                self._make_room()
        return done

    def settle(self, time_ps: int) -> None:
        """End the steps that end by an instant, begin those that begin before it."""
        bring(self.cell, NO_ARRIVALS, NO_DRAWS, 0, 0, time_ps)
        while self._log.drain_full(self.cell):
            bring(self.cell, NO_ARRIVALS, NO_DRAWS, 0, 0, time_ps)

    def set_costs(self, tables: StepTables, time_ps: int) -> None:
        """Change what a step costs from an instant on that was settled to (a cap, a clock).

        Raises:
            InputError: the new tables do different work, not only slower or faster.
        """
        own, new = self.tables, tables
        if own.base.shape != new.base.shape or not np.array_equal(own.edge, new.edge):
            raise InputError("step tables of a changed clock have other segments")
        cut(self.cell, time_ps)
        self._recosted = True
        self.tables = tables
        kept = (self.cell.price, self.cell.alone, self.cell.token, self.cell.part)
        for array, new_prices in zip(kept, prices(tables), strict=True):
            array[:] = new_prices
        if self.watch.shares:
            self.cell = self.cell._replace(**worth(tables))

    def fail(self, r: int, time_ps: int) -> None:
        """A replica breaks at an instant that was settled to (rule 14)."""
        self._availability.fail(self.cell, r, self.queue(r), time_ps)

    def drain(self, r: int, time_ps: int) -> None:
        """A replica takes no more requests, and goes dark when it has none."""
        self._availability.drain(self.cell, r, time_ps)

    def join(self, r: int, time_ps: int) -> None:
        """A replica is on and takes requests again."""
        self._availability.join(self.cell, r, time_ps, self.queue)

    @property
    def requeued(self) -> int:
        """How often a request was routed again, because its replica broke."""
        return self._availability.requeued

    def load(self, r: int, time_ps: int) -> None:
        """A replica that was drained reads its model."""
        self._availability.load(self.cell, r, time_ps)

    def dark(self, time_ps: int) -> tuple[int, float]:
        """Time (ps) without a model up to an instant settled to, and energy (J), of all."""
        off_ps, loading_ps = self._availability.dark_ps(self.cell, time_ps)
        return off_ps + loading_ps, self.tables.dark_j(off_ps, loading_ps)

    def log(self) -> IntArray:
        """Completed and refused requests so far, columns `L_` of the kernels."""
        return self._log.read(self.cell)

    def take_log(self) -> IntArray:
        """The rows of the log since they were last taken; they are not kept."""
        return self._log.take(self.cell)

    def share_log(self, other: CompiledReplicas) -> None:
        """Log into the same array as another cell, if each is emptied before the next goes on."""
        self.cell = self.cell._replace(log=other.cell.log)

    def energy_bins(self, time_ps: int) -> IntArray:
        """Energy (nJ) of steps and busy time (ps) by bin up to an instant settled to."""
        flush(self.cell, time_ps)
        return self.cell.bins

    def totals(self, time_ps: int) -> Totals:
        """Sums up to an instant that the replicas were settled to."""
        cell, total = self.cell, self.cell.total
        energy_nj, busy_ps = map(add, summed(self.energy_bins(time_ps)), self._taken)
        dark_ps, dark_j = self.dark(time_ps)
        idle_s = to_s(len(cell.due) * time_ps - busy_ps - dark_ps)
        tally = cell.tally.sum(axis=0)
        by_size = cell.steps[:, :, 0].sum(axis=1)
        values = self._work()
        return Totals(
            arrived=int(tally[at.ARRIVED]),
            dropped=int(tally[at.DROPPED]),
            shed=int(tally[at.SHED]),
            completed=int(tally[at.COMPLETED]),
            tokens_in=int(tally[at.TOKENS_IN]),
            tokens_out=int(tally[at.TOKENS_OUT]),
            preempted=int(total[at.PREEMPTED]),
            recomputed_tokens=int(total[at.RECOMPUTED]),
            swapped_blocks=int(total[at.SWAPPED]),
            prefix_tokens=int(total[at.GIVEN]),
            steps=int(by_size.sum() + cell.mixed[0]),
            sequences=int(np.arange(len(by_size)) @ by_size),
            turns=int(total[at.TURNS]),
            busy_s=to_s(busy_ps),
            energy_j=energy_nj / NJ_PER_J + idle_s * self.tables.idle_power_w + dark_j,
            flops=values[FLOPS],
            hbm_bytes=values[HBM],
        )

    def check_laws(self, time_ps: int) -> None:
        """Conservation and Little's law up to an instant that was settled to.

        Requests: arrived = completed + refused + in the system. Little: the number in the
        system over time is the sum of the times spent there, to the picosecond (modulo
        2**64). Energy: what was put into bins turn by turn is the price of the counted
        steps and of those under way.

        Raises:
            LawViolation: one of them fails.
        """
        cell, tally = self.cell, self.cell.tally.sum(axis=0)
        left, held = int(tally[at.ARRIVED]), int(cell.load.sum())
        gone = int(tally[at.COMPLETED] + tally[at.DROPPED] + tally[at.SHED])
        if left != gone + held:
            raise LawViolation(f"{left} requests arrived, {gone} are done with, {held} are held")
        number = cell.rep[:, at.AREA] + cell.load * (time_ps - cell.rep[:, at.CHANGED])
        stays = int(cell.total[at.STAYED]) + sum(time_ps - t for t in self.held_since_ps())
        if (int(number.sum()) - stays) % 2**64:
            raise LawViolation(f"{int(number.sum())} request-ps in the system, stays are {stays}")
        self._check_energy(time_ps)

    def held_since_ps(self) -> list[int]:
        """Arrival times of the requests in the system."""
        rows = [self.queue(int(r)) for r in np.flatnonzero(self.cell.load)]
        return [int(t) for part in rows for t in self.cell.pool[part, at.ARRIVAL]]

    def queue(self, r: int) -> IntArray:
        """Rows of the requests at a replica: running by admission, then waiting by class."""
        cell, rep = self.cell, self.cell.rep[r]
        running = [int(key) & at.KEY_MASK for key in cell.run[r, : rep[at.D]]]
        under_way = rep[at.PHASE] == at.STEP and rep[at.COUNT]
        row = int(rep[at.FIRST] if under_way else rep[at.PART])
        for _ in range(int(rep[at.COUNT]) if under_way else int(row >= 0)):
            running.append(row)
            row = int(cell.pool[row, at.NEXT])
        running.sort(key=lambda row: int(cell.pool[row, at.ORDER]))
        for kind in range(at.CLASSES):
            row = int(rep[at.HEAD + kind])
            while row >= 0:
                running.append(row)
                row = int(cell.pool[row, at.NEXT])
        return np.array(running, dtype=np.int64)

    def _check_energy(self, time_ps: int) -> None:
        """Not after a change of costs: the counts do not tell which steps came before it."""
        if self._recosted:
            return
        cell = self.cell
        used = summed(self.energy_bins(time_ps))[0] + self._taken[0]
        stepping = cell.rep[cell.rep[:, at.PHASE] == at.STEP]
        under_way, moving = summed(stepping[:, [at.DONE, at.MOVED]])
        swapped = (int(cell.total[at.SWAPPED]) - moving) * int(cell.limits[at.SWAP_NJ])
        priced = self._work()[ENERGY] + under_way + swapped + self._availability.lost_nj
        if not math.isclose(used, priced, rel_tol=1e-9, abs_tol=100.0):
            raise LawViolation(f"{used} nJ in bins, but the counted steps cost {priced:.0f} nJ")

    def take_energy(self, time_ps: int) -> tuple[int, int]:
        """Energy (nJ) and busy time (ps) of steps since it was last taken."""
        bins = self.energy_bins(time_ps)
        energy_nj, busy_ps = summed(bins)
        bins[:] = 0
        self._taken = (self._taken[0] + energy_nj, self._taken[1] + busy_ps)
        return energy_nj, busy_ps

    def quantile_s(self, which: int, level: float) -> float | None:
        """A quantile of TTFT (0), TPOT (1) or E2E (2) in the window, within 0.4 %."""
        return histogram_quantile_s(self.cell.histogram[:, which].sum(axis=0), level)

    def _work(self) -> list[float]:
        """The six quantities of all finished steps, from their counts."""
        return priced(self.cell, self.tables)

    def _make_room(self) -> None:
        """Twice the rows for requests, when none is free."""
        cell = self.cell
        if cell.limits[at.UP] == 0:
            raise InputError("no replica is up to take a request")
        held = len(cell.pool)
        if 2 * held > at.KEY_MASK:
            raise InputError(f"{held} requests in one cell, more than the engine can number")
        cell.total[at.FREE_ROW] = held
        extra = np.concatenate([cell.extra, np.zeros_like(cell.extra)])
        paid = np.concatenate([cell.paid, np.zeros_like(cell.paid)])
        rows = np.concatenate([cell.pool, free_rows(held, held)])
        self.cell = cell._replace(pool=rows, extra=extra, paid=paid)


COMPILING = "compiling the serving engine, once: about half a minute of processor time"


def announce(tell: Callable[[str], None]) -> None:
    """Say that the kernels will be compiled, if they are not stored."""
    if not is_stored(bring):
        tell(COMPILING)


def warm_up(tell: Callable[[str], None] | None = None) -> float:
    """Compile the kernels, or load them from the store; returns the seconds it took.

    A fleet of parallel processes calls it once before they start, so that one compiles and
    the others load.

    Args:
        tell: called with a line of progress before compiling.
    """
    if tell:
        announce(tell)
    began_s = time.perf_counter()
    one, two = np.ones((6, 2, 1), dtype=np.int64), np.ones((6, 2), dtype=np.int64)
    flat, edge = np.ones(6, dtype=np.int64), np.zeros((2, 1), dtype=np.int64)
    tables = StepTables(edge, one, one, two, two, flat, flat, flat, 1, 0.0, 64, 1, 0.0, 0.0)
    replicas = CompiledReplicas(tables, BatchRules(max_num_seqs=1, max_num_batched_tokens=1))
    replicas.bring(arrival_rows(RequestTable(*(np.ones(1, dtype=np.int64),) * 3)), np.zeros((1, 2)))
    replicas.set_costs(tables, 1)
    replicas.totals(1)
    return time.perf_counter() - began_s


NO_ARRIVALS = np.zeros((0, at.ARRIVAL_COLUMNS), dtype=np.int64)
NO_DRAWS = np.zeros((0, 2))
