"""Parts that several readers share: Llama-like attention, FFN, norms, windows."""

from __future__ import annotations

from dataclasses import replace

from sim.arch.blocks import FULL, Attention, Block, DenseFFN, Norms, Reach
from sim.arch.fields import Fields
from sim.arch.registry import Read
from sim.arch.spec import Layer


def head_dim(fields: Fields) -> int:
    """Explicit `head_dim`, else the class's own, else hidden / heads, as the classes derive it."""
    if fields.has("head_dim") or fields.default("head_dim") is not None:
        return fields.count("head_dim")
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    if hidden % heads:
        raise fields.error(
            "head_dim", f"hidden_size {hidden} is not a multiple of {heads} heads", "give head_dim"
        )
    fields.note_default("head_dim")
    return hidden // heads


def attention(fields: Fields, *, bias: bool | None = None) -> Attention:
    """Llama-like attention: `attention_bias` covers q, k, v and o unless `bias` says otherwise."""
    heads = fields.count("num_attention_heads")
    with_bias = fields.flag("attention_bias") if bias is None else bias
    n_kv = fields.count_or(heads, "num_key_value_heads")
    if heads % n_kv:
        raise fields.error(
            "num_key_value_heads", f"{heads} query heads are not a multiple of {n_kv}", "mend it"
        )
    return Attention(
        n_heads=heads,
        n_kv_heads=n_kv,
        head_dim=head_dim(fields),
        qkv_bias=with_bias,
        out_bias=with_bias,
    )


def windowed(block: Attention, window: int) -> Attention:
    """The same attention with a sliding window; 0 leaves it full."""
    return replace(block, reach=Reach("window", window) if window else FULL)


def ffn(fields: Fields, *, bias: bool = False, gated: bool = True) -> DenseFFN:
    """Dense FFN of `intermediate_size`."""
    return DenseFFN(fields.count("intermediate_size"), gated=gated, bias=bias)


def norms(fields: Fields, count: int, *, bias: bool = False) -> Norms:
    """`count` norms over the residual width."""
    return Norms(fields.count("hidden_size"), count, bias)


def layer(fields: Fields, *blocks: Block, n_norms: int = 2) -> Layer:
    """A pre-norm layer with RMSNorm."""
    return Layer((norms(fields, n_norms), *blocks))


def decoder(
    fields: Fields,
    layers: list[Layer],
    *,
    position: str = "rope",
    activation: str = "hidden_act",
    notes: str = "",
) -> Read:
    """A decoder with RMSNorm, rotary positions and a final norm."""
    return Read(
        hidden=fields.count("hidden_size"),
        vocab=fields.count("vocab_size"),
        layers=layers,
        tied_embeddings=fields.flag("tie_word_embeddings"),
        outer_norms=(norms(fields, 1),),
        norm="rmsnorm",
        position=position,
        activation=fields.text(activation),
        max_context=fields.size("max_position_embeddings"),
        notes=notes,
    )


def layer_count(fields: Fields) -> int:
    """`num_hidden_layers`."""
    return fields.count("num_hidden_layers")
