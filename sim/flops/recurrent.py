"""Operations of linear attention, gated DeltaNet and RWKV. FLOPs; 1 MAC = 2 FLOPs."""

from __future__ import annotations

from sim.arch import GatedDeltaNet, LinearAttention, Rwkv4, RwkvMatrix
from sim.flops.features import DECODE_TOKENS, PREFILL_TOKENS
from sim.flops.operation import Cache, Operation, elementwise, linear, per_token
from sim.flops.ssm import convolution

# Gated delta rule per state entry: K K^T, V K^T, S (a (I - b K K^T)), S Q (Megatron-LM).
DELTA_FLOPS = 8
# WKV of RWKV-5/6 per state entry and token (Peng et al. 2024, equations 23 to 30).
WKV_FLOPS = 6


def _two_forms(
    name: str, prefill: float, decode: float, elements: float, state: int, shards: int
) -> list[Operation]:
    """Chunked matrices in prefill, a recurrence on the element-wise units in decode."""
    return [
        Operation(
            name=f"{name}.chunks",
            kind="matmul",
            flops={PREFILL_TOKENS: prefill},
            activation={PREFILL_TOKENS: elements},
            split="tp",
            shards=shards,
        ),
        Operation(
            name=f"{name}.step",
            kind="vector",
            flops={DECODE_TOKENS: decode},
            activation={DECODE_TOKENS: elements},
            cache=Cache(state=state),
            split="tp",
            shards=shards,
            cache_shards=shards,
        ),
    ]


def linear_attention_operations(block: LinearAttention, hidden: int) -> list[Operation]:
    """Lightning attention: 4 H d^2 per token plus the decay, 2 C H 2 d within chunks of C.

    Recurrent decode: k v^T and q S at 2 H d^2 each and the decay at 2 H d^2 (FORMULAS:
    linear attention); in prefill the state decays once per chunk.
    """
    width, heads, chunk = block.width, block.n_heads, block.chunk
    square = width * block.head_dim
    prefill = 4 * square + 4 * chunk * width + 2 * square / chunk
    return [
        linear("linear.qkv", hidden, 3 * width, split="tp", shards=heads),
        *_two_forms("linear", prefill, 6 * square, 4 * width, square, heads),
        linear("linear.gate", hidden, width, split="tp", shards=heads),
        elementwise(
            "linear.gate_norm", per_token(12 * width), 3 * width, vectors=width, shards=heads
        ),
        linear("linear.out", width, hidden, split="tp", shards=heads, all_reduce_width=hidden),
    ]


def delta_operations(block: GatedDeltaNet, hidden: int) -> list[Operation]:
    """Gated DeltaNet: 8 H_v d_k d_v FLOPs per token in the rule, prefill and decode alike.

    The input projection makes q, k, v, the gate and two numbers per value head; the
    convolution acts on q, k and v (Megatron-LM's count; 8 H_v d_v^2 there, as d_k = d_v).
    """
    keys, values, heads = block.key_width, block.value_width, block.n_value_heads
    shards = block.n_key_heads
    channels = 2 * keys + values
    state = heads * block.key_dim * block.value_dim
    rule = float(DELTA_FLOPS * state)
    return [
        linear("delta.in", hidden, channels + values + 2 * heads, split="tp", shards=shards),
        convolution("delta.conv", channels, block.conv, bias=False, shards=shards),
        *_two_forms("delta", rule, rule, channels + values, state, shards),
        elementwise(
            "delta.gate_norm",
            per_token(12 * values),
            3 * values,
            vectors=2 * heads + block.value_dim,
            shards=shards,
        ),
        linear("delta.out", values, hidden, split="tp", shards=shards, all_reduce_width=hidden),
    ]


def rwkv4_operations(block: Rwkv4, hidden: int) -> list[Operation]:
    """RWKV-4: 2 x 13 d^2 FLOPs per token in matrices; the WKV scan is in no total.

    Peng et al. 2023, table 2 (its text says 2 V d where the table has V d). State: WKV
    numerator, denominator and maximum in fp32, two token shifts.
    """
    width, ffn = block.attention_width, block.ffn_width
    return [
        linear("rwkv.rkv", hidden, 3 * width, split="tp", shards=width),
        Operation(
            name="rwkv.wkv",
            kind="vector",
            counted=False,
            flops=per_token(14 * width),
            vectors=2 * width + 3 * hidden,
            role="kept",
            activation=per_token(4 * width),
            cache=Cache(state=3 * width, short_state=hidden),
            split="tp",
            shards=width,
            cache_shards=width,
        ),
        linear("rwkv.out", width, hidden, split="tp", shards=width, all_reduce_width=hidden),
        *_channel_mix(hidden, ffn, counted=False),
    ]


def _channel_mix(hidden: int, ffn: int, *, counted: bool) -> list[Operation]:
    """Receptance, key and value of channel mixing, and its two shift vectors."""
    return [
        linear("rwkv.ffn_up", hidden, ffn, split="tp", shards=ffn),
        linear("rwkv.receptance", hidden, hidden),
        Operation(
            name="rwkv.ffn_mix",
            kind="vector",
            counted=counted,
            flops=per_token(4 * hidden if counted else 6 * hidden + 2 * ffn),
            vectors=2 * hidden,
            role="kept",
            activation=per_token(2 * ffn + 2 * hidden),
            cache=Cache(short_state=hidden),
        ),
        linear("rwkv.ffn_down", ffn, hidden, split="tp", shards=ffn, all_reduce_width=hidden),
    ]


def rwkv_matrix_operations(block: RwkvMatrix, hidden: int) -> list[Operation]:
    """RWKV-5 and 6: 2 FLOPs per parameter used and 6 per entry of the WKV state.

    Peng et al. 2024, equations 23 to 30, less the input embedding, which costs nothing.
    Prefill counts as the recurrence, so chunking changes nothing.
    """
    width, size = block.attention_width, block.head_size
    heads = width // size
    state = width * size
    mixes = 6 if block.mix_rank else 4
    vectors = mixes * hidden + 4 * width
    return [
        linear("rwkv.rkvg", hidden, 4 * width, split="tp", shards=heads),
        *_finch(block, hidden),
        Operation(
            name="rwkv.wkv",
            kind="vector",
            flops=per_token(WKV_FLOPS * state + 2 * vectors),
            vectors=vectors,
            role="kept",
            activation=per_token(5 * width),
            cache=Cache(state=state, short_state=hidden),
            split="tp",
            shards=heads,
            cache_shards=heads,
        ),
        linear("rwkv.out", width, hidden, split="tp", shards=heads, all_reduce_width=hidden),
        *_channel_mix(hidden, block.ffn_width, counted=True),
    ]


def _finch(block: RwkvMatrix, hidden: int) -> list[Operation]:
    """Finch's low-rank projections: five shifts, one decay."""
    mix, decay = block.mix_rank, block.decay_rank
    if not mix:
        return []
    return [
        linear("rwkv.mix_down", hidden, 5 * mix),
        linear("rwkv.mix_up", 5 * mix, hidden),
        linear("rwkv.decay_down", hidden, decay),
        linear("rwkv.decay_up", decay, block.attention_width),
    ]
