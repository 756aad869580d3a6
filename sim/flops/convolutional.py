"""Operations of Hyena and H3: long convolutions by FFT in prefill. FLOPs; 1 MAC = 2 FLOPs.

A long convolution of L tokens pads to n = 2 L; a real FFT costs 2.5 n log2 n, so input and
inverse cost 10 L log2(2L) per channel, the filter's own 5 L log2(2L) once per batch, the
product 6 L (FORMULAS: Hyena). With cached tokens L counts them too: the whole is redone.
"""

from __future__ import annotations

from sim.arch import H3, Hyena
from sim.flops.features import (
    DECODE_TOKENS,
    PREFILL_CONTEXT,
    PREFILL_TOKENS,
    Feature,
)
from sim.flops.operation import Cache, Coefficients, Operation, linear, per_token
from sim.flops.ssm import SSD_STEP_FLOPS, convolution

FFT = Feature("fft")
FFT_LONGEST = Feature("fft_longest")
LONGEST = Feature("longest")
DECODE_PAIRS = Feature("decode_pairs")
FFT_FLOPS = 10
FILTER_FFT_FLOPS = 5
PRODUCT_FLOPS = 6


def _long_convolution(channels: int, decode: Coefficients) -> dict[Feature, float]:
    return {
        FFT: float(FFT_FLOPS * channels),
        PREFILL_TOKENS: float(PRODUCT_FLOPS * channels),
        PREFILL_CONTEXT: float(PRODUCT_FLOPS * channels),
        FFT_LONGEST: float(FILTER_FFT_FLOPS * channels),
        **decode,
    }


def hyena_operations(block: Hyena, hidden: int) -> list[Operation]:
    """Hyena (Poli et al. 2023, appendix A.2, with the (order + 1) d wide projection of the code).

    Decode has no finite state: each token convolves with the whole past,
    2 (order - 1) d (C + 1) FLOPs, over a cache of (order - 1) d past inputs per token.
    """
    order, width = block.order, block.filter_width
    channels = (order - 1) * hidden
    made = (order + 1) * hidden
    inner = block.filter_inputs * width + max(block.filter_depth - 2, 0) * width * width
    filters = inner + width * channels
    return [
        linear("hyena.in", hidden, made, split="tp", shards=hidden),
        convolution("hyena.short", made, block.short_filter, bias=False, shards=hidden),
        Operation(
            name="hyena.filter",
            kind="matmul",
            flops={LONGEST: 2.0 * filters},
            weights=filters,
            activation={LONGEST: float(channels)},
            split="tp",
            shards=hidden,
        ),
        Operation(
            name="hyena.long",
            kind="vector",
            flops=_long_convolution(channels, {DECODE_PAIRS: 2.0 * channels}),
            vectors=channels,
            role="kept",
            activation=per_token(2 * channels),
            cache_read={
                Feature("prefill_cached"): channels,
                Feature("decode_cached"): channels,
            },
            cache_write=per_token(channels),
            cache=Cache(growing=channels),
            split="tp",
            shards=hidden,
            cache_shards=hidden,
        ),
        Operation(
            name="hyena.gate",
            kind="vector",
            flops=per_token(order * hidden),
            role="kept",
            activation=per_token(made),
            split="tp",
            shards=hidden,
        ),
        linear("hyena.out", hidden, hidden, split="tp", shards=hidden, all_reduce_width=hidden),
    ]


def h3_operations(block: H3, hidden: int) -> list[Operation]:
    """H3 (Fu et al. 2023): q, k, v, output projections; shift SSM on k; diagonal SSM on k v.

    The head-wise outer product makes d x head_dim channels; the diagonal SSM is an FFT
    convolution in prefill and a recurrence on N states per channel in decode, at the same
    5 FLOPs per state entry as the other recurrences here. q gates at 2 FLOPs per channel.
    """
    channels = hidden * block.head_dim
    state = channels * block.state
    step = float(SSD_STEP_FLOPS * state)
    return [
        linear("h3.qkv", hidden, 3 * hidden, split="tp", shards=hidden),
        convolution("h3.shift", hidden, block.shift, bias=True, shards=hidden),
        Operation(
            name="h3.ssm",
            kind="vector",
            flops=_long_convolution(channels, {DECODE_TOKENS: step}),
            vectors=hidden * (2 * block.state + 1),
            role="kept",
            activation=per_token(4 * hidden),
            cache=Cache(state=state),
            split="tp",
            shards=hidden,
            cache_shards=hidden,
        ),
        Operation(
            name="h3.gate",
            kind="vector",
            flops=per_token(4 * channels),
            role="kept",
            split="tp",
            shards=hidden,
        ),
        linear("h3.out", hidden, hidden, split="tp", shards=hidden, all_reduce_width=hidden),
    ]
