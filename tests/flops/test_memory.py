"""Bytes: weights at each precision, caches, states, and experts under routing."""

from __future__ import annotations

import numpy as np
import pytest

from sim.arch import load
from sim.errors import InputError, UnknownNameError
from sim.flops import (
    BF16,
    FP8,
    FP8_KV8,
    FP32,
    INT8,
    MXFP4,
    NF4,
    Batch,
    Format,
    compile_step,
    experts_touched,
    imbalance,
    memory,
    parameters,
    precision,
    rank_loads,
    step_operations,
)
from sim.units import GIB


@pytest.mark.parametrize(
    ("form", "bytes_per_element"),
    [
        (BF16.weights, 2),
        (FP32.weights, 4),
        (FP8.weights, 1 + 4 / 16384),
        (INT8.weights, 1 + 2 / 128),
        (MXFP4.weights, 0.5 + 1 / 32),
        (NF4.weights, 0.5 + 4 / 64),
    ],
)
def test_bytes_per_element_with_scales(form: Format, bytes_per_element: float) -> None:
    assert form.element_bytes == bytes_per_element


def test_bf16_weights_are_two_bytes_each() -> None:
    for name in ("llama-3-8b", "jamba-v0.1", "gpt2", "zamba-7b"):
        arch = load(name)
        assert memory(arch).weight_bytes == 2 * parameters(arch).total


@pytest.mark.parametrize(("name", "gib"), [("gpt-oss-120b", 60.8), ("gpt-oss-20b", 12.8)])
def test_mxfp4_gives_the_published_checkpoint_sizes(name: str, gib: float) -> None:
    assert memory(load(name), MXFP4).weight_bytes / GIB == pytest.approx(gib, abs=0.06)


def test_quantised_weights_keep_embedding_head_and_vectors() -> None:
    arch = load("llama-3-8b")
    counts = parameters(arch)
    kept = counts.vectors + counts.input_embedding + counts.lm_head
    expected = counts.matrices * (1 + 4 / 16384) + 2 * kept
    assert memory(arch, FP8).weight_bytes == pytest.approx(expected)
    assert memory(arch, FP8).kv_bytes_per_token == memory(arch).kv_bytes_per_token
    assert memory(arch, FP8_KV8).kv_bytes_per_token == memory(arch).kv_bytes_per_token / 2


def test_an_unknown_precision_gives_the_nearest() -> None:
    assert precision("bf16") is BF16
    with pytest.raises(UnknownNameError, match="did you mean 'mxfp4'"):
        precision("mxpf4")


def test_cache_of_windowed_layers_stops_growing() -> None:
    held = memory(load("gemma-3-4b"))
    assert held.windows == ((1024, held.window_kv_bytes_per_token),)
    grown = held.cache_bytes(np.array([1024, 2048]))
    assert grown[1] - grown[0] == 1024 * held.kv_bytes_per_token


def test_states_are_constant_and_moved_at_every_step() -> None:
    arch = load("mamba-2.8b")
    held = memory(arch)
    assert held.kv_bytes_per_token == 0
    step = step_operations(arch, Batch.uniform(3, 1, 10_000))
    assert step.cache_read_bytes.sum() == step.cache_write_bytes.sum()
    assert step.cache_read_bytes.sum() == 3 * held.state_bytes_per_sequence
    fresh = step_operations(arch, Batch.uniform(3, 64))
    assert fresh.cache_read_bytes.sum() == 0
    assert fresh.cache_write_bytes.sum() == 3 * held.state_bytes_per_sequence


def test_decode_reads_the_whole_growing_cache_once() -> None:
    arch = load("llama-3-8b")
    step = step_operations(arch, Batch([1, 1], [100, 5000]))
    each = memory(arch).kv_bytes_per_token
    assert step.cache_read_bytes.sum() == 5100 * each
    assert step.cache_write_bytes.sum() == 2 * each


@pytest.mark.parametrize(
    ("n_experts", "top_k", "tokens", "share"),
    [
        (8, 2, 1, 0.25),
        (8, 2, 4, 0.68),
        (8, 2, 8, 0.90),
        (8, 2, 16, 0.99),
        (256, 8, 1, 0.031),
        (256, 8, 16, 0.40),
        (256, 8, 32, 0.64),
        (256, 8, 64, 0.87),
    ],
)
def test_experts_touched_as_published(
    n_experts: int, top_k: int, tokens: int, share: float
) -> None:
    touched = float(experts_touched(n_experts, top_k, tokens))
    assert touched / n_experts == pytest.approx(share, abs=0.006)


def test_expert_bytes_of_a_step_follow_the_experts_touched() -> None:
    arch = load("mixtral-8x7b")
    routed = parameters(arch).routed_experts
    for tokens in (1, 4, 64):
        step = step_operations(arch, Batch.uniform(tokens, 1, 10))
        rows = [i for i, name in enumerate(step.name) if name.startswith("moe.experts")]
        share = float(experts_touched(8, 2, tokens)) / 8
        assert step.weight_bytes[rows].sum() == pytest.approx(2 * routed * share)


def test_given_routing_changes_bytes_and_not_flops() -> None:
    arch = load("mixtral-8x7b")
    popular = (0.5, 0.5, 0, 0, 0, 0, 0, 0)
    even, skewed = compile_step(arch), compile_step(arch, popularity=popular)
    point = even.of_batch(Batch.uniform(32, 1, 10))[None, :]
    other = skewed.of_batch(Batch.uniform(32, 1, 10))[None, :]
    assert (even.evaluate(point)["flops"] == skewed.evaluate(other)["flops"]).all()
    row = even.name.index("moe.experts_up")
    assert skewed.evaluate(other)["weight_bytes"][0, row] == pytest.approx(
        even.matrices["weight_bytes"][row].sum() * 2
    )


def test_rank_loads_and_imbalance() -> None:
    assert rank_loads(8, 2, 100, 4).tolist() == [50, 50, 50, 50]
    hot = [0.3] + [0.1] * 7
    assert rank_loads(8, 1, 100, 4, hot) == pytest.approx([40, 20, 20, 20])
    assert imbalance(8, 2, 100, 1) == 1
    few, many = imbalance(64, 6, 100, 8), imbalance(64, 6, 100_000, 8)
    assert 1 < many < few < 8
    assert imbalance(8, 1, 1e9, 4, hot) == pytest.approx(1.6, rel=1e-3)


def test_bad_routing_is_an_input_error() -> None:
    with pytest.raises(InputError, match="top_k 9"):
        experts_touched(8, 9, 1)
    with pytest.raises(InputError, match=r"7 shares that sum to 1"):
        experts_touched(8, 2, 1, [1 / 7] * 7)
    with pytest.raises(InputError, match="do not divide among 3 ranks"):
        rank_loads(8, 2, 1, 3)
