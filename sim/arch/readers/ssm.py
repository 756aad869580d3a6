"""State-space models: Mamba, Mamba-2, and the Jamba hybrid."""

from __future__ import annotations

import math

from sim.arch.blocks import Mamba1, MoE, Norms
from sim.arch.fields import Fields
from sim.arch.readers import parts
from sim.arch.registry import Read, reader
from sim.arch.spec import Layer


def dt_rank(fields: Fields, key: str) -> int:
    """Rank of the time-step projection; `auto` is hidden / 16, rounded up."""
    value = fields.raw(key)
    if value == "auto":
        return math.ceil(fields.count("hidden_size") / 16)
    return fields.count(key)


def inner_width(fields: Fields) -> int:
    """D_i: `intermediate_size` where given, else expand x hidden.

    Quirk: Falcon-Mamba-7B says `expand` 16 while its `intermediate_size` 8192 is 2 x hidden.
    """
    if fields.has("intermediate_size"):
        return fields.count("intermediate_size")
    return fields.count("expand") * fields.count("hidden_size")


def mamba1(fields: Fields) -> Mamba1:
    """The mixer of `mamba` and `falcon_mamba`."""
    return Mamba1(
        inner=inner_width(fields),
        state=fields.count("state_size"),
        conv=fields.count("conv_kernel"),
        dt_rank=dt_rank(fields, "time_step_rank"),
        bias=fields.flag("use_bias"),
        conv_bias=fields.flag("use_conv_bias"),
    )


@reader("mamba", "falcon_mamba")
def read_mamba(fields: Fields) -> Read:
    """Mamba and Falcon-Mamba: a mixer replaces attention and FFN; one norm per layer."""
    hidden = fields.count("hidden_size")
    block = Layer((Norms(hidden), mamba1(fields)))
    return Read(
        hidden=hidden,
        vocab=fields.count("vocab_size"),
        layers=[block] * fields.count("num_hidden_layers", "n_layer"),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        outer_norms=(Norms(hidden),),
        norm="rmsnorm",
        position="none",
        activation=fields.text("hidden_act"),
    )


@reader("mamba2")
def read_mamba2(fields: Fields) -> Read:
    """Mamba-2: a gated norm inside the mixer; one norm per layer."""
    hidden = fields.count("hidden_size")
    block = Layer((Norms(hidden), parts.mamba2(fields)))
    return Read(
        hidden=hidden,
        vocab=fields.count("vocab_size"),
        layers=[block] * fields.count("num_hidden_layers"),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        outer_norms=(Norms(hidden),),
        norm="rmsnorm",
        position="none",
        activation=fields.text("hidden_act"),
    )


def jamba_mixer(fields: Fields) -> Mamba1:
    """Jamba's Mamba mixer has norms on dt, B and C."""
    rank, state = dt_rank(fields, "mamba_dt_rank"), fields.count("mamba_d_state")
    return Mamba1(
        inner=fields.count("mamba_expand") * fields.count("hidden_size"),
        state=state,
        conv=fields.count("mamba_d_conv"),
        dt_rank=rank,
        bias=fields.flag("mamba_proj_bias"),
        conv_bias=fields.flag("mamba_conv_bias"),
        inner_norm=rank + 2 * state,
    )


def on_period(fields: Fields, kind: str, index: int) -> bool:
    """Layer `index` falls on `<kind>_layer_offset` of every `<kind>_layer_period`."""
    period, offset = fields.count(f"{kind}_layer_period"), fields.size(f"{kind}_layer_offset")
    if offset >= period:
        raise fields.error(
            f"{kind}_layer_offset", f"{offset} is not below the period {period}", "mend it"
        )
    return index % period == offset


@reader("jamba")
def read_jamba(fields: Fields) -> Read:
    """Jamba: attention every 8th layer, experts every 2nd, no positions."""
    attention, mamba = parts.attention(fields, bias=False), jamba_mixer(fields)
    n_experts = fields.count("num_experts", "num_local_experts")
    dense = parts.ffn(fields)
    experts = MoE(n_experts, fields.count("num_experts_per_tok"), dense.width)
    layers = [
        parts.layer(
            fields,
            attention if on_period(fields, "attn", index) else mamba,
            experts if on_period(fields, "expert", index) and n_experts > 1 else dense,
        )
        for index in range(parts.layer_count(fields))
    ]
    return parts.decoder(fields, layers, position="none")
