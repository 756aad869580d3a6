"""Operations of state-space mixers. FLOPs; 1 MAC = 2 FLOPs."""

from __future__ import annotations

from sim.arch import Mamba1, Mamba2
from sim.flops.features import DECODE_TOKENS, PREFILL_TOKENS
from sim.flops.operation import Cache, Operation, elementwise, linear, per_token

# Selective scan per D_i x N: exp and products of dt, A, B, u; state update; C . h
# (state-spaces/mamba issue 110, as used by VMamba); plus skip and gate per D_i.
SCAN_FLOPS = 9
SCAN_EXTRA_FLOPS = 2
# Recurrent SSD per D_i x N at decode: decay, outer product with B, add, product with C.
SSD_STEP_FLOPS = 5


def convolution(name: str, channels: int, taps: int, *, bias: bool, shards: int) -> Operation:
    """Short depthwise convolution: 2 K FLOPs per channel and token; state K entries."""
    return Operation(
        name=name,
        kind="vector",
        flops=per_token(2.0 * taps * channels),
        vectors=channels * taps + channels * bias,
        role="kept",
        activation=per_token(2 * channels),
        cache=Cache(short_state=channels * taps),
        split="tp",
        shards=shards,
        cache_shards=shards,
    )


def mamba1_operations(block: Mamba1, hidden: int) -> list[Operation]:
    """Mamba-1: projections, convolution, selective scan (FORMULAS: Mamba-1).

    Per token 2 [d 2 D_i + D_i (R + 2N) + R D_i + D_i d] FLOPs in matrices, 2 K D_i in the
    convolution and 9 D_i N + 2 D_i in the scan. With several heads (Zamba) the small
    projections act within each head.
    """
    inner, state, rank = block.inner, block.state, block.dt_rank
    small = block.heads * (rank + 2 * state)
    return [
        linear("mamba.in", hidden, 2 * inner, bias=block.bias, split="tp", shards=inner),
        convolution("mamba.conv", inner, block.conv, bias=block.conv_bias, shards=inner),
        linear(
            "mamba.x",
            inner,
            rank + 2 * state,
            norm=block.inner_norm,
            split="tp",
            shards=inner,
            all_reduce_width=small,
        ),
        linear("mamba.dt", rank, inner, bias=True, split="tp", shards=inner),
        Operation(
            name="mamba.scan",
            kind="vector",
            flops=per_token(SCAN_FLOPS * inner * state + SCAN_EXTRA_FLOPS * inner),
            vectors=inner * state + inner,
            role="kept",
            activation=per_token(4 * inner + 2 * block.heads * state),
            cache=Cache(state=inner * state),
            split="tp",
            shards=inner,
            cache_shards=inner,
        ),
        elementwise("mamba.activation", per_token(8 * inner), shards=inner),
        linear(
            "mamba.out",
            inner,
            hidden,
            bias=block.bias,
            split="tp",
            shards=inner,
            all_reduce_width=hidden,
        ),
    ]


def ssd_prefill_flops(block: Mamba2) -> float:
    """Chunked SSD per token: 2 Q (N G + D_i) + 4 N D_i + 2 N D_i / Q FLOPs.

    The matmul form of Dao and Gu 2024 (listing 1), whole chunks of Q without skipping the
    upper triangle: C B^T, (L o C B) X, chunk states, states to outputs, and the pass
    between chunks (FORMULAS: Mamba-2).
    """
    chunk, state, inner = block.chunk, block.state, block.inner
    within = 2 * chunk * (state * block.groups + inner)
    return within + 4 * state * inner + 2 * state * inner / chunk


def mamba2_operations(block: Mamba2, hidden: int) -> list[Operation]:
    """Mamba-2: chunked SSD in prefill (tensor cores), recurrence in decode (vector)."""
    inner, heads, state = block.inner, block.n_heads, block.state
    made = 2 * inner + 2 * block.groups * state + heads
    norm = inner if block.gate_norm else 0
    return [
        linear("mamba2.in", hidden, made, bias=block.bias, split="tp", shards=heads),
        convolution(
            "mamba2.conv", block.conv_width, block.conv, bias=block.conv_bias, shards=heads
        ),
        Operation(
            name="mamba2.ssd",
            kind="matmul",
            flops={PREFILL_TOKENS: ssd_prefill_flops(block)},
            vectors=3 * heads,
            role="kept",
            activation={PREFILL_TOKENS: 3 * inner + 2 * block.groups * state + heads},
            split="tp",
            shards=heads,
        ),
        Operation(
            name="mamba2.step",
            kind="vector",
            flops={DECODE_TOKENS: float(SSD_STEP_FLOPS * inner * state)},
            role="kept",
            activation={DECODE_TOKENS: 3 * inner + 2 * block.groups * state + heads},
            cache=Cache(state=inner * state),
            split="tp",
            shards=heads,
            cache_shards=heads,
        ),
        elementwise(
            "mamba2.gate_norm", per_token(12 * inner), 2 * inner, vectors=norm, shards=heads
        ),
        linear(
            "mamba2.out",
            inner,
            hidden,
            bias=block.bias,
            split="tp",
            shards=heads,
            all_reduce_width=hidden,
        ),
    ]
