"""RWKV-4, 5 and 6, Hyena and H3."""

from __future__ import annotations

from sim.arch.blocks import H3, Block, DenseFFN, Hyena, Norms, Rwkv4, RwkvMatrix
from sim.arch.fields import Fields
from sim.arch.registry import Read, reader
from sim.arch.spec import Layer


def _rwkv(fields: Fields, mixer: Block, *, tied: bool, counted: bool) -> Read:
    """Two LayerNorms per layer, one before the first, one at the end."""
    hidden = fields.count("hidden_size")
    layer = Layer((Norms(hidden, 2, bias=True, counted=counted), mixer))
    return Read(
        hidden=hidden,
        vocab=fields.count("vocab_size"),
        layers=[layer] * fields.count("num_hidden_layers"),
        tied_embeddings=tied,
        outer_norms=(Norms(hidden, 2, bias=True, counted=counted),),
        norm="layernorm",
        position="none",
        activation="relu2",
        max_context=fields.size("context_length"),
    )


@reader("rwkv")
def read_rwkv4(fields: Fields) -> Read:
    """RWKV-4: time mixing with a scalar state per channel, FFN of 4 d."""
    hidden = fields.count("hidden_size")
    mixer = Rwkv4(
        attention_width=fields.count_or(hidden, "attention_hidden_size"),
        ffn_width=fields.count_or(4 * hidden, "intermediate_size"),
    )
    return _rwkv(fields, mixer, tied=fields.flag("tie_word_embeddings"), counted=False)


def _rwkv_matrix(fields: Fields, mix_rank: int, decay_rank: int) -> RwkvMatrix:
    """FFN width is 3.5 d, rounded down to a multiple of 32, unless given."""
    hidden = fields.count("hidden_size")
    return RwkvMatrix(
        attention_width=fields.count_or(hidden, "attention_hidden_size"),
        head_size=fields.count("head_size"),
        ffn_width=fields.count_or(hidden * 7 // 2 // 32 * 32, "intermediate_size"),
        mix_rank=mix_rank,
        decay_rank=decay_rank,
    )


@reader("rwkv5")
def read_rwkv5(fields: Fields) -> Read:
    """RWKV-5 Eagle. Quirk: its files say tied embeddings, its weights have a head of their own."""
    return _rwkv(fields, _rwkv_matrix(fields, 0, 0), tied=False, counted=True)


@reader("rwkv6")
def read_rwkv6(fields: Fields) -> Read:
    """RWKV-6 Finch: shift and decay depend on the data, through low-rank projections."""
    mixer = _rwkv_matrix(
        fields, fields.count("time_mix_extra_dim"), fields.count("time_decay_extra_dim")
    )
    return _rwkv(fields, mixer, tied=False, counted=True)


def _convolutional(fields: Fields, mixer: Block) -> Read:
    """LayerNorm before operator and FFN; tied embeddings; no positions outside the filters."""
    hidden = fields.count("d_model")
    feed = DenseFFN(fields.count("ffn_inner"), gated=False)
    layer = Layer((Norms(hidden, 2, bias=True), mixer, feed))
    return Read(
        hidden=hidden,
        vocab=fields.count("vocab_size"),
        layers=[layer] * fields.count("n_layer"),
        tied_embeddings=fields.flag("tie_word_embeddings"),
        outer_norms=(Norms(hidden, 1, bias=True),),
        norm="layernorm",
        position="none",
        activation="gelu",
    )


@reader("hyena")
def read_hyena(fields: Fields) -> Read:
    """Hyena language model in the form of the paper's tables."""
    return _convolutional(
        fields,
        Hyena(
            order=fields.count("order"),
            short_filter=fields.count("short_filter"),
            filter_width=fields.count("filter_ffn_width"),
            filter_depth=fields.count("filter_ffn_depth"),
            filter_inputs=fields.count("filter_emb_dim"),
        ),
    )


@reader("h3")
def read_h3(fields: Fields) -> Read:
    """H3, with a linear-attention head of `head_dim`; H3++ widens it."""
    return _convolutional(
        fields,
        H3(
            head_dim=fields.count("head_dim"),
            shift=fields.count("shift_taps"),
            state=fields.count("state_size"),
        ),
    )
