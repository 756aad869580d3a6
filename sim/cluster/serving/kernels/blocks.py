"""Cache blocks, exactly, where the fast bound does not decide; preemption (rule 7)."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from sim.cluster.serving.jit import inlined, internal
from sim.cluster.serving.kernels.layout import (
    BLOCK,
    CLOCK,
    COUNT,
    EVICTED,
    FIRST,
    GEN,
    HEAD,
    INPUT,
    KEY_MASK,
    LAST_CACHED,
    LAST_NEW,
    MAX_TOKENS,
    META,
    META_BITS,
    MODE,
    NEXT,
    ORDER,
    OUTPUT,
    PART,
    PART_CACHED,
    PREEMPTED,
    QUEUED,
    RECOMPUTED,
    SWAP,
    SWAPPED,
    TAIL,
    TOTAL,
    X_PREEMPTIONS,
    X_RECOMPUTED,
    Cell,
    D,
    S,
)
from sim.cluster.serving.kernels.shares import pay_decoding


@inlined
def ceil_div(tokens: int, block: int) -> int:
    """Blocks that hold so many tokens."""
    return (tokens + block - 1) // block


@internal
def held(c: Cell, r: int) -> int:
    """Blocks of the decoding sequences: the sum of ceil(cached / block)."""
    block = c.limits[BLOCK]
    at = c.rep[r, CLOCK] % block
    rest = c.rep[r, S]
    for phase in range(block):
        rest += c.phase[r, phase] * ((phase - at + block) % block)
    return rest // block


@internal
def free_after(c: Cell, r: int) -> int:
    """Blocks left when the running ones and the chunks taken so far have their blocks."""
    rep, pool, block = c.rep, c.pool, c.limits[BLOCK]
    free = c.limits[TOTAL] - held(c, r)
    if c.limits[MODE] == 0:
        free -= c.phase[r, rep[r, CLOCK] % block]
    row = rep[r, FIRST]
    for index in range(rep[r, COUNT]):
        after = pool[row, INPUT] + pool[row, GEN]
        if index == rep[r, COUNT] - 1:
            after = rep[r, LAST_CACHED] + rep[r, LAST_NEW]
        free -= ceil_div(after, block)
        row = pool[row, NEXT]
    return free


@internal
def steps_that_fit(c: Cell, r: int, most: int, d: int) -> int:
    """Decode steps until the cache is full, at most `most`; the next one fits."""
    block = c.limits[BLOCK]
    free = c.limits[TOTAL] - held(c, r)
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
    return max(1, min(most, steps))


@internal
def preempt(c: Cell, r: int) -> int:
    """Evict the newest until what the kept ones need next is free.

    The prompt in progress, if there is one, is the newest. `rep[r, EVICTED]` says how many.

    Returns:
        Blocks swapped out.
    """
    rep, pool, block = c.rep, c.pool, c.limits[BLOCK]
    rep[r, EVICTED] = 0
    swapped = 0
    while rep[r, D] > 0 or rep[r, PART] >= 0:
        free = c.limits[TOTAL] - held(c, r)
        need = c.phase[r, rep[r, CLOCK] % block]
        row = rep[r, PART]
        if row >= 0:
            cached = rep[r, PART_CACHED]
            left = pool[row, INPUT] + pool[row, GEN] - cached
            free -= ceil_div(cached, block)
            after = cached + min(left, c.limits[MAX_TOKENS] - rep[r, D])
            need += ceil_div(after, block) - ceil_div(cached, block)
        if need <= free:
            break
        swapped += _evict(c, r)
        rep[r, EVICTED] += 1
    c.total[PREEMPTED] += rep[r, EVICTED]
    c.total[SWAPPED] += swapped
    return swapped


@internal
def _newest(c: Cell, r: int) -> int:
    """Place in `run` of the decoding sequence that was admitted last."""
    best = 0
    for place in range(1, c.rep[r, D]):
        if c.pool[c.run[r, place] & KEY_MASK, ORDER] > c.pool[c.run[r, best] & KEY_MASK, ORDER]:
            best = place
    return best


@internal
def _evict(c: Cell, r: int) -> int:
    """The newest running sequence gives its blocks back; returns how many were swapped."""
    rep, pool, block = c.rep, c.pool, c.limits[BLOCK]
    row, cached = rep[r, PART], rep[r, PART_CACHED]
    if row >= 0:
        rep[r, PART] = -1
    else:
        row, cached = _leave(c, r, _newest(c, r))
    c.total[RECOMPUTED] += 0 if c.limits[SWAP] else cached
    if c.extra.shape[0] > 0:
        c.extra[row, X_PREEMPTIONS] += 1
        c.extra[row, X_RECOMPUTED] += 0 if c.limits[SWAP] else cached
    kept = cached if c.limits[SWAP] else 0
    pool[row, ORDER] = kept
    rep[r, QUEUED] += pool[row, INPUT] + pool[row, GEN] - kept
    kind = pool[row, META] & ((1 << META_BITS) - 1)
    pool[row, NEXT] = rep[r, HEAD + kind]
    if rep[r, HEAD + kind] < 0:
        rep[r, TAIL + kind] = row
    rep[r, HEAD + kind] = row
    return ceil_div(kept, block)


@internal
def _leave(c: Cell, r: int, place: int) -> tuple[int, int]:
    """Take a decoding sequence out of the batch: (its row, tokens it had cached)."""
    rep, pool, block, clock = c.rep, c.pool, c.limits[BLOCK], c.rep[r, CLOCK]
    row = c.run[r, place] & KEY_MASK
    for index in range(place, rep[r, D] - 1):
        c.run[r, index] = c.run[r, index + 1]
    if c.paid.shape[0] > 0:
        pay_decoding(c.pool, c.extra, c.ledger, c.rest, c.paid, r, row, 1)
    generated = pool[row, OUTPUT] - (pool[row, GEN] - clock)
    cached = pool[row, INPUT] + generated - 1
    rep[r, D] -= 1
    rep[r, S] -= cached
    c.phase[r, (clock - cached) % block] -= 1
    pool[row, GEN] = generated
    return row, cached
