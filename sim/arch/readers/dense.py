"""Dense transformers: Llama, Mistral, Qwen2 and 3, Gemma, Phi-3, GPT-2, Falcon."""

from __future__ import annotations

from dataclasses import replace

from sim.arch.blocks import Attention, DenseFFN, Norms
from sim.arch.fields import Fields
from sim.arch.readers import parts
from sim.arch.registry import Read, reader
from sim.arch.spec import Layer


@reader("llama")
def read_llama(fields: Fields) -> Read:
    """Llama 1 to 3.x; `attention_bias` and `mlp_bias` are options of the class."""
    block = parts.layer(
        fields,
        parts.attention(fields),
        parts.ffn(fields, bias=fields.flag("mlp_bias")),
    )
    return parts.decoder(fields, [block] * parts.layer_count(fields))


@reader("mistral")
def read_mistral(fields: Fields) -> Read:
    """Mistral: every layer has the window, if there is one (v0.1 has, v0.2 has none)."""
    mixer = parts.windowed(parts.attention(fields, bias=False), fields.size("sliding_window"))
    block = parts.layer(fields, mixer, parts.ffn(fields))
    return parts.decoder(fields, [block] * parts.layer_count(fields))


def qwen_window(fields: Fields, index: int) -> str:
    """Qwen2/3: the window holds from `max_window_layers` on, and only if `use_sliding_window`.

    Quirk: the files set `sliding_window` although `use_sliding_window` is false.
    """
    if not fields.flag("use_sliding_window") or not fields.size("sliding_window"):
        return "full_attention"
    late = index >= fields.size("max_window_layers")
    return "sliding_attention" if late else "full_attention"


def _qwen(fields: Fields, mixer: Attention) -> Read:
    feed = parts.ffn(fields)
    kinds = parts.layer_kinds(fields, lambda index: qwen_window(fields, index))
    if not fields.flag("use_sliding_window"):
        kinds = ["full_attention"] * len(kinds)
    return parts.decoder(
        fields,
        [parts.layer(fields, parts.reaching(fields, mixer, kind), feed) for kind in kinds],
    )


@reader("qwen2")
def read_qwen2(fields: Fields) -> Read:
    """Qwen2 and 2.5: biases on q, k, v but not on the output."""
    return _qwen(fields, replace(parts.attention(fields, bias=False), qkv_bias=True))


def head_norms(block: Attention) -> Attention:
    """RMSNorm over each head's queries and keys (Qwen3, Gemma-3): one weight vector each."""
    return replace(block, qk_norm=2 * block.head_dim)


@reader("qwen3")
def read_qwen3(fields: Fields) -> Read:
    """Qwen3 dense: norms on queries and keys, explicit head_dim."""
    return _qwen(fields, head_norms(parts.attention(fields)))


@reader("gemma")
def read_gemma(fields: Fields) -> Read:
    """Gemma 1: GeGLU, explicit head_dim, tied embeddings."""
    block = parts.layer(fields, parts.attention(fields), parts.ffn(fields))
    return parts.decoder(fields, [block] * parts.layer_count(fields))


def _gemma(fields: Fields, mixer: Attention, kinds: list[str]) -> Read:
    """Gemma 2 and 3 norm before and after each of the two blocks."""
    feed = parts.ffn(fields)
    layers = [
        parts.layer(fields, parts.reaching(fields, mixer, kind), feed, n_norms=4) for kind in kinds
    ]
    return parts.decoder(fields, layers, activation="hidden_activation")


@reader("gemma2")
def read_gemma2(fields: Fields) -> Read:
    """Gemma 2: windowed and full layers alternate, the first windowed."""
    kinds = parts.layer_kinds(
        fields, lambda index: "full_attention" if index % 2 else "sliding_attention"
    )
    return _gemma(fields, parts.attention(fields), kinds)


@reader("gemma3_text", "gemma3")
def read_gemma3(fields: Fields) -> Read:
    """Gemma 3: five windowed layers to one full; norms on queries and keys.

    Older files say `sliding_window_pattern` (6: every 6th layer is full) for `layer_types`.
    """
    every = fields.optional_count(6, "sliding_window_pattern")
    kinds = parts.layer_kinds(
        fields, lambda index: "sliding_attention" if (index + 1) % every else "full_attention"
    )
    return _gemma(fields, head_norms(parts.attention(fields)), kinds)


@reader("phi3")
def read_phi3(fields: Fields) -> Read:
    """Phi-3 and 3.5: every layer has the window, if there is one; no biases."""
    mixer = parts.windowed(parts.attention(fields, bias=False), fields.size("sliding_window"))
    block = parts.layer(fields, mixer, parts.ffn(fields))
    return parts.decoder(fields, [block] * parts.layer_count(fields))


@reader("gpt2")
def read_gpt2(fields: Fields) -> Read:
    """GPT-2 and GPT-3: LayerNorm, biases everywhere, learned positions, 4x FFN."""
    hidden = fields.count("n_embd", "hidden_size")
    heads = fields.count("n_head", "num_attention_heads")
    if hidden % heads:
        raise fields.error("n_head", f"n_embd {hidden} is not a multiple of {heads}", "mend it")
    positions = fields.count("n_positions", "max_position_embeddings")
    mixer = Attention(heads, heads, hidden // heads, qkv_bias=True, out_bias=True)
    inner = fields.count_or(4 * hidden, "n_inner")
    block = Layer((Norms(hidden, 2, bias=True), mixer, DenseFFN(inner, gated=False, bias=True)))
    return Read(
        hidden=hidden,
        vocab=fields.count("vocab_size"),
        layers=[block] * fields.count("n_layer", "num_hidden_layers"),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        outer_norms=(Norms(hidden, 1, bias=True),),
        norm="layernorm",
        position="learned",
        activation=fields.text("activation_function"),
        max_context=positions,
        positions=positions,
    )


@reader("falcon", "RefinedWeb", "RefinedWebModel")
def read_falcon(fields: Fields) -> Read:
    """Falcon: attention and FFN in parallel, few key-value heads, plain GELU FFN, LayerNorm.

    Quirks: `multi_query` means one key-value head unless `new_decoder_architecture`; that
    architecture has two norms per layer; a parallel layer without it has one. Old files
    say `n_head`, `n_layer`, `n_head_kv`.
    """
    hidden = fields.count("hidden_size", "n_embed")
    heads = fields.count("num_attention_heads", "n_head")
    if hidden % heads:
        raise fields.error("num_attention_heads", f"{hidden} is not a multiple of {heads}", "mend")
    parallel = fields.flag("parallel_attn") or _is_new_falcon(fields)
    bias = fields.flag("bias")
    mixer = Attention(
        heads,
        _falcon_kv_heads(fields, heads),
        hidden // heads,
        qkv_bias=bias,
        out_bias=bias,
        reduces=not parallel,
    )
    feed = DenseFFN(fields.count_or(4 * hidden, "ffn_hidden_size"), gated=False, bias=bias)
    block = Layer((Norms(hidden, _falcon_norms(fields), bias=True), mixer, feed))
    return Read(
        hidden=hidden,
        vocab=fields.count("vocab_size"),
        layers=[block] * fields.count("num_hidden_layers", "n_layer"),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        outer_norms=(Norms(hidden, 1, bias=True),),
        norm="layernorm",
        position="alibi" if fields.flag("alibi") else "rope",
        activation=fields.text("activation"),
        max_context=fields.size("max_position_embeddings"),
    )


def _is_new_falcon(fields: Fields) -> bool:
    """Falcon-40B's architecture; its first files said so by the family `RefinedWeb` alone."""
    return fields.family == "RefinedWeb" or fields.flag("new_decoder_architecture")


def _falcon_kv_heads(fields: Fields, heads: int) -> int:
    if _is_new_falcon(fields):
        return fields.count_or(heads, "num_kv_heads", "n_head_kv")
    return 1 if fields.flag("multi_query") else heads


def _falcon_norms(fields: Fields) -> int:
    if _is_new_falcon(fields) and fields.count_or(2, "num_ln_in_parallel_attn") == 2:
        return 2
    return 1 if fields.flag("parallel_attn") else 2
