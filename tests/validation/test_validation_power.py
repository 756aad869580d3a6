"""Power, capping and whole nodes against measurements of an H200 node.

Throughput at 700 W is in no fit, but seen: the width of a prior was chosen with it known. The
clock's exponent was taken from the pairs at 500 W over 700 W, so that these are a check of the
law's form, no prediction.

MLPerf inference 4.1 (mlcommons/inference_results_v4.1@198fc467): eight H200 in one node, each
at most 500 W, wall power once a second; throughput at 700 W from the same round.
"""

from __future__ import annotations

import csv
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sim import arch
from sim.cost.layout import Layout
from sim.cost.steps import StepModel
from sim.facility.building import load_building, power_parts
from sim.flops import precision
from sim.hardware.node import load_node
from sim.validation.load import Requests, SteadyState, steady_state

NODE = load_node("dgx-h200")
PUBLISHED = {  # requests, tokens/s at 500 W, at 700 W
    "llama-2-70b": (Requests(294, 291), 25262.0, 31303.0),
    "mixtral-8x7b": (Requests(600, 146), 48988.0, 59022.0),
}
"""Output lengths are tokens over samples of the same results; prompt lengths are assumptions."""
RUNNING = 1024.0


@cache
def offline(name: str, cap_w: float | None) -> SteadyState:
    model = StepModel(
        arch.load(name), Layout(), NODE, engine="trtllm", precision=precision("fp8-kv8"),
        cap_w=cap_w, sampling="greedy",
    )  # fmt: skip
    return steady_state(model, PUBLISHED[name][0], RUNNING)


@pytest.mark.parametrize(("name", "error_frac"), [("llama-2-70b", 0.06), ("mixtral-8x7b", 0.15)])
def test_throughput_of_an_h200_node(name: str, error_frac: float) -> None:
    """Eight replicas of one GPU: -6 % and -13 % at 700 W, -4 % and -13 % at 500 W."""
    _, capped, free = PUBLISHED[name]
    assert 8 * offline(name, None).tokens_per_s == pytest.approx(free, rel=error_frac)
    assert 8 * offline(name, 500.0).tokens_per_s == pytest.approx(capped, rel=error_frac)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_cap_of_500_w_costs_what_was_published(name: str) -> None:
    """Published 0.807 and 0.830 of the throughput; predicted 0.818 and 0.827."""
    _, capped, free = PUBLISHED[name]
    found = offline(name, 500.0).tokens_per_s / offline(name, None).tokens_per_s
    assert found == pytest.approx(capped / free, abs=0.02)
    assert offline(name, 500.0).power_w == pytest.approx(500.0)


def test_wall_power_of_the_capped_node(facts: Path) -> None:
    """Means of four traces: 6,153 to 6,280 W while busy, 2,391 to 2,529 W idle."""
    names = ["llama2-70b-99_Offline", "llama2-70b-99_Server", "mixtral-8x7b_Offline",
             "mixtral-8x7b_Server"]  # fmt: skip
    busy_w, idle_w = [], []
    for name in names:
        path = facts / "measured" / f"mlperf41_8xH200_MaxQ_{name}_node_power_1Hz.csv"
        with path.open(encoding="utf-8", newline="") as file:
            watts = np.array([float(row["node_watts"]) for row in csv.DictReader(file)])
        busy_w.append(float(np.median(watts[watts > 0.8 * watts.max()])))
        idle_w.append(float(watts[:5].mean()))
    chip_w = 8 * offline("llama-2-70b", 500.0).power_w
    assert _wall_w(chip_w) == pytest.approx(np.mean(busy_w), rel=0.03)
    assert _wall_w(8 * NODE.device.idle_w) == pytest.approx(np.mean(idle_w), rel=0.08)


def _wall_w(chip_w: float) -> float:
    parts = power_parts(chip_w, 1, NODE, load_building())
    return parts.chip_w + parts.host_w + parts.fans_w + parts.psu_loss_w


def test_caps_from_300_to_700_w() -> None:
    """Power falls with the cap, throughput too, and tokens per joule are best in between."""
    model = arch.load("llama-3.1-8b")
    caps = [300.0, 400.0, 500.0, 600.0, 700.0]
    states = [
        steady_state(StepModel(model, Layout(), load_node(), cap_w=cap), Requests(1024, 128), 64)
        for cap in caps
    ]
    for (low, high), (cap, _) in zip(pairwise(states), pairwise(caps), strict=True):
        assert low.power_w <= high.power_w * (1 + 1e-12)
        assert low.power_w <= cap * (1 + 1e-12)
        assert low.tokens_per_s <= high.tokens_per_s * (1 + 1e-12)
    per_joule = [state.tokens_per_s / state.power_w for state in states]
    assert max(per_joule[:4]) > per_joule[-1]


def test_a_decode_step_loses_little_to_a_cap() -> None:
    """Memory-bound: half the distance to idle costs it less than a tenth of its speed."""
    model = arch.load("llama-3.1-70b")
    free, capped = (StepModel(model, Layout(tp=4), load_node(), cap_w=cap) for cap in (None, 350.0))
    features = free.program.uniform_features(np.array([16]), 1, 1000)
    lost = 1 - float(free.evaluate(features).time_s[0] / capped.evaluate(features).time_s[0])
    assert 0 <= lost < 0.1


@pytest.mark.parametrize("gpu", ["v100", "a40"])
def test_the_shape_of_the_capping_curve(facts: Path, gpu: str) -> None:
    """Training jobs under caps (ml-energy/zeus): never more is lost than compute-bound work loses.

    The law's bound is throughput = clock = ((cap - idle) / (limit - idle))^(1/2), idle a sixth
    of the limit, as on an H100; down to half of the limit the median job keeps more.
    """
    path = facts / "measured" / "powercap" / f"curve_{gpu}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(float(r["cap_fraction_of_max_limit"]), float(r["rel_thr_median"]))
                for r in csv.DictReader(file)]  # fmt: skip
    idle_frac = load_node().device.idle_w / load_node().device.limit_w
    for cap, kept in rows:
        if cap >= 0.55:
            bound = ((cap - idle_frac) / (1 - idle_frac)) ** (1 / load_node().device.clock_exponent)
            assert bound - 0.02 <= kept <= 1.0
