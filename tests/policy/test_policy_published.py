"""Published what-ifs, in direction and rough size; each figure's source stands at its test.

What was known when: all four publications were read before the code was written, so none of
these is blind. Two kinds are told apart at each test. *Predicted*: no figure of the publication's
result is in the model or its data. *Not independent*: a figure of the result went into the data;
the test then says how far the model is from it all the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from policy_scenarios import CONVERSATIONS, at_one_site, busy_campus, serving

from sim.cluster.serving.steady import steady_curve
from sim.hardware.node import load_node
from sim.policy import parse_policies, parse_policy
from sim.policy.compare import compare
from sim.scenario.replicas import replica_cost
from sim.scenario.run import load_scenario
from sim.scenario.schema import ServingSpec


def test_a_quarter_less_for_three_hours_with_the_service_kept():
    """25 % for 3 h on 256 GPUs with quality of service kept (arXiv 2507.00909, 2025-05-03).

    Predicted: the order of responses (training first) is the design's, the power of a job under a
    cap is the engine's. Depth and duration are asked for, so what is predicted is that the campus
    can give them, that serving loses nothing, and that training pays.
    """
    policy = parse_policy("demand-response:depth_frac=0.25,start_h=0.5,duration_h=3")
    row = compare(busy_campus(), [policy], 1)["policies"][0]
    full_mwh = 0.25 * 3 * row["figures"]["peak_load_mw"]
    assert row["delta"]["relief_mwh"] >= 0.99 * full_mwh
    assert row["figures"]["missed_mwh"] <= 0.02 * full_mwh
    assert row["delta"]["requests_completed"] == 0
    assert row["delta"]["requests_shed"] == 0
    assert row["delta"]["training_tokens"] < 0


@pytest.mark.parametrize("arch", ["llama-2-70b", "mixtral-8x7b"])
def test_a_29_percent_lower_cap_costs_about_a_fifth_of_throughput(arch):
    """MLPerf inference 4.1 (2024), 8 x H200 capped at 500 W of 700 W: 17 to 21 % less offline.

    Not independent: the exponent of power over clock (2.0, range 1.80 to 2.27) was read off these
    very pairs, on the assumption that throughput goes as the clock. The model does not make that
    assumption: bytes do not slow with the clock, so it gives 15 and 12 % on one GPU, 2 to 9 points
    less than measured, and was left there. 8 to 30 % pass.
    """
    spec = ServingSpec.model_validate(
        {
            "kind": "serving",
            "arch": arch,
            "layout": {"tp": 1},
            "precision": "fp8",
            "engine": "trtllm",
            "max_num_seqs": 896,
            "requests": {
                "kind": "poisson",
                "rate_per_s": 1,
                "lengths": {"kind": "constant", "input_tokens": 294, "output_tokens": 294},
            },
        }
    )
    node = load_node("dgx-h200")
    free, capped = (
        steady_curve(replica_cost(spec, node, cap), (294.0, 294.0), 896, 8192).saturation_per_s
        for cap in (None, 500.0)
    )
    assert 0.08 <= 1 - capped / free <= 0.30


@pytest.mark.parametrize(("rate_per_s", "least"), [(11_000.0, 1.299), (13_500.0, 1.2)])
def test_thirty_percent_more_servers_under_the_same_limit(rate_per_s, least):
    """30 % more inference servers with little loss (POLCA, arXiv 2308.12908, 2023).

    Predicted: the limit is that of the building with every GPU at 700 W; caps hold all the time.
    At 80 % of saturation all of 30 % more requests are served; at 96 % they are 24 % more.
    """
    scenario = at_one_site([serving(rate_per_s, CONVERSATIONS, gpus=800)], 800, 1.0)
    found = compare(scenario, [parse_policy("oversubscription:extra_frac=0.3")], 1)
    figures, baseline = found["policies"][0]["figures"], found["baseline"]
    assert figures["gpus"] == pytest.approx(1.3 * baseline["gpus"])
    assert figures["restrained_h"] == pytest.approx(1.0)
    assert figures["held_back_mwh"] > 0
    assert figures["missed_mwh"] <= 0.01 * baseline["energy_mwh"]
    assert figures["requests_completed"] >= least * baseline["requests_completed"]


def test_storage_takes_the_swing_of_training_off_the_meter():
    """Power supplies with storage take up to 30 % off peaks (maker of GB300, 65 J a GPU, 2025).

    Predicted, for 100,000 GPUs in step: 65 J take 17 MW off a swing of 40, 13 % of the peak; it
    takes about 200 J to take it all. The energy of 65 J is the maker's, the phases are the
    engine's. A battery of 30 % of the power leaves 1 % of the swing.
    """
    _, scenario = load_scenario(ONE_STATE, ["horizon_h=0.5"])
    policies = [
        parse_policies(text)
        for text in (
            "swing-limit:psu_j_per_gpu=20",
            "swing-limit:psu_j_per_gpu=65",
            "swing-limit:psu_j_per_gpu=200",
            "storage:power_frac=0.3,rule=smoothing",
        )
    ]
    found = compare(scenario, policies, 1)
    before, mean_mw = found["baseline"]["swing_mw"], found["baseline"]["mean_load_mw"]
    swings = [row["figures"]["swing_mw"] for row in found["policies"]]
    assert before > swings[0] > swings[1] > swings[2]
    off_peak = (before - swings[1]) / (mean_mw + before / 2)
    assert 0.05 <= off_peak <= 0.30
    assert swings[3] < 0.05 * before


ONE_STATE = Path(__file__).parents[2] / "scenarios/studies/one-state-vs-k-states/baseline.yaml"
