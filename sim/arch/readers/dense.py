"""Dense transformers: Llama, Mistral, GPT-2."""

from __future__ import annotations

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
