"""What the form means, and which field is told to be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.report.page.first import first_question
from sim.report.page.question import Question, WrongField, read_question, to_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "vocab_size": 32000,
}


def test_a_training_question_is_a_scenario_in_the_best_layout(tmp_path):
    scenario = to_scenario(Question(place="VA", gpus=1600, arch="llama-3.1-8b"), tmp_path)
    site = scenario.sites[0]
    assert site.at.zone == "VA"
    assert site.cluster.gpus == 1600
    layout = site.workloads[0].layout
    assert layout.tp * layout.pp * layout.dp <= 1600


def test_a_serving_question_has_the_traffic_of_its_share_of_saturation(tmp_path):
    ask = Question(place="VA", work="serving", gpus=800, arch="llama-3.1-8b")
    low, high = (
        to_scenario(ask.model_copy(update={"busy": busy}), tmp_path)
        .sites[0]
        .workloads[0]
        .requests.rate_per_s
        for busy in (0.35, 0.7)
    )
    assert high == pytest.approx(2 * low)


def test_a_bus_of_texas_is_a_nodal_question(tmp_path):
    scenario = to_scenario(Question(place="bus 7095", gpus=1600, arch="llama-3.1-8b"), tmp_path)
    assert scenario.grid.kind == "nodal"
    assert scenario.sites[0].at.bus == 7095


def test_an_uploaded_config_is_kept_by_its_hash(tmp_path):
    ask = Question(place="VA", gpus=80, config=json.dumps(CONFIG))
    scenario = to_scenario(ask, tmp_path)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("config-")
    assert scenario.sites[0].workloads[0].arch == str(kept)


def test_policies_are_those_of_the_command_line(tmp_path):
    ask = Question(place="VA", gpus=800, arch="llama-3.1-8b", policies=["power-cap:gpu_w=500"])
    assert to_scenario(ask, tmp_path).control.power_cap.gpu_w == 500


@pytest.mark.parametrize(
    ("changes", "field", "what"),
    [
        ({"place": "Atlantis"}, "place", "unknown zone 'Atlantis'"),
        ({"place": "bus x"}, "place", "is no bus"),
        ({"place": "bus 999999"}, "place", "999999"),
        ({"gpus": 801}, "gpus", "do not fill servers"),
        ({"arch": "llama-9"}, "arch", "unknown architecture"),
        ({"beside": "llama-9"}, "beside", "unknown architecture"),
        ({"arch": "../../etc/passwd"}, "arch", "unknown architecture"),
        ({"arch": "gpt6-class-moe", "gpus": 8}, "gpus", "no layout of gpt6-class-moe fits"),
        ({"arch": "gpt6-class-moe", "work": "serving"}, "arch", "does not"),
        ({"config": "{"}, "config", "is no JSON"),
        ({"config": "[1]"}, "config", "is not an object"),
        ({"config": '{"a": NaN}'}, "config", "not a number"),
        ({"config": "[" * 5000}, "config", "nested deeper"),
        ({"config": "{}"}, "config", ""),
        (
            {"config": json.dumps(CONFIG | {"hidden_size": "many"}, indent=1)},
            "config",
            "line 6: hidden_size: llama: 'many' is not a whole number",
        ),
        ({"policies": ["power-cap:gpu_w=9000"]}, "policies", "gpu_w=9000"),
        ({"policies": ["nonsense"]}, "policies", "unknown policy"),
    ],
)
def test_the_field_at_fault_is_named(tmp_path, changes, field, what):
    ask = Question(**({"place": "VA", "gpus": 800, "arch": "llama-3.1-8b"} | changes))
    with pytest.raises(WrongField) as caught:
        to_scenario(ask, tmp_path)
    assert caught.value.field == field
    assert what in caught.value.what


@pytest.mark.parametrize(
    ("tree", "field"),
    [
        ({"gpus": -8}, "gpus"),
        ({"gpus": 10**12}, "gpus"),
        ({"gpus": "many"}, "gpus"),
        ({"pue": 0.5}, "pue"),
        ({"pue": float("nan")}, "pue"),
        ({"busy": 2}, "busy"),
        ({"work": "mining"}, "work"),
        ({"config": "x" * 100_001}, "config"),
        ({"policies": ["a"] * 7}, "policies"),
        ({"path": "/etc/passwd"}, "path"),
    ],
)
def test_a_form_that_cannot_be_is_refused_at_its_field(tree, field):
    with pytest.raises(WrongField) as caught:
        read_question(tree)
    assert caught.value.field == field


@pytest.mark.parametrize("tree", [[1, 2], "x", None])
def test_no_object_is_no_question(tree):
    with pytest.raises(WrongField) as caught:
        read_question(tree)
    assert caught.value.what == "the question is no JSON object"


def test_the_form_opens_with_the_scenario_that_is_served():
    first = first_question(str(SCENARIOS / "100k-h100-one-state.yaml"))
    assert (first.place, first.gpus, first.arch) == ("TX-ERCOT", 100_000, "gpt6-class-moe")
    assert first.layout.tp == 8


def test_the_same_question_has_the_same_key():
    assert Question().key == Question().key
    assert Question().key != Question(gpus=800).key


@pytest.mark.parametrize(
    ("tree", "what"),
    [
        ({"gpus": 4}, "4 is below the least value 8; give a whole number of gpus"),
        ({"pue": "low"}, "text 'low' is not a number; give a number"),
        ({"ttft_s": 0.0}, "0.0 is not above 0 s; give a number in s"),
        ({"work": "mining"}, "text 'mining' is not one of the choices; did you mean 'training'?"),
    ],
)
def test_a_field_is_refused_in_the_words_of_the_command_line(tree, what):
    with pytest.raises(WrongField) as caught:
        read_question(tree)
    assert f"{caught.value.what}; {caught.value.todo}" == what


def test_objectives_make_single_requests_of_a_serving_question(tmp_path):
    ask = Question(place="VA", work="serving", gpus=80, arch="llama-3.1-8b", ttft_s=0.5)
    (fleet,) = to_scenario(ask, tmp_path).sites[0].workloads
    assert fleet.fidelity == "cells"
    assert fleet.classes[0].slo_ttft_s == 0.5
    assert fleet.classes[0].slo_tpot_s is None
