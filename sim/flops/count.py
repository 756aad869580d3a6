"""Parameters of an architecture and the memory they and its caches take."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from sim.arch import Architecture
from sim.flops.blocks import architecture_operations
from sim.flops.features import Floats
from sim.flops.precision import BF16, FP32_BYTES, Precision
from sim.flops.program import stored_bytes


@dataclass(frozen=True, slots=True)
class Parameters:
    """Counts of parameters; a shared block counts once, tied embeddings count once.

    Args:
        active: used by one token: total less the routed experts it does not choose.
        matrices: parameters inside matrix products of the layers (no embedding, no head).
        vectors: norms, biases, decays, convolutions: 0 matmul FLOPs.
    """

    total: int
    active: int
    active_excl_input_embedding: int
    input_embedding: int
    lm_head: int
    routed_experts: int
    matrices: int
    vectors: int


@lru_cache(maxsize=256)
def parameters(arch: Architecture) -> Parameters:
    """Count parameters (FORMULAS: MoE section; active = total - routed (1 - k/E))."""
    total = routed = vectors = 0
    idle = Fraction(0)
    for entry in architecture_operations(arch):
        op, copies = entry.operation, entry.copies
        owned = (op.weights if op.owned else 0) + op.vectors
        total += copies * owned
        vectors += copies * op.vectors
        if op.role == "expert" and op.weights_on is not None:
            n_experts, top_k = op.weights_on.experts
            routed += copies * owned
            idle += copies * owned * (1 - Fraction(top_k, n_experts))
    embedding = arch.vocab * arch.hidden
    active = round(total - idle)
    head = 0 if arch.tied_embeddings else embedding
    return Parameters(
        total=total,
        active=active,
        active_excl_input_embedding=active - head,
        input_embedding=embedding,
        lm_head=embedding,
        routed_experts=routed,
        matrices=total - vectors - embedding - head,
        vectors=vectors,
    )


def component_parameters(arch: Architecture) -> dict[str, int]:
    """Parameters by component (vocabulary, attention, ffn, norm ...); they sum to the total.

    The two embedding tables stand together; norms and biases go with what they belong to.
    """
    parts: dict[str, int] = {}
    for entry in architecture_operations(arch):
        op = entry.operation
        is_table = op.name in {"embedding", "lm_head"}
        name = "vocabulary" if is_table else op.name.split("#")[0].split(".")[0]
        owned = (op.weights if op.owned else 0) + op.vectors
        if owned:
            parts[name] = parts.get(name, 0) + entry.copies * owned
    return parts


@dataclass(frozen=True, slots=True)
class Memory:
    """What a replica holds.

    Args:
        kv_bytes_per_token: layers whose cache grows without bound.
        window_kv_bytes_per_token: layers whose cache stops at their window.
        windows: (window, bytes per token) of each distinct window.
        state_bytes_per_sequence: SSM and WKV states in fp32, convolution and token-shift
            states in the model's dtype.
    """

    weight_bytes: float
    kv_bytes_per_token: float
    window_kv_bytes_per_token: float
    windows: tuple[tuple[int, float], ...]
    state_bytes_per_sequence: float
    ssm_state_elements: int
    short_state_elements: int

    def cache_bytes(self, context_tokens: Any) -> Floats:
        """Cache and state of one sequence of T tokens: growing T + windowed min(T, w) + state."""
        context = np.asarray(context_tokens, dtype=float)
        total = self.kv_bytes_per_token * context + self.state_bytes_per_sequence
        for window, each in self.windows:
            total = total + each * np.minimum(context, window)
        return np.asarray(total)


def memory(arch: Architecture, precision: Precision = BF16) -> Memory:
    """Bytes of weights (scales included), of cache per token and of state per sequence."""
    weights = 0.0
    growing = state = short = 0
    windows: dict[int, int] = {}
    for entry in architecture_operations(arch):
        op, count = entry.operation, entry.invocations
        if op.owned:
            weights += entry.copies * stored_bytes(op, precision)
        growing += count * op.cache.growing
        if op.cache.window:
            windows[op.cache.window] = windows.get(op.cache.window, 0) + count * op.cache.windowed
        state += count * op.cache.state
        short += count * op.cache.short_state
    each = precision.cache.element_bytes
    return Memory(
        weight_bytes=weights,
        kv_bytes_per_token=growing * each,
        window_kv_bytes_per_token=sum(windows.values()) * each,
        windows=tuple((window, elements * each) for window, elements in sorted(windows.items())),
        state_bytes_per_sequence=state * FP32_BYTES + short * precision.kept.element_bytes,
        ssm_state_elements=state,
        short_state_elements=short,
    )
