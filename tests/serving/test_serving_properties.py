"""Random workloads: nothing is lost, nobody starves, nobody overtakes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS, World, requests, rules, world

from sim.cluster.serving.coster import LinearCoster
from sim.control.serving import BATCHERS, PREEMPTIONS, ROUTERS, BatchRules, blocks_for
from sim.workload.requests import Request

workloads = st.lists(
    st.tuples(st.integers(0, 4 * MS), st.integers(1, 60), st.integers(1, 25)),
    min_size=1,
    max_size=25,
).map(lambda rows: requests(*_as_times(rows)))


def _as_times(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Gaps to arrival times; a third of them on a step's edge."""
    time_ps, table = 0, []
    for gap_ps, tokens_in, tokens_out in rows:
        time_ps += gap_ps // MS * MS if gap_ps % 3 == 0 else gap_ps
        table.append((time_ps, tokens_in, tokens_out))
    return table


batchers = st.sampled_from(sorted(BATCHERS))


@st.composite
def batch_rules(draw: st.DrawFn) -> BatchRules:
    seqs = draw(st.integers(1, 8))
    return rules(
        draw(batchers),
        max_num_seqs=seqs,
        max_num_batched_tokens=draw(st.integers(max(seqs, 8), 128)),
        block_size_tokens=draw(st.sampled_from([1, 2, 5, 16])),
        watermark_frac=draw(st.sampled_from([0.0, 0.01, 0.2])),
        preemption=draw(st.sampled_from(PREEMPTIONS)),
        swap_s_per_block=draw(st.sampled_from([0.0, 1.5e-5])),
        swap_j_per_block=0.25,
    )


caches = st.integers(32, 200)


def linear(kv_capacity_tokens: int) -> LinearCoster:
    return LinearCoster(0.001, 3e-6, 7e-8, kv_capacity_tokens=kv_capacity_tokens)


def drops(ran: World) -> set[int]:
    return {drop.request.request_id for drop in ran.log.dropped}


@settings(max_examples=60, deadline=None)
@given(workloads, batch_rules(), caches, st.integers(1, 3), st.sampled_from(sorted(ROUTERS)))
def test_everyone_is_served_or_dropped_and_the_laws_hold(
    stream: list[Request], how: BatchRules, cache: int, replicas: int, route: str
) -> None:
    """No request starves: the run ends by itself with nobody left."""
    built = world(stream, linear(cache), how, replicas, ROUTERS[route])
    built.run(stream[len(stream) // 2].arrival_ps + 5 * MS // 2)
    built.check_laws()
    built.run()
    built.check_laws()
    served = {record.request.request_id for record in built.log.completed}
    assert served | drops(built) == {request.request_id for request in stream}
    assert all(replica.load == 0 for replica in built.replicas)
    assert all(r.free_blocks == r.limits.total_blocks for r in built.replicas)


@settings(max_examples=60, deadline=None)
@given(workloads, batch_rules(), caches)
def test_first_starts_are_in_order_of_arrival(
    stream: list[Request], how: BatchRules, cache: int
) -> None:
    """Rule 1, with any batcher, with or without preemption."""
    story = world(stream, linear(cache), how).run().story
    started = [request for name, request, _ in story if name == "started"]
    assert started == sorted(started)


@settings(max_examples=40, deadline=None)
@given(workloads)
def test_first_tokens_are_in_order_under_prefill_priority(stream: list[Request]) -> None:
    """FIFO start order under prefill priority without preemption; prompts are whole."""
    ran = world(stream, linear(100_000), rules("prefill-priority")).run()
    assert not ran.counter.preempted
    told = [(time, request) for name, request, time in ran.story if name == "first_token"]
    assert told == sorted(told)
    assert [request for _, request in told] == [request.request_id for request in stream]


@settings(max_examples=60, deadline=None)
@given(workloads, batch_rules(), caches)
def test_steps_respect_the_limits(stream: list[Request], how: BatchRules, cache: int) -> None:
    ran = world(stream, linear(cache), how).run()
    for step in ran.steps.steps:
        assert 1 <= step.tokens <= how.max_num_batched_tokens
        assert len(step.prefill) + len(step.decode_contexts) <= how.max_num_seqs
        if how.batcher == "prefill-priority":
            assert not (step.prefill and step.decode_contexts)
    blocks = ran.replicas[0].limits.total_blocks
    for step in ran.steps.steps:
        held = [old + new for new, old in step.prefill] + [c + 1 for c in step.decode_contexts]
        assert sum(blocks_for(tokens, how.block_size_tokens) for tokens in held) <= blocks


@settings(max_examples=60, deadline=None)
@given(workloads, batch_rules(), caches)
def test_token_identities(stream: list[Request], how: BatchRules, cache: int) -> None:
    """Without preemption each token but the last is computed once; else also those lost."""
    ran = world(stream, linear(cache), how).run()
    records = ran.log.completed
    lost = sum(record.recomputed_tokens for record in records)
    assert (lost > 0) == (ran.counter.preempted > 0 and how.preemption == "recompute")
    computed = sum(r.request.input_tokens + r.request.output_tokens - 1 for r in records)
    assert sum(step.tokens for step in ran.steps.steps) == computed + lost
    generated = sum(step.generated for step in ran.steps.steps)
    assert generated == sum(r.request.output_tokens for r in records)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 30), st.integers(1, 64), batchers)
def test_steps_of_a_lone_request(tokens_in: int, tokens_out: int, budget: int, how: str) -> None:
    """ceil(I / budget) chunks and O - 1 decodes; whole prompts need one chunk."""
    budget = budget if how == "chunked-prefill" else 400
    ran = world(
        requests((0, tokens_in, tokens_out)),
        linear(100_000),
        rules(how, max_num_batched_tokens=budget, max_num_seqs=1),
    ).run()
    assert len(ran.steps.steps) == -(-tokens_in // budget) + tokens_out - 1


@settings(max_examples=40, deadline=None)
@given(workloads, batch_rules(), caches)
def test_times_are_in_order_and_whole(stream: list[Request], how: BatchRules, cache: int) -> None:
    ran = world(stream, linear(cache), how).run()
    for record in ran.log.completed:
        times = (
            record.request.arrival_ps,
            record.start_ps,
            record.first_token_ps,
            record.end_ps,
        )
        assert list(times) == sorted(times)
        assert all(type(time_ps) is int for time_ps in times)
        gaps = record.request.output_tokens - 1
        assert record.end_ps - record.first_token_ps >= gaps * MS


@settings(max_examples=20, deadline=None)
@given(workloads, batch_rules(), caches)
def test_the_same_run_twice_tells_the_same_story(
    stream: list[Request], how: BatchRules, cache: int
) -> None:
    first = world(stream, linear(cache), how, 2, ROUTERS["power-of-two"]).run()
    second = world(stream, linear(cache), how, 2, ROUTERS["power-of-two"]).run()
    assert first.story == second.story
    assert first.log.completed == second.log.completed
