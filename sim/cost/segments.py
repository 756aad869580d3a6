"""Straight pieces of the cost of decoding over the cached tokens, chosen where it bends.

Attention's cost over its cached tokens has knees: where the cache leaves the L2, where a window
is full, where another kernel is faster. Their places differ with the number of sequences, so
each number of sequences has its own knots: the node where the lines through the knots so far
are furthest off becomes the next one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

TOLERANCE_FRAC: Final = 1e-3
"""Lines through knots may be off by so much of a step at the sampled contexts, where
`MOST_SEGMENTS` are enough."""
MOST_SEGMENTS: Final = 8
NEVER_TOKENS: Final = 2**62
"""Edge of a segment that is not there."""


def segments(
    values: FloatArray, contexts: IntArray, given: IntArray | None
) -> tuple[IntArray, IntArray, IntArray]:
    """Edges, bases and slopes by number of sequences; the last segment has no end.

    Args:
        values: cost of d sequences that each have so many tokens cached, shape (6, D + 1, N);
            row 0 is of no use.
        contexts: these numbers, rising, shape (N,).
        given: edges that are kept, shape (D + 1, K); None to choose them.

    Returns:
        edge [cached tokens of all sequences], shape (D + 1, K), edge[:, 0] = 0; base and slope
        per cached token, whole numbers, shape (6, D + 1, K).
    """
    rows = range(1, values.shape[1])
    if given is None:
        chosen = _knots(values[:, 1:], contexts)
    else:
        chosen = [_at(given[d], contexts * d) for d in rows]
    count = max(len(knots) for knots in chosen) - 1
    edge = np.full((values.shape[1], count), NEVER_TOKENS, dtype=np.int64)
    base = np.zeros((values.shape[0], values.shape[1], count), dtype=np.int64)
    slope = np.zeros_like(base)
    edge[:, 0] = 0
    for d, knots in zip(rows, chosen, strict=True):
        tokens, own = contexts[knots] * d, values[:, d][:, knots]
        rise = np.rint(np.diff(own, axis=1) / np.diff(tokens)).astype(np.int64)
        size = len(knots) - 1
        edge[d, :size], slope[:, d, :size] = tokens[:-1], np.maximum(rise, 0)
        base[:, d, :size] = np.rint(own[:, :-1])
        base[:, d, 0] -= slope[:, d, 0] * tokens[0]
        edge[d, 0] = 0
    base[:2, 1:] = np.maximum(base[:2, 1:], 1)
    return edge, base, slope


def _knots(values: FloatArray, contexts: IntArray) -> list[IntArray]:
    """Nodes through which lines are drawn, for all numbers of sequences at once.

    Args:
        values: shape (6, D, N). contexts: shape (N,).

    Returns:
        D arrays of at least two nodes.
    """
    _, rows, count = values.shape
    index, scale = np.arange(count), np.maximum(np.abs(values), 1.0)
    is_knot = np.zeros((rows, count), dtype=bool)
    is_knot[:, [0, -1]] = True
    bent = np.arange(rows)
    for _ in range(MOST_SEGMENTS - 1):
        off = _distance(values[:, bent], contexts, is_knot[bent], index)
        worst_off = (off / scale[:, bent]).max(axis=0)
        worst = worst_off.argmax(axis=1)
        more = worst_off[np.arange(len(bent)), worst] > TOLERANCE_FRAC
        bent, worst = bent[more], worst[more]
        if not bent.size:
            break
        is_knot[bent, worst] = True
    return [np.flatnonzero(row) for row in is_knot]


def _distance(
    values: FloatArray, contexts: IntArray, is_knot: NDArray[np.bool_], index: IntArray
) -> FloatArray:
    """How far values are from the lines between knots, shape of the values."""
    last = len(index) - 1
    left = np.maximum.accumulate(np.where(is_knot, index, 0), axis=1)
    right = np.minimum.accumulate(np.where(is_knot, index, last)[:, ::-1], axis=1)[:, ::-1]
    low, high = (np.take_along_axis(values, at[None], axis=2) for at in (left, right))
    part = (contexts[index] - contexts[left]) / np.maximum(contexts[right] - contexts[left], 1)
    return np.asarray(np.abs(low + (high - low) * part - values))


def _at(edge: IntArray, tokens: IntArray) -> IntArray:
    """The nodes of given edges."""
    inner = edge[1:][edge[1:] < NEVER_TOKENS]
    return np.concatenate([[0], np.searchsorted(tokens, inner), [len(tokens) - 1]])
