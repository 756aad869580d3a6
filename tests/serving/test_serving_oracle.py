"""The reference against a second, plain simulation that shares no code with it.

The oracle keeps a list of tokens per request and a pool of blocks by number, follows the
published loops of the two vLLM schedulers, and advances a clock by hand. Equal to the
picosecond is the only pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hypothesis import event, given, settings
from hypothesis import strategies as st
from serving_helpers import MS, rules, world

from sim.cluster.serving.coster import LinearCoster
from sim.control.serving import BatchRules
from sim.workload.requests import Request


@dataclass
class Job:
    request: Request
    tokens: int = 0  # prompt and generated
    computed: int = 0
    table: list[int] = field(default_factory=list)
    first_ps: int = 0


def oracle(
    stream: list[Request], coster: LinearCoster, how: BatchRules
) -> dict[int, tuple[int, int]]:
    """First-token and end time of each request."""
    pool = list(range(coster.kv_capacity_tokens // how.block_size_tokens))
    spare = math.floor(how.watermark_frac * len(pool))
    coming = [
        r
        for r in stream
        if math.ceil((r.input_tokens + r.output_tokens - 1) / how.block_size_tokens)
        <= len(pool) - spare
        and (
            how.batcher == "chunked-prefill"
            or r.input_tokens + r.output_tokens - 1 <= how.max_num_batched_tokens
        )
    ]
    waiting: list[Job] = []
    running: list[Job] = []
    times: dict[int, tuple[int, int]] = {}
    now_ps = 0
    while coming or waiting or running:
        if not waiting and not running:
            now_ps = max(now_ps, coming[0].arrival_ps)
        while coming and coming[0].arrival_ps <= now_ps:
            request = coming.pop(0)
            waiting.append(Job(request, request.input_tokens))
        if how.batcher == "chunked-prefill":
            work = schedule_v1(waiting, running, pool, spare, how)
        else:
            work = schedule_v0(waiting, running, pool, spare, how)
        tokens = sum(new for _, new in work)
        cached = sum(job.computed for job, _ in work)
        now_ps += round((coster.step_s + coster.token_s * tokens + coster.cached_s * cached) * 1e12)
        for job, new in work:
            job.computed += new
            if job.computed < job.tokens:
                continue
            job.tokens += 1
            generated = job.tokens - job.request.input_tokens
            job.first_ps = job.first_ps or now_ps
            if generated == job.request.output_tokens:
                times[job.request.request_id] = (job.first_ps, now_ps)
                running.remove(job)
                pool += job.table
    return times


def take(job: Job, new: int, pool: list[int], how: BatchRules) -> bool:
    need = math.ceil((job.computed + new) / how.block_size_tokens) - len(job.table)
    if need > len(pool):
        return False
    job.table += [pool.pop() for _ in range(need)]
    return True


def lose(job: Job, waiting: list[Job], pool: list[int]) -> None:
    event("preempted")
    pool += job.table
    job.table, job.computed = [], 0
    waiting.insert(0, job)


def run_on(
    waiting: list[Job], running: list[Job], pool: list[int], how: BatchRules
) -> tuple[list[tuple[Job, int]], bool]:
    work: list[tuple[Job, int]] = []
    budget, lost, index = how.max_num_batched_tokens, False, 0
    while index < len(running) and budget > 0:
        job = running[index]
        new = min(job.tokens - job.computed, budget)
        while not take(job, new, pool, how):
            victim = running.pop()
            lose(victim, waiting, pool)
            lost = True
            if victim is job:
                return work, lost
        work.append((job, new))
        budget -= new
        index += 1
    return work, lost


def fits(job: Job, pool: list[int], spare: int, how: BatchRules) -> bool:
    return math.ceil(job.tokens / how.block_size_tokens) + spare <= len(pool)


def schedule_v1(
    waiting: list[Job], running: list[Job], pool: list[int], spare: int, how: BatchRules
) -> list[tuple[Job, int]]:
    work, lost = run_on(waiting, running, pool, how)
    budget = how.max_num_batched_tokens - sum(new for _, new in work)
    while not lost and waiting and budget > 0 and len(running) < how.max_num_seqs:
        job = waiting[0]
        if not fits(job, pool, spare, how):
            break
        new = min(job.tokens, budget)
        assert take(job, new, pool, how)
        running.append(waiting.pop(0))
        work.append((job, new))
        budget -= new
    return work


def schedule_v0(
    waiting: list[Job], running: list[Job], pool: list[int], spare: int, how: BatchRules
) -> list[tuple[Job, int]]:
    work: list[tuple[Job, int]] = []
    budget = how.max_num_batched_tokens
    while waiting and len(running) < how.max_num_seqs:
        job = waiting[0]
        if job.tokens > budget or not fits(job, pool, spare, how):
            break
        assert take(job, job.tokens, pool, how)
        running.append(waiting.pop(0))
        work.append((job, job.tokens))
        budget -= job.tokens
    return work or run_on(waiting, running, pool, how)[0]


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2 * MS), st.integers(1, 60), st.integers(1, 40)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(
    rows,
    st.sampled_from(["chunked-prefill", "prefill-priority"]),
    st.integers(1, 10),
    st.integers(10, 120),
    st.sampled_from([1, 3, 16]),
    st.sampled_from([0.0, 0.1]),
    st.integers(40, 250),
    st.booleans(),
)
def test_the_reference_equals_the_oracle(
    table: list[tuple[int, int, int, int]],
    batcher: str,
    seqs: int,
    budget: int,
    block: int,
    watermark_frac: float,
    cache: int,
    constant: bool,
) -> None:
    """With constant steps arrivals fall exactly on step edges, so ties are tried too."""
    coster = LinearCoster(
        0.001, 0.0 if constant else 3e-6, 0.0 if constant else 7e-8, kv_capacity_tokens=cache
    )
    time_ps, stream = 0, []
    for i, (steps, rest_ps, tokens_in, tokens_out) in enumerate(table):
        time_ps += steps * MS + (0 if constant else rest_ps)
        stream.append(Request(i, time_ps, tokens_in, tokens_out))
    how = rules(
        batcher,
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        block_size_tokens=block,
        watermark_frac=watermark_frac,
    )
    ran = world(stream, coster, how).run()
    told = {r.request.request_id: (r.first_token_ps, r.end_ps) for r in ran.log.completed}
    assert told == oracle(stream, coster, how)
