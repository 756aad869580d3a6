"""Measured curves over the kernel laws: nodes, edges, and monotone times."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import arch
from sim.cost.layout import Layout
from sim.cost.measured import CONTEXT, TOKENS
from sim.cost.roofline import gpu_work, shard
from sim.cost.serving import ReplicaCost
from sim.cost.steps import StepModel
from sim.cost.tables import SCALES, StepTables, build_tables
from sim.cost.uniform import Points
from sim.flops import compile_step, precision
from sim.hardware.curves import CURVE_AXES, Axis, Curve, kernel_curve, rising, spread
from sim.hardware.node import load_node

NODE = load_node()


def test_a_curve_meets_its_nodes_and_keeps_its_edges() -> None:
    curve = Curve(np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.array([[1.0, 4.0], [1.0, 1.0]]))
    assert spread(curve, np.array([0.0, 0.5, 1.0]), np.array([2.0]))[0] == pytest.approx([1, 2, 4])
    assert spread(curve, np.array([9.0]), np.array([-5.0]))[0, 0] == pytest.approx(4.0)
    assert spread(curve, np.array([1.0]), np.array([2.5]))[0, 0] == pytest.approx(2.0)


def test_times_never_fall_along_the_axis() -> None:
    log_s = rising(np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.4, 1.0]))
    assert log_s == pytest.approx(np.log2([1.0, 1.0, 4.0]))


def test_places_on_an_axis_are_clipped_to_it() -> None:
    left, weight = Axis(0.0, 1.0, 3).place(np.array([0.0, 1.0, 3.0, 100.0]))
    assert left.tolist() == [0, 0, 1, 1]
    assert weight == pytest.approx([0.0, 0.0, np.log2(3) - 1, 1.0])


@pytest.mark.parametrize(("engine", "family"), list(product(("vllm", "trtllm"), CURVE_AXES)))
def test_every_engine_has_its_curves(engine: str, family: str) -> None:
    curve = kernel_curve(engine, family, "bf16")
    assert curve is not None
    assert ((curve.ratio > 0.1) & (curve.ratio < 10)).all()
    assert kernel_curve("sglang", family, "bf16") is kernel_curve("vllm", family, "bf16")


def test_kernels_without_a_curve_follow_their_law() -> None:
    assert kernel_curve("vllm", "scan", "bf16") is None
    model = StepModel(arch.load("mamba2-2.7b"), Layout(), NODE)
    work = model.kernels.evaluate(model.program.uniform_features(np.array([4]), 1, 100))
    scans = [i for i, row in enumerate(model.kernels.rows) if row.family == "scan"]
    assert (work.ratio[:, scans] == 1).all()


names = st.sampled_from(
    ["llama-3.1-8b", "qwen3-30b-a3b", "gpt-oss-20b", "nemotron-nano-9b-v2", "deepseek-v2-lite"]
)


@settings(max_examples=60)
@given(
    names,
    st.sampled_from(["bf16", "fp8", "fp8-kv8", "mxfp4"]),
    st.sampled_from(["vllm", "trtllm", "sglang"]),
    st.sampled_from([Layout(), Layout(tp=2), Layout(tp=4, pp=2), Layout(pp=3)]),
    st.integers(0, 20000),
    st.integers(0, 600),
    st.integers(0, 200000),
)
def test_nothing_is_nan_over_wide_ranges(
    name: str, fmt: str, engine: str, layout: Layout, prompt: int, decodes: int, context: int
) -> None:
    if prompt + decodes == 0:
        return
    model = StepModel(arch.load(name), layout, NODE, engine=engine, precision=precision(fmt))
    features = model.program.uniform_features(
        np.array([decodes]), 1, context
    ) + model.program.uniform_features(np.array([int(prompt > 0)]), max(prompt, 2), 0)
    steps = model.evaluate(features)
    values = [getattr(steps, key) for key in ("time_s", "power_w", "clock_frac", "kernel_s",
              "hbm_bytes", "weight_bytes", "link_bytes", "compute_share", "energy_j")]  # fmt: skip
    assert all(np.isfinite(value).all() for value in values)
    assert (steps.time_s > 0).all()
    assert (steps.energy_j == steps.power_w * steps.time_s).all()
    assert NODE.device.static_w <= float(steps.power_w[0]) <= NODE.device.limit_w * (1 + 1e-12)
    assert 0 < float(steps.clock_frac[0]) <= 1


@settings(max_examples=40)
@given(names, st.integers(1, 300), st.integers(0, 100000), st.integers(1, 100000))
def test_time_never_falls_with_context(name: str, decodes: int, context: int, more: int) -> None:
    model = StepModel(arch.load(name), Layout(), NODE)
    contexts = np.array([context, context + more])
    times = model.evaluate(model.program.uniform_features(decodes, 1, contexts)).time_s
    assert times[1] >= times[0] * (1 - 1e-12)


def test_axes_reach_beyond_any_step() -> None:
    assert np.exp2(TOKENS.nodes[-1]) > 1e6
    assert np.exp2(CONTEXT.nodes[-1]) > 1e7


def test_the_corner_of_the_roofline() -> None:
    """At the corner both sides take as long; on either side one binds alone."""
    program, device = compile_step(arch.load("llama-3.1-8b")), NODE.device
    sharding = shard(program, device, Layout())
    few, many = (
        gpu_work(program.evaluate(program.uniform_features(np.array([n]), 1, 0)), sharding)
        for n in (1, 4096)
    )
    matmul = sharding.matmul & ~sharding.attention & (few.weight_bytes[0] > 0)
    assert (few.memory_s[0] > few.compute_s[0])[matmul].all()
    assert (many.compute_s[0] > many.memory_s[0])[matmul].all()
    corner = few.memory_s[0][matmul] / few.compute_s[0][matmul]
    assert ((corner > 100) & (corner < 400)).all()  # tokens at which they meet
    assert (few.time_s() >= np.maximum(few.memory_s, few.compute_s)).all()


def test_tables_at_once_are_tables_one_by_one() -> None:
    """The fast path samples the same steps as a coster that knows single ones only."""

    class Single:
        def __init__(self, cost: ReplicaCost):
            self.cost = cost.cost
            self.gpus, self.idle_power_w = cost.gpus, cost.idle_power_w
            self.kv_capacity_tokens, self.max_sequences = (
                cost.kv_capacity_tokens, cost.max_sequences,
            )  # fmt: skip
            self.unloaded_power_w = cost.unloaded_power_w
            self.loading_power_w = cost.loading_power_w

    cost = ReplicaCost(arch.load("gpt-oss-20b"), Layout(), NODE, 32)
    fast, slow = build_tables(cost, 8, 100), build_tables(Single(cost), 8, 100)
    for name in ("edge", "base", "slope", "alone", "token", "sequence", "pair", "read"):
        a, b = getattr(fast, name), getattr(slow, name)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 2 + 1e-9 * np.abs(b).max()


def test_many_decode_steps_from_tables_are_single_ones() -> None:
    tables = build_tables(ReplicaCost(arch.load("llama-3.1-8b"), Layout(), NODE), 64, 600)
    decodes = np.array([1, 7, 64, 64, 33])
    cached = np.array([10, 7 * 300, 64 * 20000, 64 * 4096, 0])
    found = tables.decode_steps(decodes, cached)
    for i, (d, s) in enumerate(zip(decodes.tolist(), cached.tolist(), strict=True)):
        contexts = [s // d] * (d - 1) + [s - (s // d) * (d - 1)]
        assert (found[:, i] == tables.step([], contexts)).all()


@pytest.mark.parametrize(
    ("name", "tp"), [("llama-3-70b", 4), ("llama-3.1-8b", 1), ("mixtral-8x7b", 2)]
)
def test_errors_of_the_tables_stay_small(name: str, tp: int) -> None:
    """Steps of 512 tokens, below the power limit: with prompts within 0.3 %, without 0.5 %."""
    cost = ReplicaCost(arch.load(name), Layout(tp=tp), NODE)
    decode, mixed = far_off(cost, build_tables(cost, 256, 512), 512)
    assert mixed.max() < 0.003
    assert decode.max() < 0.005
    assert np.quantile(decode, 0.98) < 0.003
    assert far_off(cost, build_tables(cost, 256, 512), 512, lost="alone")[1].max() > 0.01


def test_at_the_power_limit_the_tables_are_further_off() -> None:
    """Long chunks run into the limit, and there a step is no sum of its parts: a known bound."""
    cost = ReplicaCost(arch.load("llama-3.1-8b"), Layout(), NODE)
    _, mixed = far_off(cost, build_tables(cost, 256, 4096), 4096)
    assert (mixed.max(axis=0) > 0.003).all()
    assert (mixed.max(axis=0) < 0.05).all()


def far_off(
    cost: ReplicaCost, tables: StepTables, budget: int, lost: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of time and energy over random steps, shape (n, 2): without, with prompts.

    Args:
        lost: a table that is set to zero, to see that it matters.
    """
    rng = np.random.default_rng(0)
    decodes = rng.integers(1, 257, 400)
    contexts = np.exp(rng.uniform(np.log(50), np.log(16_000), 400)).astype(np.int64)
    none, chunk = np.zeros_like(decodes), budget - decodes
    if lost:
        tables = replace(tables, **{lost: 0 * getattr(tables, lost)})
    found = []
    for count in (none, none + (chunk > 0)):
        true = cost.uniform_costs(Points(decodes, contexts, count, chunk * count, none))[:, :2]
        batches = Points(decodes, contexts, count, chunk * count, none).batches()
        said = np.array([tables.step(*batch)[:2] for batch in batches]) / SCALES[:2]
        found.append(np.abs(said / true - 1))
    return found[0], found[1]
