"""Sessions on both engines: a turn arrives a think time after the last answer's end.

Arrivals at one instant come in the order of their numbers. The compiled engine goes forward
in windows of the least think time: a turn that ends inside a window calls for the next one
behind it, so all arrivals of a window are known when it begins. A session ends early when
a turn is refused. Cache is not kept from turn to turn: the whole prompt is read again.
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
from sim.cluster.serving.records import RequestRecord, ServingEvents
from sim.cluster.serving.routing import Server
from sim.workload.requests import Request
from sim.workload.sessions import SessionTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


class ReferenceSessions:
    """Brings the turns of sessions to reference replicas.

    Args:
        events: hooks of the replicas.
        server: who takes the requests.
    """

    def __init__(
        self, env: Environment, table: SessionTable, events: ServingEvents, server: Server
    ):
        self._env = env
        self._table = table
        self._server = server
        self._next = table.next_turn
        self._due: list[tuple[int, int]] = []
        events.completed.subscribe(self._answered)
        for number in np.flatnonzero(table.parent < 0).tolist():
            self._expect(int(table.arrival_ps[number]), number)

    def _answered(self, record: RequestRecord) -> None:
        number = self._next.get(record.request.request_id)
        if number is not None:
            self._expect(record.end_ps + int(self._table.think_ps[number]), number)

    def _expect(self, time_ps: int, number: int) -> None:
        heapq.heappush(self._due, (time_ps, number))
        self._env.process(self._arrive(time_ps))

    def _arrive(self, time_ps: int) -> Generator[Event, None, None]:
        yield At(self._env, Phase.ARRIVAL, time_ps - int(self._env.now))
        _, number = heapq.heappop(self._due)
        table = self._table
        lengths = int(table.input_tokens[number]), int(table.output_tokens[number])
        session = int(table.session[number])
        self._server.submit(Request(number, time_ps, *lengths, session=session))


def run_sessions(
    replicas: CompiledReplicas, table: SessionTable, draws: FloatArray, end_ps: int
) -> IntArray:
    """The same on the compiled engine, up to an instant.

    Args:
        replicas: with a log.
        draws: two uniform numbers a turn, in order of arrival, shape (n, 2).

    Returns:
        The numbers of the turns in the order in which they arrived: the log's numbers
        count these.
    """
    follows = table.next_turn
    window_ps = int(table.think_ps[table.parent >= 0].min(initial=end_ps))
    firsts = np.flatnonzero(table.parent < 0)
    due = [(int(table.arrival_ps[n]), int(n)) for n in firsts]
    heapq.heapify(due)
    arrived: list[int] = []
    reached_ps = seen = 0
    while reached_ps < end_ps:
        reached_ps = min(reached_ps + window_ps, end_ps)
        numbers: list[tuple[int, int]] = []
        while due and due[0][0] < reached_ps:
            numbers.append(heapq.heappop(due))
        places = slice(len(arrived), len(arrived) + len(numbers))
        replicas.bring(_rows(table, numbers), draws[places], reached_ps)
        arrived += [number for _, number in numbers]
        log = replicas.log()
        for row in log[seen:, (at.L_ID, at.L_END, at.L_REASON)].tolist():
            following = follows.get(arrived[row[0]])
            if row[2] == at.SERVED and following is not None:
                heapq.heappush(due, (row[1] + int(table.think_ps[following]), following))
        seen = len(log)
        if not due and not replicas.cell.load.any():
            replicas.settle(end_ps)
            break
    return np.array(arrived, dtype=np.int64)


def _rows(table: SessionTable, numbers: list[tuple[int, int]]) -> IntArray:
    """Turns as the kernels read them."""
    rows = np.zeros((len(numbers), at.ARRIVAL_COLUMNS), dtype=np.int64)
    if numbers:
        times, which = (np.array(column) for column in zip(*numbers, strict=True))
        rows[:, at.A_TIME] = times
        rows[:, at.A_INPUT], rows[:, at.A_OUTPUT] = (
            table.input_tokens[which],
            table.output_tokens[which],
        )
        rows[:, at.A_KEY] = table.session[which]
    return rows
