"""How many sequences fit beside the weights: windows hold no more than the sequence has."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import arch
from sim.cost.capacity import (
    UNBOUNDED_TOKENS,
    _tokens_in,
    cache_tokens,
    most_sequences,
    weight_bytes_per_gpu,
)
from sim.cost.fit import check_batch
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.cost.steps import StepModel
from sim.errors import CapacityError
from sim.flops import memory, precision
from sim.hardware.node import load_node

NODE = load_node()
MODELS = {
    "llama-3.1-8b": (Layout(), "bf16"),
    "llama-4-scout": (Layout(tp=4), "fp8"),
    "gpt-oss-20b": (Layout(), "mxfp4"),
    "gemma-3-12b": (Layout(), "bf16"),
    "nemotron-nano-9b-v2": (Layout(), "bf16"),
}


def model(name: str) -> StepModel:
    layout, dtype = MODELS[name]
    return StepModel(arch.load(name), layout, NODE, precision=precision(dtype))


def test_a_measured_batch_of_short_sequences_fits() -> None:
    """ml.energy ran Llama 4 Scout in bf16 on four H100s with 473 sequences of up to 1,000 tokens;
    its windows of 8,192 tokens would not fit if all were full."""
    scout = StepModel(arch.load("llama-4-scout"), Layout(tp=4), NODE)
    assert check_batch(scout, 473, 1000).used_tokens == 473_000
    assert cache_tokens(scout.program, scout.layout, NODE.device, 473) < 473 * 8192


@pytest.mark.parametrize(
    ("name", "layout"), [("gemma-3-12b", Layout()), ("llama-4-scout", Layout(tp=4))]
)
def test_a_replica_at_its_defaults_holds_what_its_batches_hold(name: str, layout: Layout) -> None:
    """256 full windows do not fit, and never come: windows hold no more than all tokens."""
    found = ReplicaCost(arch.load(name), layout, NODE)
    assert found.max_sequences == 256
    each = found.kv_capacity_tokens // 256
    check_batch(found.model, 256, each)
    with pytest.raises(CapacityError):
        check_batch(found.model, 256, each + 1)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(MODELS)), st.integers(1, 300), st.lists(st.floats(0, 1), min_size=1))
def test_what_fits_does_so_however_the_tokens_are_spread(
    name: str, most: int, shares: list[float]
) -> None:
    """Bytes of up to `most` sequences whose tokens sum to the capacity, against the memory."""
    found = model(name)
    try:
        tokens = cache_tokens(found.program, found.layout, NODE.device, most)
    except CapacityError:
        return
    held = memory(found.arch, found.program.precision)
    shares = shares[:most]
    spread = np.array(shares) / max(sum(shares), 1e-9) * tokens
    weights = weight_bytes_per_gpu(found.arch, found.layout, found.program.precision)
    room = (NODE.device.usable_bytes - weights) * found.layout.gpus
    assert held.cache_bytes(spread).sum() <= room * (1 + 1e-9)


def test_windows_alone_are_full_or_hold_all_tokens() -> None:
    """By hand: 10 tokens in windows of 4 bytes a token, beside 1 byte for each token."""
    assert _tokens_in(100, 1, [(10, 4)]) == 60
    assert _tokens_in(25, 1, [(10, 4)]) == 5
    assert _tokens_in(100, 1, [(10, 2), (10, 2)]) == 60
    assert _tokens_in(100, 1, [(10, 4), (20, 1)]) == 40
    assert _tokens_in(100, 0, [(10, 4)]) == UNBOUNDED_TOKENS


@pytest.mark.parametrize("name", sorted(MODELS))
@pytest.mark.parametrize("tokens", [200, 5000])
def test_the_most_sequences_fit_and_a_few_more_do_not(name: str, tokens: int) -> None:
    found = model(name)
    most = most_sequences(found.program, found.layout, NODE.device, tokens)
    check_batch(found, math.floor(most) - 1, tokens)
    with pytest.raises(CapacityError):
        check_batch(found, math.ceil(most) + 1, tokens)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_longer_sequences_leave_room_for_fewer(name: str) -> None:
    found = model(name)
    counts = [
        most_sequences(found.program, found.layout, NODE.device, tokens)
        for tokens in (1, 100, 1000, 10_000, 100_000)
    ]
    assert counts == sorted(counts, reverse=True)


def test_without_windows_the_cache_is_shared_out() -> None:
    found = model("llama-3.1-8b")
    tokens = cache_tokens(found.program, found.layout, NODE.device, 1)
    most = most_sequences(found.program, found.layout, NODE.device, 500.0)
    assert most == pytest.approx(tokens / 500, rel=1e-4)


def test_weights_that_do_not_fit_are_refused() -> None:
    large = StepModel(arch.load("llama-3.1-70b"), Layout(), NODE)
    with pytest.raises(CapacityError, match="lacks"):
        most_sequences(large.program, large.layout, NODE.device, 100.0)


def test_windows_are_cut_into_no_more_parts_than_key_value_heads() -> None:
    """gemma-3-4b has four of them: on eight GPUs two hold each head, windows and all."""
    gemma = arch.load("gemma-3-4b")
    four, eight = (StepModel(gemma, Layout(tp=tp), NODE) for tp in (4, 8))
    held = memory(gemma, four.program.precision)
    for tokens in (200.0, 5000.0):
        each = held.cache_bytes(tokens) / 4
        for found in (four, eight):
            weights = weight_bytes_per_gpu(gemma, found.layout, found.program.precision)
            most = most_sequences(found.program, found.layout, NODE.device, tokens)
            assert most == pytest.approx((NODE.device.usable_bytes - weights) / each)
