"""Attainment of objectives, latencies without single requests, and the split of a fleet's power."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.report.cause_figure import DECODE, PREFILL, STANDING, fleet_layers
from sim.report.figure_html import finding
from sim.report.latency_figure import (
    draw_latency,
    objective_words,
    objectives_s,
    told_latencies,
)
from sim.report.serving_split import Split, serving_splits
from sim.report.slo_figure import class_rows, draw_attainment
from sim.scenario.run import load_scenario, plain

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"
CLASSES = {
    "fast": {"requests": 100, "completed": 80, "met": 60, "shed": 5, "dropped": 5},
    "slow": {"requests": 10, "completed": 10, "met": 10, "shed": 0, "dropped": 0},
    "none": {"requests": 0, "completed": 0, "met": 0, "shed": 0, "dropped": 0},
}
SERVING = {"fleets": {"a.serve": {"classes": CLASSES}}}
TREE = {
    "sites": [
        {
            "name": "a",
            "workloads": [
                {"name": "serve",
                 "classes": [{"name": "fast", "slo_ttft_s": 0.5, "slo_tpot_s": 0.05},
                             {"name": "slow", "slo_ttft_s": None, "slo_tpot_s": None}]},
                {"kind": "training"},
            ]
        }
    ]
}  # fmt: skip


def test_outcomes_of_a_class_add_up_to_its_requests() -> None:
    fast, slow = class_rows(SERVING)
    assert [fast[k] for k in ("in time", "late", "not finished", "shed", "dropped")] == (
        pytest.approx([0.6, 0.2, 0.1, 0.05, 0.05])
    )
    assert (slow["class"], slow["in time"]) == ("slow", 1.0)


def test_attainment_names_the_worst_class_and_its_objectives(tmp_path: Path) -> None:
    words = objective_words(objectives_s(TREE))
    assert words == {("a.serve", "fast"): "TTFT ≤ 0.5 s, TPOT ≤ 0.05 s"}
    draw_attainment(SERVING, words, tmp_path / "a.svg")
    told = finding((tmp_path / "a.svg").read_text("utf-8"))
    assert told.startswith("Of the 100 requests of class fast 60.0% are served")
    draw_attainment({"fleets": {"a": {}}}, {}, tmp_path / "b.svg")
    draw_attainment(None, {}, tmp_path / "b.svg")
    assert not (tmp_path / "b.svg").exists()


def test_own_objectives_take_the_place_of_the_published_ones(tmp_path: Path) -> None:
    assert objectives_s(None) == {}
    assert objectives_s({"sites": [{"workloads": [{"kind": "training"}]}]}) == {}
    values = {m: np.linspace(0.01, 1.0, 100) for m in ("ttft_s", "tpot_s", "e2e_s")}
    draw_latency({"a.serve": values}, tmp_path / "a.svg", objectives_s(TREE))
    told = finding((tmp_path / "a.svg").read_text("utf-8"))
    assert "50.0% have TTFT within 0.5 s (fast)" in told
    assert told.endswith("Objectives: the scenario's.")


def test_without_single_requests_the_quantiles_of_the_summary_are_drawn(tmp_path: Path) -> None:
    quantiles = {"p50": 0.1, "p90": 0.5, "p99": 2.0, "mean": 0.2}
    fleets = {"a": {"ttft_s": quantiles, "tpot_s": quantiles, "e2e_s": None}, "b": {"ttft_s": None}}
    told = told_latencies({"fleets": fleets})
    assert list(told) == ["a"]
    draw_latency(told, tmp_path / "a.svg", {}, told=True)
    text = finding((tmp_path / "a.svg").read_text("utf-8"))
    assert "half of the requests have their first token within 0.1 s, 99 % within 2 s" in text
    rows = (tmp_path / "a.csv").read_text("utf-8").splitlines()
    assert rows[1:4] == ["a,ttft_s,0.5,0.1", "a,ttft_s,0.9,0.5", "a,ttft_s,0.99,2.0"]


def test_the_layers_of_a_fleet_add_up_and_stand_on_what_idle_gpus_draw() -> None:
    power_w = np.array([50.0, 100.0, 300.0])
    layers = fleet_layers(Split(100.0, 0.25), power_w)
    assert list(layers[STANDING]) == [50, 100, 100]
    assert list(layers[PREFILL]) == [0, 0, 50]
    assert list(layers[DECODE]) == [0, 0, 150]


def _share(inputs: float, outputs: float, hit_frac: float = 0.0) -> Split:
    _, scenario = load_scenario(CASES / "training-and-serving.yaml")
    tree = plain(scenario)
    (name,) = [
        f"{site['name']}.{w['name']}"
        for site in tree["sites"]
        for w in site["workloads"]
        if w["kind"] == "serving"
    ]
    fleet = {
        "completed": 100.0, "window_s": 100.0, "tokens_in": 100 * inputs,
        "tokens_out": 100 * outputs, "tpot_s": {"mean": 0.02},
        "prefix_cache": {"hit_frac": hit_frac},
    }  # fmt: skip
    return serving_splits(tree, {"serving": {"fleets": {name: fleet}}})[name]


def test_longer_prompts_take_more_of_a_fleets_power_and_longer_answers_less() -> None:
    short, long, chatty = _share(100, 100), _share(4000, 100), _share(100, 1000)
    assert 0 < chatty.prefill_frac < short.prefill_frac < long.prefill_frac < 1
    assert _share(4000, 100, hit_frac=0.9).prefill_frac < 0.3 * long.prefill_frac
    assert short.standing_w == long.standing_w > 0


def test_a_fleet_that_served_nothing_is_not_told_apart() -> None:
    assert (
        serving_splits({}, {"serving": {"fleets": {"a.b": {"completed": 0, "tokens_out": 0}}}})
        == {}
    )
    assert serving_splits({}, {}) == {}
