"""What a scenario can say of pipeline and experts reaches the cost, and multi-token prediction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sim import arch
from sim.cli.main import main
from sim.cost.layout import Layout
from sim.cost.plan_training import plan_training
from sim.cost.training import training_step
from sim.cost.training_kernels import micro_batch
from sim.cost.training_setup import TrainingSetup, check_setup
from sim.errors import InputError
from sim.flops import parameters
from sim.hardware.node import load_node
from sim.scenario.jobs import training_setup
from sim.scenario.run import load_scenario
from sim.scenario.schema import TrainingSpec

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"
ROOMY = replace(load_node(), device=replace(load_node().device, memory_bytes=1e13))
V3 = TrainingSetup(arch.load("deepseek-v3"), Layout(1, 16, 128, ep=64, zero=1), 4096, 2**25)


def setup_of(case: str, *overrides: str) -> TrainingSetup:
    _, scenario = load_scenario(str(CASES / case), overrides)
    spec = scenario.sites[0].workloads[0]
    assert isinstance(spec, TrainingSpec)
    return training_setup(spec)


def test_a_scenario_reaches_the_schedule_the_router_and_the_prediction_modules() -> None:
    setup = setup_of("training-zero-bubble.yaml")
    assert setup.schedule == "zb1p"
    assert setup.routed_nodes == 2
    assert setup.multi_token == 1
    assert setup_of("training-dualpipe.yaml").schedule == "dualpipe"


def test_a_zero_bubble_pipeline_of_a_scenario_waits_less() -> None:
    setup = setup_of("training-zero-bubble.yaml")
    waits = [
        next(p.time_s for p in training_step(one, ROOMY).parts if p.name == "bubble")
        for one in (setup, replace(setup, schedule="1f1b"))
    ]
    assert 0 < waits[0] < waits[1]


def test_a_module_of_multi_token_prediction_is_a_layer_a_projection_and_a_head() -> None:
    """Its FLOPs by hand; the model's own, the numerator of MFU, leave it out."""
    model = V3.arch
    plain, more = training_step(V3, ROOMY), training_step(replace(V3, multi_token=1), ROOMY)
    assert more.model_flops == plain.model_flops
    assert more.mfu < plain.mfu
    one = model.layers[-1]
    deeper = replace(model, layers=(*model.layers[:-1], replace(one, count=one.count + 1)))
    assert V3.trained is model
    assert replace(V3, multi_token=1).trained == deeper
    forward = [next(p for p in c.parts if p.name == "forward") for c in (plain, more)]
    layers = training_step(replace(V3, arch=deeper), ROOMY)
    alone = next(p for p in layers.parts if p.name == "forward").matmul_flops
    tokens = V3.micro_batches * V3.sequence_tokens / V3.layout.pp
    head = 2 * model.hidden * model.vocab + 2 * 2 * model.hidden * model.hidden
    assert forward[1].matmul_flops - alone == pytest.approx(head * tokens, rel=1e-9)
    assert alone > forward[0].matmul_flops


def test_its_parameters_are_held_and_exchanged() -> None:
    trained = replace(V3, multi_token=2).trained
    assert trained.n_layers == V3.arch.n_layers + 2
    assert parameters(trained).total > parameters(V3.arch).total


def test_a_router_without_spread_experts_is_refused() -> None:
    with pytest.raises(InputError, match="routed_nodes 4 limits experts that are spread, not ep 1"):
        check_setup(replace(V3, layout=replace(V3.layout, ep=1), routed_nodes=4))


def test_gradients_of_weights_are_summed_in_fp32_in_every_micro_batch() -> None:
    """Backward moves twice the bytes of forward, but for each weight 8 B instead of one read."""
    model = arch.load("llama-3-8b")
    setup = TrainingSetup(model, Layout(1, 1, 8, zero=1), 8192, 8 * 8192)
    batch, count = micro_batch(setup, load_node().device), parameters(model)
    matrices = count.active_excl_input_embedding - count.vectors
    extra = batch.backward.hbm_bytes - 2 * batch.forward.hbm_bytes
    assert extra == pytest.approx((8 - 2) * matrices, rel=1e-6)


def test_fp8_products_of_backward_run_as_published() -> None:
    """One at the speed of forward, one at 0.85 of it; others twice forward's time."""
    node = load_node()
    for setup, wanted in ((V3, {2.0}), (replace(V3, precision="fp8"), {2.0, 1 + 1 / 0.85})):
        batch = micro_batch(setup, node.device)
        busy = batch.forward.compute_s > 0
        found = {
            round(r, 6) for r in batch.backward.compute_s[busy] / batch.forward.compute_s[busy]
        }
        attention = round(2.5 / 0.86, 6)
        assert found - {attention} == {round(w, 6) for w in wanted}


def test_the_planner_tries_the_schedules_that_it_is_given() -> None:
    """The best of both is no slower than that of one; what a schedule cannot run is left out."""
    model = arch.load("llama-3-8b")
    both = plan_training(
        model, load_node(), 16, global_batch_tokens=2**20, schedules=("1f1b", "dualpipe")
    )
    plain = plan_training(model, load_node(), 16, global_batch_tokens=2**20)
    found = {c.setup.schedule for c in both.best}
    assert found == {"1f1b", "dualpipe"}
    assert both.best[0].tokens_per_s >= plain.best[0].tokens_per_s
    for candidate in both.best:
        layout = candidate.setup.layout
        if candidate.setup.schedule == "dualpipe":
            assert layout.virtual_stages == 1
            assert layout.pp % 2 == 0


def test_the_planner_keeps_to_the_router_and_refuses_one_without_experts() -> None:
    plan = plan_training(
        arch.load("olmoe-1b-7b"), load_node(), 32, global_batch_tokens=2**20, routed_nodes=2
    )
    nodes = {c.setup.layout.ep: c.setup.routed_nodes for c in plan.best}
    assert nodes[1] is None
    assert nodes[32] == 2
    with pytest.raises(InputError, match="routed_nodes 2: llama-3-8b has no experts"):
        plan_training(arch.load("llama-3-8b"), load_node(), 16, routed_nodes=2)


def test_the_command_shows_schedules(capsys: pytest.CaptureFixture[str]) -> None:
    asked = "plan training llama-3-8b --gpus 8 --batch-tokens 262144 --schedule zb1p --json"
    assert main(asked.split()) == 0
    rows = json.loads(capsys.readouterr().out)["best"]
    assert {row["schedule"] for row in rows} == {"zb1p"}
