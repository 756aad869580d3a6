"""Operations of softmax attention and of latent attention. FLOPs; 1 MAC = 2 FLOPs."""

from __future__ import annotations

from typing import Literal

from sim.arch import Attention, LatentAttention, Reach
from sim.flops.features import (
    DECODE_CONTEXT,
    DECODE_TOKENS,
    PREFILL_CONTEXT,
    PREFILL_TOKENS,
    Feature,
)
from sim.flops.operation import Cache, Coefficients, Operation, elementwise, linear, per_token

LatentForm = Literal["auto", "absorbed", "expanded"]
# Vector work per score: max, subtract, exp, add, divide (LLM-Viewer counts softmax as 5).
SOFTMAX_FLOPS = 5
# Naive attention: scores written, read by softmax, written, read by the value product.
NAIVE_PASSES = 4


def pairs(prefill: float, decode: float, reach: Reach) -> dict[Feature, float]:
    """Coefficients on attended pairs of prefill and of decode."""
    return {Feature("prefill_pairs", reach): prefill, Feature("decode_pairs", reach): decode}


def counted_pairs(value: float, reach: Reach) -> dict[Feature, float]:
    """What a matmul counter sees: the full matrix in prefill, min(C+1, w) keys in decode.

    A chunked layer's cache is a window to it, though a token sees its own chunk only.
    """
    seen = Reach("window", reach.size) if reach.bounded else reach
    return {Feature("prefill_matrix"): value, Feature("decode_pairs", seen): value}


def cached(elements: float, reach: Reach) -> dict[Feature, float]:
    """Cache elements read: every cached token within reach once per sequence."""
    return {
        Feature("prefill_cached", reach): elements,
        Feature("decode_cached", reach): elements,
    }


def score_traffic(n_heads: int, kernel: str) -> dict[Feature, float]:
    """Extra activation elements of the naive kernel: the whole score matrix, four times."""
    if kernel == "flash":
        return {}
    passes = float(NAIVE_PASSES * n_heads)
    return {Feature("prefill_matrix"): passes, Feature("decode_matrix"): passes}


def _cache(elements: int, reach: Reach) -> Cache:
    if reach.bounded:
        return Cache(windowed=elements, window=reach.size)
    return Cache(growing=elements)


def _core(block: Attention) -> Operation:
    """Scores and weighted sum, with the keys and values that they read."""
    reach, width, kv = block.reach, block.width, block.kv_width
    core = 4.0 * width
    return Operation(
        name=f"attention{reach.label}.core",
        kind="matmul",
        flops=pairs(core, core, reach),
        full=counted_pairs(core, reach),
        vectors=block.n_heads * block.sinks,
        activation={
            **per_token(2 * width + 2 * kv),
            **score_traffic(block.n_heads, block.kernel),
        },
        cache_read=cached(2 * kv, reach),
        cache_write=per_token(2 * kv),
        cache=_cache(2 * kv, reach),
        split="tp",
        shards=block.n_heads,
        cache_shards=block.n_kv_heads,
    )


def attention_operations(block: Attention, hidden: int) -> list[Operation]:
    """Projections, core and output of MHA, GQA or MQA.

    q and o cost 2 d H h FLOPs per token each, k and v 2 d n_kv h each; scores and weighted
    sum 4 H h per attended pair, whatever n_kv (FORMULAS: dense attention; PaLM appendix B).
    """
    reach, label = block.reach, block.reach.label
    d_in = block.input_width or hidden
    width, kv = block.width, block.kv_width
    made = width * (2 if block.output_gate else 1) + 2 * kv
    return [
        linear(
            f"attention{label}.qkv",
            d_in,
            made,
            bias=block.qkv_bias,
            norm=block.qk_norm,
            split="tp",
            shards=block.n_heads,
        ),
        _core(block),
        elementwise(
            f"attention{label}.softmax",
            pairs(SOFTMAX_FLOPS * block.n_heads, SOFTMAX_FLOPS * block.n_heads, reach),
            shards=block.n_heads,
        ),
        linear(
            f"attention{label}.out",
            width,
            hidden,
            bias=block.out_bias,
            split="tp",
            shards=block.n_heads,
            all_reduce_width=hidden if block.reduces else 0,
        ),
    ]


def _latent_queries(block: LatentAttention, hidden: int) -> list[Operation]:
    width = block.n_heads * (block.nope_dim + block.rope_dim)
    if not block.q_rank:
        return [linear("latent.q", hidden, width, split="tp", shards=block.n_heads)]
    return [
        linear("latent.q_down", hidden, block.q_rank, bias=block.bias, norm=block.q_rank),
        linear("latent.q_up", block.q_rank, width, split="tp", shards=block.n_heads),
    ]


def _expansion(block: LatentAttention, form: LatentForm) -> Operation:
    """Keys and values from latents: 2 c H (h_n + h_v) FLOPs per expanded token.

    Absorbed, the same two matrices act on queries and outputs instead: the same FLOPs per
    new token, none for cached ones. Non-absorbed, cached latents are expanded again.
    """
    width = block.n_heads * (block.nope_dim + block.v_dim)
    each = 2.0 * block.kv_rank * width
    flops = per_token(each)
    if form != "absorbed":
        flops[PREFILL_CONTEXT] = each
    if form == "expanded":
        flops[DECODE_CONTEXT] = each
    elements = float(block.kv_rank + width)
    return Operation(
        name="latent.kv_up",
        kind="matmul",
        flops=flops,
        full={**per_token(each), PREFILL_CONTEXT: each, DECODE_CONTEXT: each},
        weights=block.kv_rank * width,
        activation=dict.fromkeys(flops, elements),
        split="tp",
        shards=block.n_heads,
        n=width,
        k=block.kv_rank,
    )


def _latent_core(block: LatentAttention, form: LatentForm) -> Operation:
    """Scores and weighted sum: 2 H (h_n + h_r + h_v) FLOPs per pair, absorbed 2 H (2 c + h_r)."""
    heads = block.n_heads
    expanded = 2.0 * heads * (block.nope_dim + block.rope_dim + block.v_dim)
    absorbed = 2.0 * heads * (2 * block.kv_rank + block.rope_dim)
    prefill = absorbed if form == "absorbed" else expanded
    decode = expanded if form == "expanded" else absorbed
    latent = block.kv_rank + block.rope_dim
    chosen = Reach("window", block.reach.size + 1) if block.reach.bounded else block.reach
    per_query = {
        "expanded": heads * (2 * (block.nope_dim + block.rope_dim) + 2 * block.v_dim),
        "absorbed": heads * (2 * block.kv_rank + block.rope_dim) + latent,
    }
    return Operation(
        name="latent.core",
        kind="matmul",
        flops=pairs(prefill, decode, block.reach),
        full={Feature("prefill_matrix"): expanded, Feature("decode_matrix"): expanded},
        activation={
            PREFILL_TOKENS: per_query["absorbed" if form == "absorbed" else "expanded"],
            DECODE_TOKENS: per_query["expanded" if form == "expanded" else "absorbed"],
            **score_traffic(heads, block.kernel),
        },
        cache_read={PREFILL_CONTEXT: latent, Feature("decode_cached", chosen): latent},
        cache_write=per_token(latent),
        cache=Cache(growing=latent),
        split="tp",
        shards=heads,
    )


def latent_operations(
    block: LatentAttention, hidden: int, form: LatentForm = "auto"
) -> list[Operation]:
    """Multi-head latent attention (DeepSeek-V2, section 2.1; FORMULAS: MLA).

    Args:
        form: `auto` expands latents in prefill and absorbs the expansion in decode, as
            serving engines do; `absorbed` or `expanded` do the same in both.
    """
    heads = block.n_heads
    softmax: Coefficients = pairs(SOFTMAX_FLOPS * heads, SOFTMAX_FLOPS * heads, block.reach)
    latent = block.kv_rank + block.rope_dim
    return [
        *_latent_queries(block, hidden),
        linear("latent.kv_down", hidden, latent, bias=block.bias, norm=block.kv_rank),
        _expansion(block, form),
        *(_indexer(block, hidden) if block.indexer else []),
        _latent_core(block, form),
        elementwise("latent.softmax", softmax, shards=heads),
        linear(
            "latent.out",
            heads * block.v_dim,
            hidden,
            bias=block.bias,
            split="tp",
            shards=heads,
            all_reduce_width=hidden,
        ),
    ]


def _indexer(block: LatentAttention, hidden: int) -> list[Operation]:
    """DeepSeek-V3.2's lightning indexer: H_I heads score every cached token.

    Scores cost 2 H_I d_I FLOPs per causal pair; the weighted sum over heads (2 H_I, vector)
    is in no total. The key of width d_I is cached for each token.
    """
    index = block.indexer
    if index is None:
        return []
    width = index.n_heads * index.head_dim
    reads = Feature("prefill_cached"), Feature("decode_cached")
    score = 2.0 * width
    return [
        linear("indexer.q", block.q_rank or hidden, width),
        linear("indexer.k", hidden, index.head_dim, norm=2 * index.head_dim),
        linear("indexer.weights", hidden, index.n_heads),
        Operation(
            name="indexer.core",
            kind="matmul",
            flops=pairs(score, score, Reach()),
            full={Feature("prefill_matrix"): score, Feature("decode_matrix"): score},
            activation=per_token(width + index.head_dim),
            cache_read=dict.fromkeys(reads, index.head_dim),
            cache_write=per_token(index.head_dim),
            cache=Cache(growing=index.head_dim),
        ),
        elementwise("indexer.sum", pairs(2.0 * index.n_heads, 2.0 * index.n_heads, Reach())),
    ]
