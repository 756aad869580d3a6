"""Identities that hold for every architecture of a kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.arch import Architecture, Reach, from_config, load, names
from sim.errors import InputError
from sim.flops import (
    Batch,
    attended_pairs,
    cached_tokens_read,
    compile_step,
    experts_touched,
    flops_matmul_full,
    parameters,
    step_operations,
)

# Softmax attention outside MLA, FFN and scans that cost the same in prefill and decode.
ADDITIVE = [
    "llama-3-8b",
    "mistral-7b-v0.1",
    "gemma-3-4b",
    "gpt-oss-20b",
    "llama-4-scout",
    "mixtral-8x7b",
    "mamba-130m",
    "jamba-v0.1",
    "zamba-7b",
    "rwkv-4-7b",
    "rwkv-6-7b",
]
CHUNKABLE = [*ADDITIVE, "mamba2-130m", "nemotron-h-56b", "qwen3-next-80b-a3b", "minimax-text-01"]
lengths = st.integers(min_value=2, max_value=40_000)


def _flops(arch: Architecture, new: int, context: int) -> int:
    """Without lm_head."""
    return step_operations(arch, Batch([new], [context], [0])).total_flops


@pytest.mark.parametrize("name", ADDITIVE)
def test_prefill_and_decodes_equal_the_causal_total(name: str) -> None:
    arch = load(name)
    for prompt, decoded in ((2, 5), (300, 7), (9000, 3)):
        steps = _flops(arch, prompt, 0)
        steps += sum(_flops(arch, 1, prompt + i) for i in range(decoded))
        assert steps == _flops(arch, prompt + decoded, 0)


@pytest.mark.parametrize("name", CHUNKABLE)
@settings(max_examples=15, deadline=None)
@given(first=lengths, second=lengths, context=st.integers(0, 50_000))
def test_chunking_a_prefill_changes_no_flops(
    name: str, first: int, second: int, context: int
) -> None:
    arch = load(name)
    parts = _flops(arch, first, context) + _flops(arch, second, context + first)
    assert parts == pytest.approx(_flops(arch, first + second, context), rel=1e-14)


@pytest.mark.parametrize("name", [n for n in names() if not n.startswith(("hyena", "h3"))])
def test_batch_scales_flops_linearly(name: str) -> None:
    arch = load(name)
    for new, context in ((7, 100), (1, 3000), (5000, 0)):
        one = step_operations(arch, Batch.uniform(1, new, context)).total_flops
        many = step_operations(arch, Batch.uniform(6, new, context)).total_flops
        assert many == 6 * one


def test_hyena_batches_share_the_filter() -> None:
    arch = load("hyena-1.3b")
    one = step_operations(arch, Batch.uniform(1, 512)).total_flops
    assert step_operations(arch, Batch.uniform(6, 512)).total_flops < 6 * one
    decode = [step_operations(arch, Batch.uniform(n, 1, 512)).total_flops for n in (1, 6)]
    assert decode[1] == 6 * decode[0]


def _llama(**fields: Any) -> Architecture:
    base = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 50}
    return from_config({**base, **fields})


@settings(max_examples=30, deadline=None)
@given(layers=st.integers(1, 40), new=st.integers(1, 500), context=st.integers(0, 500))
def test_flops_are_additive_over_layers(layers: int, new: int, context: int) -> None:
    one, two, many = (_flops(_llama(num_hidden_layers=n), new, context) for n in (1, 2, layers))
    assert many == one + (layers - 1) * (two - one)


@settings(max_examples=30, deadline=None)
@given(
    n_experts=st.integers(1, 64),
    width=st.integers(1, 64).map(lambda n: 8 * n),
    new=st.integers(1, 300),
)
def test_choosing_every_expert_equals_one_dense_ffn_plus_router(
    n_experts: int, width: int, new: int
) -> None:
    shape = {"hidden_size": 64, "num_attention_heads": 4, "vocab_size": 50, "num_hidden_layers": 3}
    sparse = from_config(
        {
            **shape,
            "model_type": "mixtral",
            "num_key_value_heads": 4,
            "num_local_experts": n_experts,
            "num_experts_per_tok": n_experts,
            "intermediate_size": width,
        }
    )
    dense = from_config({**shape, "model_type": "llama", "intermediate_size": n_experts * width})
    router = new * 3 * 2 * 64 * n_experts
    assert _flops(sparse, new, 0) == _flops(dense, new, 0) + router
    assert parameters(sparse).active == parameters(sparse).total


reaches = st.one_of(
    st.just(Reach()),
    st.builds(Reach, st.sampled_from(["window", "chunk"]), st.integers(1, 60)),
)


def _visible(position: int, reach: Reach) -> int:
    """Keys that the token at `position` (from 0) sees, itself included: the definition."""
    if reach.kind == "window":
        return min(position + 1, reach.size)
    return position % reach.size + 1 if reach.kind == "chunk" else position + 1


@settings(max_examples=300, deadline=None)
@given(new=st.integers(0, 80), context=st.integers(0, 150), reach=reaches)
def test_attended_pairs_match_the_definition(new: int, context: int, reach: Reach) -> None:
    expected = sum(_visible(context + i, reach) for i in range(new))
    assert attended_pairs(np.array([new]), np.array([context]), reach)[0] == expected


@settings(max_examples=300, deadline=None)
@given(new=st.integers(1, 80), context=st.integers(0, 150), reach=reaches)
def test_cached_tokens_read_match_the_definition(new: int, context: int, reach: Reach) -> None:
    seen = {
        key
        for i in range(new)
        for key in range(context + i + 1 - _visible(context + i, reach), context + i + 1)
        if key < context
    }
    assert cached_tokens_read(np.array([context]), reach)[0] == len(seen)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(("new", "context"), [(1, 0), (1, 777), (513, 0), (64, 1000)])
def test_the_fast_path_and_the_table_are_one(name: str, new: int, context: int) -> None:
    program = compile_step(load(name))
    features = program.uniform_features([1, 5], new, context)
    for row, count in enumerate((1, 5)):
        batch = Batch.uniform(count, new, context)
        assert program.of_batch(batch) == pytest.approx(features[row], rel=1e-15)
        step = step_operations(load(name), batch)
        values = program.evaluate(features)
        assert values["flops"][row] == pytest.approx(step.flops, rel=1e-14)
        assert values["weight_bytes"][row] == pytest.approx(step.weight_bytes, rel=1e-14)
        assert (step.flops >= 0).all()
        assert (step.cache_bytes >= 0).all()


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), min_size=1, max_size=12))
def test_a_mixed_batch_is_the_sum_of_its_sequences(pairs: list[tuple[int, int]]) -> None:
    """FLOPs and cache bytes add up; weights are read once."""
    arch = load("gpt-oss-20b")
    mixed = step_operations(arch, Batch([n for n, _ in pairs], [c for _, c in pairs]))
    single = [step_operations(arch, Batch([n], [c])) for n, c in pairs]
    assert mixed.total_flops == sum(step.total_flops for step in single)
    assert mixed.cache_bytes.sum() == sum(step.cache_bytes.sum() for step in single)
    assert mixed.weight_bytes.sum() <= sum(step.weight_bytes.sum() for step in single) + 1e-6
    assert mixed.weight_bytes.sum() >= max(step.weight_bytes.sum() for step in single) - 1e-6


def test_ten_thousand_points_come_as_arrays() -> None:
    program = compile_step(load("jamba-v0.1"))
    batch, context = np.meshgrid(np.arange(1, 101), np.arange(0, 100_000, 1000))
    features = program.uniform_features(batch.ravel(), 1, context.ravel())
    flops = program.evaluate(features, ("flops",))["flops"]
    assert flops.shape == (10_000, program.n_rows)
    totals = flops[:, program.counted].sum(axis=1).reshape(batch.shape)
    assert (np.diff(totals, axis=0) > 0).all()
    assert (np.diff(totals, axis=1) > 0).all()


def test_an_empty_step_costs_nothing() -> None:
    step = step_operations(load("mixtral-8x7b"), Batch([0, 0], [10, 0]))
    assert step.total_flops == 0
    assert step.total_bytes == 0


def test_a_prefill_chunk_that_is_not_the_last_reads_no_lm_head() -> None:
    step = step_operations(load("llama-3-8b"), Batch([512], [0], [0]))
    head = step.name.index("lm_head")
    assert step.flops[head] == step.weight_bytes[head] == 0


@pytest.mark.parametrize(
    "arguments",
    [([], []), ([1], [1, 2]), ([-1], [0]), ([1.5], [0]), ([[1]], [[0]]), ([2], [0], [1, 1])],
)
def test_a_bad_batch_is_an_input_error(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InputError):
        Batch(*arguments)
    with pytest.raises(InputError, match="negative"):
        compile_step(load("gpt2")).uniform_features(1, -1, 0)


def test_flops_stay_exact_beyond_the_float_mantissa() -> None:
    """FLOP counts have many factors of two, so large ones are exact too."""
    arch = load("llama-3.1-405b")
    one = flops_matmul_full(arch, Batch.uniform(1, 8192))
    assert flops_matmul_full(arch, Batch.uniform(64, 8192)) == 64 * one > 2**53


@settings(max_examples=60, deadline=None)
@given(n_experts=st.integers(1, 300), tokens=st.integers(0, 2000), data=st.data())
def test_experts_touched_bounds(n_experts: int, tokens: int, data: st.DataObject) -> None:
    top_k = data.draw(st.integers(1, n_experts))
    touched = float(experts_touched(n_experts, top_k, tokens))
    assert 0 <= touched <= n_experts + 1e-9
    assert touched <= top_k * tokens + 1e-9
    even = [1 / n_experts] * n_experts
    assert float(experts_touched(n_experts, top_k, tokens, even)) == pytest.approx(touched)
    skewed = np.arange(1, n_experts + 1, dtype=float)
    assert float(experts_touched(n_experts, 1, tokens, skewed / skewed.sum())) <= (
        float(experts_touched(n_experts, 1, tokens)) + 1e-6
    )
