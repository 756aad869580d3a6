"""The begin of a turn: plan the step (rules 6 to 9), then jump as far as nothing changes."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from sim.cluster.serving.jit import inlined
from sim.cluster.serving.kernels.blocks import ceil_div, free_after, preempt, steps_that_fit
from sim.cluster.serving.kernels.layout import (
    AT,
    BLOCK,
    CD,
    CE,
    CHUNKED,
    CLOCK,
    COUNT,
    DECODE_FIRST,
    DECODES,
    DONE,
    E1,
    EVICTED,
    FIRST,
    GEN,
    HEAD,
    INPUT,
    KEY_BITS,
    LAST_CACHED,
    LAST_NEW,
    LEFT,
    MAX_SEQS,
    MAX_TOKENS,
    MODE,
    MOVED,
    NEW,
    NEXT,
    ORDER,
    ORDERED,
    PAIRS,
    PART,
    PART_CACHED,
    PHASE,
    QUEUED,
    READS,
    SEG,
    STEP,
    SWAP,
    SWAP_NJ,
    SWAP_PS,
    SWAPPED,
    T0,
    T1,
    TOTAL,
    USED_CLASSES,
    WATERMARK,
    X_CACHED,
    X_START,
    Cell,
    D,
    K,
    S,
)
from sim.cluster.serving.kernels.power import tri
from sim.cluster.serving.kernels.shares import begin_shares


@inlined
def first_class(c: Cell, r: int, kind: int) -> int:
    """The first class from `kind` on with a waiting request, or the last one."""
    while c.rep[r, HEAD + kind] < 0 and kind + 1 < c.limits[USED_CLASSES]:
        kind += 1
    return kind


@inlined
def go_on(c: Cell, r: int, budget: int) -> int:
    """The next chunk of the prompt in progress, if any; returns its tokens after the step."""
    rep, row = c.rep, c.rep[r, PART]
    rep[r, COUNT] = rep[r, NEW] = rep[r, PAIRS] = rep[r, READS] = 0
    rep[r, LAST_CACHED] = rep[r, LAST_NEW] = rep[r, LEFT] = 0
    rep[r, FIRST] = row
    if row < 0:
        return 0
    cached = rep[r, PART_CACHED]
    left = c.pool[row, INPUT] + c.pool[row, GEN] - cached
    new = min(left, budget)
    rep[r, COUNT], rep[r, NEW], rep[r, READS] = 1, new, cached
    rep[r, PAIRS] = new * cached + tri(new)
    rep[r, LAST_CACHED], rep[r, LAST_NEW], rep[r, LEFT] = cached, new, left
    return cached + new


@inlined
def admit(c: Cell, r: int, now: int, budget: int, used: int) -> int:
    """Admit while there is room (rule 6); `used` bounds the tokens that blocks are held for.

    Whether there is room is decided by tokens where that is sure, else by counting blocks.

    Returns:
        Blocks swapped in.
    """
    rep, pool, limits = c.rep, c.pool, c.limits
    block, swapped, free = limits[BLOCK], 0, -1
    kind = first_class(c, r, 0)
    row, last = rep[r, HEAD + kind], rep[r, PART]
    slots = limits[MAX_SEQS] - rep[r, D] - rep[r, COUNT]
    room = (limits[TOTAL] - limits[WATERMARK]) * block - used
    while row >= 0 and slots > 0 and budget > 0:
        target, cached = pool[row, INPUT] + pool[row, GEN], pool[row, ORDER]
        if target + block - 1 > room:
            if free < 0:
                free = free_after(c, r)
            if ceil_div(target, block) > free - limits[WATERMARK]:
                break
        left = target - cached
        if left > budget and limits[MODE] != CHUNKED:
            break
        take = min(left, budget)
        if free >= 0:
            free -= ceil_div(cached + take, block)
        room -= cached + take + block - 1
        budget -= take
        slots -= 1
        if rep[r, COUNT] == 0:
            rep[r, FIRST] = row
        else:
            pool[last, NEXT] = row
        rep[r, COUNT] += 1
        rep[r, NEW] += take
        rep[r, PAIRS] += take * cached + tri(take)
        rep[r, READS] += cached
        rep[r, LAST_CACHED], rep[r, LAST_NEW], rep[r, LEFT] = cached, take, left
        if cached > 0 and limits[SWAP]:
            swapped += ceil_div(cached, block)
        if c.extra.shape[0] > 0:
            c.extra[row, X_CACHED] = cached
            if c.extra[row, X_START] < 0:
                c.extra[row, X_START] = now
        pool[row, ORDER] = c.total[ORDERED]
        c.total[ORDERED] += 1
        rep[r, QUEUED] -= left
        last = row
        rep[r, HEAD + kind] = pool[row, NEXT]
        kind = first_class(c, r, kind)
        row = rep[r, HEAD + kind]
    return swapped


@inlined
def plan(c: Cell, r: int, now: int) -> int:
    """What the next step holds; returns blocks swapped in or out."""
    rep, limits = c.rep, c.limits
    block, whole, swapped = limits[BLOCK], limits[TOTAL] * limits[BLOCK], 0
    chunked, d = limits[MODE] == CHUNKED, rep[r, D]
    grown = rep[r, S] + d * block  # every decoding sequence takes a token
    rep[r, EVICTED] = 0
    budget = limits[MAX_TOKENS]
    if chunked:
        budget -= d
    chunk = go_on(c, r, budget)
    used = grown + chunk + block if chunked else grown - d
    if chunked and used > whole:
        swapped = preempt(c, r)
        if rep[r, EVICTED] > 0:
            d = rep[r, D]
            go_on(c, r, limits[MAX_TOKENS] - d)
    if rep[r, EVICTED] == 0 and (limits[MODE] != DECODE_FIRST or d == 0):
        entered = admit(c, r, now, budget - rep[r, NEW], used)
        c.total[SWAPPED] += entered
        swapped += entered
    if not chunked:
        if rep[r, COUNT] > 0:
            d = 0
        elif grown > whole:
            swapped = preempt(c, r)
            d = rep[r, D]
    rep[r, DECODES] = d
    return swapped


@inlined
def price(c: Cell, r: int, swapped: int) -> int:
    """Time and energy of the first step, and their slopes; returns the segment's end."""
    rep, d, cached, segment = c.rep, c.rep[r, DECODES], c.rep[r, S], 0
    t1, cd, e1, ce, stop = 0, 0, 0, 0, 0
    if d > 0:
        segments = c.edge.shape[1]
        while segment + 1 < segments and c.edge[d, segment + 1] <= cached:
            segment += 1
        if segment + 1 < segments:
            stop = c.edge[d, segment + 1]
        over = cached - c.edge[d, segment]
        cd, ce = c.price[d, segment, 1], c.price[d, segment, 3]
        t1 += c.price[d, segment, 0] + cd * over
        e1 += c.price[d, segment, 2] + ce * over
    count = rep[r, COUNT]
    if count > 0:
        part, new = c.part, rep[r, NEW]
        pairs, reads = rep[r, PAIRS], rep[r, READS]
        t1 += c.token[d + new, 0] + part[0] * (d + count) + part[1] * pairs + part[2] * reads
        e1 += c.token[d + new, 1] + part[3] * (d + count) + part[4] * pairs + part[5] * reads
        t1 -= c.alone[d, 0]
        e1 -= c.alone[d, 1]
    rep[r, SEG] = segment
    rep[r, T1] = max(t1, 1) + swapped * c.limits[SWAP_PS]
    rep[r, E1] = e1 + swapped * c.limits[SWAP_NJ]
    rep[r, CD], rep[r, CE] = cd * d, ce * d
    return stop


@inlined
def jump(c: Cell, r: int, swapped: int, stop: int) -> int:
    """Steps until something changes: a completion, a segment's edge, the cache full."""
    rep, limits = c.rep, c.limits
    d, cached, count, k = rep[r, DECODES], rep[r, S], rep[r, COUNT], 1
    block, each = limits[BLOCK], rep[r, LAST_NEW]
    whole = limits[TOTAL] * block
    if rep[r, EVICTED] > 0 or swapped > 0 or count > 1 or (count == 1 and each >= rep[r, LEFT]):
        return k
    if count == 1:
        k = (rep[r, LEFT] - 1) // each
    if d > 0:
        until_done = (c.run[r, d - 1] >> KEY_BITS) - rep[r, CLOCK]
        k = min(k, until_done) if count else until_done
        if stop > 0 and cached + k * d > stop:
            k = min(k, (stop - cached + d - 1) // d)
    used = cached + k * d + d * (block - 1)
    if count == 1:
        if k > 1 and used + rep[r, LAST_CACHED] + k * each + block > whole:
            k = 1
        if k > 1:
            rep[r, CD] += c.part[1] * each * each + c.part[2] * each
            rep[r, CE] += c.part[4] * each * each + c.part[5] * each
    elif used > whole:
        k = steps_that_fit(c, r, k, d)
    return k


@inlined
def begin_turn(c: Cell, r: int, now: int) -> None:
    """Plan a step at its edge and begin it, or a jump of steps like it."""
    rep = c.rep
    swapped = plan(c, r, now)
    stop = price(c, r, swapped)
    k = jump(c, r, swapped, stop)
    if c.paid.shape[0] > 0:
        worth = (c.worth, c.worth_token, c.worth_alone, c.worth_part)
        begin_shares(c.rep, c.ledger, c.edge, worth, r)
    rep[r, PHASE], rep[r, T0], rep[r, K] = STEP, now, k
    rep[r, AT], rep[r, DONE], rep[r, MOVED] = now, 0, swapped
    c.due[r] = now + k * rep[r, T1] + rep[r, CD] * tri(k)
