"""Training FLOPs and memory against the published formulas."""

from __future__ import annotations

import pytest

from sim.arch import load
from sim.errors import InputError
from sim.flops import parameters
from sim.flops.activations import activation_bytes, training_memory
from sim.flops.training import (
    ADAM,
    ADAMW,
    OPTIMIZERS,
    Sharding,
    state_memory,
    training_flops,
    zero_factors,
)

GPT = load("gpt-3-175b")
LAYERS, WIDTH, HEADS, VOCAB = 96, 12288, 96, 50257


def test_model_flops_of_a_gpt_layer_stack() -> None:
    """72 B l s h^2 (1 + s / 6h + V / 12 h l): Korthikanti et al. 2022, full matrix."""
    sequences, tokens = 3, 2048
    found = training_flops(GPT.with_kernel("naive"), sequences, tokens, causal=False)
    per_layer = 72 * sequences * LAYERS * tokens * WIDTH**2
    expected = per_layer * (1 + tokens / (6 * WIDTH) + VOCAB / (12 * WIDTH * LAYERS))
    assert found.model == pytest.approx(expected, rel=1e-12)
    assert found.model == 3 * found.forward


def test_selective_recomputation_repeats_the_scores_only() -> None:
    """Hardware FLOPs have s / 3h where model FLOPs have s / 6h (naive attention)."""
    naive = GPT.with_kernel("naive")
    found = training_flops(naive, 1, 2048, "selective", causal=False)
    assert found.recompute == 4 * 2048**2 * WIDTH * LAYERS
    assert training_flops(GPT, 1, 2048, "selective").recompute == 0


def test_full_recomputation_repeats_the_blocks() -> None:
    found = training_flops(GPT, 1, 2048, "full")
    head = 2 * 2048 * WIDTH * VOCAB
    assert found.recompute == pytest.approx(found.forward - head, rel=1e-12)
    assert found.hardware > found.model


def test_flash_backward_is_two_and_a_half_times_the_core() -> None:
    flash, naive = (
        training_flops(GPT.with_kernel(kernel), 1, 2048) for kernel in ("flash", "naive")
    )
    core = 4 * (2048 * 2049 // 2) * WIDTH * LAYERS
    assert flash.backward - naive.backward == pytest.approx(core / 2, rel=1e-9)


@pytest.mark.parametrize("name", ["llama-3-8b", "mixtral-8x7b", "deepseek-moe-16b"])
def test_causal_training_is_close_to_six_active_parameters(name: str) -> None:
    arch = load(name)
    tokens = 512
    found = training_flops(arch, 1, tokens).model / tokens
    assert found == pytest.approx(6 * parameters(arch).active_excl_input_embedding, rel=0.05)


def test_activation_bytes_of_a_gpt_layer() -> None:
    """34 s b h with flash, 34 s b h + 5 a s^2 b without, both with dropout."""
    sequences, tokens = 2, 2048
    plain = 34 * tokens * sequences * WIDTH * LAYERS
    scores = 5 * HEADS * tokens**2 * sequences * LAYERS
    assert activation_bytes(GPT, sequences, tokens, dropout=True) == plain
    naive = GPT.with_kernel("naive")
    assert activation_bytes(naive, sequences, tokens, dropout=True) == plain + scores
    selective = activation_bytes(naive, sequences, tokens, "selective", dropout=True)
    assert selective == plain


def test_activation_bytes_under_tensor_parallelism() -> None:
    """s b h (10 + 24 / t), with sequence parallelism all of 34 / t."""
    unit, t = 2048 * WIDTH * LAYERS, 8
    without = activation_bytes(GPT, 1, 2048, tp=t, sequence_parallel=False, dropout=True)
    assert without == pytest.approx(unit * (10 + 24 / t))
    assert activation_bytes(GPT, 1, 2048, tp=t, dropout=True) == pytest.approx(unit * 34 / t)


def test_full_recomputation_keeps_inputs_and_one_layer() -> None:
    unit = 2048 * WIDTH
    found = activation_bytes(GPT, 1, 2048, "full", dropout=True)
    assert found == unit * (2 * LAYERS + 34)


@pytest.mark.parametrize("name", ["mamba-2.8b", "jamba-v0.1", "rwkv-6-7b", "deepseek-v3"])
def test_recomputation_saves_memory_everywhere(name: str) -> None:
    arch = load(name)
    kept, redone = (activation_bytes(arch, 1, 4096, policy) for policy in ("none", "full"))
    assert 0 < redone < kept


def test_adamw_holds_sixteen_bytes_per_parameter() -> None:
    arch = load("llama-2-7b")
    total = parameters(arch).total
    assert ADAMW.total_bytes == ADAM.total_bytes == 16
    assert state_memory(arch).total_bytes == 16 * total
    assert {o.total_bytes for o in OPTIMIZERS.values()} == {16, 18, 10, 12}


@pytest.mark.parametrize(
    ("stage", "expected"), [(0, 16), (1, 4 + 12 / 64), (2, 2 + 14 / 64), (3, 16 / 64)]
)
def test_zero_stages(stage: int, expected: float) -> None:
    """Rajbhandari et al. 2020, figure 1: 120, 31.4, 16.6 and 1.9 GB at 7.5e9 parameters."""
    arch = load("llama-2-7b")
    found = state_memory(arch, sharding=Sharding(zero_stage=stage, dp=64))
    assert found.total_bytes == pytest.approx(expected * parameters(arch).total)


def test_experts_are_divided_by_expert_parallelism() -> None:
    arch = load("mixtral-8x7b")
    counts = parameters(arch)
    found = state_memory(arch, sharding=Sharding(dp=8, ep=8))
    dense = counts.total - counts.routed_experts
    assert found.weight_bytes == 2 * (dense + counts.routed_experts / 8)


def test_states_of_all_devices_sum_to_the_model_under_zero_3() -> None:
    arch = load("mixtral-8x7b")
    layout = Sharding(zero_stage=3, dp=4, tp=2, pp=2, ep=4)
    each = state_memory(arch, sharding=layout).total_bytes
    assert each * 4 * 2 * 2 == pytest.approx(16 * parameters(arch).total)


def test_pipeline_stages_hold_as_many_micro_batches() -> None:
    layout = Sharding(pp=8)
    one, staged = (
        training_memory(GPT, 1, 2048, sharding=s).activation_bytes for s in (Sharding(), layout)
    )
    assert staged == one
    single = training_memory(GPT, 1, 2048, sharding=layout, micro_batches_in_flight=1)
    assert single.activation_bytes == one / 8


def test_zero_factors_and_bad_layouts() -> None:
    assert zero_factors(2, 4) == (1.0, 0.25, 0.25)
    with pytest.raises(InputError, match="ZeRO stage 4"):
        Sharding(zero_stage=4)
    with pytest.raises(InputError, match="tp 0 is below 1"):
        Sharding(tp=0)
    with pytest.raises(InputError, match="ep 3 does not divide"):
        Sharding(dp=4, ep=3)
