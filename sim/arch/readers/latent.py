"""DeepSeek-V2, V3, V3.2 and Kimi-K2: latent attention with fine-grained experts."""

from __future__ import annotations

from sim.arch.blocks import Indexer, LatentAttention
from sim.arch.fields import Fields
from sim.arch.readers import parts
from sim.arch.readers.moe import deepseek_experts, is_deepseek_sparse
from sim.arch.registry import Read, reader
from sim.arch.spec import Layer


def latent_attention(fields: Fields, indexer: Indexer | None = None) -> LatentAttention:
    """`q_lora_rank` null projects queries directly (DeepSeek-V2-Lite)."""
    return LatentAttention(
        n_heads=fields.count("num_attention_heads"),
        q_rank=fields.size("q_lora_rank"),
        kv_rank=fields.count("kv_lora_rank"),
        nope_dim=fields.size("qk_nope_head_dim"),
        rope_dim=fields.size("qk_rope_head_dim"),
        v_dim=fields.count("v_head_dim"),
        bias=fields.flag("attention_bias"),
        indexer=indexer,
    )


def _layers(fields: Fields, mixer: LatentAttention) -> list[Layer]:
    count = parts.layer_count(fields)
    sparse_at = [is_deepseek_sparse(fields, index) for index in range(count)]
    dense = None if all(sparse_at) else parts.layer(fields, mixer, parts.ffn(fields))
    sparse = None
    if any(sparse_at):
        sparse = parts.layer(fields, mixer, deepseek_experts(fields))
    chosen = [sparse if is_sparse else dense for is_sparse in sparse_at]
    return [layer for layer in chosen if layer is not None]


def _read(fields: Fields, indexer: Indexer | None = None) -> Read:
    """Multi-token prediction layers serve speculative decoding; they are not counted."""
    predicts = fields.optional("num_nextn_predict_layers")
    notes = f"{predicts} multi-token-prediction layer(s) not counted." if predicts else ""
    return parts.decoder(fields, _layers(fields, latent_attention(fields, indexer)), notes=notes)


@reader("deepseek_v2", "deepseek_v3", "kimi_k2")
def read_deepseek_latent(fields: Fields) -> Read:
    """DeepSeek-V2/V2-Lite, V3, R1 and Kimi-K2."""
    return _read(fields)


@reader("deepseek_v32")
def read_deepseek_v32(fields: Fields) -> Read:
    """DeepSeek-V3.2: an indexer picks the `index_topk` cached tokens each query attends to."""
    return _read(
        fields,
        Indexer(
            n_heads=fields.count("index_n_heads"),
            head_dim=fields.count("index_head_dim"),
            top_k=fields.count("index_topk"),
        ),
    )
