"""The compiled engine: the rules of `sim.control.serving` with the steps fast-forwarded.

It gives each request the times of the reference replica, to the picosecond. Between two
events at a replica (an arrival that may enter, a completion, a segment's edge of the step
cost, the cache running full) the batch is the same d sequences, and step j of a jump lasts
T1 + (j - 1) CD with CD = slope d. So k steps end k T1 + CD k (k - 1) / 2 after the first
began, and the steps until an instant are the root of a quadratic, corrected to the exact
integer. A jump is cut when a request comes that may enter.

Replicas are advanced only when somebody looks at them (a router, a control tick): steps
that end at or before an instant are ended, then requests arrive, then steps begin.

State is integer arrays, see `Cell`. A request is a row of `pool` in one linked list
per replica, oldest first; the running ones are its front (rule 1). A decoding sequence has
`input + generated - 1` cached tokens, and all grow together, so a replica keeps only: d,
the sum of cached tokens S, a heap of finish steps, and a count of sequences per phase
within a block, from which the blocks held follow exactly. Steps are counted by (d,
segment), new tokens, pairs and reads, and priced afterwards: the price is linear in them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.jit import compiled

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NEVER = 2**62
IDLE, STEP, EDGE = 0, 1, 2
# Columns of `rep`.
PHASE, CLOCK, D, S, HEAD, TAIL, NEXT_IN, RUN, T0, K = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
T1, CD, SEG, FIRST, COUNT, LAST_CACHED, PARTIAL_CACHED = 10, 11, 12, 13, 14, 15, 16
NEW, PAIRS, READS, DECODES, BUSY = 17, 18, 19, 20, 21
REP_COLUMNS = 24
# Columns of `pool`; GEN is the finish step of a decoding sequence, else tokens generated.
ARRIVAL, INPUT, OUTPUT, FIRST_PS, GEN, PREV, NEXT, ROW = 0, 1, 2, 3, 4, 5, 6, 7
# Columns of `limits`.
CHUNKED, MAX_SEQS, MAX_TOKENS, BLOCK, TOTAL, WATERMARK, ROUTER, START_PS, END_PS = range(9)
ROUND_ROBIN, SHORTEST, TWO = 0, 1, 2
# Columns of `total`.
FREE_ROW, ARRIVED, DROPPED, COMPLETED, TOKENS_IN, TOKENS_OUT, PREEMPTED, RECOMPUTED = range(8)
W_ARRIVED, W_DROPPED, W_COMPLETED, W_IN, W_OUT, MIXED, CHUNKS, ALL_PAIRS = range(8, 16)
ALL_READS, ROUTED, JUMPS, DECODE_STEPS, SEQ_STEPS = range(16, 21)
TOTAL_COLUMNS = 24
# Columns of `record`.
R_REPLICA, R_START, R_FIRST, R_END, R_PREEMPTIONS, R_RECOMPUTED, R_DROPPED = range(7)
KEY_BITS = 24
HISTOGRAM_SHIFT = 45  # of the bits of a float64: 128 buckets an octave
HISTOGRAM_LOW = 125952  # bucket of 2**-39
HISTOGRAM_BUCKETS = 128 * 64


class Cell(NamedTuple):
    """State of some replicas behind one router, and what it is priced by.

    Attributes:
        rep: shape (R, REP_COLUMNS). due: when each replica must be looked at, shape (R,).
        load: requests at each replica, shape (R,).
        pool: requests in the system, shape (M, 8). heap: finish steps, shape (R, max_seqs).
        phase: sequences by phase within a block, shape (R, block size).
        limits: see the column names. total: counters.
        steps: decode steps and excess tokens by (d, segment), shape (D + 1, K, 2).
        mixed: steps with chunks by decoding sequences, shape (D + 1,).
        tokens: steps with chunks by new tokens, shape (T + 1,).
        histogram: of TTFT, TPOT, E2E, shape (3, HISTOGRAM_BUCKETS).
        sums: sums of TTFT, TPOT, E2E in seconds and the number of TPOTs, shape (4,).
        edge, price, token_ps, part_ps: of the step's time, from `StepTables`; `price` has
            shape (D + 1, K, 2).
        record: by request, shape (n, 7), or (0, 7) when none are kept.
    """

    rep: IntArray
    due: IntArray
    load: IntArray
    pool: IntArray
    heap: IntArray
    phase: IntArray
    limits: IntArray
    total: IntArray
    steps: IntArray
    mixed: IntArray
    tokens: IntArray
    histogram: IntArray
    sums: FloatArray
    edge: IntArray
    price: IntArray
    token_ps: IntArray
    part_ps: IntArray
    record: IntArray


@compiled
def _held(c: Cell, r: int) -> int:
    """Blocks of the decoding sequences: the sum of ceil(cached / block)."""
    block = c.limits[BLOCK]
    at = c.rep[r, CLOCK] % block
    rest = c.rep[r, S]
    for phase in range(block):
        rest += c.phase[r, phase] * ((phase - at + block) % block)
    return int(rest // block)


@compiled
def _push(c: Cell, r: int, size: int, key: int) -> None:
    """Add to a heap of `size` keys."""
    child = size
    while child > 0:
        parent = (child - 1) >> 1
        if c.heap[r, parent] <= key:
            break
        c.heap[r, child] = c.heap[r, parent]
        child = parent
    c.heap[r, child] = key


@compiled
def _sink(c: Cell, r: int, size: int, place: int, key: int) -> None:
    """Put a key at a place of a heap of `size` keys, or below it."""
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and c.heap[r, child + 1] < c.heap[r, child]:
            child += 1
        if c.heap[r, child] >= key:
            break
        c.heap[r, place] = c.heap[r, child]
        place = child
    c.heap[r, place] = key


@compiled
def _forget(c: Cell, r: int, size: int, row: int) -> None:
    """Take a row's key out of a heap of `size` keys."""
    mask = (1 << KEY_BITS) - 1
    place = 0
    while c.heap[r, place] & mask != row:
        place += 1
    key = c.heap[r, size - 1]
    if place == size - 1:
        return
    if place > 0 and key < c.heap[r, (place - 1) >> 1]:
        while place > 0 and key < c.heap[r, (place - 1) >> 1]:
            c.heap[r, place] = c.heap[r, (place - 1) >> 1]
            place = (place - 1) >> 1
        c.heap[r, place] = key
    else:
        _sink(c, r, size - 1, place, key)


@compiled
def _observe(c: Cell, which: int, value_s: float) -> None:
    bits: Any = np.float64(value_s).view(np.int64)
    bucket = (bits >> HISTOGRAM_SHIFT) - HISTOGRAM_LOW
    c.histogram[which, min(max(bucket, 0), HISTOGRAM_BUCKETS - 1)] += 1
    c.sums[which] += value_s


@compiled
def _complete(c: Cell, r: int, row: int, now: int) -> None:
    """A request's last token came: forget it."""
    pool, total = c.pool, c.total
    before, after = pool[row, PREV], pool[row, NEXT]
    if before >= 0:
        pool[before, NEXT] = after
    else:
        c.rep[r, HEAD] = after
    if after >= 0:
        pool[after, PREV] = before
    else:
        c.rep[r, TAIL] = before
    c.rep[r, RUN] -= 1
    c.load[r] -= 1
    output = pool[row, OUTPUT]
    total[COMPLETED] += 1
    total[TOKENS_IN] += pool[row, INPUT]
    total[TOKENS_OUT] += output
    if c.record.shape[0] > 0:
        c.record[pool[row, ROW], R_FIRST] = pool[row, FIRST_PS]
        c.record[pool[row, ROW], R_END] = now
    if c.limits[START_PS] <= now < c.limits[END_PS]:
        total[W_COMPLETED] += 1
        total[W_IN] += pool[row, INPUT]
        total[W_OUT] += output
        _observe(c, 0, (pool[row, FIRST_PS] - pool[row, ARRIVAL]) * 1e-12)
        _observe(c, 2, (now - pool[row, ARRIVAL]) * 1e-12)
        if output > 1:
            _observe(c, 1, (now - pool[row, FIRST_PS]) * 1e-12 / (output - 1))
            c.sums[3] += 1
    pool[row, NEXT] = total[FREE_ROW]
    total[FREE_ROW] = row


@compiled
def _end_step(c: Cell, r: int) -> None:
    """The steps under way end: count them, give out tokens, release what is complete."""
    rep, total = c.rep, c.total
    now, k, d = c.due[r], rep[r, K], rep[r, DECODES]
    rep[r, BUSY] += now - rep[r, T0]
    total[JUMPS] += 1
    if d > 0:
        segment = rep[r, SEG]
        over = rep[r, S] - c.edge[segment] * d
        c.steps[d, segment, 0] += k
        c.steps[d, segment, 1] += k * over + d * (k * (k - 1) // 2)
        rep[r, S] += k * d
        rep[r, CLOCK] += k
        clock, mask, block = rep[r, CLOCK], (1 << KEY_BITS) - 1, c.limits[BLOCK]
        while d > 0 and c.heap[r, 0] >> KEY_BITS == clock:
            row = c.heap[r, 0] & mask
            d -= 1
            if d > 0:
                _sink(c, r, d, 0, c.heap[r, d])
            cached = c.pool[row, INPUT] + c.pool[row, OUTPUT] - 1
            rep[r, S] -= cached
            c.phase[r, (clock - cached) % block] -= 1
            _complete(c, r, row, now)
        rep[r, D] = d
    if rep[r, COUNT] > 0:
        _end_chunks(c, r, now)
    else:
        total[DECODE_STEPS] += k
    rep[r, PHASE] = EDGE
    if c.load[r] == 0:
        rep[r, PHASE] = IDLE
        c.due[r] = NEVER


@compiled
def _end_chunks(c: Cell, r: int, now: int) -> None:
    """The chunks of a step end; whole prompts give a token."""
    rep, pool, total = c.rep, c.pool, c.total
    count, row, block = rep[r, COUNT], rep[r, FIRST], c.limits[BLOCK]
    total[MIXED] += 1
    total[CHUNKS] += count
    total[ALL_PAIRS] += rep[r, PAIRS]
    total[ALL_READS] += rep[r, READS]
    c.mixed[rep[r, DECODES]] += 1
    c.tokens[rep[r, NEW] + rep[r, DECODES]] += 1
    rep[r, PARTIAL_CACHED] = 0
    for index in range(count):
        after = pool[row, NEXT]
        target = pool[row, INPUT] + pool[row, GEN]
        if index == count - 1 and rep[r, LAST_CACHED] < target:
            rep[r, PARTIAL_CACHED] = rep[r, LAST_CACHED]
            break
        if pool[row, FIRST_PS] < 0:
            pool[row, FIRST_PS] = now
        left = pool[row, OUTPUT] - pool[row, GEN] - 1
        if left == 0:
            _complete(c, r, row, now)
        else:
            clock, d = rep[r, CLOCK], rep[r, D]
            pool[row, GEN] = clock + left
            _push(c, r, d, (clock + left) << KEY_BITS | row)
            rep[r, D] = d + 1
            rep[r, S] += target
            c.phase[r, (clock - target) % block] += 1
        row = after
    rep[r, COUNT] = 0


@compiled
def _preempt(c: Cell, r: int, free: int) -> tuple[int, int]:
    """Rule 7 with the running list in full: (chunk of the partial one or 0, blocks free).

    The newest lose their cache until each kept one has the blocks of its next tokens.
    """
    rep, pool = c.rep, c.pool
    block, budget = c.limits[BLOCK], c.limits[MAX_TOKENS]
    clock = rep[r, CLOCK]
    row, index, chunk = rep[r, HEAD], 0, 0
    newest = pool[rep[r, NEXT_IN], PREV] if rep[r, NEXT_IN] >= 0 else rep[r, TAIL]
    while index < rep[r, RUN] and budget > 0:
        partial = index == rep[r, D]
        if partial:
            cached = rep[r, PARTIAL_CACHED]
            new = min(pool[row, INPUT] + pool[row, GEN] - cached, budget)
        else:
            cached = pool[row, INPUT] + pool[row, OUTPUT] - (pool[row, GEN] - clock) - 1
            new = 1
        need = (cached + new + block - 1) // block - (cached + block - 1) // block
        while need > free and rep[r, RUN] > index:
            free += _evict(c, r, newest)
            newest = pool[newest, PREV]
        if rep[r, RUN] == index:
            break
        free -= need
        budget -= new
        if partial:
            chunk = new
        index += 1
        row = pool[row, NEXT]
    return chunk, free


@compiled
def _evict(c: Cell, r: int, row: int) -> int:
    """The newest running sequence loses its cache; returns the blocks set free."""
    rep, pool = c.rep, c.pool
    block, clock = c.limits[BLOCK], rep[r, CLOCK]
    if rep[r, RUN] > rep[r, D]:
        cached = rep[r, PARTIAL_CACHED]
        rep[r, PARTIAL_CACHED] = 0
    else:
        generated = pool[row, OUTPUT] - (pool[row, GEN] - clock)
        cached = pool[row, INPUT] + generated - 1
        _forget(c, r, rep[r, D], row)
        rep[r, D] -= 1
        rep[r, S] -= cached
        c.phase[r, (clock - cached) % block] -= 1
        pool[row, GEN] = generated
    rep[r, RUN] -= 1
    rep[r, NEXT_IN] = row
    c.total[PREEMPTED] += 1
    c.total[RECOMPUTED] += cached
    if c.record.shape[0] > 0:
        c.record[pool[row, ROW], R_PREEMPTIONS] += 1
        c.record[pool[row, ROW], R_RECOMPUTED] += cached
    return int((cached + block - 1) // block)


@compiled
def _begin_step(c: Cell, r: int) -> None:  # noqa: C901  one plan, one place
    """Plan at the edge: continue, preempt, admit (rules 6 to 9); then jump or step."""
    rep, pool, limits = c.rep, c.pool, c.limits
    block, chunked = limits[BLOCK], limits[CHUNKED]
    d, tokens_held = rep[r, D], rep[r, S]
    partial = rep[r, RUN] - d
    grow = d if chunked else 0
    # Blocks free at least, after the decoding ones have grown; exact only when it matters.
    bound = (tokens_held + grow + d * (block - 1)) // block
    free = limits[TOTAL] - bound
    budget = limits[MAX_TOKENS] - grow
    new = pairs = reads = count = 0
    first = last = -1
    exact = preempted = False
    if partial:
        first = last = pool[rep[r, NEXT_IN], PREV] if rep[r, NEXT_IN] >= 0 else rep[r, TAIL]
        reads = rep[r, PARTIAL_CACHED]
        new = min(pool[last, INPUT] + pool[last, GEN] - reads, budget)
        free -= (reads + new + block - 1) // block
    if free < 0 and chunked:
        need = c.phase[r, rep[r, CLOCK] % block]
        free += bound - _held(c, r) - need
        exact = True
        if free < 0:
            free = limits[TOTAL] - _held(c, r) - (reads + block - 1) // block
            new, free = _preempt(c, r, free)
            preempted = True
            d = rep[r, D]
            grow = d
            partial = rep[r, RUN] - d
            if not partial:
                new = reads = 0
    if partial:
        count = 1
        pairs = new * reads + new * (new - 1) // 2
        budget -= new
        rep[r, LAST_CACHED] = reads + new
    row, slots = rep[r, NEXT_IN], limits[MAX_SEQS] - rep[r, RUN]
    while row >= 0 and slots > 0 and budget > 0 and not preempted:
        target = pool[row, INPUT] + pool[row, GEN]
        blocks = (target + block - 1) // block
        if blocks > free - limits[WATERMARK]:
            if exact:
                break
            exact = True
            need = c.phase[r, rep[r, CLOCK] % block] if chunked else 0
            free += bound - _held(c, r) - need
            continue
        if target > budget and not chunked:
            break
        take = min(target, budget)
        free -= (take + block - 1) // block
        budget -= take
        new += take
        pairs += take * (take - 1) // 2
        count += 1
        slots -= 1
        if first < 0:
            first = row
        if c.record.shape[0] > 0 and c.record[pool[row, ROW], R_START] < 0:
            c.record[pool[row, ROW], R_START] = c.due[r]
        rep[r, RUN] += 1
        rep[r, LAST_CACHED] = take
        row = pool[row, NEXT]
        rep[r, NEXT_IN] = row
    if not chunked and count == 0 and (tokens_held + d * block) // block > limits[TOTAL]:
        free = limits[TOTAL] - _held(c, r)
        if c.phase[r, rep[r, CLOCK] % block] > free:
            _preempt(c, r, free)
            preempted = True
            d = rep[r, D]
    decodes = d if chunked or count == 0 else 0
    _set_under_way(c, r, decodes, preempted, count, new, pairs, reads, first)


@compiled
def _set_under_way(
    c: Cell,
    r: int,
    d: int,
    preempted: bool,
    count: int,
    new: int,
    pairs: int,
    reads: int,
    first: int,
) -> None:
    """Begin one step with chunks, or a jump of decode steps."""
    rep = c.rep
    now, cached, segment, k = c.due[r], rep[r, S], 0, 1
    step_ps = slope = over = 0
    if d > 0:
        while segment + 1 < c.edge.shape[0] and c.edge[segment + 1] * d <= cached:
            segment += 1
        slope = c.price[d, segment, 1]
        over = cached - c.edge[segment] * d
        step_ps = c.price[d, segment, 0] + slope * over
    if count > 0:
        step_ps += c.token_ps[d + new] + c.part_ps[0] * (d + count)
        step_ps += c.part_ps[1] * pairs + c.part_ps[2] * reads
        if d > 0:
            step_ps -= c.price[d, 0, 0]
    elif not preempted:
        k = (c.heap[r, 0] >> KEY_BITS) - rep[r, CLOCK]
        if segment + 1 < c.edge.shape[0]:
            k = min(k, (c.edge[segment + 1] * d - cached + d - 1) // d)
        block, whole = c.limits[BLOCK], c.limits[TOTAL]
        if (cached + k * d + d * (block - 1)) // block > whole:
            k = _steps_that_fit(c, r, k, d)
    step_ps = max(step_ps, 1)
    rep[r, PHASE] = STEP
    rep[r, T0], rep[r, K], rep[r, T1], rep[r, CD] = now, k, step_ps, slope * d
    rep[r, SEG], rep[r, FIRST], rep[r, COUNT] = segment, first, count
    rep[r, NEW], rep[r, PAIRS], rep[r, READS], rep[r, DECODES] = new, pairs, reads, d
    c.due[r] = now + k * step_ps + slope * d * (k * (k - 1) // 2)


@compiled
def _steps_that_fit(c: Cell, r: int, most: int, d: int) -> int:
    """Decode steps until the cache is full; the next one fits."""
    block = c.limits[BLOCK]
    free = c.limits[TOTAL] - _held(c, r)
    steps = (free // d) * block
    free -= (free // d) * d
    clock = c.rep[r, CLOCK]
    while steps < most:
        need = c.phase[r, clock % block]
        if need > free:
            break
        free -= need
        clock += 1
        steps += 1
    return int(max(1, min(most, steps)))


@compiled
def _advance(c: Cell, r: int, t: int) -> None:
    """End the steps that end at or before t, begin those that begin before it."""
    rep, due = c.rep, c.due
    while due[r] <= t:
        if rep[r, PHASE] == STEP:
            _end_step(c, r)
        if due[r] >= t:
            return
        _begin_step(c, r)


@compiled
def _steps_until(first_ps: int, more_ps: int, span_ps: int) -> int:
    """Fewest steps that last `span_ps` or longer; step j lasts first + (j - 1) more."""
    half = 0.5 * more_ps
    b = first_ps - half
    m = int(2.0 * span_ps / (b + np.sqrt(b * b + 4.0 * half * span_ps)))
    m = max(m, 1)
    while m * first_ps + more_ps * (m * (m - 1) // 2) < span_ps:
        m += 1
    while m > 1 and (m - 1) * first_ps + more_ps * ((m - 1) * (m - 2) // 2) >= span_ps:
        m -= 1
    return m


@compiled
def _submit(c: Cell, r: int, t: int, tokens_in: int, tokens_out: int, row_id: int) -> None:
    """Take a request at a replica that was advanced to t, or drop it (rule 5)."""
    rep, pool, total, limits = c.rep, c.pool, c.total, c.limits
    total[ARRIVED] += 1
    inside = limits[START_PS] <= t < limits[END_PS]
    total[W_ARRIVED] += inside
    most, block = tokens_in + tokens_out - 1, limits[BLOCK]
    reason = 0
    if (most + block - 1) // block > limits[TOTAL] - limits[WATERMARK]:
        reason = 1
    elif not limits[CHUNKED] and most > limits[MAX_TOKENS]:
        reason = 2
    if c.record.shape[0] > 0:
        c.record[row_id, R_REPLICA] = r
        c.record[row_id, R_DROPPED] = reason
    if reason:
        total[DROPPED] += 1
        total[W_DROPPED] += inside
        return
    row, tail = total[FREE_ROW], rep[r, TAIL]
    total[FREE_ROW] = pool[row, NEXT]
    pool[row, ARRIVAL], pool[row, INPUT], pool[row, OUTPUT] = t, tokens_in, tokens_out
    pool[row, FIRST_PS], pool[row, GEN], pool[row, ROW] = -1, 0, row_id
    pool[row, PREV], pool[row, NEXT] = tail, -1
    if tail >= 0:
        pool[tail, NEXT] = row
    else:
        rep[r, HEAD] = row
    rep[r, TAIL] = row
    c.load[r] += 1
    if rep[r, NEXT_IN] < 0:
        rep[r, NEXT_IN] = row
        if rep[r, PHASE] == STEP and rep[r, K] > 1 and rep[r, RUN] < limits[MAX_SEQS]:
            k = _steps_until(rep[r, T1], rep[r, CD], t - rep[r, T0])
            rep[r, K] = k
            c.due[r] = rep[r, T0] + k * rep[r, T1] + rep[r, CD] * (k * (k - 1) // 2)
    if rep[r, PHASE] == IDLE:
        rep[r, PHASE] = EDGE
        c.due[r] = t


@compiled
def bring(
    c: Cell,
    arrival: IntArray,
    tokens_in: IntArray,
    tokens_out: IntArray,
    draws: FloatArray,
    begin: int,
    end: int,
    until: int,
) -> int:
    """Route and submit requests begin..end that arrive before `until`.

    Args:
        draws: two uniform numbers a request, shape (n, 2).

    Returns:
        The first request not submitted: the end, the first at or after `until`, or the one
        for which `pool` has no row left.
    """
    replicas, kind = c.due.shape[0], c.limits[ROUTER]
    for i in range(begin, end):
        t = arrival[i]
        if t >= until or c.total[FREE_ROW] < 0:
            return i
        first = second = 0
        looks = 1
        if kind == ROUND_ROBIN:
            first = c.total[ROUTED] % replicas
        elif kind == TWO and replicas > 1:
            first = int(draws[i, 0] * replicas)
            second = int(draws[i, 1] * (replicas - 1))
            second += second >= first
            looks = 2
        elif kind == SHORTEST:
            looks = replicas
        best = -1
        for look in range(looks):
            r = look if kind == SHORTEST else (first if look == 0 else second)
            if c.due[r] <= t:
                _advance(c, r, t)
            if best < 0 or c.load[r] < c.load[best]:
                best = r
        c.total[ROUTED] += 1
        _submit(c, best, t, tokens_in[i], tokens_out[i], i)
    return end


@compiled
def settle(c: Cell, t: int) -> None:
    """Advance all replicas to t."""
    for r in range(c.due.shape[0]):
        if c.due[r] <= t:
            _advance(c, r, t)


@compiled
def under_way(
    c: Cell, t: int, energy: IntArray, token_nj: IntArray, part_nj: IntArray
) -> tuple[float, int]:
    """What steps not yet counted have used by t: nanojoules and busy picoseconds.

    Args:
        energy: base and slope of a decode step's energy, shape (D + 1, K, 2).
        token_nj, part_nj: likewise of the other parts.
    """
    used_nj, busy_ps = 0.0, 0
    rep = c.rep
    for r in range(c.due.shape[0]):
        if rep[r, PHASE] != STEP or rep[r, T0] >= t:
            continue
        span = t - rep[r, T0]
        busy_ps += span
        d, segment, count = rep[r, DECODES], rep[r, SEG], rep[r, COUNT]
        step_nj = slope = 0
        if d > 0:
            slope = energy[d, segment, 1]
            step_nj = energy[d, segment, 0] + slope * (rep[r, S] - c.edge[segment] * d)
        if count > 0:
            step_nj += token_nj[d + rep[r, NEW]] + part_nj[0] * (d + count)
            step_nj += part_nj[1] * rep[r, PAIRS] + part_nj[2] * rep[r, READS]
            if d > 0:
                step_nj -= energy[d, 0, 0]
        t1, cd = rep[r, T1], rep[r, CD]
        whole = _steps_until(t1, cd, span) - 1
        used_nj += whole * step_nj + slope * d * (whole * (whole - 1) // 2)
        gone = whole * t1 + cd * (whole * (whole - 1) // 2)
        used_nj += (step_nj + slope * d * whole) * ((span - gone) / (t1 + cd * whole))
    return used_nj, busy_ps
