"""Parts that several readers share: Llama-like attention, FFN, norms, windows."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace

from sim.arch.blocks import FULL, Attention, Block, DenseFFN, Mamba2, Norms, Reach
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


def ffn(
    fields: Fields, *, bias: bool = False, gated: bool = True, key: str = "intermediate_size"
) -> DenseFFN:
    """Dense FFN of `intermediate_size`."""
    return DenseFFN(fields.count(key), gated=gated, bias=bias)


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


WINDOW_NAMES = {"sliding_attention": "window", "chunked_attention": "chunk"}
PLAIN_NAMES = {"full_attention", "attention"}
LINEAR_NAMES = {"linear_attention", "mamba", "mamba2"}


MIXED_NAMES = frozenset({"full_attention", "linear_attention"})
"""Kinds of layers of models that mix softmax with linear attention."""
LAYER_NAMES = WINDOW_NAMES.keys() | PLAIN_NAMES | LINEAR_NAMES


def layer_kinds(
    fields: Fields, default: Callable[[int], str], known: AbstractSet[str] = LAYER_NAMES
) -> list[str]:
    """`layer_types`, one per layer, else the class's rule: full, sliding, chunked or linear.

    Args:
        known: the kinds that the class has.

    Raises:
        InputError: another number of entries than layers, or an unknown kind.
    """
    count = layer_count(fields)
    given = fields.optional("layer_types", "layers_block_type")
    if given is None:
        fields.note_default("layer_types")
        return [default(index) for index in range(count)]
    kinds = fields.items("layer_types" if fields.has("layer_types") else "layers_block_type")
    if len(kinds) != count:
        raise fields.error(
            "layer_types", f"{len(kinds)} entries for {count} layers", "give one per layer"
        )
    for kind in kinds:
        if kind not in known:
            raise fields.error(
                "layer_types", f"unknown layer type {kind!r}", f"known: {', '.join(sorted(known))}"
            )
    return [str(kind) for kind in kinds]


def reaching(fields: Fields, block: Attention, kind: str) -> Attention:
    """The attention of one layer kind: its window, its chunk, or all of the context.

    A window or chunk size of null means none, whatever the layer is called.
    """
    if kind == "sliding_attention":
        return windowed(block, fields.size("sliding_window"))
    if kind == "chunked_attention":
        chunk = fields.size("attention_chunk_size")
        return replace(block, reach=Reach("chunk", chunk) if chunk else FULL)
    return block


def mamba2(fields: Fields, prefix: str = "") -> Mamba2:
    """Mamba-2 mixer; the head counts decide D_i, never `expand` when they are given.

    Args:
        prefix: `mamba_` (Granite) or none; Nemotron-H and Zamba2 have their own readers.
    """
    heads = fields.count(f"{prefix}n_heads" if prefix else "num_heads")
    return Mamba2(
        n_heads=heads,
        head_dim=_mamba2_head_dim(fields, prefix, heads),
        state=fields.count(f"{prefix}d_state" if prefix else "state_size"),
        groups=fields.count(f"{prefix}n_groups" if prefix else "n_groups"),
        conv=fields.count(f"{prefix}d_conv" if prefix else "conv_kernel"),
        chunk=fields.count(f"{prefix}chunk_size" if prefix else "chunk_size"),
        bias=fields.flag(f"{prefix}proj_bias" if prefix else "use_bias"),
        conv_bias=fields.flag(f"{prefix}conv_bias" if prefix else "use_conv_bias"),
    )


def _mamba2_head_dim(fields: Fields, prefix: str, heads: int) -> int:
    key = f"{prefix}d_head" if prefix else "head_dim"
    if fields.raw(key) != "auto":
        return fields.count(key)
    inner = fields.count(f"{prefix}expand") * fields.count("hidden_size")
    if inner % heads:
        raise fields.error(key, f"inner width {inner} is not a multiple of {heads}", "give it")
    return inner // heads
