"""Effects of an architecture come out by themselves, as in the published rows."""

from __future__ import annotations

import numpy as np
import pytest

from sim import arch
from sim.cost.layout import Layout
from sim.cost.steps import StepModel
from sim.flops import precision
from sim.hardware.node import load_node
from sim.validation.load import Requests, open_loop, steady_state

CHAT, FILL, LONG = Requests(150, 650), Requests(1500, 255), Requests(270, 6000)


def joules(
    name: str, running: float, requests: Requests, gpus: int = 1, dtype: str = "bf16"
) -> float:
    """J per output token of a replica."""
    ways = gpus if "a3b" in name or "a22b" in name else 1
    layout = Layout(tp=gpus, ep=ways)
    model = StepModel(arch.load(name), layout, load_node(), precision=precision(dtype))
    state = steady_state(model, requests, running)
    return state.power_w * gpus / state.tokens_per_s


def test_a_mixture_costs_more_than_a_dense_8b_on_one_gpu_at_batch_32() -> None:
    # measured: 0.33 to 0.34 J against 0.163 J (ml.energy, chat)
    assert joules("qwen3-30b-a3b", 32, CHAT) > 1.3 * joules("qwen3-8b", 32, CHAT)


def test_a_hybrid_wins_only_on_long_outputs() -> None:
    # measured at batch 32: chat 0.254 against 0.163 J, long 0.198 against 0.317 J
    hybrid, dense = "nemotron-nano-9b-v2", "qwen3-8b"
    assert joules(hybrid, 32, CHAT) > joules(dense, 32, CHAT)
    assert joules(hybrid, 32, LONG) < joules(dense, 32, LONG)


def test_batching_saves_six_to_fifteen_fold_in_chat() -> None:
    # measured: 6.2 (Qwen3-8B), 8.9 (Llama-3.1-70B), 12 (Scout)
    assert 5.5 < joules("qwen3-8b", 8, CHAT) / joules("qwen3-8b", 474, CHAT) < 15
    assert 6 < joules("llama-3.1-70b", 8, CHAT, 4) / joules("llama-3.1-70b", 510, CHAT, 4) < 15


def test_batching_saves_about_five_fold_in_filling_in_the_middle() -> None:
    ratio = joules("qwen3-30b-a3b", 8, FILL, 2) / joules("qwen3-30b-a3b", 508, FILL, 2)
    assert 3.5 < ratio < 6.5  # measured 4.9


def test_block_scaled_fp8_loses_below_batch_32_on_the_large_mixture() -> None:
    # measured on 8 GPUs at batch 8: 25.3 ms against 20.6 ms
    large = "qwen3-235b-a22b"
    assert joules(large, 8, CHAT, 8, "fp8") > joules(large, 8, CHAT, 8)


def test_open_loop_keeps_littles_law() -> None:
    model = StepModel(arch.load("llama-3.1-8b"), Layout(), load_node(), engine="trtllm")
    state = open_loop(model, Requests(467, 256), 8.0, 500.0)
    assert state.tokens_per_s == pytest.approx(8.0 * 256, rel=0.01)
    assert state.running == pytest.approx(8.0 * 256 * state.step_s, rel=0.02)


def test_a_rate_beyond_the_replica_saturates() -> None:
    model = StepModel(arch.load("llama-3.1-8b"), Layout(), load_node())
    assert open_loop(model, Requests(467, 256), 1e4, 500.0).running == 500.0


def test_longer_prompts_cost_time_and_nothing_is_nan() -> None:
    model = StepModel(arch.load("llama-3.1-8b"), Layout(), load_node())
    states = [steady_state(model, Requests(isl, 300), 64) for isl in (10, 100, 1000, 10000)]
    steps = [s.step_s for s in states]
    assert np.isfinite(steps).all()
    assert steps == sorted(steps)
