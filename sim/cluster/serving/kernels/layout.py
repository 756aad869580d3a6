"""Where the compiled engine keeps what: columns of its arrays.

State is int64 arrays, so that times, tokens and energies (nJ) are exact. A replica is a row
of `rep`; a request in the system is a row of `pool`. Waiting requests are linked lists, one
a class, oldest first. A decoding sequence has `input + generated - 1` cached tokens, and
all grow together, so a replica keeps only: d, the sum S of cached tokens, its finish steps
in descending order (`run`), and how many sequences stand at each phase within a block,
from which the blocks held follow exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

NEVER = 2**62
IDLE, STEP, EDGE, DOWN = 0, 1, 2, 3
CLASSES = 4

# Columns of `rep`. A turn is k equal-batch steps from T0; step j lasts T1 + (j - 1) CD and
# uses E1 + (j - 1) CE. It has DECODES sequences and COUNT chunks, the first at row FIRST;
# the last chunk stands on LAST_CACHED tokens and brings LAST_NEW, with LEFT before it.
PHASE, CLOCK, D, S, T0, K, T1, CD, E1, CE, SEG, DECODES = range(12)
COUNT, FIRST, LAST_CACHED, LAST_NEW, LEFT, NEW, PAIRS, READS = range(12, 20)
PART, PART_CACHED, QUEUED, EVICTED, BIN, BIN_END, AT, DONE = range(20, 28)
HEAD, TAIL = 28, 28 + CLASSES
AREA, CHANGED = 36, 37  # requests at the replica over time, up to its last change
MOVED = 38  # blocks swapped in the turn
REP_COLUMNS = 40

# Columns of `pool`. GEN is the finish step of a decoding sequence, else tokens generated.
# ORDER numbers admissions; while a request waits it is what it brings into the cache.
ARRIVAL, INPUT, OUTPUT, FIRST_PS, GEN, NEXT, ORDER, META = range(8)
META_BITS = 3  # of META for the class; the rest numbers the arrivals

# Columns of `extra`, kept beside `pool` when completions are logged. CACHED is what a prompt has
# by finished steps; from OWN on stands what was paid of the parts that a request owns.
X_START, X_PREEMPTIONS, X_RECOMPUTED, X_CACHED, X_OWN = range(5)
SHARES = 4
"""Quantities that are divided: time (ps), FLOPs, HBM bytes, energy (nJ)."""
EXTRA_COLUMNS = X_OWN + SHARES

# Columns of `ledger` (see `shares`), for each quantity: prices of the turn under way; the rest
# of its first step, and what the next has more; steps charged, and their numbers summed; the
# price over all steps so far, and price times number of the step.
Q_OWN, Q_PAIR, Q_READ, Q_FIRST, Q_MORE, Q_STEPS, Q_TRI, Q_PRICE, Q_MOMENT = range(9)
LEDGER_COLUMNS = 9

# Columns of a table of arrivals.
A_TIME, A_INPUT, A_OUTPUT, A_CLASS, A_KEY, A_GENERATED, A_CACHED, A_FIRST = range(8)
ARRIVAL_COLUMNS = 8
"""With a prefix store, CACHED is how many blocks the prompt has and FIRST where they begin in
`hashes`."""

# Entries of `limits`.
MODE, MAX_SEQS, MAX_TOKENS, BLOCK, TOTAL, WATERMARK, ROUTER, START_PS, END_PS = range(9)
BIN_PS, USED_CLASSES, SWAP, SWAP_PS, SWAP_NJ, LOG_ROOM, UP, PREFIX_TOKENS = range(9, 17)
AFFINITY_LOAD = 17
LIMITS = 20
CHUNKED, PREFILL_FIRST, DECODE_FIRST = 0, 1, 2
ROUND_ROBIN, SHORTEST, CHOICE, RANDOM, LEAST_KV, STICKY, AFFINITY = range(7)

# Entries of `total`, and columns of `tally`, one row a class.
FREE_ROW, ROUTED, ORDERED, TURNS, PREEMPTED, RECOMPUTED, SWAPPED = range(7)
CHUNKS, ALL_PAIRS, ALL_READS, LOGGED, STAYED, GIVEN = range(7, 13)
TOTALS = 16
ARRIVED, DROPPED, SHED, COMPLETED, TOKENS_IN, TOKENS_OUT = range(6)
W_ARRIVED, W_DROPPED, W_SHED, W_COMPLETED, W_IN, W_OUT, W_MET = range(6, 13)
TALLIES = 16

# Columns of `log`: completed and refused requests, in the order in which they were found.
L_ID, L_REPLICA, L_CLASS, L_ARRIVAL, L_INPUT, L_OUTPUT, L_START, L_FIRST, L_END = range(9)
L_PREEMPTIONS, L_RECOMPUTED, L_REASON, L_SHARES = range(9, 13)
LOG_COLUMNS = L_SHARES + SHARES
"""From SHARES on stand the bits of float64: ps, FLOPs, bytes and nJ; NaN where not kept."""
SERVED, TOO_LONG, OVER_BUDGET, QUEUE_FULL, HELD = range(5)

# Columns of `rules`, one row a class.
QUEUE_TOKENS, SLO_TTFT_PS, SLO_TPOT_PS = range(3)

# Columns of `store`, and of `ends` (the longest unused, the last used, slots in use).
S_KEY, S_CHAIN, S_PREV, S_NEXT = range(4)
FIRST_SLOT, LAST_SLOT, USED_SLOTS = range(3)

KEY_BITS = 24
KEY_MASK = (1 << KEY_BITS) - 1

HISTOGRAM_SHIFT = 45
"""Bits of a float64 dropped to get its bucket: 128 buckets an octave, so a quantile read at
the middle of a bucket is within 0.4 %."""
HISTOGRAM_LOW = 1023 << 7
HISTOGRAM_BUCKETS = 128 * 62


class Cell(NamedTuple):
    """Replicas behind one router, and what their steps cost. Arrays are int64, if not said.

    Attributes:
        rep: shape (R, REP_COLUMNS). due: when each replica must be looked at, shape (R,).
        load: requests at each replica, shape (R,). up: replicas that take requests, the
            first `limits[UP]` of them, shape (R,).
        run: finish step and row of each decoding sequence, shape (R, max_seqs).
        phase: sequences by phase within a block, shape (R, block size).
        pool: requests in the system, shape (M, 8). extra: shape (M, EXTRA_COLUMNS), without a
            log (0, EXTRA_COLUMNS).
        limits, total, tally, rules: see the column names.
        steps: decode steps and tokens over the segment's edge by (d, segment),
            shape (D + 1, K, 2).
        mixed: steps with chunks by decoding sequences, shape (D + 1,).
        tokens: steps with chunks by new tokens, shape (T + 1,).
        histogram: of TTFT, TPOT, E2E in ps by class, shape (classes, 3, HISTOGRAM_BUCKETS).
        sums: of TTFT, TPOT, E2E in ps by class, float64, shape (classes, 3).
        bins: energy (nJ) and busy time (ps) by time, shape (n, 2).
        edge: cached tokens where segments begin, shape (D + 1, K). price: time and its slope,
            energy and its slope, by (d, segment), shape (D + 1, K, 4). alone: time and energy
            that decoding takes off with chunks, shape (D + 1, 2). token: time and energy by
            new tokens, shape (T + 1, 2). part: of a sequence, a pair, a read: three times,
            three energies.
        log: shape (L, LOG_COLUMNS), or (0, LOG_COLUMNS).
        worth: price of a cached token, then base and slope of FLOPs and of HBM bytes, by
            (d, segment), shape (D + 1, K, 8). worth_token: FLOPs and bytes by new tokens, shape
            (T + 1, 2). worth_alone: like `alone`, shape (D + 1, 2). worth_part: of a sequence,
            a pair, a read by quantity, shape (4, 3). ledger: shape (R, 4, LEDGER_COLUMNS).
            rest: what tokens share, float64, shape (R, 8). paid: of it by each request,
            float64, shape (M, 4). These are empty where shares are not kept.
        store: prefix blocks, shape (R, P, 4), P = 0 without. bucket: of its hash table,
            shape (R, H). ends: shape (R, 3). hashes: blocks of the prompts to come.
    """

    rep: IntArray
    due: IntArray
    load: IntArray
    up: IntArray
    run: IntArray
    phase: IntArray
    pool: IntArray
    extra: IntArray
    limits: IntArray
    total: IntArray
    tally: IntArray
    rules: IntArray
    steps: IntArray
    mixed: IntArray
    tokens: IntArray
    histogram: IntArray
    sums: FloatArray
    bins: IntArray
    edge: IntArray
    price: IntArray
    alone: IntArray
    token: IntArray
    part: IntArray
    log: IntArray
    worth: IntArray
    worth_token: IntArray
    worth_alone: IntArray
    worth_part: IntArray
    ledger: IntArray
    rest: FloatArray
    paid: FloatArray
    store: IntArray
    bucket: IntArray
    ends: IntArray
    hashes: IntArray
