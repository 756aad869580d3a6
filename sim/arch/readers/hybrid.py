"""Hybrids: Nemotron-H, Granite-4, Zamba and Zamba2, Qwen3-Next and 3.5, MiniMax."""

from __future__ import annotations

from dataclasses import replace

from sim.arch.blocks import (
    Attention,
    Block,
    DenseFFN,
    GatedDeltaNet,
    LinearAttention,
    Mamba1,
    Mamba2,
    MoE,
    Norms,
    OwnBlock,
    Projection,
    Shared,
)
from sim.arch.fields import Fields
from sim.arch.readers import parts
from sim.arch.readers.dense import head_norms
from sim.arch.readers.moe import qwen_experts, qwen_feed
from sim.arch.readers.ssm import dt_rank
from sim.arch.registry import Read, reader
from sim.arch.spec import Layer

NEMOTRON_LETTERS = {"M": "mamba", "-": "mlp", "*": "attention", "E": "moe"}
NEMOTRON_WORDS = {"linear_attention": "mamba", "full_attention": "attention"}


def _nemotron_kinds(fields: Fields) -> list[str]:
    """`hybrid_override_pattern` (a letter per layer) or `layers_block_type` (a word each)."""
    pattern = fields.optional("hybrid_override_pattern")
    if pattern is None:
        words = [NEMOTRON_WORDS.get(word, word) for word in fields.items("layers_block_type")]
    else:
        words = [NEMOTRON_LETTERS.get(letter, letter) for letter in str(pattern)]
    for word in words:
        if word not in NEMOTRON_LETTERS.values():
            raise fields.error(
                "hybrid_override_pattern",
                f"unknown layer {word!r}",
                f"known: {' '.join(NEMOTRON_LETTERS)} or {', '.join(NEMOTRON_LETTERS.values())}",
            )
    if not words:
        raise fields.error("hybrid_override_pattern", "names no layer", "give one per layer")
    return words


def _nemotron_block(fields: Fields, kind: str) -> OwnBlock:
    if kind == "mlp":
        return parts.ffn(fields, bias=fields.flag("mlp_bias"), gated=False)
    if kind == "moe":
        return MoE(
            n_experts=fields.count("n_routed_experts"),
            top_k=fields.count("num_experts_per_tok"),
            width=fields.count("moe_intermediate_size"),
            gated=False,
            shared_width=fields.size("moe_shared_expert_intermediate_size"),
            latent_width=fields.size("moe_latent_size"),
        )
    if kind == "attention":
        return _nemotron_attention(fields)
    return Mamba2(
        n_heads=fields.count("mamba_num_heads"),
        head_dim=fields.count("mamba_head_dim"),
        state=fields.count("ssm_state_size"),
        groups=fields.count("n_groups", "mamba_n_groups"),
        conv=fields.count("conv_kernel", "mamba_d_conv"),
        chunk=fields.count("chunk_size", "mamba_chunk_size"),
        bias=fields.flag("use_bias"),
        conv_bias=fields.flag("use_conv_bias", "mamba_conv_bias"),
    )


def _nemotron_attention(fields: Fields) -> Attention:
    heads, bias = fields.count("num_attention_heads"), fields.flag("attention_bias")
    return Attention(
        n_heads=heads,
        n_kv_heads=fields.count_or(heads, "num_key_value_heads"),
        head_dim=fields.count("head_dim", "attention_head_dim"),
        qkv_bias=bias,
        out_bias=bias,
    )


@reader("nemotron_h")
def read_nemotron_h(fields: Fields) -> Read:
    """Nemotron-H: a mixer, an MLP or an expert block is each a layer of its own.

    Quirks: D_i is heads x head_dim, not `expand` x hidden; older files say
    `attention_head_dim`; FFNs are squared-ReLU, not gated; no positions.
    """
    kinds = _nemotron_kinds(fields)
    blocks = {
        kind: parts.layer(fields, _nemotron_block(fields, kind), n_norms=1)
        for kind in dict.fromkeys(kinds)
    }
    layers = [blocks[kind] for kind in kinds]
    return parts.decoder(fields, layers, position="none", activation="mlp_hidden_act")


@reader("granitemoehybrid")
def read_granite_hybrid(fields: Fields) -> Read:
    """Granite-4: Mamba-2 or attention, then experts and a shared FFN in every layer.

    Without experts (`num_local_experts` 0) the shared FFN stands alone.
    """
    width = fields.count("shared_intermediate_size")
    feed: OwnBlock = DenseFFN(width)
    if fields.size("num_local_experts"):
        feed = MoE(
            n_experts=fields.count("num_local_experts"),
            top_k=fields.count("num_experts_per_tok"),
            width=fields.count("intermediate_size"),
            shared_width=width,
        )
    kinds = parts.layer_kinds(fields, lambda _: "mamba")
    mixers: dict[bool, OwnBlock] = {}
    for kind in kinds:
        is_plain = kind in parts.PLAIN_NAMES
        if is_plain not in mixers:
            mixers[is_plain] = (
                parts.attention(fields) if is_plain else parts.mamba2(fields, "mamba_")
            )
    layers = [parts.layer(fields, mixers[kind in parts.PLAIN_NAMES], feed) for kind in kinds]
    return parts.decoder(fields, layers, position=_granite_position(fields))


def _granite_position(fields: Fields) -> str:
    return str(fields.raw("position_embedding_type") or "none")


def _is_hybrid(fields: Fields, kind: str) -> bool:
    """`hybrid` or `g` calls the shared block; `mamba` or `m` does not."""
    if kind not in {"hybrid", "g", "mamba", "m", "mamba2", "linear_attention"}:
        raise fields.error("layers_block_type", f"unknown layer {kind!r}", "use mamba or hybrid")
    return kind in {"hybrid", "g"}


def _shared_attention(fields: Fields) -> Attention:
    """Zamba's attention reads the residual next to the embeddings: twice the width."""
    hidden, heads = fields.count("hidden_size"), fields.count("num_attention_heads")
    return Attention(
        n_heads=heads,
        n_kv_heads=fields.count_or(heads, "num_key_value_heads"),
        head_dim=2 * hidden // heads,
        input_width=2 * hidden,
    )


def _zamba_kinds(fields: Fields) -> list[bool]:
    """Which layers call the shared block: two Mamba layers, one call, then every period."""
    count = parts.layer_count(fields)
    given = fields.optional("layers_block_type")
    if given is not None:
        return [_is_hybrid(fields, kind) for kind in fields.items("layers_block_type")]
    fields.note_default("layers_block_type")
    period, offset = fields.count("attn_layer_period"), fields.size("attn_layer_offset")
    start = [False, False, True]
    return (start + [index % period == offset for index in range(count - 3)])[:count]


@reader("zamba")
def read_zamba(fields: Fields) -> Read:
    """Zamba: ONE transformer block, called by several Mamba layers: counted once, run each time.

    Quirks: the block's input is residual and embedding side by side; a linear of its own
    follows each call; the Mamba mixer has two heads with their own B, C and dt.
    """
    hidden = fields.count("hidden_size")
    attention = _shared_attention(fields)
    width = fields.count_or(2 * hidden, "attention_hidden_size")
    head = fields.count_or(2 * hidden // attention.n_heads, "attention_head_dim")
    attention = replace(attention, input_width=width, head_dim=head)
    mamba = Mamba1(
        inner=fields.count("mamba_expand") * hidden,
        state=fields.count("mamba_d_state"),
        conv=fields.count("mamba_d_conv"),
        dt_rank=dt_rank(fields, "mamba_dt_rank"),
        bias=fields.flag("mamba_proj_bias"),
        conv_bias=fields.flag("mamba_conv_bias"),
        heads=fields.count("n_mamba_heads"),
    )
    own: tuple[Block, ...] = (Norms(hidden), mamba)
    call: tuple[Block, ...] = (
        Shared(Norms(width, label="shared norm")),
        Shared(attention),
        Shared(Norms(hidden, label="shared norm")),
        Shared(parts.ffn(fields)),
        Projection(hidden, hidden, "zamba.linear"),
    )
    layers = [Layer(call + own if calls else own) for calls in _zamba_kinds(fields)]
    return parts.decoder(fields, layers, position="none")


def _zamba2_mamba(fields: Fields) -> Mamba2:
    heads = fields.count("n_mamba_heads")
    inner = fields.count("mamba_expand") * fields.count("hidden_size")
    if inner % heads:
        raise fields.error("n_mamba_heads", f"{inner} is not a multiple of {heads}", "mend it")
    bias = fields.flag("add_bias_linear")
    return Mamba2(
        n_heads=heads,
        head_dim=inner // heads,
        state=fields.count("mamba_d_state"),
        groups=fields.count("mamba_ngroups"),
        conv=fields.count("mamba_d_conv"),
        chunk=fields.count("chunk_size"),
        bias=bias,
    )


def _zamba2_kinds(fields: Fields) -> list[bool]:
    """The published class's own pattern: 9 of 54 layers call a shared block."""
    given = fields.optional("layers_block_type")
    if given is not None:
        return [_is_hybrid(fields, kind) for kind in fields.items("layers_block_type")]
    hybrid_ids = fields.optional("hybrid_layer_ids")
    if hybrid_ids is None:
        fields.note_default("layers_block_type")
        hybrid_ids = [6, 12, 18, 24, 30, 36, 42, 47, 51]
    return [index in hybrid_ids for index in range(parts.layer_count(fields))]


@reader("zamba2")
def read_zamba2(fields: Fields) -> Read:
    """Zamba2: `num_mem_blocks` shared blocks in turn, with low-rank adapters per call.

    Every call has its own adapter on the FFN's gate and up projection, and on q, k and v
    if `use_shared_attention_adapter`.
    """
    hidden = fields.count("hidden_size")
    feed = replace(
        parts.ffn(fields)
        if fields.optional("intermediate_size")
        else DenseFFN(fields.count_or(4 * hidden, "intermediate_size")),
        bias=fields.flag("add_bias_linear"),
    )
    copies, rank = fields.count("num_mem_blocks"), fields.count("adapter_rank")
    adapters: list[Block] = [
        Projection(hidden, rank, "adapter.ffn_down"),
        Projection(rank, 2 * feed.width, "adapter.ffn_up"),
    ]
    if fields.flag("use_shared_attention_adapter"):
        adapters = [
            Projection(2 * hidden, rank, "adapter.attention_down", count=3),
            Projection(rank, 2 * hidden, "adapter.attention_up", count=3),
            *adapters,
        ]
    own: tuple[Block, ...] = (Norms(hidden), _zamba2_mamba(fields))
    call: tuple[Block, ...] = (
        Shared(Norms(2 * hidden, label="shared norm"), copies),
        Shared(_shared_attention(fields), copies),
        Shared(Norms(hidden, label="shared norm"), copies),
        Shared(feed, copies),
        *adapters,
        Projection(hidden, hidden, "zamba.linear"),
    )
    layers = [Layer(call + own if calls else own) for calls in _zamba2_kinds(fields)]
    position = "rope" if fields.flag("use_mem_rope") else "none"
    return parts.decoder(fields, layers, position=position)


def _delta(fields: Fields) -> GatedDeltaNet:
    return GatedDeltaNet(
        n_key_heads=fields.count("linear_num_key_heads"),
        n_value_heads=fields.count("linear_num_value_heads"),
        key_dim=fields.count("linear_key_head_dim"),
        value_dim=fields.count("linear_value_head_dim"),
        conv=fields.count("linear_conv_kernel_dim"),
    )


def _interval_kinds(fields: Fields) -> list[str]:
    """Every `full_attention_interval`-th layer (4th by default) has softmax attention."""
    every = fields.optional_count(4, "full_attention_interval")
    return parts.layer_kinds(
        fields,
        lambda index: "linear_attention" if (index + 1) % every else "full_attention",
        parts.MIXED_NAMES,
    )


def _qwen_mixers(fields: Fields) -> dict[str, OwnBlock]:
    """Gated attention (the query projection makes a gate too) and gated DeltaNet."""
    gated = replace(head_norms(parts.attention(fields)), output_gate=True)
    return {"full_attention": gated, "linear_attention": _delta(fields)}


@reader("qwen3_next")
def read_qwen3_next(fields: Fields) -> Read:
    """Qwen3-Next: three DeltaNet layers to one of gated attention; 512 experts and a shared one."""
    mixers = _qwen_mixers(fields)
    feed = qwen_feed(fields, qwen_experts(fields, shared=True))
    return parts.decoder(
        fields,
        [
            parts.layer(fields, mixers[kind], feed(index))
            for index, kind in enumerate(_interval_kinds(fields))
        ],
    )


@reader("qwen3_5_moe_text", "qwen3_5_moe")
def read_qwen3_5_moe(fields: Fields) -> Read:
    """Qwen3.5-MoE text model: as Qwen3-Next, experts in every layer."""
    mixers = _qwen_mixers(fields)
    experts = qwen_experts(fields, shared=True)
    predicts = fields.optional("mtp_num_hidden_layers")
    return parts.decoder(
        fields,
        [parts.layer(fields, mixers[kind], experts) for kind in _interval_kinds(fields)],
        notes=f"{predicts} multi-token-prediction layer(s) not counted." if predicts else "",
    )


def _minimax_kinds(fields: Fields) -> list[str]:
    """`attn_type_list` (1: softmax, 0: lightning) in the first files, else `layer_types`."""
    if fields.optional("attn_type_list") is not None:
        return [
            "full_attention" if flag else "linear_attention"
            for flag in fields.items("attn_type_list")
        ]
    return parts.layer_kinds(
        fields,
        lambda index: "linear_attention" if index % 2 else "full_attention",
        parts.MIXED_NAMES,
    )


@reader("minimax", "minimax_text_01", "minimax_m1")
def read_minimax(fields: Fields) -> Read:
    """MiniMax-01: lightning attention with softmax attention in between; experts everywhere."""
    plain = parts.windowed(parts.attention(fields, bias=False), fields.size("sliding_window"))
    mixers: dict[str, OwnBlock] = {
        "full_attention": plain,
        "linear_attention": LinearAttention(
            plain.n_heads, plain.head_dim, fields.count("block_size")
        ),
    }
    experts = MoE(
        n_experts=fields.count("num_local_experts"),
        top_k=fields.count("num_experts_per_tok"),
        width=fields.count("intermediate_size"),
    )
    return parts.decoder(
        fields,
        [parts.layer(fields, mixers[kind], experts) for kind in _minimax_kinds(fields)],
    )
