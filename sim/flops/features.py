"""The few sums over a batch that every operation's cost is linear in.

A batch matters only through these: new tokens, sequences, attended query-key pairs per
reach, cached tokens read per reach, experts touched. `decode` means exactly one new token.
All are exact whole numbers but the experts touched and Hyena's FFT sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.arch import FULL, Reach
from sim.flops.routing import experts_touched

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal[
    "steps",
    "logit_steps",
    "sequences",
    "resumed",
    "prefill_tokens",
    "decode_tokens",
    "logits",
    "prefill_context",
    "decode_context",
    "prefill_matrix",
    "decode_matrix",
    "prefill_pairs",
    "decode_pairs",
    "prefill_cached",
    "decode_cached",
    "experts_touched",
    "fft",
    "fft_longest",
    "longest",
]


class Feature(NamedTuple):
    """One sum over the batch.

    Args:
        kind: which; see `SEQUENCE_FEATURES` and `batch_feature`.
        reach: for pairs and cached tokens.
        experts: (n_experts, top_k) for `experts_touched`.
        popularity: shares of the experts, `()` for uniform routing.
    """

    kind: Kind
    reach: Reach = FULL
    experts: tuple[int, int] = (0, 0)
    popularity: tuple[float, ...] = ()


STEPS = Feature("steps")
LOGIT_STEPS = Feature("logit_steps")
SEQUENCES = Feature("sequences")
RESUMED = Feature("resumed")
PREFILL_TOKENS = Feature("prefill_tokens")
DECODE_TOKENS = Feature("decode_tokens")
LOGITS = Feature("logits")
PREFILL_CONTEXT = Feature("prefill_context")
DECODE_CONTEXT = Feature("decode_context")


def attended_pairs(new: Ints, context: Ints, reach: Reach) -> Ints:
    """Query-key pairs of `new` tokens on top of `context` cached ones, causal and exact.

    Full: s c + s (s + 1) / 2. Window w: sum of min(c + i, w). Chunk a: each token sees its
    own chunk only. Counts of pairs, neither MAC nor FLOP (FORMULAS: dense and sliding
    window sections; s(s+1)/2 as in Megatron's causal count).
    """
    if reach.kind == "full":
        return np.asarray(new * context + new * (new + 1) // 2)
    size = reach.size
    if reach.kind == "window":
        growing = np.clip(size - context, 0, new)
        whole = (new - growing) * size
        return np.asarray(growing * context + growing * (growing + 1) // 2 + whole)
    return np.asarray(_chunk_triangle(context + new, size) - _chunk_triangle(context, size))


def _chunk_triangle(position: Ints, size: int) -> Ints:
    whole, rest = position // size, position % size
    return np.asarray(whole * (size * (size + 1) // 2) + rest * (rest + 1) // 2)


def cached_tokens_read(context: Ints, reach: Reach) -> Ints:
    """Cached tokens that a step reads per layer: each once (flash), capped by the reach."""
    if reach.kind == "full":
        return context
    if reach.kind == "window":
        return np.minimum(context, reach.size - 1)
    return context % reach.size


def _fft(new: Ints, context: Ints) -> Floats:
    length = (new + context).astype(float)
    return np.asarray(length * np.log2(2 * np.maximum(length, 1)))


def sequence_feature(feature: Feature, new: Ints, context: Ints, logits: Ints) -> Any:
    """One feature's share of each sequence; shapes (n_sequences,) in and out."""
    kind = feature.kind
    prefill, decode = new > 1, new == 1
    side = decode if kind.startswith("decode") else prefill
    simple: dict[str, Callable[[], Any]] = {
        "sequences": lambda: new > 0,
        "resumed": lambda: (new > 0) & (context > 0),
        "logits": lambda: logits,
        "tokens": lambda: new * side,
        "context": lambda: context * side,
        "matrix": lambda: new * (new + context) * side,
        "pairs": lambda: attended_pairs(new, context, feature.reach) * side,
        "cached": lambda: cached_tokens_read(context, feature.reach) * side,
        "fft": lambda: _fft(new, context) * prefill,
    }
    return simple[kind.removeprefix("prefill_").removeprefix("decode_")]()


BATCH_FEATURES: frozenset[Kind] = frozenset(
    {"steps", "logit_steps", "experts_touched", "fft_longest", "longest"}
)


def batch_feature(feature: Feature, tokens: Floats, logits: Floats, longest: Floats) -> Floats:
    """A feature that is no sum over sequences: weights are read once however many there are.

    Args:
        tokens: new tokens of the batch, shape (n_points,).
        logits: logit positions, shape (n_points,).
        longest: longest prefill (context and new), shape (n_points,).
    """
    if feature.kind == "steps":
        return (tokens > 0).astype(float)
    if feature.kind == "logit_steps":
        return (logits > 0).astype(float)
    if feature.kind == "longest":
        return longest
    if feature.kind == "fft_longest":
        return np.asarray(longest * np.log2(2 * np.maximum(longest, 1)))
    n_experts, top_k = feature.experts
    return experts_touched(n_experts, top_k, tokens, feature.popularity or None)
