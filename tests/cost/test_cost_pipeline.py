"""Pipelines, data-parallel attention and speculation of a serving replica."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import arch
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.cost.speculation import Speculation, assumed_speculation, verifying
from sim.cost.steps import StepModel
from sim.cost.tables import build_tables
from sim.cost.uniform import Points, point_features
from sim.errors import InputError
from sim.flops import Batch, compile_step, precision
from sim.hardware.node import load_node

NODE = load_node()
LLAMA = arch.load("llama-3.1-8b")


def evaluate(layout: Layout, sequences: int) -> tuple[StepModel, object]:
    model = StepModel(LLAMA, layout, NODE)
    features = model.program.uniform_features(np.array([sequences]), 1, 500)
    return model, model.evaluate(features)


def test_the_last_stage_has_the_head_and_samples_for_every_part() -> None:
    """By hand: pp x (body of a part / pp + head + sampling of a part)."""
    model, steps = evaluate(Layout(pp=4), 64)
    part = model.kernels.evaluate(model.program.uniform_features(np.array([64]), 1, 500))
    sampling_s = 64 / 4 * LLAMA.vocab * model.engine.logit_s
    body_s = part.kernel_s(part.rows_s()) - part.head_s + steps.link_s  # type: ignore[attr-defined]
    turns_s = body_s + 4 * (part.head_s + sampling_s)
    path_s = steps.kernel_s + steps.link_s + steps.host_s  # type: ignore[attr-defined]
    assert steps.time_s == pytest.approx(np.maximum(turns_s, path_s))  # type: ignore[attr-defined]


def test_fewer_sequences_than_stages_leave_stages_idle() -> None:
    """One sequence on four stages: each GPU works a quarter of the time."""
    _, alone = evaluate(Layout(), 1)
    _, piped = evaluate(Layout(pp=4), 1)
    assert piped.time_s >= alone.time_s  # type: ignore[attr-defined]
    assert piped.power_w < 0.6 * alone.power_w  # type: ignore[attr-defined]
    assert piped.hbm_bytes == pytest.approx(alone.hbm_bytes / 4)  # type: ignore[attr-defined]


def test_uneven_stages_wait_for_the_longest() -> None:
    """Thirty-two layers on five stages: seven on the longest, 7 x 5 / 32 of even ones."""
    model, steps = evaluate(Layout(pp=5), 320)
    part = model.kernels.evaluate(model.program.uniform_features(np.array([320]), 1, 500))
    body_s = part.kernel_s(part.rows_s()) - part.head_s + steps.link_s  # type: ignore[attr-defined]
    assert float(steps.time_s[0]) >= float(body_s[0]) * 35 / 32 * (1 - 1e-12)  # type: ignore[attr-defined]


def test_a_pipeline_needs_more_energy_than_tensor_parallelism_at_small_batch() -> None:
    model = arch.load("llama-3.1-70b")
    piped = ReplicaCost(model, Layout(tp=2, pp=2), NODE).cost([], [1000] * 8)
    split = ReplicaCost(model, Layout(tp=4), NODE).cost([], [1000] * 8)
    assert piped.time_s > 1.4 * split.time_s
    assert piped.energy_j > split.energy_j


def test_data_parallel_attention_shares_experts_and_nothing_else() -> None:
    model = arch.load("qwen3-235b-a22b")
    ranked = ReplicaCost(model, Layout(dp=8, ep=8), NODE, precision=precision("fp8"))
    split = ReplicaCost(model, Layout(tp=8, ep=8), NODE, precision=precision("fp8"))
    # four key-value heads on eight GPUs are held twice; ranks hold each sequence once
    assert ranked.kv_capacity_tokens > 1.5 * split.kv_capacity_tokens
    assert ranked.cost([], [500] * 256).link_bytes > 0
    with pytest.raises(InputError, match="nothing in common"):
        ReplicaCost(model, Layout(dp=8), NODE, precision=precision("fp8"))
    with pytest.raises(InputError, match="give dp 1"):
        ReplicaCost(LLAMA, Layout(dp=2), NODE)


def test_cache_and_weights_in_fewer_bits() -> None:
    model = arch.load("llama-3.1-70b")
    made = {
        name: ReplicaCost(model, Layout(tp=4), NODE, precision=precision(name))
        for name in ("bf16", "fp8", "fp8-kv8")
    }
    times = [made[name].cost([], [4000] * 32).time_s for name in ("bf16", "fp8", "fp8-kv8")]
    assert times == sorted(times, reverse=True)
    assert made["fp8-kv8"].kv_capacity_tokens > 1.9 * made["fp8"].kv_capacity_tokens
    mixture = arch.load("gpt-oss-20b")  # whose experts alone are in four bits
    small, large = (
        ReplicaCost(mixture, Layout(), NODE, precision=precision(name))
        for name in ("mxfp4", "bf16")
    )
    assert small.kv_capacity_tokens > large.kv_capacity_tokens
    assert small.cost([], [500] * 8).weight_bytes < 0.6 * large.cost([], [500] * 8).weight_bytes


def test_tokens_of_a_verified_pass() -> None:
    """(1 - a^(k+1)) / (1 - a), and k + 1 where everything is accepted."""
    assert Speculation(4, 0.7, 0.1).tokens_per_pass == pytest.approx((1 - 0.7**5) / 0.3)
    assert Speculation(4, 1.0, 0.1).tokens_per_pass == 5
    assert Speculation(4, 0.0, 0.1).tokens_per_pass == 1


@pytest.mark.parametrize("bad", [(0, 0.5, 0.1), (4, 1.5, 0.1), (4, 0.5, -0.1)])
def test_speculation_out_of_range_is_refused(bad: tuple[int, float, float]) -> None:
    with pytest.raises(InputError, match="must"):
        Speculation(*bad)


def test_a_verified_pass_reads_cache_and_weights_once() -> None:
    program = compile_step(LLAMA)
    plain = program.uniform_features(np.array([8]), 1, 1000)
    values = [program.evaluate(f) for f in (plain, verifying(program, plain, 3))]
    read, flops = ([v[q].sum() for v in values] for q in ("cache_read_bytes", "flops"))
    assert read[1] == pytest.approx(read[0])
    assert flops[1] == pytest.approx(4 * flops[0])


def test_speculation_pays_at_small_batches_only() -> None:
    """Published speed-ups: 2.0 to 3.4 on one sequence (arXiv 2211.17192)."""
    model, guess = arch.load("llama-3.1-70b"), Speculation(7, 0.75, 0.02)
    plain = ReplicaCost(model, Layout(tp=4), NODE)
    quick = ReplicaCost(model, Layout(tp=4), NODE, speculation=guess)
    gain = [
        plain.cost([], [1000] * d).time_s / quick.cost([], [1000] * d).time_s for d in (1, 32, 256)
    ]
    assert 2.0 < gain[0] < 3.4
    assert gain[0] > gain[1] > gain[2]
    assert gain[2] < 1
    assert quick.cost([(100, 0)], []) == plain.cost([(100, 0)], [])


def test_speculation_in_tables_is_that_of_steps() -> None:
    cost = ReplicaCost(LLAMA, Layout(), NODE, speculation=assumed_speculation())
    tables = build_tables(cost, 16, 512)
    contexts = [int(tables.edge[8, 1]) // 8] * 8  # where a segment begins, tables are exact
    exact, said = cost.cost([], contexts), tables.step([], contexts)
    assert float(said[0]) / 1e12 == pytest.approx(exact.time_s, rel=1e-6)
    assert float(said[1]) / 1e9 == pytest.approx(exact.energy_j, rel=1e-6)


counts = st.integers(0, 40)


@given(counts, st.integers(0, 5000), counts, st.integers(1, 3000), st.integers(0, 5000))
def test_points_have_the_features_of_their_batches(
    decodes: int, context: int, chunks: int, new: int, cached: int
) -> None:
    if decodes + chunks == 0 or (new == 1 and chunks):
        return
    program = compile_step(arch.load("gemma-3-12b"))
    point = Points(*(np.array([x]) for x in (decodes, context, chunks, new, cached)))
    batch = Batch([new] * chunks + [1] * decodes, [cached] * chunks + [context] * decodes)
    assert np.allclose(point_features(program, point)[0], program.of_batch(batch), rtol=1e-12)
