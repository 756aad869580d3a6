"""The operations of a step: they add up to the step, and each by hand where it can be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import arch
from sim.cost.breakdown import LIMITS, StepBreakdown, breakdown
from sim.cost.fit import check_batch, check_serving, is_mixture, undivided
from sim.cost.layout import Layout
from sim.cost.steps import StepModel
from sim.errors import CapacityError, InputError
from sim.flops import precision
from sim.hardware.node import load_node, node_of

MODELS = {
    "llama-3.1-8b": (Layout(), "bf16"),
    "llama-3.1-70b": (Layout(tp=4), "fp8"),
    "qwen3-30b-a3b": (Layout(tp=2, ep=2), "bf16"),
    "qwen3-235b-a22b": (Layout(tp=1, dp=8, ep=8), "fp8"),
    "nemotron-nano-9b-v2": (Layout(tp=2, pp=2), "bf16"),
    "deepseek-v3": (Layout(tp=8, dp=2, ep=16), "fp8-kv8"),
    "gemma-3-12b": (Layout(), "bf16"),
    "gpt-oss-20b": (Layout(), "mxfp4"),
    "llama-3.1-405b": (Layout(tp=8, pp=4), "fp8"),
    "mamba-2.8b": (Layout(), "bf16"),
}
names = st.sampled_from(sorted(MODELS))


@cache
def model(name: str, gpu: str = "h100-sxm", cap_w: float | None = None) -> StepModel:
    layout, dtype = MODELS[name]
    return StepModel(arch.load(name), layout, node_of(gpu), precision=precision(dtype), cap_w=cap_w)


def split(name: str, batch: int, new: int, context: int, **options: object) -> StepBreakdown:
    of = model(name, **options)  # type: ignore[arg-type]
    return breakdown(of, of.program.uniform_features(batch, new, context)[0])


@settings(max_examples=80)
@given(names, st.integers(1, 600), st.sampled_from([1, 1, 2, 700, 4096]), st.integers(0, 20000))
def test_operations_add_up_to_the_step(name: str, batch: int, new: int, context: int) -> None:
    of = model(name)
    features = of.program.uniform_features(batch, new, context)
    steps, found = of.evaluate(features), breakdown(of, features[0])
    operations = found.operations
    assert found.time_s == float(steps.time_s[0])
    assert found.energy_j == pytest.approx(float(steps.energy_j[0]), rel=1e-12)
    assert sum(op.time_s for op in operations) == pytest.approx(found.time_s, rel=1e-9)
    assert sum(op.energy_j for op in operations) == pytest.approx(found.energy_j, rel=1e-9)
    assert found.hbm_bytes == pytest.approx(float(steps.hbm_bytes[0]), rel=1e-9)
    assert found.link_bytes == pytest.approx(float(steps.link_bytes[0]), rel=1e-12)
    assert all(op.time_s > 0 and op.energy_j > 0 and op.limit in LIMITS for op in operations)
    assert np.isfinite([op.flops for op in operations]).all()
    assert sum(found.limit_shares().values()) == pytest.approx(1, rel=1e-9)


@given(names, st.integers(1, 64))
def test_flops_are_those_of_the_whole_replica(name: str, batch: int) -> None:
    """FLOPs of one GPU times GPUs: the program's, and what tensor parallelism repeats.

    The softmax, at most a hundredth, is inside the attention kernel's measured time.
    """
    of = model(name)
    features = of.program.uniform_features(8 * batch, 1, 500)[0]
    found = breakdown(of, features)
    whole = float((features @ of.program.matrices["flops"].T).sum())
    repeated = 1 if of.layout.tp == 1 else 1.25  # norms; latent attention's down-projections
    assert 0.97 * whole <= found.flops * of.layout.gpus <= repeated * whole * (1 + 1e-9)


def test_limits_of_a_decode_step_and_of_a_prefill() -> None:
    decode = {op.name: op for op in split("llama-3.1-8b", 8, 1, 4000).operations}
    assert {decode[n].limit for n in ("ffn.up", "lm_head", "attention.core")} == {"memory"}
    assert decode["engine"].limit == "host"
    prefill = {op.name: op for op in split("llama-3.1-8b", 1, 8192, 0).operations}
    assert {prefill[n].limit for n in ("ffn.up", "ffn.down", "attention.core")} == {"compute"}
    assert prefill["attention.core"].family == "prefill_attention"
    assert decode["attention.core"].family == "decode_attention"


def test_intensity_by_hand() -> None:
    """A product of b rows: 2 b n k FLOPs over 2 (n k + b n + b k) bytes."""
    op = next(o for o in split("llama-3.1-8b", 64, 1, 10).operations if o.name == "ffn.down")
    b, n, k = 64, 4096, 14336
    assert op.intensity == pytest.approx(2 * b * n * k / (2 * (n * k + b * n + b * k)), rel=0.02)
    assert op.layers == 32
    assert op.flops == pytest.approx(32 * 2 * b * n * k)


def test_collectives_only_where_gpus_share_a_model() -> None:
    assert not [o for o in split("llama-3.1-8b", 8, 1, 10).operations if o.limit == "link"]
    [link] = [o for o in split("llama-3.1-70b", 8, 1, 10).operations if o.limit == "link"]
    assert link.link_bytes > 0
    assert link.intensity is None


def test_a_cap_lowers_the_clock_and_the_sum_stays_exact() -> None:
    free, capped = (split("llama-3.1-8b", 1, 8192, 0, cap_w=cap) for cap in (None, 400.0))
    assert capped.power_w == pytest.approx(400)
    assert capped.clock_frac < free.clock_frac <= 1
    assert sum(op.energy_j for op in capped.operations) == pytest.approx(capped.energy_j)
    assert capped.time_s > free.time_s


@pytest.mark.parametrize("gpu", ["h200-sxm", "h800-sxm", "a100-80-sxm", "v100-sxm", "b200-sxm"])
def test_other_devices_keep_the_laws(gpu: str) -> None:
    found = split("llama-3.1-8b", 16, 1, 1000, gpu=gpu)
    node = node_of(gpu)
    assert node.device.static_w < found.power_w <= node.device.limit_w
    floor_s = found.hbm_bytes / node.device.hbm_bytes_per_s
    assert floor_s < found.time_s < 4 * floor_s


def test_faster_memory_makes_decode_faster_and_slower_links_do_not() -> None:
    times = {gpu: split("llama-3.1-70b", 16, 1, 1000, gpu=gpu).time_s
             for gpu in ("h100-sxm", "h200-sxm", "h800-sxm", "a100-80-sxm")}  # fmt: skip
    assert times["h200-sxm"] < times["h100-sxm"] <= times["h800-sxm"] < times["a100-80-sxm"]


def test_what_does_not_fit_names_the_missing_bytes() -> None:
    of = model("llama-3.1-8b")
    fit = check_batch(of, 64, 2000)
    assert fit.used_tokens == 128_000
    assert fit.cache_tokens is not None
    over = fit.cache_tokens // 64 + 1
    with pytest.raises(CapacityError, match=r"lacks .* GiB \(\d+ bytes\).*batch of at most 63"):
        check_batch(of, 64, over)
    missing = (64 * over - fit.cache_tokens) * 2 * 8 * 128 * 32 * 2
    with pytest.raises(CapacityError, match=rf"\({missing} bytes\)"):
        check_batch(of, 64, over)


def test_a_model_without_a_growing_cache_has_no_limit_of_tokens() -> None:
    assert check_batch(model("mamba-2.8b"), 4, 10**9).cache_tokens is None


@pytest.mark.parametrize(
    ("name", "layout", "message"),
    [
        ("llama-3.1-8b", Layout(tp=3), "tp 3 does not divide the 32 attention heads"),
        ("gemma-3-1b", Layout(tp=8), "tp 8 does not divide the 4 attention heads"),
        ("llama-3.1-8b", Layout(tp=16), "spans more than the 8 GPUs"),
        ("llama-3.1-8b", Layout(ep=2), "ep 2 is more than tp x dp"),
        ("llama-3.1-8b", Layout(pp=33), "pp 33 .* more than the 32 layers"),
        ("qwen3-30b-a3b", Layout(dp=4), "one replica holds each expert once"),
    ],
)
def test_layouts_that_cannot_serve(name: str, layout: Layout, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_serving(arch.load(name), layout, load_node())


def test_key_value_heads_are_repeated_where_there_are_fewer() -> None:
    assert undivided(arch.load("llama-3.1-70b"), 8) == ""
    assert undivided(arch.load("falcon-7b"), 71) == ""  # one key-value head
    assert is_mixture(arch.load("mixtral-8x7b"))
    assert not is_mixture(arch.load("llama-3.1-8b"))
