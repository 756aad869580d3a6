"""Arrivals: route, submit, and advance the replicas that somebody looks at."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from sim.cluster.serving.jit import compiled, inlined
from sim.cluster.serving.kernels.begin import begin_turn
from sim.cluster.serving.kernels.finish import (
    change_load,
    end_chunks,
    end_decodes,
    end_turn,
    write_log,
)
from sim.cluster.serving.kernels.layout import (
    A_CACHED,
    A_CLASS,
    A_FIRST,
    A_GENERATED,
    A_INPUT,
    A_KEY,
    A_OUTPUT,
    A_TIME,
    AFFINITY,
    AFFINITY_LOAD,
    ARRIVAL,
    ARRIVED,
    BLOCK,
    CD,
    CE,
    CHOICE,
    CHUNKED,
    COUNT,
    DECODES,
    DOWN,
    DROPPED,
    E1,
    EDGE,
    END_PS,
    FIRST_PS,
    FREE_ROW,
    GEN,
    GIVEN,
    HEAD,
    IDLE,
    INPUT,
    LAST_NEW,
    LEAST_KV,
    LOG_ROOM,
    LOGGED,
    MAX_SEQS,
    MAX_TOKENS,
    META,
    META_BITS,
    MODE,
    NEXT,
    ORDER,
    OUTPUT,
    OVER_BUDGET,
    PART,
    PART_CACHED,
    PHASE,
    PREFIX_TOKENS,
    QUEUE_FULL,
    QUEUE_TOKENS,
    QUEUED,
    READS,
    ROUND_ROBIN,
    ROUTED,
    ROUTER,
    SERVED,
    SHED,
    SHORTEST,
    START_PS,
    STEP,
    STICKY,
    T0,
    T1,
    TAIL,
    TOO_LONG,
    TOTAL,
    UP,
    W_ARRIVED,
    W_DROPPED,
    W_SHED,
    WATERMARK,
    X_PREEMPTIONS,
    X_RECOMPUTED,
    X_START,
    Cell,
    D,
    FloatArray,
    IntArray,
    K,
    S,
)
from sim.cluster.serving.kernels.power import account, energy_by, shorten, steps_until, tri
from sim.cluster.serving.kernels.prefix import hits, use_all
from sim.cluster.serving.kernels.shares import charge, no_shares


@inlined
def advance(c: Cell, r: int, time_ps: int) -> None:
    """End the steps that end by an instant, begin those that begin before it."""
    while c.due[r] <= time_ps and c.total[LOGGED] < c.limits[LOG_ROOM]:
        if c.rep[r, PHASE] == STEP:
            end_turn(c, r, c.due[r])
        if c.due[r] >= time_ps:
            break
        begin_turn(c, r, c.due[r])


@inlined
def cached_tokens(c: Cell, r: int, time_ps: int) -> int:
    """Tokens that the running requests have in the cache by finished steps."""
    rep = c.rep
    cached = rep[r, S]
    if rep[r, PHASE] != STEP:
        return cached + (rep[r, PART_CACHED] if rep[r, PART] >= 0 else 0)
    if rep[r, COUNT] > 0:
        cached += rep[r, READS]
    if rep[r, K] > 1:
        span = time_ps - rep[r, T0] + 1
        whole = steps_until(rep[r, T1], rep[r, CD], span) - 1
        each = rep[r, LAST_NEW] if rep[r, COUNT] else 0
        cached += whole * (rep[r, DECODES] + each)
    return cached


@inlined
def better(c: Cell, r: int, best: int, time_ps: int) -> bool:
    """Whether a router prefers r to the best so far."""
    if c.limits[ROUTER] == LEAST_KV:
        return cached_tokens(c, r, time_ps) < cached_tokens(c, best, time_ps)
    return c.load[r] < c.load[best]


@inlined
def given(c: Cell, r: int, arrivals: IntArray, i: int) -> int:
    """Tokens in the cache that a request brings, or finds in the prefix store (rule 15)."""
    cached = arrivals[i, A_CACHED]
    if c.store.shape[1] > 0:
        if c.rep[r, PHASE] == DOWN:
            return 0
        cached = hits(c, r, c.hashes, arrivals[i, A_FIRST], cached) * c.limits[PREFIX_TOKENS]
        cached = min(cached, arrivals[i, A_INPUT] - 1)
    return cached


@inlined
def sooner(c: Cell, r: int, best: int, arrivals: IntArray, i: int) -> bool:
    """Whether a router prefers r to the best so far for a request (prefix-affinity)."""
    load = c.limits[AFFINITY_LOAD]
    more = c.rep[r, QUEUED] - c.rep[best, QUEUED] + load * (c.load[r] - c.load[best])
    return more + given(c, best, arrivals, i) - given(c, r, arrivals, i) < 0


@inlined
def candidate(c: Cell, look: int, key: int, first: float, second: float) -> int:
    """The replica to look at for the `look`-th time, as a place among those that are up."""
    up, kind = c.limits[UP], c.limits[ROUTER]
    if kind in (SHORTEST, LEAST_KV, AFFINITY):
        return look
    if kind == ROUND_ROBIN:
        return c.total[ROUTED] % up
    if kind == STICKY:
        return key % up
    if look == 0:
        return int(first * up)
    other = int(second * (up - 1))
    return other + 1 if other >= int(first * up) else other


@inlined
def looks(c: Cell) -> int:
    """How many replicas a router looks at."""
    up, kind = c.limits[UP], c.limits[ROUTER]
    if kind in (SHORTEST, LEAST_KV, AFFINITY):
        return up
    if kind == CHOICE:
        return min(up, 2)
    return 1


@inlined
def refusal(c: Cell, r: int, kind: int, tokens_in: int, tokens_out: int, left: int) -> int:
    """Why a request is not taken, or 0 (rules 5 and 12)."""
    limits = c.limits
    most, whole = tokens_in + tokens_out - 1, limits[TOTAL] - limits[WATERMARK]
    if most > whole * limits[BLOCK]:
        return TOO_LONG
    if limits[MODE] != CHUNKED and most > limits[MAX_TOKENS]:
        return OVER_BUDGET
    if c.rep[r, QUEUED] + left > c.rules[kind, QUEUE_TOKENS]:
        return QUEUE_FULL
    return SERVED


@inlined
def count_arrival(c: Cell, kind: int, time_ps: int, reason: int) -> None:
    """Count an arrival, and what became of it."""
    tally = c.tally
    inside = c.limits[START_PS] <= time_ps and time_ps < c.limits[END_PS]
    tally[kind, ARRIVED] += 1
    tally[kind, W_ARRIVED] += inside
    if reason == QUEUE_FULL:
        tally[kind, SHED] += 1
        tally[kind, W_SHED] += inside
    elif reason != SERVED:
        tally[kind, DROPPED] += 1
        tally[kind, W_DROPPED] += inside


@inlined
def enqueue(c: Cell, r: int, row: int, kind: int, time_ps: int) -> None:
    """Put a request at the end of its class's queue; a jump ends where it may enter."""
    rep = c.rep
    change_load(c, r, time_ps, 1)
    rep[r, QUEUED] += c.pool[row, INPUT] + c.pool[row, GEN] - c.pool[row, ORDER]
    ahead = False
    for other in range(kind + 1):
        ahead = ahead or rep[r, HEAD + other] >= 0
    if rep[r, HEAD + kind] < 0:
        rep[r, HEAD + kind] = row
    else:
        c.pool[rep[r, TAIL + kind], NEXT] = row
    rep[r, TAIL + kind] = row
    if rep[r, PHASE] == IDLE:
        rep[r, PHASE] = EDGE
        c.due[r] = time_ps
    elif not ahead and rep[r, PHASE] == STEP and rep[r, COUNT] == 0:
        entry = rep[r, K] > 1 and rep[r, D] < c.limits[MAX_SEQS]
        if entry:
            shorten(c, r, time_ps)


@inlined
def submit(c: Cell, r: int, arrivals: IntArray, i: int) -> None:
    """Take a request at a replica that was advanced to its arrival, or refuse it."""
    pool, total, time_ps = c.pool, c.total, arrivals[i, A_TIME]
    kind, left = arrivals[i, A_CLASS], arrivals[i, A_INPUT] + arrivals[i, A_GENERATED]
    cached, begin = given(c, r, arrivals, i), arrivals[i, A_FIRST]
    left -= cached
    reason = refusal(c, r, kind, arrivals[i, A_INPUT], arrivals[i, A_OUTPUT], left)
    count_arrival(c, kind, time_ps, reason)
    if reason == SERVED:
        total[GIVEN] += cached
        if c.store.shape[1] > 0 and c.rep[r, PHASE] != DOWN:
            use_all(c, r, c.hashes, begin, arrivals[i, A_CACHED])
    row = total[FREE_ROW]
    pool[row, ARRIVAL], pool[row, FIRST_PS] = time_ps, -1
    pool[row, INPUT], pool[row, OUTPUT] = arrivals[i, A_INPUT], arrivals[i, A_OUTPUT]
    pool[row, GEN], pool[row, ORDER] = arrivals[i, A_GENERATED], cached
    pool[row, META] = total[ROUTED] << META_BITS | kind
    total[ROUTED] += 1
    if arrivals[i, A_GENERATED] > 0:
        pool[row, FIRST_PS] = arrivals[i, A_FIRST]
    if c.log.shape[0] > 0:
        c.extra[row, X_START], c.extra[row, X_PREEMPTIONS], c.extra[row, X_RECOMPUTED] = -1, 0, 0
        if c.paid.shape[0] > 0:
            no_shares(c.extra, c.paid, row)
    if reason == SERVED:
        total[FREE_ROW] = pool[row, NEXT]
        pool[row, NEXT] = -1
        enqueue(c, r, row, kind, time_ps)
    elif c.log.shape[0] > 0:
        write_log(c, r, row, -1, reason)


@compiled
def bring(
    c: Cell, arrivals: IntArray, draws: FloatArray, begin: int, end: int, until_ps: int
) -> int:
    """Route and submit requests begin..end that arrive before an instant.

    Without requests (`end` = 0), advance all replicas to the instant.

    Args:
        arrivals: shape (n, ARRIVAL_COLUMNS), sorted by time.
        draws: two uniform numbers a request, shape (n, 2).

    Returns:
        The first request not submitted. If it arrives before `until_ps`, there was no free
        row in `pool`, no replica up, or no room in the log.
    """
    i = begin
    settle = end == 0
    affinity = c.limits[ROUTER] == AFFINITY
    while settle or i < end:
        time_ps = until_ps if settle else arrivals[i, A_TIME]
        if not settle and (time_ps >= until_ps or c.total[FREE_ROW] < 0 or c.limits[UP] == 0):
            return i
        count, best = c.due.shape[0] if settle else looks(c), -1
        for look in range(count):
            r = look
            if not settle:
                r = c.up[candidate(c, look, arrivals[i, A_KEY], draws[i, 0], draws[i, 1])]
            if c.due[r] <= time_ps:
                advance(c, r, time_ps)
            if best < 0:
                best = r
            elif not settle and affinity:
                best = r if sooner(c, r, best, arrivals, i) else best
            elif not settle and better(c, r, best, time_ps):
                best = r
        if settle or c.total[LOGGED] >= c.limits[LOG_ROOM]:
            return i
        submit(c, best, arrivals, i)
        i += 1
    return i


@compiled
def requeue(c: Cell, row: int, time_ps: int, first: float, second: float) -> None:
    """Route a request that its replica lost, at an instant that all were settled to."""
    kind, best = c.pool[row, META] & ((1 << META_BITS) - 1), -1
    for look in range(looks(c)):
        place = candidate(c, look, int(first * c.limits[UP]), first, second)
        r = c.up[place]
        if best < 0 or better(c, r, best, time_ps):
            best = r
    c.pool[row, NEXT] = -1
    c.pool[row, ORDER] = 0
    enqueue(c, best, row, kind, time_ps)


@compiled
def abort(c: Cell, r: int, time_ps: int) -> int:
    """Cut off the step under way at an instant that all were settled to.

    Steps of the turn that have ended are counted; what was used until now is accounted.

    Returns:
        Energy (nJ) of the step that was cut off.
    """
    rep = c.rep
    if rep[r, PHASE] != STEP:
        return 0
    used = 0
    if rep[r, T0] < time_ps:
        used = energy_by(c, r, time_ps)
        account(c, r, time_ps, used)
    whole = steps_until(rep[r, T1], rep[r, CD], time_ps - rep[r, T0] + 1) - 1
    decodes = rep[r, DECODES]
    if whole > 0 and c.paid.shape[0] > 0:
        charge(c.rep, c.ledger, c.rest, r, whole)
    if whole > 0 and decodes > 0:
        end_decodes(c, r, time_ps, whole, decodes)
    if whole > 0 and rep[r, COUNT] > 0:
        end_chunks(c, r, time_ps, whole, decodes)
    return used - whole * rep[r, E1] - rep[r, CE] * tri(whole)
