"""The end of a turn: tokens are given out, requests complete, counts are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.cluster.serving.jit import inlined, internal, seldom
from sim.cluster.serving.kernels.layout import (
    ALL_PAIRS,
    ALL_READS,
    AREA,
    ARRIVAL,
    BLOCK,
    CE,
    CHANGED,
    CHUNKS,
    CLOCK,
    COMPLETED,
    COUNT,
    DECODES,
    E1,
    EDGE,
    END_PS,
    FIRST,
    FIRST_PS,
    FREE_ROW,
    GEN,
    HISTOGRAM_BUCKETS,
    HISTOGRAM_LOW,
    HISTOGRAM_SHIFT,
    IDLE,
    INPUT,
    KEY_BITS,
    KEY_MASK,
    L_ARRIVAL,
    L_CLASS,
    L_END,
    L_FIRST,
    L_ID,
    L_INPUT,
    L_OUTPUT,
    L_PREEMPTIONS,
    L_REASON,
    L_RECOMPUTED,
    L_REPLICA,
    L_START,
    LAST_CACHED,
    LAST_NEW,
    LOGGED,
    META,
    META_BITS,
    NEVER,
    NEW,
    NEXT,
    OUTPUT,
    PAIRS,
    PART,
    PART_CACHED,
    PHASE,
    READS,
    SEG,
    SLO_TPOT_PS,
    SLO_TTFT_PS,
    START_PS,
    STAYED,
    TOKENS_IN,
    TOKENS_OUT,
    TURNS,
    W_COMPLETED,
    W_IN,
    W_MET,
    W_OUT,
    X_CACHED,
    X_PREEMPTIONS,
    X_RECOMPUTED,
    X_START,
    Cell,
    D,
    IntArray,
    K,
    S,
)
from sim.cluster.serving.kernels.power import account, tri
from sim.cluster.serving.kernels.shares import charge, log_shares, pay_chunk, pay_decoding


@inlined
def observe(c: Cell, kind: int, which: int, value_ps: float) -> None:
    """Count a latency in the histogram of its class."""
    bits: Any = np.float64(value_ps).view(np.int64)
    bucket = (bits >> HISTOGRAM_SHIFT) - HISTOGRAM_LOW
    c.histogram[kind, which, min(max(bucket, 0), HISTOGRAM_BUCKETS - 1)] += 1
    c.sums[kind, which] += value_ps


@inlined
def write_log(c: Cell, r: int, row: int, end_ps: int, reason: int) -> None:
    """Append a request that is done with, or was refused, to the log."""
    write_row(c.pool, c.extra, c.log, c.total[LOGGED], r, row, end_ps, reason)
    if c.paid.shape[0] > 0:
        log_shares(c.extra, c.paid, c.log, row, c.total[LOGGED])
    c.total[LOGGED] += 1


@internal
def write_row(
    pool: IntArray,
    extra: IntArray,
    log: IntArray,
    at: int,
    r: int,
    row: int,
    end_ps: int,
    reason: int,
) -> None:
    """Write a request into its row of the log, without its shares."""
    seldom()
    meta = pool[row, META]
    log[at, L_ID], log[at, L_CLASS] = meta >> META_BITS, meta & ((1 << META_BITS) - 1)
    log[at, L_REPLICA], log[at, L_REASON] = r, reason
    log[at, L_ARRIVAL], log[at, L_FIRST] = pool[row, ARRIVAL], pool[row, FIRST_PS]
    log[at, L_INPUT], log[at, L_OUTPUT] = pool[row, INPUT], pool[row, OUTPUT]
    log[at, L_START], log[at, L_END] = extra[row, X_START], end_ps
    log[at, L_PREEMPTIONS] = extra[row, X_PREEMPTIONS]
    log[at, L_RECOMPUTED] = extra[row, X_RECOMPUTED]


@inlined
def change_load(c: Cell, r: int, now: int, more: int) -> None:
    """One request more or less at a replica; its number over time is kept for Little's law."""
    c.rep[r, AREA] += c.load[r] * (now - c.rep[r, CHANGED])
    c.rep[r, CHANGED] = now
    c.load[r] += more


@inlined
def complete(c: Cell, r: int, row: int, now: int) -> None:
    """A request's last token came: count it and forget it."""
    pool = c.pool
    tokens_in, output, first = pool[row, INPUT], pool[row, OUTPUT], pool[row, FIRST_PS]
    kind = pool[row, META] & ((1 << META_BITS) - 1)
    change_load(c, r, now, -1)
    c.total[STAYED] += now - pool[row, ARRIVAL]
    c.tally[kind, COMPLETED] += 1
    c.tally[kind, TOKENS_IN] += tokens_in
    c.tally[kind, TOKENS_OUT] += output
    if c.log.shape[0] > 0:
        write_log(c, r, row, now, 0)
    if c.limits[START_PS] <= now and now < c.limits[END_PS]:
        ttft, gap = np.float64(first - pool[row, ARRIVAL]), 0.0
        observe(c, kind, 0, ttft)
        observe(c, kind, 2, np.float64(now - pool[row, ARRIVAL]))
        if output > 1:
            gap = np.float64(now - first) / (output - 1)
            observe(c, kind, 1, gap)
        c.tally[kind, W_COMPLETED] += 1
        c.tally[kind, W_IN] += tokens_in
        c.tally[kind, W_OUT] += output
        met = ttft <= c.rules[kind, SLO_TTFT_PS] and gap <= c.rules[kind, SLO_TPOT_PS]
        c.tally[kind, W_MET] += np.int64(met)
    pool[row, NEXT] = c.total[FREE_ROW]
    c.total[FREE_ROW] = row


@inlined
def end_decodes(c: Cell, r: int, now: int, k: int, d: int) -> None:
    """K tokens for each of d decoding sequences."""
    rep, pool, run = c.rep, c.pool, c.run
    more = tri(k)
    cached, clock = rep[r, S], rep[r, CLOCK] + k
    segment = rep[r, SEG]
    c.steps[d, segment, 0] += k
    c.steps[d, segment, 1] += k * (cached - c.edge[d, segment]) + d * more
    cached += k * d
    while d > 0 and run[r, d - 1] >> KEY_BITS == clock:
        d -= 1
        row = run[r, d] & KEY_MASK
        gone = pool[row, INPUT] + pool[row, OUTPUT] - 1
        cached -= gone
        c.phase[r, (clock - gone) % c.limits[BLOCK]] -= 1
        if c.paid.shape[0] > 0:
            pay_decoding(c.pool, c.extra, c.ledger, c.rest, c.paid, r, row, 1)
        complete(c, r, row, now)
    rep[r, D], rep[r, S], rep[r, CLOCK] = d, cached, clock


@inlined
def start_decoding(c: Cell, r: int, row: int, target: int, left: int) -> None:
    """A prompt is cached and gave a token; `left` more follow, one a step."""
    rep, run = c.rep, c.run
    clock = rep[r, CLOCK]
    key = (clock + left) << KEY_BITS | row
    place = rep[r, D]
    while place > 0 and run[r, place - 1] < key:
        run[r, place] = run[r, place - 1]
        place -= 1
    run[r, place] = key
    c.pool[row, GEN] = clock + left
    rep[r, D] += 1
    rep[r, S] += target
    c.phase[r, (clock - target) % c.limits[BLOCK]] += 1
    if c.paid.shape[0] > 0:
        pay_decoding(c.pool, c.extra, c.ledger, c.rest, c.paid, r, row, -1)


@inlined
def pay_prompt(c: Cell, r: int, row: int, have: int, k: int) -> None:
    """A prompt pays for the k chunks that brought it to so many cached tokens."""
    before = c.extra[row, X_CACHED]
    pay_chunk(c.extra, c.ledger, c.rest, c.paid, r, row, (have - before) // k, before)
    c.extra[row, X_CACHED] = have


@inlined
def end_chunks(c: Cell, r: int, now: int, k: int, decodes: int) -> None:
    """The chunks of a turn end; whole prompts give a token."""
    rep, pool, total = c.rep, c.pool, c.total
    more, count, each = tri(k), rep[r, COUNT], rep[r, LAST_NEW]
    total[CHUNKS] += count * k
    total[ALL_PAIRS] += k * rep[r, PAIRS] + each * each * more
    total[ALL_READS] += k * rep[r, READS] + each * more
    c.mixed[decodes] += k
    c.tokens[rep[r, NEW] + decodes] += k
    rep[r, PART] = -1
    row = rep[r, FIRST]
    for index in range(count):
        after = pool[row, NEXT]
        target = pool[row, INPUT] + pool[row, GEN]
        have = target
        if index == count - 1:
            have = rep[r, LAST_CACHED] + k * each
        if c.paid.shape[0] > 0:
            pay_prompt(c, r, row, have, k)
        if have < target:
            rep[r, PART], rep[r, PART_CACHED] = row, have
            break
        if pool[row, FIRST_PS] < 0:
            pool[row, FIRST_PS] = now
        left = pool[row, OUTPUT] - pool[row, GEN] - 1
        if left == 0:
            complete(c, r, row, now)
        else:
            start_decoding(c, r, row, target, left)
        row = after


@inlined
def end_turn(c: Cell, r: int, now: int) -> None:
    """The steps under way end."""
    rep = c.rep
    k, decodes = rep[r, K], rep[r, DECODES]
    c.total[TURNS] += 1
    account(c, r, now, k * rep[r, E1] + rep[r, CE] * tri(k))
    if c.paid.shape[0] > 0:
        charge(c.rep, c.ledger, c.rest, r, k)
    if decodes > 0:
        end_decodes(c, r, now, k, decodes)
    if rep[r, COUNT] > 0:
        end_chunks(c, r, now, k, decodes)
    rep[r, PHASE] = EDGE
    if c.load[r] == 0:
        rep[r, PHASE] = IDLE
        c.due[r] = NEVER
