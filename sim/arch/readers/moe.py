"""Mixture-of-experts transformers without latent attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sim.arch.blocks import DenseFFN, MoE
from sim.arch.fields import Fields
from sim.arch.readers import parts
from sim.arch.readers.dense import head_norms
from sim.arch.registry import Read, reader


@reader("mixtral")
def read_mixtral(fields: Fields) -> Read:
    """Mixtral: every layer routed, no shared expert."""
    experts = MoE(
        n_experts=fields.count("num_local_experts"),
        top_k=fields.count("num_experts_per_tok"),
        width=fields.count("intermediate_size"),
    )
    mixer = parts.windowed(parts.attention(fields, bias=False), fields.size("sliding_window"))
    return parts.decoder(fields, [parts.layer(fields, mixer, experts)] * parts.layer_count(fields))


def deepseek_experts(fields: Fields, *, router_vector: bool = False) -> MoE:
    """DeepSeek's fine-grained experts: shared experts are one FFN of n times the width."""
    width = fields.count("moe_intermediate_size")
    return MoE(
        n_experts=fields.count("n_routed_experts"),
        top_k=fields.count("num_experts_per_tok"),
        width=width,
        shared_width=fields.size("n_shared_experts") * width,
        router_vector=router_vector,
    )


def is_deepseek_sparse(fields: Fields, index: int) -> bool:
    """Layer `index` is routed: past the first dense ones and on the frequency."""
    every = fields.count("moe_layer_freq")
    return index >= fields.size("first_k_dense_replace") and index % every == 0


@reader("deepseek")
def read_deepseek(fields: Fields) -> Read:
    """DeepSeekMoE-16B: multi-head attention, first layers dense, shared experts.

    Quirk: the reference counts come from a class of the same algebra that adds a correction
    vector of one parameter per expert; it is counted here too (1728 of 16.4e9 parameters).
    """
    mixer = parts.attention(fields)
    sparse = parts.layer(fields, mixer, deepseek_experts(fields, router_vector=True))
    sparse_at = [is_deepseek_sparse(fields, index) for index in range(parts.layer_count(fields))]
    dense = sparse if all(sparse_at) else parts.layer(fields, mixer, parts.ffn(fields))
    return parts.decoder(fields, [sparse if routed else dense for routed in sparse_at])


def qwen_experts(fields: Fields, *, shared: bool) -> MoE:
    """Qwen's experts; Qwen2-MoE, Qwen3-Next and Qwen3.5 add one gated shared expert."""
    return MoE(
        n_experts=fields.count("num_experts", "num_local_experts"),
        top_k=fields.count("num_experts_per_tok"),
        width=fields.count("moe_intermediate_size"),
        shared_width=fields.count("shared_expert_intermediate_size") if shared else 0,
        shared_gate=shared,
    )


def qwen_feed(fields: Fields, experts: MoE) -> Callable[[int], MoE | DenseFFN]:
    """FFN of each layer: routed on every `decoder_sparse_step`-th not in `mlp_only_layers`."""
    step = fields.count("decoder_sparse_step")
    only_dense = set(fields.items("mlp_only_layers"))
    dense = parts.ffn(fields) if step > 1 or only_dense else None

    def feed(index: int) -> MoE | DenseFFN:
        is_sparse = index not in only_dense and (index + 1) % step == 0
        return experts if is_sparse or dense is None else dense

    return feed


@reader("qwen2_moe")
def read_qwen2_moe(fields: Fields) -> Read:
    """Qwen1.5/2-MoE: shared expert with a gate; windows on every other early layer, if used."""
    mixer = replace(parts.attention(fields, bias=False), qkv_bias=fields.flag("qkv_bias"))

    def kind(index: int) -> str:
        early = index % 2 == 0 and index < fields.size("max_window_layers")
        used = early and fields.flag("use_sliding_window")
        return "sliding_attention" if used else "full_attention"

    feed = qwen_feed(fields, qwen_experts(fields, shared=True))
    return parts.decoder(
        fields,
        [
            parts.layer(fields, parts.reaching(fields, mixer, name), feed(index))
            for index, name in enumerate(parts.layer_kinds(fields, kind))
        ],
    )


@reader("qwen3_moe")
def read_qwen3_moe(fields: Fields) -> Read:
    """Qwen3-MoE: no shared expert; a window, if used, holds in every layer."""
    used = fields.flag("use_sliding_window")
    mixer = head_norms(parts.attention(fields))
    mixer = parts.windowed(mixer, fields.size("sliding_window") if used else 0)
    feed = qwen_feed(fields, qwen_experts(fields, shared=False))
    return parts.decoder(
        fields,
        [parts.layer(fields, mixer, feed(index)) for index in range(parts.layer_count(fields))],
    )


@reader("olmoe")
def read_olmoe(fields: Fields) -> Read:
    """OLMoE: norms over the whole width of queries and of keys."""
    mixer = parts.attention(fields)
    mixer = replace(mixer, qk_norm=mixer.width + mixer.kv_width)
    experts = MoE(
        n_experts=fields.count("num_experts"),
        top_k=fields.count("num_experts_per_tok"),
        width=fields.count("intermediate_size"),
    )
    return parts.decoder(fields, [parts.layer(fields, mixer, experts)] * parts.layer_count(fields))


@reader("gpt_oss")
def read_gpt_oss(fields: Fields) -> Read:
    """gpt-oss: biases everywhere, attention sinks, windowed and full layers alternate."""
    mixer = replace(parts.attention(fields), sinks=True)
    experts = MoE(
        n_experts=fields.count("num_local_experts", "num_experts"),
        top_k=fields.count("num_experts_per_tok", "experts_per_token"),
        width=fields.count("intermediate_size"),
        router_vector=True,
        expert_bias=True,
    )
    kinds = parts.layer_kinds(
        fields, lambda index: "full_attention" if index % 2 else "sliding_attention"
    )
    return parts.decoder(
        fields,
        [parts.layer(fields, parts.reaching(fields, mixer, kind), experts) for kind in kinds],
    )


@reader("llama4_text", "llama4")
def read_llama4(fields: Fields) -> Read:
    """Llama 4 text model: chunked attention on rotary layers, full on every 4th without.

    Quirks: `no_rope_layers` holds 1 where the layer HAS rotary positions; routed and shared
    experts have `intermediate_size`, dense layers `intermediate_size_mlp`; the norms on
    queries and keys have no parameters.
    """
    mixer = parts.attention(fields)
    width = fields.count("intermediate_size")
    experts = MoE(
        n_experts=fields.count("num_local_experts"),
        top_k=fields.count("num_experts_per_tok"),
        width=width,
        shared_width=width,
    )
    routed = _llama4_routed(fields)
    dense = (
        parts.ffn(fields, key="intermediate_size_mlp")
        if len(routed) < parts.layer_count(fields)
        else None
    )
    rotary = _llama4_rotary(fields)
    kinds = parts.layer_kinds(
        fields, lambda index: "chunked_attention" if rotary(index) else "full_attention"
    )
    return parts.decoder(
        fields,
        [
            parts.layer(
                fields,
                parts.reaching(fields, mixer, kind),
                experts if dense is None or index in routed else dense,
            )
            for index, kind in enumerate(kinds)
        ],
    )


def _llama4_routed(fields: Fields) -> set[int]:
    given = fields.optional("moe_layers")
    if given is not None:
        return set(fields.items("moe_layers"))
    step = fields.count("interleave_moe_layer_step")
    return set(range(step - 1, parts.layer_count(fields), step))


def _llama4_rotary(fields: Fields) -> Callable[[int], bool]:
    given = fields.optional("no_rope_layers")
    if given:
        flags = fields.items("no_rope_layers")
        if len(flags) < parts.layer_count(fields):
            what = f"{len(flags)} flags for {parts.layer_count(fields)} layers"
            raise fields.error("no_rope_layers", what, "give one for each layer")
        return lambda index: bool(flags[index])
    every = fields.count("no_rope_layer_interval")
    return lambda index: (index + 1) % every != 0
