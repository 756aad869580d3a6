"""Mixture-of-experts transformers without latent attention."""

from __future__ import annotations

from sim.arch.blocks import MoE
from sim.arch.fields import Fields
from sim.arch.readers import parts
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
    dense = parts.layer(fields, mixer, parts.ffn(fields))
    sparse = parts.layer(fields, mixer, deepseek_experts(fields, router_vector=True))
    return parts.decoder(
        fields,
        [
            sparse if is_deepseek_sparse(fields, index) else dense
            for index in range(parts.layer_count(fields))
        ],
    )
