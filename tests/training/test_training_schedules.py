"""What a scenario can say of pipeline and experts reaches the cost, and multi-token prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sim import arch
from sim.cost.layout import Layout
from sim.cost.training import training_step
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
