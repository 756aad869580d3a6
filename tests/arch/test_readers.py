"""Each family against an independent count, and each published quirk.

`oracle_counts.json` holds random configs of our own with what another implementation
counts for them; its first lines say which and when.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sim.arch import (
    Attention,
    DenseFFN,
    GatedDeltaNet,
    LatentAttention,
    LinearAttention,
    Mamba1,
    Mamba2,
    MoE,
    Reach,
    from_config,
    load,
)
from sim.errors import InputError
from sim.flops import Batch, flops_matmul_full, memory, parameters

ORACLE = json.loads((Path(__file__).parent / "oracle_counts.json").read_text("utf-8"))
MODELS: list[dict[str, Any]] = ORACLE["models"]


def _id(model: dict[str, Any]) -> str:
    return str(model["config"]["model_type"])


def test_the_oracle_covers_every_family_of_its_implementation() -> None:
    assert len({_id(model) for model in MODELS}) == 31
    assert sum("decode_2_at_13" in model for model in MODELS) > 45


@pytest.mark.parametrize("model", MODELS, ids=_id)
def test_against_another_implementation(model: dict[str, Any]) -> None:
    """Parameters of every family; matmul FLOPs of prefill and decode of attention-only ones."""
    arch = from_config(model["config"])
    assert parameters(arch).total == model["parameters"]
    if "prefill_2x13" in model:
        assert flops_matmul_full(arch, Batch.uniform(2, 13)) == model["prefill_2x13"]
        assert flops_matmul_full(arch, Batch.uniform(2, 1, 13)) == model["decode_2_at_13"]


def _base(family: str, **fields: Any) -> dict[str, Any]:
    return {
        "model_type": family,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 8,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 100,
        **fields,
    }


def _mixers(config: dict[str, Any]) -> list[Any]:
    """The mixing block of each layer, in order."""
    found = []
    for group in from_config(config).layers:
        kinds = (Attention, LatentAttention, Mamba1, Mamba2, LinearAttention, GatedDeltaNet)
        mixer = [b for b in group.layer.blocks if isinstance(b, kinds)]
        found += mixer[:1] * group.count
    return found


def _reaches(config: dict[str, Any]) -> str:
    return "".join(
        {"full": "F", "window": "w", "chunk": "c"}[m.reach.kind] for m in _mixers(config)
    )


def _feeds(config: dict[str, Any]) -> str:
    letters = ""
    for group in from_config(config).layers:
        feed = [b for b in group.layer.blocks if isinstance(b, MoE | DenseFFN)]
        letters += ("E" if isinstance(feed[0], MoE) else "d") * group.count
    return letters


def test_mistral_window_is_the_class_default_unless_null() -> None:
    assert _reaches(_base("mistral")) == "w" * 8
    assert _reaches(_base("mistral", sliding_window=None)) == "F" * 8


def test_qwen2_ignores_its_window_unless_used() -> None:
    fields = {"sliding_window": 32, "max_window_layers": 3}
    assert _reaches(_base("qwen2", use_sliding_window=False, **fields)) == "F" * 8
    assert _reaches(_base("qwen2", use_sliding_window=True, **fields)) == "FFFwwwww"


def test_a_null_window_is_none_whatever_the_layers_are_called() -> None:
    kinds = ["sliding_attention"] * 8
    assert _reaches(_base("gpt_oss", sliding_window=None, layer_types=kinds)) == "F" * 8
    assert _reaches(_base("qwen3", sliding_window=9, layer_types=kinds)) == "F" * 8
    assert _reaches(_base("llama4_text", attention_chunk_size=None)) == "F" * 8


def test_gemma_patterns() -> None:
    assert _reaches(_base("gemma2")) == "wFwFwFwF"
    assert _reaches(_base("gemma3_text")) == "wwwwwFww"
    assert _reaches(_base("gemma3_text", sliding_window_pattern=2)) == "wFwFwFwF"
    kinds = ["full_attention"] * 7 + ["sliding_attention"]
    assert _reaches(_base("gemma3_text", layer_types=kinds)) == "FFFFFFFw"


def test_layer_types_must_fit_and_be_known() -> None:
    with pytest.raises(InputError, match=r"layer_types: .*2 entries for 8 layers"):
        from_config(_base("gemma2", layer_types=["full_attention"] * 2))
    with pytest.raises(InputError, match="unknown layer type 'conv'"):
        from_config(_base("gemma2", layer_types=["conv"] * 8))


def test_qwen3_moe_sparse_step_and_dense_layers() -> None:
    fields = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    assert _feeds(_base("qwen3_moe", decoder_sparse_step=2, **fields)) == "dEdEdEdE"
    assert _feeds(_base("qwen3_moe", mlp_only_layers=[0, 7], **fields)) == "dEEEEEEd"


def test_more_experts_per_token_than_experts_is_an_error() -> None:
    with pytest.raises(InputError, match=r"num_experts_per_tok: .*9 experts per token of only 8"):
        from_config(_base("mixtral", num_experts_per_tok=9))


def test_llama4_chunks_dense_layers_and_no_rope() -> None:
    fields = {"num_local_experts": 4, "interleave_moe_layer_step": 2, "intermediate_size_mlp": 128}
    config = _base("llama4_text", **fields)
    assert _feeds(config) == "dEdEdEdE"
    assert _reaches(config) == "cccFcccF"
    assert _reaches({**config, "no_rope_layers": [1, 0] * 4}) == "cFcFcFcF"
    assert _feeds({**config, "moe_layers": [7]}) == "dddddddE"


def test_falcon_head_counts() -> None:
    def falcon(**fields: Any) -> int:
        mixer = _mixers({**_base("falcon"), "num_kv_heads": 2, **fields})[0]
        assert isinstance(mixer, Attention)
        return mixer.n_kv_heads

    assert falcon() == 1
    assert falcon(multi_query=False) == 4
    assert falcon(new_decoder_architecture=True) == 2


def test_falcon_40b_of_the_first_files_is_the_same_model() -> None:
    old = {
        "model_type": "RefinedWeb",
        "hidden_size": 8192,
        "n_head": 128,
        "n_head_kv": 8,
        "n_layer": 60,
        "multi_query": True,
        "parallel_attn": True,
        "bias": False,
        "alibi": False,
        "vocab_size": 65024,
    }
    assert from_config(old).layers == load("falcon-40b").layers


def test_falcon_mamba_inner_width_is_not_its_expand() -> None:
    mixer = next(b for b, _, _ in load("falcon-mamba-7b").blocks() if isinstance(b, Mamba1))
    assert mixer.inner == 8192
    assert memory(load("falcon-mamba-7b")).short_state_elements == 64 * 8192 * 4


def test_deepseek_without_query_compression_and_with_dense_layers() -> None:
    config = _base(
        "deepseek_v3",
        q_lora_rank=None,
        first_k_dense_replace=2,
        moe_layer_freq=3,
        n_routed_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
    )
    assert _mixers(config)[0].q_rank == 0
    assert _feeds(config) == "dddEddEd"


def test_deepseek_v2_lite_has_the_published_size() -> None:
    assert round(parameters(load("deepseek-v2-lite")).total / 1e9, 1) == 15.7


def test_prediction_layers_are_said_to_be_left_out() -> None:
    assert "1 multi-token-prediction layer(s) not counted" in load("deepseek-v3").notes
    assert load("kimi-k2").notes == ""


def test_nemotron_pattern_letters_and_head_count() -> None:
    config = _base("nemotron_h", hybrid_override_pattern="M-*E", mamba_num_heads=8)
    arch = from_config(config)
    assert arch.n_layers == 4
    mixer = next(b for b, _, _ in arch.blocks() if isinstance(b, Mamba2))
    assert mixer.inner == 8 * 64  # not expand x hidden = 128
    with pytest.raises(InputError, match=r"hybrid_override_pattern: .*unknown layer 'X'"):
        from_config({**config, "hybrid_override_pattern": "MX"})


def test_nemotron_old_head_width_name() -> None:
    config = _base("nemotron_h", hybrid_override_pattern="*", attention_head_dim=32)
    del config["head_dim"]
    assert _mixers(config)[0].head_dim == 32


def test_granite_without_experts_is_dense() -> None:
    fields = {"num_local_experts": 0, "num_experts_per_tok": 0, "shared_intermediate_size": 48}
    config = _base("granitemoehybrid", mamba_n_heads=4, mamba_d_head="auto", **fields)
    assert _feeds(config) == "d" * 8
    assert _mixers(config)[0].head_dim == 32


def test_zamba_shares_one_block_and_caches_every_call() -> None:
    arch = load("zamba-7b")
    calls = [(n, copies) for b, n, copies in arch.blocks() if isinstance(b, Attention)]
    assert calls == [(13, 1)]
    assert memory(arch).kv_bytes_per_token == 13 * 2 * 16 * 464 * 2
    assert parameters(arch).total == 7232490496


def test_zamba2_block_letters_of_the_first_files() -> None:
    config = _base(
        "zamba2", n_mamba_heads=4, num_key_value_heads=4, layers_block_type=["m", "g"] * 4
    )
    words = {**config, "layers_block_type": ["mamba", "hybrid"] * 4}
    assert from_config(config).layers == from_config(words).layers
    with pytest.raises(InputError, match="unknown layer 'x'"):
        from_config({**config, "layers_block_type": ["x"]})


def test_zamba2_default_pattern_is_the_published_2_7b() -> None:
    kinds = [len(g.layer.blocks) > 2 for g in load("zamba2-2.7b").layers for _ in range(g.count)]
    assert [i for i, calls in enumerate(kinds) if calls] == [6, 12, 18, 24, 30, 36, 42, 47, 51]
    defaulted = from_config({"model_type": "zamba2", "num_mem_blocks": 2, "n_mamba_heads": 80})
    assert defaulted.layers == load("zamba2-2.7b").layers


def test_jamba_periods() -> None:
    arch = load("jamba-v0.1")
    mixers = Counter()
    for block, count, _ in arch.blocks():
        mixers[type(block)] += count
    assert mixers[Attention] == 4
    assert mixers[Mamba1] == 28
    assert mixers[MoE] == mixers[DenseFFN] == 16
    with pytest.raises(InputError, match=r"attn_layer_offset: .*not below the period"):
        from_config({"model_type": "jamba", "attn_layer_offset": 8})


def test_rwkv5_files_say_tied_but_are_not() -> None:
    config = {"model_type": "rwkv5", "hidden_size": 128, "num_hidden_layers": 2, "vocab_size": 50}
    arch = from_config({**config, "tie_word_embeddings": True})
    assert not arch.tied_embeddings
    width, depth, vocab = 128, 2, 50
    expected = 13 * width**2 * depth + 14 * width * depth + 4 * width + 2 * width * vocab
    assert parameters(arch).total == expected


def test_minimax_attention_list() -> None:
    mixers = [
        type(b)
        for g in load("minimax-text-01").layers
        for _ in range(g.count)
        for b in g.layer.blocks
        if isinstance(b, Attention | LinearAttention)
    ]
    assert mixers == ([LinearAttention] * 7 + [Attention]) * 10
    counts = parameters(load("minimax-text-01"))
    assert round(counts.total / 1e9) == 456
    assert round((counts.active - 2 * counts.input_embedding) / 1e9, 1) == 45.9


@pytest.mark.parametrize(
    ("name", "total_e9", "active_e9"),
    [
        ("granite-4.0-h-small", 32, 9),
        ("llama-4-scout", 108, 17),
        ("llama-4-maverick", 401, 17),
        ("kimi-k2", 1026, 33),
        ("falcon-40b", 41, 41),
        ("olmoe-1b-7b", 7, 1),
        ("qwen1.5-moe-a2.7b", 14, 3),
        ("nemotron-nano-9b-v2", 9, 9),
    ],
)
def test_published_sizes(name: str, total_e9: int, active_e9: int) -> None:
    counts = parameters(load(name))
    assert round(counts.total / 1e9) == total_e9
    assert round(counts.active / 1e9) == active_e9


def test_window_of_the_sparse_indexer_is_no_cache_limit() -> None:
    arch = load("deepseek-v3.2")
    latent = next(b for b, _, _ in arch.blocks() if isinstance(b, LatentAttention))
    assert latent.reach == Reach("window", 2048)
    assert memory(arch).kv_bytes_per_token == 61 * (512 + 64 + 128) * 2
    assert memory(arch).window_kv_bytes_per_token == 0
