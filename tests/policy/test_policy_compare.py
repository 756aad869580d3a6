"""Comparisons: paired seeds, intervals, reasons, expectations that can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from policy_scenarios import fleet

from sim.cli.main import main
from sim.errors import InputError
from sim.policy import parse_policies, parse_policy
from sim.policy.compare import compare, difference, mean_figures
from sim.policy.figures import figures
from sim.policy.study import Study, is_study
from sim.report.policy_figures import draw_frontier, draw_tornado, lost_work_frac
from sim.scenario.run import load_scenario, run_id, run_scenario

STUDIES = sorted((Path(__file__).parents[2] / "scenarios" / "studies").glob("*/study.yaml"))


def test_a_policy_beside_its_baseline():
    found = compare(fleet(), [parse_policy("power-cap:gpu_w=400")], 1)
    row = found["policies"][0]
    assert row["delta"]["mean_load_mw"] < 0
    assert row["figures"]["mean_load_mw"] == pytest.approx(
        found["baseline"]["mean_load_mw"] + row["delta"]["mean_load_mw"]
    )
    assert row["why"] is None
    assert row["interval"] == {}


def test_a_policy_without_strength_says_so_and_changes_nothing():
    found = compare(fleet(), [parse_policy("demand-response:depth_frac=0,start_h=0")], 1)
    row = found["policies"][0]
    assert not any(row["delta"].values())
    assert "no strength" in row["why"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("curtailment", "was short in 0 of"),
        ("price-response:above_usd_per_mwh=100000", "the highest price was"),
        ("carbon-aware:above_kg_per_mwh=1999", "the highest intensity was"),
        ("import-limit:limit_mw=50", "the limit is 50 MW"),
        ("suspend-at-peaks:hours_frac=0.0001", "no hour of the run"),
        ("demand-response:start_h=100", "no event fell into the run"),
        ("ramp-limit:up_mw_per_min=1000", "nothing rose faster"),
    ],
)
def test_a_policy_that_could_not_act_says_why(text, why):
    row = compare(fleet(), [parse_policy(text)], 1)["policies"][0]
    assert why in row["why"]


def test_several_seeds_give_intervals_around_the_mean():
    found = compare(fleet(), [parse_policy("power-cap:gpu_w=400")], [1, 2, 3])
    row = found["policies"][0]
    for key, (low, high) in row["interval"].items():
        assert low <= row["delta"][key] <= high
    assert found["seeds"] == [1, 2, 3]


def test_policies_that_hold_together_are_one_row():
    both = parse_policies("power-cap:gpu_w=400;demand-response:start_h=0,duration_h=1")
    row = compare(fleet(), [both], 1)["policies"][0]
    assert row["kind"] == "power-cap + demand-response"
    assert row["parameters"].keys() == {"power-cap:gpu_w=400", both[1].label}


def test_the_figures_of_a_year_hold_its_lole():
    rows = [{"lole_after_d_per_y": lole} for lole in (0.1, 0.3)]
    summary = run_scenario(fleet(), 1).summary
    assert "lole_d_per_y" not in figures(summary)
    summary["grid"]["adequacy"] = rows
    assert figures(summary)["lole_d_per_y"] == 0.3


def test_difference_and_mean_leave_words_alone():
    assert difference({"a": 3, "b": "x", "c": 1}, {"a": 1, "b": "y"}) == {"a": 2}
    assert mean_figures([{"a": 1, "b": "x"}, {"a": 3, "b": "x"}]) == {"a": 2.0, "b": "x"}


def test_every_study_is_readable_and_has_its_baseline_and_readme():
    assert len(STUDIES) == 7
    for path in STUDIES:
        study = Study(path)
        assert study.baseline.is_file()
        assert (path.parent / "README.md").read_text("utf-8").count("**Expected.**") == 1
        assert any(case.expect for case in study.file.policies)


def test_a_scenario_is_no_study():
    assert not is_study(STUDIES[0].parent / "baseline.yaml")


def write_study(folder: Path, expect: str, policy: str = "power-cap:gpu_w=400") -> Path:
    scenario = fleet().model_dump_json()
    (folder / "baseline.yaml").write_text(scenario, encoding="utf-8")
    path = folder / "study.yaml"
    path.write_text(
        "name: small\nquestion: What does a cap do?\nbaseline: baseline.yaml\n"
        f"policies:\n  - policy: {policy}\n    expect: {{{expect}}}\n",
        encoding="utf-8",
    )
    return path


def test_an_expectation_that_is_met_ends_well(tmp_path, capsys):
    path = write_study(tmp_path, "mean_load_mw: less, output_tokens: same")
    assert main(["whatif", str(path), "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["misses"] == []
    assert found["question"] == "What does a cap do?"
    _, baseline = load_scenario(path.parent / "baseline.yaml")
    run = run_id(baseline, 1)
    assert (found["scenario"]["name"], found["scenario"]["hash"]) == (run.scenario, run.hash8)
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"whatif.json", "tornado-mean_load_mw.svg", "tornado-mean_load_mw.csv"} <= written


def test_an_expectation_that_is_missed_fails_with_exit_code_1(tmp_path, capsys):
    path = write_study(tmp_path, "mean_load_mw: more")
    assert main(["whatif", str(path)]) == 1
    assert "mean_load_mw was expected to be more, it is less" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expect", "policy", "message"),
    [
        ("mean_load_mw: up", "power-cap:gpu_w=400", r"study.yaml:\d+:\d+: policies\[0\].expect"),
        ("mean_load_mw: less", "power-cap:gpu_w=9000", r"policies\[0\].policy: gpu_w=9000"),
    ],
)
def test_a_wrong_study_is_told_with_its_place(tmp_path, expect, policy, message):
    path = write_study(tmp_path, expect, policy)
    with pytest.raises(InputError, match=message):
        Study(path)


def test_whatif_needs_a_policy(capsys):
    assert main(["whatif", str(STUDIES[0].parent / "baseline.yaml")]) == 2
    assert "at least one policy" in capsys.readouterr().err


def test_the_list_names_every_policy(capsys):
    assert main(["whatif", "--list"]) == 0
    assert "flexible-connection:" in capsys.readouterr().out
    assert main(["whatif", "--list", "--json"]) == 0
    assert "flexible-connection" in json.loads(capsys.readouterr().out)


ROWS = {
    "baseline": {"hosted_mw": 100.0, "training_tokens": 10.0, "mean_load_mw": 5.0},
    "policies": [
        {
            "label": label,
            "delta": {"training_tokens": -lost, "mean_load_mw": -lost},
            "interval": {"mean_load_mw": [-lost - 1, -lost + 1]},
            "figures": {"hosted_mw": hosted, "hosted_curtailed_frac": 0.0},
        }
        for label, hosted, lost in (("a", 150.0, 1.0), ("b", 150.0, 2.0), ("c", 200.0, 3.0))
    ],
}


def test_the_frontier_leaves_out_what_another_policy_beats(tmp_path):
    assert draw_frontier(ROWS, tmp_path / "frontier.svg")
    lines = (tmp_path / "frontier.csv").read_text("utf-8").splitlines()
    on_it = {line.split(",")[0]: line.split(",")[-1] for line in lines[1:]}
    assert on_it == {"no policy": "True", "a": "True", "b": "False", "c": "True"}
    assert lost_work_frac(ROWS["policies"][0], ROWS["baseline"]) == 0.1


def test_figures_are_not_drawn_without_their_numbers(tmp_path):
    assert not draw_tornado(ROWS, "carbon_t", tmp_path / "t.svg")
    bare = ROWS | {"baseline": {"training_tokens": 10.0}}
    assert not draw_frontier(bare, tmp_path / "f.svg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["shift-requests", "demand-response;shift-requests:most_frac=0.2"])
def test_what_cannot_be_is_told_before_the_baseline_runs(text):
    told: list[str] = []
    with pytest.raises(InputError, match="no two sites") as caught:
        compare(fleet(), [parse_policies(text)], 1, told.append)
    assert told == []
    assert str(caught.value).startswith("--policy ")
