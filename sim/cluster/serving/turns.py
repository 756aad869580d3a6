"""The turns of a cell's sessions on the compiled engine, and what each waits for.

The engine goes forward in windows of the least think time: a turn that is answered inside
a window calls for the next one behind it, so all arrivals of a window are known when it
begins.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.kernels import layout as at
from sim.control.serving import BatchRules
from sim.errors import LawViolation
from sim.workload.counter import uniform, uniforms
from sim.workload.sessions import SessionTable

if TYPE_CHECKING:
    from sim.cluster.serving.fleet_cells import FleetCell

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Draws = Callable[[int, int], FloatArray]
"""(number of the first arrival, how many) -> two uniform numbers of each, shape (n, 2)."""


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """What became of sessions so far.

    Attributes:
        started: whose first turn came. ended: whose last turn was answered. cut_short: of
            which a turn was refused or shed. turns: that came, those shed included.
    """

    started: int
    ended: int
    cut_short: int
    turns: int


def summed_counts(each: Iterable[SessionCounts]) -> SessionCounts:
    """Counts of several cells together."""
    return SessionCounts(*map(sum, zip(*map(astuple, each), strict=True)))


class Turns:
    """Brings the turns of sessions to replicas with a log.

    Args:
        table: the sessions. draws: for the router.
        admission_key: of the coins; turn i is admitted when coin i lies below the share.
        block_tokens: of the blocks of prefix stores, 0 for none.

    Attributes:
        arrived: numbers of the turns in the order in which they came to the router.
        shed_ps: arrival times of turns that were not admitted. moved_ps: none.
        blocks: of all prompts in a line.
    """

    def __init__(
        self, table: SessionTable, draws: Draws, admission_key: int = 0, block_tokens: int = 0
    ):
        self.arrived: list[int] = []
        self.shed_ps: list[IntArray] = []
        self.moved_ps: list[IntArray] = []
        self._table, self._draws, self._key = table, draws, admission_key
        self._rows, self.blocks = session_rows(table, block_tokens)
        self._follows = np.full(len(table), -1, dtype=np.int64)
        later = np.flatnonzero(table.parent >= 0)
        self._follows[table.parent[later]] = later
        self._window_ps = int(table.think_ps[later].min(initial=at.NEVER))
        firsts = np.flatnonzero(table.parent < 0)
        self._due = [(int(table.arrival_ps[n]), int(n)) for n in firsts]
        heapq.heapify(self._due)
        self._expected = len(firsts)
        self._reached_ps = 0
        self._answered = self._refused = self._ended = self._started = 0

    @property
    def counts(self) -> SessionCounts:
        """What became of the sessions so far."""
        shed = len(self.shed_ps)
        return SessionCounts(
            self._started, self._ended, self._refused + shed, len(self.arrived) + shed
        )

    def advance(self, replicas: FleetCell, until_ps: int, admit_frac: float) -> IntArray:
        """Bring the replicas to an instant; the rows that they logged."""
        told = [replicas.take_log()]
        while self._reached_ps < until_ps:
            end_ps = min(self._reached_ps + self._window_ps, until_ps)
            if not replicas.cell.load.any():
                end_ps = max(end_ps, min(until_ps, self._due[0][0] if self._due else until_ps))
            coming = self._coming(end_ps, admit_frac)
            numbers = [number for _, number in coming]
            rows = self._rows[numbers]
            rows[:, at.A_TIME] = [time_ps for time_ps, _ in coming]
            draws = self._draws(len(self.arrived), len(numbers))
            self.arrived += numbers
            replicas.bring(rows, draws, end_ps)
            told.append(replicas.take_log())
            self._hear(told[-1])
            self._reached_ps = end_ps
        return np.concatenate(told)

    def check_laws(self, replicas: FleetCell) -> None:
        """Each turn that came is answered, refused or there; each one called for came or will.

        Raises:
            LawViolation: one is lost, or is there twice.
        """
        held = int(replicas.cell.load.sum())
        came = len(self.arrived)
        if came != self._answered + self._refused + held:
            raise LawViolation(
                f"{came} turns came, {self._answered} are answered, {self._refused} refused, "
                f"{held} at replicas"
            )
        if self._expected != came + len(self.shed_ps) + len(self._due):
            raise LawViolation(
                f"{self._expected} turns were called for, {came} came, "
                f"{len(self.shed_ps)} were shed, {len(self._due)} are to come"
            )

    def _coming(self, until_ps: int, admit_frac: float) -> list[tuple[int, int]]:
        """Time and number of the turns that arrive before an instant and are admitted."""
        coming: list[tuple[int, int]] = []
        while self._due and self._due[0][0] < until_ps:
            time_ps, number = heapq.heappop(self._due)
            self._started += bool(self._table.parent[number] < 0)
            if uniform(self._key, number) < admit_frac:
                coming.append((time_ps, number))
            else:
                self.shed_ps.append(np.array([time_ps]))
        return coming

    def _hear(self, log: IntArray) -> None:
        """What was answered calls for the next turn."""
        for arrival, end_ps, reason in log[:, (at.L_ID, at.L_END, at.L_REASON)].tolist():
            following = int(self._follows[self.arrived[arrival]])
            self._answered += reason == at.SERVED
            self._refused += reason != at.SERVED
            if reason != at.SERVED:
                continue
            self._ended += following < 0
            if following >= 0:
                self._expected += 1
                think_ps = int(self._table.think_ps[following])
                heapq.heappush(self._due, (end_ps + think_ps, following))


def session_rows(table: SessionTable, block_tokens: int) -> tuple[IntArray, IntArray]:
    """Turns as the kernels read them, their times open, and the blocks of their prompts.

    A prompt begins with that of the turn before, so all turns of a session begin at the same
    place of the line of blocks. Only whole blocks count.

    Args:
        block_tokens: of a block, 0 for none.
    """
    rows = np.zeros((len(table), at.ARRIVAL_COLUMNS), dtype=np.int64)
    rows[:, at.A_INPUT], rows[:, at.A_OUTPUT] = table.input_tokens, table.output_tokens
    rows[:, at.A_KEY] = table.session
    if table.priority is not None:
        rows[:, at.A_CLASS] = table.priority
    if not block_tokens:
        return rows, np.zeros(0, dtype=np.int64)
    first, count, total = session_blocks(table, block_tokens)
    rows[:, at.A_FIRST], rows[:, at.A_CACHED] = first, count
    return rows, np.arange(total)


def session_blocks(table: SessionTable, block_tokens: int) -> tuple[IntArray, IntArray, int]:
    """First block of each turn's prompt and how many it has, shapes (n,); blocks of all."""
    count = table.input_tokens // block_tokens
    _, which = np.unique(table.session, return_inverse=True)
    longest = np.zeros(int(which.max(initial=-1)) + 1, dtype=np.int64)
    np.maximum.at(longest, which, count)
    return (np.cumsum(longest) - longest)[which], count, int(longest.sum())


def counted_draws(key: int) -> Draws:
    """Routing draws by the number of the arrival."""

    def draws(first: int, count: int) -> FloatArray:
        numbers = np.arange(2 * first, 2 * (first + count), dtype=np.uint64)
        return uniforms(key, numbers).reshape(count, 2)

    return draws


def store_block_tokens(rules: BatchRules) -> int:
    """Tokens of the blocks of prefix stores, 0 where there are none."""
    return rules.prefix_block_tokens if rules.prefix_blocks else 0
