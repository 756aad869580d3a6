"""A cell of two pools, piece by piece: the same as the reference, to the picosecond; its laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, requests, rules
from test_serving_engine import bent, classes, dealt, slower, table_of
from test_serving_properties import batch_rules, workloads

from sim.cluster.serving.cell_log import shares
from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.disaggregated import CacheLink, Links, ReferenceHandover
from sim.cluster.serving.histograms import histogram_quantile_s
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.observe import Integral, RequestLog
from sim.cluster.serving.open_rows import OpenRows
from sim.cluster.serving.pair import PairedReplicas, Pools, decode_rules
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import RoutedReplicas, bring_requests
from sim.cluster.serving.state import Watch, arrival_rows
from sim.control.serving import ROUTERS, BatchRules, ClassRule
from sim.cost.tables import StepTables, TableCoster
from sim.errors import InputError, LawViolation
from sim.randomness import stream
from sim.workload.requests import Request

Told = list[tuple[int, ...]]
COUNTS = (2, 3)
LINKS = [
    CacheLink(0.0, 0.0),
    CacheLink(0.002, 1e-5),
    CacheLink(0.0, 2e-4, s_per_prompt=3e-3, windows=((20, 1e-4),)),
]


class Slow:
    """Both pools on the reference, and what users saw."""

    def __init__(self, tables: StepTables, how: BatchRules, route: str, link: CacheLink):
        self.env = simpy.Environment()
        pools, hooks = [], []
        self.logs, self.replicas = [], []
        for seed, count, own in zip((7, 8), COUNTS, (how, decode_rules(how)), strict=True):
            events = ServingEvents()
            hooks.append(events)
            self.logs.append(RequestLog(events))
            coster = TableCoster(tables)
            built = [
                ReferenceReplica(self.env, f"r{i}", i, coster, own, events) for i in range(count)
            ]
            self.replicas += built
            pools.append(RoutedReplicas(built, ROUTERS[route], stream(seed, "router")))
        self.meters = [Integral(replica.power_w) for replica in self.replicas]
        self.server = ReferenceHandover(self.env, pools[0], hooks[0], pools[1], link)

    def change_later(self, time_ps: int, tables: StepTables):
        yield At(self.env, Phase.STEP_END, time_ps)
        for replica in self.replicas:
            replica.set_coster(TableCoster(tables))

    def told(self, asked: list[Request]) -> Told:
        """Number, replica, arrival, first token, end and output of the completed."""
        rows = [
            (r.request.request_id, COUNTS[0] + r.replica, r.first_token_ps, r.end_ps)
            for r in self.logs[1].completed
        ]
        single = {r.request_id for r in asked if r.output_tokens == 1}
        rows += [
            (r.request.request_id, r.replica, r.first_token_ps, r.end_ps)
            for r in self.logs[0].completed
            if r.request.request_id in single
        ]
        arrival = {r.request_id: (r.arrival_ps, r.output_tokens) for r in asked}
        return sorted((*row, *arrival[row[0]]) for row in rows)

    def shares(self) -> dict[int, np.ndarray]:
        """What each request paid in both pools, of the completed."""
        found: dict[int, np.ndarray] = {}
        for log in self.logs:
            for r in log.completed:
                cost, number = r.cost, r.request.request_id
                paid = np.array([cost.time_s, cost.flops, cost.hbm_bytes, cost.energy_j])
                found[number] = found.get(number, 0.0) + paid
        return found

    def refused(self) -> list[int]:
        return sorted(d.request.request_id for log in self.logs for d in log.dropped)


def pair_of(
    tables: StepTables,
    how: BatchRules,
    route: str = "round-robin",
    link: CacheLink = LINKS[1],
    asked: int = 64,
    watch: Watch | None = None,
) -> tuple[PairedReplicas, np.ndarray]:
    first, second = (stream(seed, "router").random((asked, 2)) for seed in (7, 8))
    pair = PairedReplicas(
        (tables, tables),
        how,
        Pools(*COUNTS, link),
        route,
        watch or Watch(),
        lambda begin, count: second[begin : begin + count],
    )
    return pair, first


def whole(rows: np.ndarray) -> Told:
    done = rows[rows[:, at.L_REASON] == at.SERVED]
    columns = [at.L_ID, at.L_REPLICA, at.L_FIRST, at.L_END, at.L_ARRIVAL, at.L_OUTPUT]
    return sorted(tuple(row) for row in done[:, columns].tolist())


@settings(max_examples=100, deadline=None)
@given(
    workloads,
    batch_rules(),
    classes(),
    st.integers(32, 400),
    st.sampled_from(sorted(ROUTERS)),
    st.sampled_from(LINKS),
    st.booleans(),
    st.lists(st.integers(1, 400), max_size=6),
    st.booleans(),
)
def test_piece_by_piece_is_the_reference(
    asked: list[Request],
    how: BatchRules,
    kinds: tuple[ClassRule, ...],
    cache: int,
    route: str,
    link: CacheLink,
    ticks: bool,
    pieces: list[int],
    capped: bool,
) -> None:
    """Times of every request to the picosecond, refusals, and energy, whatever the pieces are;
    the clock may change in the middle.
    """
    tables = bent(cache, ticks=ticks)
    how = replace(how, preemption="recompute", classes=kinds)
    asked = dealt(asked, len(kinds), cache)
    slow = Slow(tables, how, route, link)
    watch = Watch(log=True, shares=True)
    pair, draws = pair_of(tables, how, route, link, len(asked), watch)
    end_ps = asked[-1].arrival_ps + 50_000 * MS
    edges = sorted({piece * MS for piece in pieces} | {end_ps})
    middle_ps = edges[len(edges) // 2] if capped and len(edges) > 1 else None
    if middle_ps is not None:
        slow.env.process(slow.change_later(middle_ps, slower(tables)))
    slow.env.process(bring_requests(slow.env, asked, slow.server))
    slow.env.run(end_ps)
    rows, done, came = arrival_rows(table_of(asked)), [], 0
    for edge_ps in edges:
        stop = int(np.searchsorted(rows[:, at.A_TIME], edge_ps))
        pair.bring(rows[came:stop], draws[came:stop], edge_ps)
        came = stop
        pair.check_laws(edge_ps)
        done.append(pair.take_log())
        assert len(pair.held()) == pair.cell.load.sum()
        if edge_ps == middle_ps:
            for pool in pair.pools:
                pool.set_costs(slower(tables), edge_ps)
    found = np.concatenate(done)
    assert whole(found) == slow.told(asked)
    assert sorted(found[found[:, at.L_REASON] != at.SERVED, at.L_ID].tolist()) == slow.refused()
    paid = slow.shares()
    for row, own in zip(found, shares(found), strict=True):
        if row[at.L_REASON] == at.SERVED:
            np.testing.assert_allclose(own, paid[int(row[at.L_ID])], rtol=1e-7)
    energy_j = sum(pool.totals(end_ps).energy_j for pool in pair.pools)
    metered_j = sum(meter.at(end_ps) for meter in slow.meters)
    assert energy_j == pytest.approx(metered_j, rel=1e-9, abs=1e-8)


def busy_pair() -> PairedReplicas:
    """In the middle of work: prompts read, caches on their way, tokens given, answers of one."""
    pair, draws = pair_of(bent(400, ticks=True), rules(max_num_batched_tokens=64))
    rows = arrival_rows(table_of(requests(*((i, 60, 1 + i % 4) for i in range(20)))))
    pair.bring(rows, draws, 12 * MS)
    assert pair.under_way
    assert pair.decode.cell.load.sum()
    assert pair.cell.tally[0, at.COMPLETED]
    pair.check_laws(12 * MS)
    return pair


def lose_a_cache(pair: PairedReplicas) -> None:
    pair._way = pair._way[1:]


def lengthen_a_prompt(pair: PairedReplicas) -> None:
    pair._way[0, 2 + at.L_INPUT] += 1


def give_a_token(pair: PairedReplicas) -> None:
    pair._book.tally[0, at.TOKENS_OUT] += 1


def send_too_long(pair: PairedReplicas) -> None:
    pair.links.busy_ps[1] = pair.links.free_ps[1] + 1


def arrive_later(pair: PairedReplicas) -> None:
    pair._way[-1, 0] += 1


def forget_where_it_came_from(pair: PairedReplicas) -> None:
    pair._sent.rows[0, at.L_ARRIVAL] += 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lose_a_cache, "requests came to two pools"),
        (lengthen_a_prompt, "prompt tokens were read"),
        (give_a_token, "one-token answers"),
        (send_too_long, "link of prefill replica 1 sent"),
        (arrive_later, "stays of whole requests"),
        (forget_where_it_came_from, "stays of whole requests"),
    ],
)
def test_a_fault_breaks_a_law(fault, words: str) -> None:
    pair = busy_pair()
    fault(pair)
    with pytest.raises(LawViolation, match=words):
        pair.check_laws(12 * MS)


def test_a_cache_that_comes_late_is_a_fault() -> None:
    pair = busy_pair()
    pair._way[:, 0] = 12 * MS - 1
    with pytest.raises(LawViolation, match="a cache arrives at"):
        pair.settle(13 * MS)


def test_counts_and_latencies_are_of_whole_requests() -> None:
    """1 ms prompt, 2 ms + 100 x 10 us on the link, then one token a millisecond."""
    how = replace(rules(max_num_batched_tokens=512), classes=(ClassRule(slo_ttft_s=0.0005),))
    pair, draws = pair_of(bent(400, ticks=True), how, watch=Watch((0, 7 * MS + 1)))
    rows = arrival_rows(table_of(requests((0, 100, 5), (MS, 30, 1))))
    pair.bring(rows, draws, 20 * MS)
    (first, second) = sorted(pair.take_log()[:, [at.L_ARRIVAL, at.L_FIRST, at.L_END]].tolist())
    assert (first, second) == ([0, MS, 8 * MS], [MS, 2 * MS, 2 * MS])
    tally = pair.cell.tally[0]
    assert tally[[at.ARRIVED, at.COMPLETED, at.TOKENS_IN, at.TOKENS_OUT]].tolist() == [2, 2, 130, 6]
    assert tally[[at.W_ARRIVED, at.W_COMPLETED, at.W_OUT, at.W_MET]].tolist() == [2, 1, 1, 0]
    assert pair.cell.sums[0].tolist() == [MS, 0, MS]
    assert histogram_quantile_s(pair.transfers, 0.5) == pytest.approx(0.003, rel=0.004)


def test_a_link_that_is_too_slow_keeps_what_it_was_given() -> None:
    """Hours for each prompt: none arrives, the link was busy all the time, laws hold."""
    link = CacheLink(0.0, 8.0)
    pair, draws = pair_of(bent(4000, ticks=True), rules(max_num_batched_tokens=512), link=link)
    rows = arrival_rows(table_of(requests(*((i * MS, 1100, 5) for i in range(40)))))
    pair.bring(rows, draws, 10_000 * MS)
    pair.check_laws(10_000 * MS)
    assert pair.under_way == pair.handed == 40
    assert pair.transfers.sum() == pair.transfer_ps == 0
    sent = pair.links.sent_ps(10_000 * MS)
    assert all(0.9 * 10_000 * MS < ps <= 10_000 * MS for ps in sent)


def test_what_comes_after_any_run_comes_never() -> None:
    links = Links(CacheLink(0.0, 8.0), 1)
    log = np.zeros((3, at.LOG_COLUMNS), dtype=np.int64)
    log[:, at.L_INPUT] = 10**6
    assert links.send(log).tolist() == [at.NEVER] * 3
    with pytest.raises(InputError, match="give a faster link"):
        CacheLink(0.0, 9.0)


def test_rows_are_kept_until_they_are_asked_for() -> None:
    kept = OpenRows(1)
    kept.add(np.array([[10], [11], [12]]))
    assert kept.take(np.array([2, 0])).tolist() == [[12], [10]]
    kept.add(np.array([[13]]))
    assert kept.read(np.array([3, 1])).tolist() == [[13], [11]]
    assert kept.rows.tolist() == [[11], [13]]
