"""Activation memory of training, after Korthikanti et al. 2022 (arXiv 2205.05198, section 4).

A GPT layer keeps 34 s b h + 5 a s^2 b bytes for backward: attention 11 s b h (input 2,
queries and keys 4, values 2, output projection's input 2, dropout mask 1) and the scores
5 a s^2 b (softmax output 2, its dropout mask 1, dropped-out scores 2); FFN 19 s b h (input
2, two widths of 4h at 2 bytes each, mask 1); two norms 2 each. Here the same table is
written with each block's own widths. Flash attention keeps no scores (its one fp32
log-sum-exp per head and query, 4 / (34 x 128) of the rest, is left out). Modern models
train without dropout: no masks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sim.arch import (
    H3,
    Architecture,
    Attention,
    DenseFFN,
    GatedDeltaNet,
    Hyena,
    LatentAttention,
    LinearAttention,
    Mamba1,
    Mamba2,
    MoE,
    Norms,
    Projection,
    Rwkv4,
    RwkvMatrix,
)
from sim.flops.training import (
    ADAMW,
    Optimizer,
    Recompute,
    Sharding,
    TrainingMemory,
    state_memory,
)

ELEMENT_BYTES = 2
SCORE_BYTES = 2
DROPPED_SCORE_BYTES = 3  # mask 1, dropped-out scores 2


@dataclass(frozen=True, slots=True)
class Kept:
    """What one invocation of a block keeps for backward.

    Args:
        replicated: bytes per token that tensor parallelism alone does not divide
            (inputs of blocks and norms, masks on the residual).
        divided: bytes per token that it divides.
        scores: bytes per pair of the whole score matrix (naive attention).
    """

    replicated: float = 0.0
    divided: float = 0.0
    scores: float = 0.0


def _elements(replicated: float, divided: float) -> Kept:
    return Kept(ELEMENT_BYTES * replicated, ELEMENT_BYTES * divided)


def _attention(block: Attention, hidden: int, dropout: bool) -> Kept:
    gate = block.width * block.output_gate
    divided = ELEMENT_BYTES * (2 * block.width + 2 * block.kv_width + gate)
    kept = Kept(ELEMENT_BYTES * (block.input_width or hidden) + hidden * dropout, divided)
    return _with_scores(kept, block.n_heads, block.kernel, dropout)


def _with_scores(kept: Kept, heads: int, kernel: str, dropout: bool) -> Kept:
    if kernel == "flash":
        return kept
    each = SCORE_BYTES + DROPPED_SCORE_BYTES * dropout
    return replace(kept, scores=float(each * heads))


def _latent(block: LatentAttention, hidden: int, dropout: bool) -> Kept:
    heads = block.n_heads
    keys = block.nope_dim + block.rope_dim
    latents = block.q_rank + block.kv_rank + block.rope_dim
    kept = _elements(hidden + latents, heads * (2 * keys + 2 * block.v_dim))
    return _with_scores(
        replace(kept, replicated=kept.replicated + hidden * dropout), heads, block.kernel, dropout
    )


def _ffn(block: DenseFFN, hidden: int, dropout: bool) -> Kept:
    widths = (3 if block.gated else 2) * block.width
    return Kept(ELEMENT_BYTES * hidden + hidden * dropout, ELEMENT_BYTES * widths)


def _moe(block: MoE, hidden: int, dropout: bool) -> Kept:
    widths = 3 if block.gated else 2
    inner = block.latent_width or hidden
    routed = block.top_k * (inner + widths * block.width) + widths * block.shared_width
    return Kept(
        ELEMENT_BYTES * (hidden + block.n_experts) + hidden * dropout, ELEMENT_BYTES * routed
    )


def _mamba1(block: Mamba1, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    small = block.heads * (block.dt_rank + 2 * block.state)
    return _elements(hidden + small, 5 * block.inner)


def _mamba2(block: Mamba2, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    return _elements(hidden, 3 * block.inner + 2 * block.conv_width + block.n_heads)


def _linear(block: LinearAttention, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    return _elements(hidden, 6 * block.width)


def _delta(block: GatedDeltaNet, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    channels = 2 * block.key_width + block.value_width
    return _elements(hidden, 2 * channels + 3 * block.value_width)


def _rwkv(block: Rwkv4 | RwkvMatrix, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    return _elements(3 * hidden, 5 * block.attention_width + 2 * block.ffn_width)


def _hyena(block: Hyena, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    return _elements(hidden, (3 * block.order + 2) * hidden)


def _h3(block: H3, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    return _elements(hidden, (5 + block.head_dim) * hidden)


def _norms(block: Norms, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    return _elements(block.width * block.count, 0)


def _projection(block: Projection, hidden: int, dropout: bool) -> Kept:  # noqa: ARG001
    return _elements(block.n_in * block.count, 0)


_KEPT: dict[type[Any], Callable[[Any, int, bool], Kept]] = {
    Attention: _attention,
    LatentAttention: _latent,
    DenseFFN: _ffn,
    MoE: _moe,
    Mamba1: _mamba1,
    Mamba2: _mamba2,
    LinearAttention: _linear,
    GatedDeltaNet: _delta,
    Rwkv4: _rwkv,
    RwkvMatrix: _rwkv,
    Hyena: _hyena,
    H3: _h3,
    Norms: _norms,
    Projection: _projection,
}


@lru_cache(maxsize=4096)
def activation_bytes(
    arch: Architecture,
    n_sequences: int,
    sequence_tokens: int,
    recompute: Recompute = "none",
    *,
    tp: int = 1,
    sequence_parallel: bool = True,
    dropout: bool = False,
) -> float:
    """Bytes that all layers keep for the backward pass of one micro-batch, per tensor rank.

    Selective recomputation keeps no scores. Full recomputation keeps each layer's input,
    and the layer being redone in full. Embedding and logits are not included.

    Args:
        sequence_parallel: norms and residuals are divided by `tp` too.
        dropout: masks of 1 byte per element (GPT-3's layer: 34 s b h + 5 a s^2 b).
    """
    tokens = float(n_sequences * sequence_tokens)
    pairs = tokens * sequence_tokens
    whole = tp if sequence_parallel else 1
    residual = tokens * ELEMENT_BYTES * arch.hidden / whole
    total = largest = inputs = 0.0
    for group in arch.layers:
        layer = 0.0
        for block in group.layer.blocks:
            own = getattr(block, "block", block)
            kept = _KEPT[type(own)](own, arch.hidden, dropout)
            scores = 0.0 if recompute == "selective" else kept.scores * pairs / tp
            layer += tokens * (kept.replicated / whole + kept.divided / tp) + scores
        total += layer * group.count
        inputs += residual * group.count
        largest = max(largest, layer)
    return inputs + largest if recompute == "full" else total


def training_memory(
    arch: Architecture,
    n_sequences: int,
    sequence_tokens: int,
    recompute: Recompute = "none",
    *,
    optimizer: Optimizer = ADAMW,
    sharding: Sharding | None = None,
    micro_batches_in_flight: int | None = None,
    dropout: bool = False,
) -> TrainingMemory:
    """All bytes of one device: states after sharding, activations of the micro-batches it holds.

    Args:
        n_sequences: sequences per micro-batch.
        micro_batches_in_flight: how many a first pipeline stage holds; default pp (1F1B), so
            that pp stages with 1/pp of the layers each hold one model's worth.
    """
    shards = sharding or Sharding()
    in_flight = shards.pp if micro_batches_in_flight is None else micro_batches_in_flight
    kept = activation_bytes(
        arch,
        n_sequences,
        sequence_tokens,
        recompute,
        tp=shards.tp,
        sequence_parallel=shards.sequence_parallel,
        dropout=dropout,
    )
    states = state_memory(arch, optimizer, shards)
    return replace(states, activation_bytes=kept * in_flight / shards.pp)
