"""Each request's share of the turns it is in (see `request_cost`), kept where a log tells it.

The own part of a decoding sequence is a price times its cached tokens, which grow by one a
step. At the replica's step number x it has x + b of them, b fixed while it decodes. So with
running sums of the price (Q_PRICE) and of price times x (Q_MOMENT), what it owns is the
difference of moment + b price between its end and its begin: O(1) a turn and a request.
These are whole numbers, exact whatever the sums come to (modulo 2**64). The rest, shared by
tokens, is a running sum in float64 (`rest`), as is what each request has paid of it (`paid`).
"""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

from typing import Any

import numpy as np

from sim.cluster.serving.jit import compiled, inlined, internal, seldom
from sim.cluster.serving.kernels.layout import (
    AT,
    CD,
    CE,
    CLOCK,
    COUNT,
    DECODES,
    E1,
    FIRST,
    GEN,
    INPUT,
    KEY_MASK,
    L_SHARES,
    LAST_CACHED,
    LAST_NEW,
    NEW,
    OUTPUT,
    PAIRS,
    PHASE,
    Q_FIRST,
    Q_MOMENT,
    Q_MORE,
    Q_OWN,
    Q_PAIR,
    Q_PRICE,
    Q_READ,
    Q_STEPS,
    Q_TRI,
    READS,
    SEG,
    SHARES,
    STEP,
    T0,
    T1,
    X_OWN,
    Cell,
    D,
    FloatArray,
    IntArray,
    S,
)
from sim.cluster.serving.kernels.power import steps_until, tri

Worth = tuple[IntArray, IntArray, IntArray, IntArray]
"""`worth`, `worth_token`, `worth_alone`, `worth_part` of a cell."""
TIME_SHARE, FLOPS_SHARE, HBM_SHARE, ENERGY_SHARE = range(SHARES)


@inlined
def plain_work(
    rep: IntArray, edge: IntArray, worth: Worth, r: int, q: int, pairs: int, reads: int
) -> int:
    """FLOPs or HBM bytes of the first step of a turn."""
    column, (each, token, alone, part) = 2 * (q - 1), worth
    d, count, value = rep[r, DECODES], rep[r, COUNT], 0
    if d > 0:
        segment = rep[r, SEG]
        value = each[d, segment, SHARES + column]
        value += each[d, segment, SHARES + column + 1] * (rep[r, S] - edge[d, segment])
    if count > 0:
        value += token[d + rep[r, NEW], q - 1] - alone[d, q - 1]
        value += part[q, 0] * (d + count)
        value += part[q, 1] * pairs + part[q, 2] * reads
    return value


@internal
def begin_shares(rep: IntArray, ledger: IntArray, edge: IntArray, worth: Worth, r: int) -> None:
    """Prices of the turn that begins: what is owned, and what is left of its first step."""
    seldom()
    price, part = worth[0], worth[3]
    d, count, segment = rep[r, DECODES], rep[r, COUNT], rep[r, SEG]
    pairs, reads, each = 0, 0, 0
    if count > 0:
        pairs, reads, each = rep[r, PAIRS], rep[r, READS], rep[r, LAST_NEW]
    for q in range(SHARES):
        own, pair, read, more = 0, part[q, 1], part[q, 2], 0
        if d > 0:
            own = price[d, segment, q]
        if q == TIME_SHARE:
            first, more = rep[r, T1], rep[r, CD]
        elif q == ENERGY_SHARE:
            first, more = rep[r, E1], rep[r, CE]
        else:
            first = plain_work(rep, edge, worth, r, q, pairs, reads)
            more = pair * each * each + read * each
            if d > 0:
                more += d * price[d, segment, SHARES + 2 * q - 1]
        ledger[r, q, Q_OWN], ledger[r, q, Q_PAIR], ledger[r, q, Q_READ] = own, pair, read
        ledger[r, q, Q_FIRST] = first - own * rep[r, S] - pair * pairs - read * reads
        ledger[r, q, Q_MORE] = more - own * d - pair * each * each - read * each


@internal
def owned(rep: IntArray, ledger: IntArray, r: int, q: int, step: int) -> int:
    """What the sequences of a turn own of one of its steps, were it charged."""
    value = ledger[r, q, Q_OWN] * (rep[r, S] + step * rep[r, DECODES])
    if rep[r, COUNT] > 0:
        each = rep[r, LAST_NEW]
        value += ledger[r, q, Q_PAIR] * (rep[r, PAIRS] + step * each * each)
        value += ledger[r, q, Q_READ] * (rep[r, READS] + step * each)
    return value


@internal
def charge(rep: IntArray, ledger: IntArray, rest: FloatArray, r: int, k: int) -> None:
    """Add the first k steps of a turn to the running sums, before its tokens are given out.

    In closed form where the own parts are below the total in all of them, as they are with
    the tables of real models; else step by step.
    """
    seldom()
    d, clock = rep[r, DECODES], rep[r, CLOCK]
    tokens = d
    if rep[r, COUNT] > 0:
        tokens += rep[r, NEW]
    for q in range(SHARES):
        first, more = ledger[r, q, Q_FIRST], ledger[r, q, Q_MORE]
        steps, moments = k, tri(k)
        left = np.float64(first) * k + np.float64(more) * moments
        if first < 0 or first + more * (k - 1) < 0:
            steps, moments, left = 0, 0, np.float64(0.0)
            for step in range(k):
                one = first + more * step
                if one < 0:
                    left += np.float64(one + owned(rep, ledger, r, q, step))
                else:
                    steps, moments, left = steps + 1, moments + step, left + np.float64(one)
        ledger[r, q, Q_STEPS], ledger[r, q, Q_TRI] = steps, moments
        rest[r, SHARES + q] = left / tokens
        if d > 0:
            rest[r, q] += left / tokens
            ledger[r, q, Q_PRICE] += ledger[r, q, Q_OWN] * steps
            ledger[r, q, Q_MOMENT] += ledger[r, q, Q_OWN] * (steps * clock + moments)


@internal
def pay_chunk(
    extra: IntArray,
    ledger: IntArray,
    rest: FloatArray,
    paid: FloatArray,
    r: int,
    row: int,
    new: int,
    cached: int,
) -> None:
    """A prompt pays for its chunks in a turn that was charged: so many tokens in each step.

    Args:
        cached: tokens that it had before the first.
    """
    seldom()
    pairs = new * cached + tri(new)
    for q in range(SHARES):
        pair, read = ledger[r, q, Q_PAIR], ledger[r, q, Q_READ]
        paid[row, q] += rest[r, SHARES + q] * new
        extra[row, X_OWN + q] += ledger[r, q, Q_STEPS] * (pair * pairs + read * cached)
        extra[row, X_OWN + q] += ledger[r, q, Q_TRI] * (pair * new + read) * new


@internal
def pay_decoding(
    pool: IntArray,
    extra: IntArray,
    ledger: IntArray,
    rest: FloatArray,
    paid: FloatArray,
    r: int,
    row: int,
    sign: int,
) -> None:
    """A request begins (sign -1) or ends (1) to decode, by what `run` and GEN say of it."""
    seldom()
    before = pool[row, INPUT] + pool[row, OUTPUT] - 1 - pool[row, GEN]
    for q in range(SHARES):
        own = ledger[r, q, Q_MOMENT] + ledger[r, q, Q_PRICE] * before
        extra[row, X_OWN + q] += sign * own
        paid[row, q] += sign * rest[r, q]


@compiled
def end_decoding(c: Cell, r: int, row: int) -> None:
    """A request does not decode any more (see `pay_decoding`)."""
    pay_decoding(c.pool, c.extra, c.ledger, c.rest, c.paid, r, row, 1)


@compiled
def pay_so_far(c: Cell, r: int) -> None:
    """All requests at a replica pay for the steps that ended by when it was last accounted.

    The turn goes on, so the replica's state must be put back before it is advanced again.
    """
    rep = c.rep
    if rep[r, PHASE] == STEP:
        whole = steps_until(rep[r, T1], rep[r, CD], rep[r, AT] - rep[r, T0] + 1) - 1
        if whole > 0:
            charge(c.rep, c.ledger, c.rest, r, whole)
            if rep[r, COUNT] > 0:  # one prompt, as there is another step
                pay_chunk(
                    c.extra,
                    c.ledger,
                    c.rest,
                    c.paid,
                    r,
                    rep[r, FIRST],
                    rep[r, LAST_NEW],
                    rep[r, LAST_CACHED],
                )
    for place in range(rep[r, D]):
        pay_decoding(c.pool, c.extra, c.ledger, c.rest, c.paid, r, c.run[r, place] & KEY_MASK, 1)


@internal
def log_shares(extra: IntArray, paid: FloatArray, log: IntArray, row: int, at: int) -> None:
    """Write what a request has paid into its row of the log, the bits of floats."""
    seldom()
    for q in range(SHARES):
        share: Any = np.float64(extra[row, X_OWN + q]) + paid[row, q]
        log[at, L_SHARES + q] = np.float64(share).view(np.int64)


@internal
def no_shares(extra: IntArray, paid: FloatArray, row: int) -> None:
    """A request has paid nothing yet."""
    seldom()
    for q in range(SHARES):
        extra[row, X_OWN + q] = 0
        paid[row, q] = 0.0
