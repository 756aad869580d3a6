"""Steps of a serving replica: parts that can be computed by hand, laws, and sanity."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import arch
from sim.cost.capacity import cache_tokens, weight_bytes_per_gpu
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.cost.steps import StepModel
from sim.cost.sums import BatchSums
from sim.errors import CapacityError, InputError
from sim.flops import BF16, Batch, compile_step, memory, precision
from sim.hardware.node import load_node

NODE = load_node()
MODELS = {
    "llama-3.1-8b": Layout(),
    "llama-3.1-70b": Layout(tp=4),
    "qwen3-30b-a3b": Layout(tp=2, ep=2),
    "gpt-oss-20b": Layout(),
    "nemotron-nano-9b-v2": Layout(),
    "deepseek-v2": Layout(tp=8, ep=8),
    "llama-4-scout": Layout(tp=8, ep=8),
    "gemma-3-12b": Layout(),
}
names = st.sampled_from(sorted(MODELS))
contexts = st.lists(st.integers(0, 30000), min_size=0, max_size=40)
chunks = st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 8000)), max_size=3)


@cache
def replica(name: str, cap_w: float | None = None) -> ReplicaCost:
    return ReplicaCost(arch.load(name), MODELS[name], NODE, 8, cap_w)


@settings(max_examples=60)
@given(names, chunks, contexts)
def test_sums_of_a_batch_are_those_of_the_program(
    name: str, prefill: list[tuple[int, int]], decode: list[int]
) -> None:
    if not prefill and not decode:
        return
    program = compile_step(arch.load(name))
    new = [n for n, _ in prefill] + [1] * len(decode)
    old = [c for _, c in prefill] + decode
    fast = BatchSums(program).features(prefill, decode)
    assert np.allclose(fast, program.of_batch(Batch(new, old)), rtol=1e-12)


@settings(max_examples=80)
@given(names, chunks, contexts)
def test_every_step_is_finite_and_positive(
    name: str, prefill: list[tuple[int, int]], decode: list[int]
) -> None:
    if not prefill and not decode:
        return
    cost, device = replica(name), NODE.device
    step = cost.cost(prefill, decode)
    watts = step.energy_j / step.time_s / cost.gpus
    assert np.isfinite([step.time_s, step.energy_j, step.flops, step.hbm_bytes]).all()
    assert step.time_s > cost.model.engine.step_s
    assert device.static_w <= watts <= device.limit_w * (1 + 1e-12)
    assert 0 < step.weight_bytes <= step.hbm_bytes * (1 + 1e-12)


@settings(max_examples=60)
@given(names, st.lists(st.integers(0, 30000), min_size=1, max_size=40), st.integers(1, 20000))
def test_more_context_never_makes_a_decode_step_faster(
    name: str, decode: list[int], more: int
) -> None:
    if name == "llama-4-scout":  # chunked layers forget at a chunk's end, and are faster for it
        return
    cost = replica(name)
    longer = [*decode[:-1], decode[-1] + more]
    assert cost.cost([], longer).time_s >= cost.cost([], decode).time_s * (1 - 1e-12)


@settings(max_examples=60)
@given(names, chunks, contexts, st.floats(300, 700))
def test_a_cap_never_raises_power_nor_shortens_a_step(
    name: str, prefill: list[tuple[int, int]], decode: list[int], cap_w: float
) -> None:
    if not prefill and not decode:
        return
    free, capped = replica(name), ReplicaCost(arch.load(name), MODELS[name], NODE, 8, cap_w)
    a, b = free.cost(prefill, decode), capped.cost(prefill, decode)
    assert b.energy_j / b.time_s <= a.energy_j / a.time_s * (1 + 1e-12)
    assert b.energy_j / b.time_s <= cap_w * free.gpus * (1 + 1e-12)
    assert b.time_s >= a.time_s * (1 - 1e-12)


def test_energy_is_power_times_time_exactly() -> None:
    model = StepModel(arch.load("llama-3.1-8b"), Layout(), NODE)
    steps = model.evaluate(model.program.uniform_features(np.array([1, 64, 256]), 1, 500))
    assert (steps.energy_j == steps.power_w * steps.time_s).all()
    assert steps.time_s == pytest.approx(steps.kernel_s + steps.link_s + steps.host_s, rel=1e-12)


def test_a_small_decode_step_reads_all_weights_once() -> None:
    model = arch.load("llama-3.1-8b")
    step = replica("llama-3.1-8b").cost([], [10])
    # the embedding table is looked up, not read; lm_head is read
    table_bytes = 2 * model.vocab * model.hidden
    assert step.weight_bytes == pytest.approx(memory(model).weight_bytes - table_bytes, rel=1e-4)
    floor_s = step.weight_bytes / NODE.device.hbm_bytes_per_s
    assert floor_s < step.time_s < 2.0 * floor_s
    assert step.bound == "memory"


def test_a_large_prompt_is_bound_by_compute_at_the_power_limit() -> None:
    step = replica("llama-3.1-8b").cost([(8192, 0)], [])
    assert step.bound == "compute"
    assert 0.5 < step.flops / step.time_s / NODE.device.matmul_bf16_flops < 0.85


def test_host_work_of_a_step_by_hand() -> None:
    model = StepModel(arch.load("llama-3.1-8b"), Layout(), NODE, sampling="sorted")
    steps = model.evaluate(model.program.uniform_features(np.array([10]), 1, 5))
    engine = model.engine
    by_hand = engine.step_s + 32 * engine.layer_s + 10 * 128256 * engine.logit_s
    assert float(steps.host_s[0]) == pytest.approx(by_hand, rel=1e-12)


def test_links_of_tensor_parallelism_by_hand() -> None:
    model = StepModel(arch.load("llama-3.1-70b"), Layout(tp=4), NODE)
    steps = model.evaluate(model.program.uniform_features(np.array([16]), 1, 5))
    reduces = 2 * 80 + 1  # after attention and FFN of each layer, and after the embedding
    assert float(steps.link_bytes[0]) == pytest.approx(reduces * 2 * 0.75 * 16 * 8192 * 2)


def test_precision_halves_the_weights_and_speeds_up_small_batches() -> None:
    model = arch.load("llama-3.1-70b")
    half = ReplicaCost(model, Layout(tp=4), NODE, precision=precision("fp8"))
    full = ReplicaCost(model, Layout(tp=4), NODE)
    assert half.cost([], [10]).weight_bytes < 0.56 * full.cost([], [10]).weight_bytes
    assert half.cost([], [10]).time_s < full.cost([], [10]).time_s
    assert half.kv_capacity_tokens > full.kv_capacity_tokens


def test_engines_differ_in_host_work() -> None:
    model = arch.load("llama-3.1-8b")
    decode = [100] * 128
    vllm, trtllm = (
        ReplicaCost(model, Layout(), NODE, engine=name).cost([], decode).time_s
        for name in ("vllm", "trtllm")
    )
    assert trtllm < 0.8 * vllm  # no sort of the logits
    with pytest.raises(InputError, match="did you mean 'vllm'"):
        ReplicaCost(model, Layout(), NODE, engine="vlm")


def test_pipeline_and_data_parallel_steps() -> None:
    """Two stages serve a batch as two half batches through the whole model."""
    model = arch.load("llama-3.1-8b")
    one = StepModel(model, Layout(), NODE)
    piped = StepModel(model, Layout(pp=2), NODE)
    ranked = StepModel(model, Layout(dp=2), NODE)
    whole = one.program.uniform_features(np.array([64]), 1, 500)
    half = one.program.uniform_features(np.array([32]), 1, 500)
    alone = one.evaluate(half)
    assert piped.evaluate(whole).kernel_s == pytest.approx(alone.kernel_s, rel=1e-9)
    assert ranked.evaluate(whole).time_s == pytest.approx(alone.time_s, rel=1e-9)
    assert float(piped.evaluate(whole).link_s[0]) > 0


def test_experts_spread_over_data_parallel_gpus() -> None:
    model = arch.load("qwen3-235b-a22b")
    spread = Layout(tp=1, dp=8, ep=8)
    held = weight_bytes_per_gpu(model, spread, BF16)
    assert held < 0.2 * memory(model).weight_bytes
    steps = StepModel(model, spread, NODE).evaluate(
        compile_step(model).uniform_features(np.array([256]), 1, 500)
    )
    assert float(steps.link_s[0]) > 0
    assert np.isfinite(steps.time_s).all()


def test_what_does_not_fit_says_how_much() -> None:
    with pytest.raises(CapacityError, match=r"lacks .* GiB \(\d+ bytes\)"):
        cache_tokens(compile_step(arch.load("llama-3.1-70b")), Layout(), NODE.device, 1)


def test_a_cap_below_the_lowest_clock_is_refused() -> None:
    with pytest.raises(CapacityError, match="is below the"):
        ReplicaCost(arch.load("llama-3.1-8b"), Layout(), NODE, 8, 130.0).cost([(8192, 0)], [])
