"""The cost of a training step: corners by hand, published runs, memory that does not fit."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import arch
from sim.cost.layout import Layout, check_layout
from sim.cost.training import least_cap_w, training_step
from sim.cost.training_memory import gpu_parameters, stage_activations, training_memory
from sim.cost.training_pace import slowest_frac
from sim.cost.training_setup import TrainingSetup
from sim.errors import CapacityError, InputError
from sim.flops import parameters
from sim.hardware.node import load_node

NODE = load_node()
LLAMA_70B = arch.load("llama-3-70b")
SETUP = TrainingSetup(LLAMA_70B, Layout(8, 4, 64, zero=1, virtual_stages=2), 8192, 8 * 2**20)


@pytest.mark.parametrize(
    ("dp", "sequence", "ways", "published_mfu"),
    [(64, 8192, 1, 430 / 989.4), (128, 8192, 1, 400 / 989.4), (128, 131072, 16, 380 / 989.4)],
)
def test_llama_3_405b_comes_near_the_published_mfu_and_fits(
    dp: int, sequence: int, ways: int, published_mfu: float
) -> None:
    """Reported: 430, 400 and 380 TFLOP/s a GPU (Llama 3 report, arXiv 2407.21783, table 4).

    The published layout: tp 8, pp 16, 16M tokens, no recomputation of matrix products,
    gradients accumulated over micro-batches, then reduced (section 3.3.2): ZeRO 1 here;
    context parallelism of 16 for long sequences.
    """
    setup = TrainingSetup(
        arch.load("llama-3.1-405b"),
        Layout(8, 16, dp, zero=1, virtual_stages=4),
        sequence,
        16 * 2**20,
        context_parallel=ways,
    )
    assert training_step(setup, NODE).mfu == pytest.approx(published_mfu, rel=0.10)


def test_parts_make_up_the_step() -> None:
    cost = training_step(SETUP, NODE)
    assert cost.time_s == pytest.approx(sum(p.time_s for p in cost.phases))
    assert cost.energy_j == pytest.approx(
        cost.gpus * sum(p.time_s * p.gpu_power_w for p in cost.phases)
    )
    assert {p.phase for p in cost.parts} == {"pipeline", "exchange", "optimiser"}
    assert all(120 <= p.gpu_power_w <= 700 for p in cost.parts)


def test_model_flops_are_six_per_parameter_and_token_plus_attention() -> None:
    cost = training_step(SETUP, NODE)
    count = parameters(LLAMA_70B)
    linear = 6 * (count.active_excl_input_embedding - count.vectors) * cost.tokens
    # causal attention: 3 x 4 H h s (s + 1) / 2 a layer and sequence
    sequences = cost.tokens // 8192
    attention = 3 * 4 * 64 * 128 * (8192 * 8193 // 2) * 80 * sequences
    assert cost.model_flops == pytest.approx(linear + attention, rel=1e-12)


def test_the_bubble_is_that_of_the_interleaved_pipeline() -> None:
    parts = {p.name: p.time_s for p in training_step(SETUP, NODE).parts}
    names = ("forward", "backward", "recompute", "tensor parallel", "stage hand-over")
    busy_s = sum(parts[n] for n in names)
    assert parts["bubble"] == pytest.approx(busy_s * 3 / (2 * SETUP.micro_batches))


def test_one_gpu_exchanges_nothing_and_has_no_bubble() -> None:
    setup = TrainingSetup(arch.load("mamba-130m"), Layout(), 2048, 2**16)
    parts = {p.name: p.time_s for p in training_step(setup, NODE).parts}
    assert parts["tensor parallel"] == parts["bubble"] == parts["gradient exchange"] == 0
    assert parts["forward"] > 0


def test_selective_recomputation_costs_little_and_none_nothing() -> None:
    """Norms and products of gated layers are made again: a few per cent of forward."""
    none, some = (training_step(replace(SETUP, recompute=r), NODE) for r in ("none", "selective"))
    parts = {p.name: p.time_s for p in some.parts}
    assert "recompute" not in {p.name for p in none.parts}
    assert 0.01 < parts["recompute"] / parts["forward"] < 0.06
    assert none.time_s < some.time_s
    assert some.gpu_memory_bytes["activations"] < none.gpu_memory_bytes["activations"]


def test_selective_recomputation_makes_scores_and_up_projections_again() -> None:
    """Naive attention drops its scores; latent attention what it projects up."""
    naive = TrainingSetup(
        arch.load("gpt-3-175b").with_kernel("naive"), Layout(8, 8, 1), 2048, 2**17
    )
    flash = replace(naive, arch=arch.load("gpt-3-175b"))
    latent = TrainingSetup(arch.load("deepseek-v2-lite"), Layout(1, 1, 8, ep=8), 4096, 2**17)
    share = [_redone_share(setup) for setup in (naive, flash, latent)]
    assert share[0] > share[1] + 0.03
    assert share[2] > share[1]


def _redone_share(setup: TrainingSetup) -> float:
    roomy = replace(NODE, device=replace(NODE.device, memory_bytes=1e13))
    parts = {p.name: p.time_s for p in training_step(setup, roomy).parts}
    return parts["recompute"] / parts["forward"]


def test_a_slower_attention_kernel_slows_attention_only() -> None:
    """Half the speed adds attention's own compute time again, forward and backward."""
    fast, slow, slower = (
        {
            p.name: p.time_s
            for p in training_step(replace(SETUP, attention_speed_frac=f), NODE).parts
        }
        for f in (1.0, 1 / 2, 1 / 3)
    )
    assert slow["forward"] > fast["forward"]
    added = slow["backward"] - fast["backward"]
    assert slower["backward"] - slow["backward"] == pytest.approx(added, rel=0.15)
    assert slow["tensor parallel"] == fast["tensor parallel"]


def test_the_slowest_of_more_gpus_is_slower() -> None:
    """Blom's formula: about 1.42, 2.4 and 4.0 deviations above the mean of 8, 64, 16,384."""
    assert slowest_frac(1) == 0
    deviations = [slowest_frac(n) / slowest_frac(2) * 0.589 for n in (8, 64, 16_384)]
    assert deviations == pytest.approx([1.43, 2.36, 3.96], abs=0.05)


def test_full_recomputation_costs_a_forward_pass_and_frees_memory() -> None:
    kept, again = training_step(SETUP, NODE), training_step(replace(SETUP, recompute="full"), NODE)
    forward_s = {p.name: p.time_s for p in kept.parts}["forward"]
    assert {p.name: p.time_s for p in again.parts}["recompute"] == forward_s
    assert again.gpu_memory_bytes["activations"] < kept.gpu_memory_bytes["activations"] / 4
    assert again.model_flops == kept.model_flops


@given(st.floats(math.ceil(least_cap_w(SETUP, NODE)), 700))
@settings(max_examples=20)
def test_a_cap_is_kept_and_slows_the_step(cap_w: float) -> None:
    free, capped = training_step(SETUP, NODE), training_step(replace(SETUP, cap_w=cap_w), NODE)
    assert all(p.gpu_power_w <= cap_w for p in capped.parts)
    assert capped.time_s >= free.time_s
    assert capped.energy_j <= free.energy_j * (1 + 1e-12)


def test_a_cap_of_500_w_costs_less_than_all_compute_bound_work_would_lose() -> None:
    free, capped = training_step(SETUP, NODE), training_step(replace(SETUP, cap_w=500), NODE)
    assert 0.10 < 1 - free.time_s / capped.time_s < 0.21


def test_memory_that_is_missing_is_named_in_bytes() -> None:
    setup = replace(SETUP, layout=Layout(8, 1, 8))
    with pytest.raises(CapacityError, match=r"a GPU lacks [\d.,]+ GiB \(\d+ bytes\) of 76\.50 GiB"):
        training_step(setup, NODE)


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (Layout(tp=16), "tp 16 spans more than the 8 GPUs"),
        (Layout(pp=128), "pp 128 x virtual_stages 1 is more than the 80 layers"),
        (Layout(dp=4, ep=8), "ep 8 is more than tp x dp = 4"),
        (Layout(tp=8, ep=8), "ep 8 is more than the 0 experts"),
    ],
)
def test_a_layout_that_cannot_divide_the_model_is_refused(layout: Layout, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_layout(LLAMA_70B, layout, NODE)


def test_parameters_of_all_gpus_of_a_replica_add_up() -> None:
    model = arch.load("mixtral-8x7b")
    count = parameters(model)
    held = gpu_parameters(model, Layout(tp=4, pp=2, dp=8, ep=8))
    assert held.dense * 8 == pytest.approx(count.total - count.routed_experts)
    assert held.expert * 8 * 2 == pytest.approx(count.routed_experts)


def test_zero_shards_what_its_stage_says() -> None:
    by_stage = [
        training_memory(replace(SETUP, layout=replace(SETUP.layout, zero=stage)))
        for stage in range(4)
    ]
    for stage, name in ((1, "optimiser"), (2, "gradients"), (3, "weights")):
        assert by_stage[stage][name] == pytest.approx(by_stage[stage - 1][name] / 64)


def test_higher_zero_stages_move_more_and_hide_at_most_behind_compute() -> None:
    """ZeRO 2 reduces, ZeRO 3 also gathers, for every micro-batch."""
    by_stage = [{p.name: p for p in training_step(with_zero(z), NODE).parts} for z in range(4)]
    times_s = [parts["gradient exchange"].time_s for parts in by_stage]
    assert times_s[0] == times_s[1] < times_s[2] < times_s[3]
    held = gpu_parameters(LLAMA_70B, SETUP.layout).total * 63 / 64
    link, m = NODE.network, SETUP.micro_batches
    compute_s = sum(by_stage[0][name].time_s for name in ("forward", "backward", "recompute"))
    # Gradients take 4 bytes a parameter, weights 2. 64 nodes are 63 hops, for each of 20 layers.
    for stage, reduces, gathers in ((1, 1, 1), (2, m, 1), (3, m, 2 * m)):
        calls = (20 if stage >= 2 else 1) * reduces + (20 if stage == 3 else 1) * gathers
        whole_s = (
            held * (4 * reduces + 2 * gathers) / link.bytes_per_s + 63 * calls * link.latency_s
        )
        window_s = compute_s if stage >= 2 else compute_s / m
        exposed_s = whole_s - min(0.8 * whole_s, window_s)
        assert times_s[stage] == pytest.approx(exposed_s)


def with_zero(stage: int) -> TrainingSetup:
    return replace(SETUP, layout=replace(SETUP.layout, zero=stage))


def test_gpus_of_other_stages_wait_for_the_optimiser_of_the_fullest() -> None:
    """13 layers in 4 stages: memory moves the bytes of all parameters, for as long as 4 take."""
    model = replace(LLAMA_70B, layers=(replace(LLAMA_70B.layers[0], count=13),))
    setup = replace(SETUP, arch=model, layout=Layout(8, 4, 64, zero=1))
    part = next(p for p in training_step(setup, NODE).parts if p.name == "optimiser")
    assert part.hbm_bytes == pytest.approx(parameters(model).total / 32 / 64 * 30)
    device = NODE.device
    rate = device.hbm_bytes_per_s * device.hbm_frac
    held = gpu_parameters(model, setup.layout).total
    assert part.time_s == pytest.approx(held / 64 * 30 / rate)
    evenly = replace(setup, layout=Layout(8, 1, 256, zero=1))
    alone = next(p for p in training_step(evenly, NODE).parts if p.name == "optimiser")
    assert device.active_w < part.gpu_power_w < alone.gpu_power_w


def test_chunks_at_the_ends_may_hold_no_layer() -> None:
    """Llama-3.1-405B: 126 layers in 16 x 8 chunks, two of them the embedding and the head."""
    model = arch.load("llama-3.1-405b")
    check_layout(model, Layout(8, 16, 1, virtual_stages=8), NODE)
    with pytest.raises(InputError, match="more than the 126 layers and 2 ends"):
        check_layout(model, Layout(8, 13, 1, virtual_stages=10), NODE)
    with pytest.raises(InputError, match="more than the 126 layers of"):
        check_layout(model, Layout(8, 127, 1), NODE)


def test_a_gpu_of_the_fullest_stage_holds_what_a_layer_more_takes() -> None:
    """13 layers in 4 stages: 4 of them, 16/13 of the mean, in memory as in time."""
    model = replace(LLAMA_70B, layers=(replace(LLAMA_70B.layers[0], count=13),))
    held = gpu_parameters(model, Layout(8, 4, 1))
    count = parameters(model)
    tables = 2 * count.lm_head  # embedding and head, spread over all stages
    assert held.total == pytest.approx((tables + (count.total - tables) * 16 / 13) / 32)
    mean = gpu_parameters(model, Layout(8, 4, 1), of_mean=True)
    assert mean.total == pytest.approx(count.total / 32)
    setup = replace(SETUP, arch=model, layout=Layout(8, 4, 64, zero=1))
    deeper = replace(model, layers=(replace(model.layers[0], count=16),))
    kept = training_memory(setup)["activations"]
    assert kept == pytest.approx(training_memory(replace(setup, arch=deeper))["activations"])


def test_the_first_stage_holds_as_many_micro_batches_as_the_schedule_lets_in() -> None:
    """Of the whole model's activations: 1F1B 1, interleaved 1 + 3/8, never more than m / pp."""
    plain = replace(SETUP, layout=Layout(8, 4, 64, zero=1))
    one = training_memory(plain)["activations"]
    assert plain.micro_batches == 16
    assert training_memory(SETUP)["activations"] == pytest.approx(one * (1 + 3 / 8))
    few = replace(plain, global_batch_tokens=2 * 64 * 8192)
    assert training_memory(few)["activations"] == pytest.approx(one * 2 / 4)


def test_the_last_stage_can_be_the_fullest_by_its_logits() -> None:
    setup = TrainingSetup(arch.load("gemma-2-2b"), Layout(1, 2, 8, zero=1), 8192, 2**20, 4)
    stages = stage_activations(setup)
    logits = 4 * 8192 * 256_000 * 6
    assert stages["last"]["logits"] == pytest.approx(logits)
    assert training_memory(setup)["logits"] == pytest.approx(logits)


def test_activations_of_llama_3_405b_fit_as_published() -> None:
    """The report trains it on 80 GB without recomputing any matrix product."""
    layout = Layout(8, 16, 64, zero=2, virtual_stages=4)
    setup = TrainingSetup(arch.load("llama-3.1-405b"), layout, 8192, 16 * 2**20)
    taken = sum(training_memory(setup).values())
    assert 50 * 2**30 < taken < NODE.device.usable_bytes
