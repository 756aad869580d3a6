"""Sessions on both engines: a turn arrives a think time after the last answer's end.

Arrivals at one instant come in the order of their numbers. A session ends early when a turn
is refused. Cache is kept from turn to turn in prefix stores only: the whole blocks of the
prompt of the turn before, if the turn comes to the same replica; its answer is read again.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray
from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.records import DropRecord, RequestRecord, ServingEvents
from sim.cluster.serving.routing import Server
from sim.cluster.serving.turns import SessionCounts, Turns, session_rows
from sim.workload.requests import Request
from sim.workload.sessions import SessionTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class ReferenceSessions:
    """Brings the turns of sessions to reference replicas.

    Args:
        events: hooks of the replicas.
        server: who takes the requests.
        block_tokens: of the blocks of prefix stores, 0 for none.
    """

    def __init__(
        self,
        env: Environment,
        table: SessionTable,
        events: ServingEvents,
        server: Server,
        block_tokens: int = 0,
    ):
        self._rows = session_rows(table, block_tokens)[0]
        self._env = env
        self._table = table
        self._server = server
        self._next = table.next_turn
        self._due: list[tuple[int, int]] = []
        self._started = self._ended = self._refused = self._turns = 0
        events.completed.subscribe(self._answered)
        events.dropped.subscribe(self._refuse)
        for number in np.flatnonzero(table.parent < 0).tolist():
            self._expect(int(table.arrival_ps[number]), number)

    def _answered(self, record: RequestRecord) -> None:
        number = self._next.get(record.request.request_id)
        if number is not None:
            self._expect(record.end_ps + int(self._table.think_ps[number]), number)
        self._ended += number is None

    def _refuse(self, _: DropRecord) -> None:
        self._refused += 1

    def counts(self, shed: int) -> SessionCounts:
        """What became of the sessions so far.

        Args:
            shed: turns that were not admitted.
        """
        return SessionCounts(self._started, self._ended, self._refused + shed, self._turns)

    def _expect(self, time_ps: int, number: int) -> None:
        heapq.heappush(self._due, (time_ps, number))
        self._env.process(self._arrive(time_ps))

    def _arrive(self, time_ps: int) -> Generator[Event, None, None]:
        yield At(self._env, Phase.ARRIVAL, time_ps - int(self._env.now))
        _, number = heapq.heappop(self._due)
        self._turns += 1
        self._started += bool(self._table.parent[number] < 0)
        row = self._rows[number].tolist()
        lengths, first = (row[at.A_INPUT], row[at.A_OUTPUT]), row[at.A_FIRST]
        blocks = tuple(range(first, first + row[at.A_CACHED]))
        self._server.submit(
            Request(number, time_ps, *lengths, row[at.A_CLASS], row[at.A_KEY], blocks)
        )


def run_sessions(
    replicas: CompiledReplicas, table: SessionTable, draws: FloatArray, end_ps: int
) -> tuple[IntArray, IntArray]:
    """The same on the compiled engine, up to an instant.

    Args:
        replicas: with a log.
        draws: two uniform numbers a turn, in order of arrival, shape (n, 2).

    Returns:
        The numbers of the turns in the order in which they arrived, and the log, whose
        numbers count these.
    """
    block_tokens = (
        int(replicas.cell.limits[at.PREFIX_TOKENS]) if replicas.cell.store.shape[1] else 0
    )
    turns = Turns(
        table, lambda first, count: draws[first : first + count], block_tokens=block_tokens
    )
    replicas.know_blocks(turns.blocks)
    log = turns.advance(replicas, end_ps, 1.0)
    turns.check_laws(replicas)
    return np.array(turns.arrived, dtype=np.int64), log
