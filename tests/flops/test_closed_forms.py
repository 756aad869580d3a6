"""Closed forms to the last FLOP, and the article's crossovers. 1 MAC = 2 FLOPs."""

from __future__ import annotations

import math

import pytest

from sim.arch import DenseFFN, LatentAttention, Norms, from_config, load
from sim.flops import (
    Batch,
    compile_step,
    flops_matmul_full,
    memory,
    parameters,
    step_operations,
)


def _rows(name: str, batch: Batch, prefix: str) -> float:
    step = step_operations(load(name), batch)
    return sum(
        flops
        for row, flops, counted in zip(step.name, step.flops, step.counted, strict=True)
        if row.startswith(prefix) and counted
    )


@pytest.mark.parametrize(
    ("name", "batch", "expected"),
    [
        ("llama-2-7b", Batch.uniform(1, 2048), 29261612187648),
        ("llama-2-7b", Batch.uniform(1, 1, 2048), 14288420864),
        ("mixtral-8x7b", Batch.uniform(1, 2048), 54417235640320),
        ("deepseek-v3", Batch.uniform(1, 2048), 170973789683712),
        ("deepseek-v3", Batch.uniform(1, 1, 2048), 4275376373760),
        ("gpt-oss-120b", Batch.uniform(1, 2048), 23490887417856),
        ("gemma-3-1b", Batch.uniform(1, 1, 2048), 2079211520),
    ],
)
def test_exact_closure_with_the_counter(name: str, batch: Batch, expected: int) -> None:
    assert flops_matmul_full(load(name), batch) == expected


def test_mamba1_scan_and_convolution() -> None:
    inner, state, conv, layers, tokens = 1536, 16, 4, 24, 100
    assert _rows("mamba-130m", Batch.uniform(1, tokens), "mamba.scan") == (
        tokens * layers * (9 * inner * state + 2 * inner)
    )
    assert _rows("mamba-130m", Batch.uniform(1, tokens), "mamba.conv") == (
        tokens * layers * 2 * conv * inner
    )


def test_mamba1_total() -> None:
    """All of it: matrices, convolution, scan, logits of the last position."""
    hidden, inner, state, rank, conv, vocab = 768, 1536, 16, 48, 4, 50280
    matrices = 2 * (hidden * 2 * inner + inner * (rank + 2 * state) + rank * inner + inner * hidden)
    token = 24 * (matrices + 2 * conv * inner + 9 * inner * state + 2 * inner)
    logits = 2 * hidden * vocab
    arch = load("mamba-130m")
    assert step_operations(arch, Batch.uniform(3, 50)).total_flops == 3 * (50 * token + logits)
    assert step_operations(arch, Batch.uniform(1, 1, 9999)).total_flops == token + logits


def test_mamba2_prefill_is_chunked_and_decode_recurrent() -> None:
    inner, state, chunk, groups, layers = 5120, 128, 256, 1, 64
    each = 2 * chunk * (state * groups + inner) + 4 * state * inner + 2 * state * inner // chunk
    name = "mamba2-2.7b"
    assert _rows(name, Batch.uniform(1, 512), "mamba2.ssd") == 512 * layers * each
    assert _rows(name, Batch.uniform(1, 512), "mamba2.step") == 0
    assert _rows(name, Batch.uniform(1, 1, 512), "mamba2.ssd") == 0
    assert _rows(name, Batch.uniform(1, 1, 512), "mamba2.step") == layers * 5 * inner * state
    assert _rows(name, Batch.uniform(1, 512), "mamba2.conv") == (
        512 * layers * 2 * 4 * (inner + 2 * groups * state)
    )


@pytest.mark.parametrize("batch", [Batch.uniform(1, 1), Batch.uniform(1, 1, 100_000)])
def test_rwkv4_is_two_flops_per_matrix_entry(batch: Batch) -> None:
    expected = 2 * (50277 * 4096 + 13 * 4096**2 * 32)
    assert step_operations(load("rwkv-4-7b"), batch).total_flops == expected == 14370512896


@pytest.mark.parametrize("name", ["rwkv-5-3b", "rwkv-5-7b", "rwkv-6-7b"])
def test_rwkv5_and_6_closed_form(name: str) -> None:
    arch = load(name)
    embedding = arch.vocab * arch.hidden
    each = 2 * (parameters(arch).total - embedding) + 6 * 64 * arch.hidden * arch.n_layers
    assert step_operations(arch, Batch.uniform(1, 1, 7)).total_flops == each
    whole = 10 * each - 9 * 2 * embedding  # ten tokens, logits of the last
    assert step_operations(arch, Batch.uniform(1, 10)).total_flops == whole


def test_gated_deltanet_rule() -> None:
    expected = 36 * 8 * 32 * 128 * 128
    name = "qwen3-next-80b-a3b"
    assert _rows(name, Batch.uniform(1, 1, 5), "delta.step") == expected
    assert _rows(name, Batch.uniform(1, 64), "delta.chunks") == 64 * expected


def test_lightning_attention_prefill_and_decode() -> None:
    heads, width, chunk, layers = 64, 128, 256, 70
    square = heads * width * width
    name = "minimax-text-01"
    assert _rows(name, Batch.uniform(1, 1, 5), "linear.step") == layers * 6 * square
    prefill = 4 * square + 2 * chunk * heads * 2 * width + 2 * square // chunk
    assert _rows(name, Batch.uniform(1, 512), "linear.chunks") == 512 * layers * prefill


def test_hyena_fft_and_filter() -> None:
    hidden, layers, length = 2048, 36, 1024
    fft = length * math.log2(2 * length)
    expected = layers * hidden * (10 * fft + 6 * length + 5 * fft)
    assert _rows("hyena-1.3b", Batch.uniform(1, length), "hyena.long") == pytest.approx(expected)
    batch = layers * hidden * (4 * (10 * fft + 6 * length) + 5 * fft)  # the filter once
    assert _rows("hyena-1.3b", Batch.uniform(4, length), "hyena.long") == pytest.approx(batch)
    network = 2 * length * (3 * 64 + 2 * 64 * 64 + 64 * hidden)
    assert _rows("hyena-1.3b", Batch.uniform(4, length), "hyena.filter") == layers * network


def test_hyena_decode_grows_with_context() -> None:
    for context in (0, 100, 5000):
        found = _rows("hyena-1.3b", Batch.uniform(1, 1, context), "hyena.long")
        assert found == 36 * 2 * 2048 * (context + 1)
    assert memory(load("hyena-1.3b")).kv_bytes_per_token == 36 * 2048 * 2


def test_latent_attention_absorbed_and_expanded() -> None:
    arch = load("deepseek-v3")
    latent = next(b for b, _, _ in arch.blocks() if isinstance(b, LatentAttention))
    heads, rank, rope, layers, keys = 128, 512, 64, 61, 2049
    batch = Batch.uniform(1, 1, keys - 1)
    auto, expanded = step_operations(arch, batch), step_operations(arch, batch, latent="expanded")
    core = auto.name.index("latent.core")
    assert auto.flops[core] == layers * 2 * heads * (2 * rank + rope) * keys
    assert expanded.flops[core] == layers * 2 * heads * (128 + 64 + 128) * keys
    assert expanded.total_flops == 4275376373760
    assert round(auto.total_flops / 1e11, 3) == 1.081
    assert auto.cache_read_bytes.sum() == (keys - 1) * layers * (rank + rope) * 2
    assert (latent.kv_rank, latent.rope_dim) == (rank, rope)
    prefill = Batch.uniform(1, 64)
    assert step_operations(arch, prefill).total_flops == (
        step_operations(arch, prefill, latent="expanded").total_flops
    )
    absorbed = step_operations(arch, prefill, latent="absorbed")
    assert absorbed.total_flops > step_operations(arch, prefill).total_flops


def test_chunked_latent_prefill_expands_the_cached_latents_again() -> None:
    arch = load("deepseek-v3")
    whole = step_operations(arch, Batch.uniform(1, 200)).total_flops
    parts = [
        step_operations(arch, Batch([100], [context], [last])).total_flops
        for context, last in ((0, 0), (100, 1))
    ]
    again = 100 * 61 * 2 * 512 * 128 * (128 + 128)
    assert sum(parts) == whole + again


def test_sparse_indexer_reads_everything_and_attends_to_its_choice() -> None:
    step = step_operations(load("deepseek-v3.2"), Batch.uniform(1, 1, 10_000))
    rows = dict(zip(step.name, step.flops, strict=True))
    assert rows["indexer.core"] == 61 * 2 * 64 * 128 * 10_001
    assert rows["latent.core"] == 61 * 2 * 128 * (2 * 512 + 64) * 2048
    read = dict(zip(step.name, step.cache_read_bytes, strict=True))
    assert read["indexer.core"] == 61 * 128 * 2 * 10_000
    assert read["latent.core"] == 61 * 576 * 2 * 2048


def test_the_articles_crossovers() -> None:
    """In its seed form (4h FFN, no gate, full matrix): s = 2 hd and s = 6 hd, in MACs."""
    hd = 64
    config = {
        "model_type": "gpt2",
        "n_embd": hd,
        "n_head": 4,
        "n_layer": 1,
        "n_positions": 1000,
        "vocab_size": 10,
    }
    arch = from_config(config)

    def parts(tokens: int) -> tuple[float, float, float]:
        step = step_operations(arch, Batch.uniform(1, tokens))
        full = dict(zip(step.name, step.full_flops / 2, strict=True))
        linear = full["attention.qkv"] + full["attention.out"]
        feed = full["ffn.up"] + full["ffn.down"]
        return linear, full["attention.core"], feed

    linear, core, feed = parts(100)
    assert (linear, core, feed) == (4 * 100 * hd**2, 2 * 100**2 * hd, 8 * 100 * hd**2)
    linear, core, feed = parts(2 * hd)
    assert linear + core == feed
    linear, core, feed = parts(6 * hd)
    assert core == linear + feed


def test_gqa_changes_bytes_but_no_score_flops() -> None:
    def step(n_kv: int) -> dict[str, float]:
        config = {
            "model_type": "llama",
            "hidden_size": 64,
            "num_attention_heads": 8,
            "num_key_value_heads": n_kv,
        }
        table = step_operations(from_config(config), Batch.uniform(2, 1, 500))
        core = table.name.index("attention.core")
        return {"flops": table.flops[core], "read": table.cache_read_bytes[core]}

    many, few = step(8), step(1)
    assert many["flops"] == few["flops"]
    assert many["read"] == 8 * few["read"]


def test_naive_kernel_same_flops_more_bytes() -> None:
    arch = load("llama-2-7b")
    batch = Batch.uniform(1, 512)
    flash, naive = step_operations(arch, batch), step_operations(arch.with_kernel("naive"), batch)
    assert flash.total_flops == naive.total_flops
    extra = naive.activation_bytes.sum() - flash.activation_bytes.sum()
    assert extra == 32 * 4 * 32 * 512 * 512 * 2


def test_elementwise_work_is_in_no_total() -> None:
    step = step_operations(load("llama-3-8b"), Batch.uniform(1, 100))
    aside = step.flops[~step.counted].sum()
    assert aside > 0
    assert step.total_flops + aside == step.matmul_flops + step.vector_flops


def test_tied_lm_head_is_read_but_not_stored_twice() -> None:
    arch = load("gemma-2-2b")
    step = step_operations(arch, Batch.uniform(1, 1))
    head = step.weight_bytes[step.name.index("lm_head")]
    assert head == 2 * arch.vocab * arch.hidden
    assert step.weight_bytes.sum() == memory(arch).weight_bytes


def test_all_reduces_and_dispatch() -> None:
    dense = compile_step(load("llama-3-8b"))
    reduced = [n for n, after in zip(dense.name, dense.all_reduce_after, strict=True) if after]
    assert reduced == ["embedding", "attention.out", "ffn.down"]
    step = step_operations(load("mixtral-8x7b"), Batch.uniform(1, 10))
    assert step.dispatch_bytes.sum() == 32 * 2 * (10 * 2 * 4096 * 2)  # out and back
    parallel = compile_step(load("falcon-7b"))
    assert not parallel.all_reduce_after[parallel.name.index("attention.out")]


@pytest.mark.parametrize(
    ("name", "row", "ways"),
    [
        ("llama-3-8b", "attention.core", 8),
        ("falcon-7b", "attention.core", 1),
        ("deepseek-v3", "latent.core", 1),
        ("mamba-130m", "mamba.scan", 1536),
        ("mamba2-130m", "mamba2.step", 24),
        ("rwkv-6-7b", "rwkv.wkv", 64),
    ],
)
def test_how_many_ways_a_cache_divides(name: str, row: str, ways: int) -> None:
    program = compile_step(load(name))
    assert program.cache_shards[program.name.index(row)] == ways


def test_block_specs_are_what_the_readers_say() -> None:
    blocks = [b for b, _, _ in load("llama-3-8b").blocks()]
    assert blocks[0] == Norms(4096, 2)
    assert blocks[2] == DenseFFN(14336)
