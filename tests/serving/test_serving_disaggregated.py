"""Prefill and decode apart: both engines tell the same; a case by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, requests, rules
from test_serving_engine import bent, table_of
from test_serving_properties import batch_rules, workloads

from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.disaggregated import CacheLink, ReferenceHandover, run_disaggregated
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.observe import RequestLog
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import RoutedReplicas, bring_requests
from sim.cluster.serving.state import Watch
from sim.control.serving import ROUTERS, BatchRules
from sim.cost.tables import StepTables, TableCoster
from sim.errors import InputError
from sim.randomness import stream
from sim.workload.requests import Request

Told = list[tuple[int, ...]]


def slowly(
    stream_of: list[Request], tables: StepTables, how: BatchRules, route: str, link: CacheLink
) -> Told:
    env = simpy.Environment()
    pools, logs, hooks = [], [], []
    for seed, count in ((7, 2), (8, 3)):
        events = ServingEvents()
        logs.append(RequestLog(events))
        hooks.append(events)
        coster = TableCoster(tables)
        built = [ReferenceReplica(env, f"r{i}", i, coster, how, events) for i in range(count)]
        pools.append(RoutedReplicas(built, ROUTERS[route], stream(seed, "router")))
    server = ReferenceHandover(env, pools[0], hooks[0], pools[1], link)
    env.process(bring_requests(env, stream_of, server))
    env.run()
    return sorted(
        (r.request.request_id, r.replica, r.request.arrival_ps, r.first_token_ps, r.end_ps)
        for r in logs[1].completed
    )


def fast(
    stream_of: list[Request], tables: StepTables, how: BatchRules, route: str, link: CacheLink
) -> Told:
    pools = [CompiledReplicas(tables, how, n, route, Watch(log=True)) for n in (2, 3)]
    draws = tuple(stream(seed, "router").random((len(stream_of), 2)) for seed in (7, 8))
    end_ps = stream_of[-1].arrival_ps + 50_000 * MS
    sent = run_disaggregated(*pools, link, table_of(stream_of), draws, end_ps)  # type: ignore[arg-type]
    for pool in pools:
        pool.check_laws(end_ps)
    log = pools[1].log()
    log = log[log[:, at.L_REASON] == at.SERVED]
    columns = [at.L_ID, at.L_REPLICA, at.L_ARRIVAL, at.L_FIRST, at.L_END]
    return sorted((int(sent[row[0], 0]), *row[1:]) for row in log[:, columns].tolist())


@settings(max_examples=60, deadline=None)
@given(
    workloads,
    batch_rules(),
    st.integers(32, 400),
    st.sampled_from(sorted(ROUTERS)),
    st.sampled_from([CacheLink(0.0, 0.0), CacheLink(0.002, 1e-5), CacheLink(0.0, 2e-4)]),
    st.booleans(),
)
def test_both_engines_tell_the_same(
    stream_of: list[Request],
    how: BatchRules,
    cache: int,
    route: str,
    link: CacheLink,
    ticks: bool,
) -> None:
    tables, how = bent(cache, ticks=ticks), replace(how, preemption="recompute")
    args = (stream_of, tables, how, route, link)
    assert fast(*args) == slowly(*args)


def test_a_request_by_hand() -> None:
    """1 ms prompt, 2 ms + 100 x 10 us on the link, then one token a millisecond."""
    how, link = rules(max_num_batched_tokens=512), CacheLink(0.002, 1e-5)
    (row,) = fast(requests((0, 100, 5)), bent(400, ticks=True), how, "round-robin", link)
    assert row == (0, 0, 4 * MS, MS, 8 * MS)


def test_the_link_is_a_queue() -> None:
    """Two prompts read in one step go one after the other."""
    how, link = rules(max_num_batched_tokens=512), CacheLink(0.0, 1e-4)
    stream_of = requests((0, 30, 2), (0, 10, 2), (0, 50, 2))
    told = fast(stream_of, bent(400, ticks=True), how, "round-robin", link)
    assert [row[2] for row in told] == [4 * MS, 2 * MS, 9 * MS]


def test_a_bad_link_is_refused() -> None:
    with pytest.raises(InputError, match=r"link of -1"):
        CacheLink(-1.0, 0.0)
