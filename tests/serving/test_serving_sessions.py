"""Sessions of several turns: both engines tell the same; a case by hand; drawn sessions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, rules
from test_serving_engine import bent
from test_serving_properties import batch_rules

from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.observe import RequestLog
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import RoutedReplicas
from sim.cluster.serving.sessions import ReferenceSessions, run_sessions
from sim.cluster.serving.state import Watch
from sim.cluster.serving.turns import Turns, counted_draws, store_block_tokens
from sim.control.serving import ROUTERS, BatchRules
from sim.cost.tables import StepTables, TableCoster
from sim.errors import InputError, LawViolation
from sim.randomness import stream
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import ConstantLengths
from sim.workload.sessions import SessionShape, SessionTable, draw_sessions

Told = list[tuple[int, ...]]


def turns(*rows: tuple[int, int, int, int, int, int]) -> SessionTable:
    """Rows of (arrival, input, output, parent, think, session)."""
    return SessionTable(*np.array(rows, dtype=np.int64).T)


@st.composite
def sessions(draw: st.DrawFn) -> SessionTable:
    rows, time_ps = [], 0
    for session in range(draw(st.integers(1, 6))):
        time_ps += draw(st.integers(0, 6)) * MS
        for turn in range(draw(st.integers(1, 4))):
            tokens = draw(st.integers(1, 40)), draw(st.integers(1, 12))
            think = draw(st.integers(1, 9)) * MS if turn else 0
            parent = len(rows) - 1 if turn else -1
            rows.append((0 if turn else time_ps, *tokens, parent, think, session))
    return turns(*rows)


def slowly(table: SessionTable, tables: StepTables, how: BatchRules, route: str) -> Told:
    env, events = simpy.Environment(), ServingEvents()
    log = RequestLog(events)
    built = [ReferenceReplica(env, f"r{i}", i, TableCoster(tables), how, events) for i in range(2)]
    routed = RoutedReplicas(built, ROUTERS[route], stream(7, "router"))
    ReferenceSessions(env, table, events, routed, store_block_tokens(how))
    env.run()
    return sorted(
        (r.request.request_id, r.replica, r.request.arrival_ps, r.first_token_ps, r.end_ps)
        for r in log.completed
    )


def fast(table: SessionTable, tables: StepTables, how: BatchRules, route: str) -> Told:
    replicas = CompiledReplicas(tables, how, 2, route, Watch(log=True))
    draws = stream(7, "router").random((len(table), 2))
    arrived, log = run_sessions(replicas, table, draws, 50_000 * MS)
    replicas.check_laws(50_000 * MS)
    log = log[log[:, at.L_REASON] == at.SERVED]
    columns = [at.L_ID, at.L_REPLICA, at.L_ARRIVAL, at.L_FIRST, at.L_END]
    return sorted((int(arrived[row[0]]), *row[1:]) for row in log[:, columns].tolist())


@settings(max_examples=60, deadline=None)
@given(
    sessions(),
    batch_rules(),
    st.integers(48, 300),
    st.sampled_from(sorted(ROUTERS)),
    st.booleans(),
    st.sampled_from([0, 3, 40]),
)
def test_both_engines_tell_the_same(
    table: SessionTable, how: BatchRules, cache: int, route: str, ticks: bool, store: int
) -> None:
    if store:
        how = replace(how, preemption="recompute", prefix_blocks=store, prefix_block_tokens=5)
    args = (table, bent(cache, ticks=ticks), how, route)
    assert fast(*args) == slowly(*args)


def test_a_session_by_hand() -> None:
    """A token a millisecond: 3 ms for the first turn, 5 ms of thinking, 2 ms for the next."""
    table = turns((MS, 10, 3, -1, 0, 1), (0, 20, 2, 0, 5 * MS, 1))
    told = fast(table, bent(400, ticks=True), rules(max_num_batched_tokens=512), "session-sticky")
    assert told == [(0, 1, MS, 2 * MS, 4 * MS), (1, 1, 9 * MS, 10 * MS, 11 * MS)]


def test_a_refused_turn_ends_its_session() -> None:
    table = turns((0, 500, 3, -1, 0, 1), (0, 20, 2, 0, 5 * MS, 1))
    how = rules(max_num_batched_tokens=512)
    assert fast(table, bent(400, ticks=True), how, "random") == []


def test_drawn_sessions_have_their_means() -> None:
    shape, lengths = SessionShape(3.0, 20.0), ConstantLengths(10, 4)
    table = draw_sessions(PoissonArrivals(50.0), lengths, shape, 100.0, 1, "x")
    count = int(table.session.max())
    assert count == pytest.approx(5000, rel=0.05)
    assert len(table) / count == pytest.approx(3.0, rel=0.05)
    later = table.parent >= 0
    assert table.think_ps[later].mean() / 1e12 == pytest.approx(20.0, rel=0.05)
    place = np.arange(len(table)) - np.maximum.accumulate(np.where(later, 0, np.arange(len(table))))
    assert np.array_equal(table.input_tokens, 10 + 14 * place)
    assert shape.mean_tokens(lengths) == (10 + 2 * 14, 4)
    assert table.input_tokens.mean() == pytest.approx(38, rel=0.03)


def test_bad_sessions_are_refused() -> None:
    for rows, why in (
        (((0, 1, 1, 0, MS, 1),), "stand behind"),
        (((0, 1, 1, -1, 0, 1), (0, 1, 1, 0, 5, 1)), "think time"),
        (((0, 1, 1, -1, 0, 1), (0, 1, 1, 0, MS, 1), (0, 1, 1, 0, MS, 1)), "two turns"),
    ):
        with pytest.raises(InputError, match=why):
            turns(*rows)
    for bad in ((0.5, 1.0), (2.0, 1.0, 1.0), (2.0, 1.0, 0.0)):
        with pytest.raises(InputError, match="one turn or more"):
            SessionShape(*bad)


def test_the_next_turn_finds_the_prompt_of_the_one_before() -> None:
    """Blocks of 5: of 23 tokens 10 + 3 + 10 the first 10 were a prompt, so 2 blocks are there."""
    table = turns((0, 10, 3, -1, 0, 1), (0, 23, 2, 0, 5 * MS, 1))
    how = rules(max_num_batched_tokens=512, prefix_blocks=9, prefix_block_tokens=5)
    replicas = CompiledReplicas(bent(400, ticks=True), how, 1, "random", Watch(log=True))
    run_sessions(replicas, table, np.zeros((2, 2)), 100 * MS)
    assert replicas.prefix_tokens() == (10, 33)


def test_a_lost_turn_is_found() -> None:
    table = turns((0, 10, 3, -1, 0, 1), (0, 23, 2, 0, 5 * MS, 1))
    for harm in ("arrived", "shed_ps"):
        replicas = CompiledReplicas(
            bent(400, ticks=True), rules(max_num_batched_tokens=512), 1, "random", Watch(log=True)
        )
        brought = Turns(table, counted_draws(1))
        brought.advance(replicas, 3 * MS, 1.0)
        brought.check_laws(replicas)
        getattr(brought, harm).append(0)
        with pytest.raises(LawViolation, match="turns"):
            brought.check_laws(replicas)
