"""Sites at buses and studies of the wires, from a scenario file to its folder."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.cli.main import main
from sim.grid.nodal.batch import host, single
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.report.verdict_text import verdict_lines
from sim.scenario.resolve import resolve
from sim.scenario.run import data_used, load_scenario, plain, run_scenario
from sim.scenario.schema import Scenario

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"
SITE = CASES / "nodal-site-at-bus.yaml"
NONE_N1 = ("grid.redispatch=none", "grid.emergency_rating_factor=1.0", "grid.preexisting=left-out")


@cache
def summary(path: Path, *overrides: str) -> dict[str, Any]:
    _, scenario = load_scenario(path, overrides)
    return run_scenario(scenario, seed=1).summary


def verdict(found: dict[str, Any], limit: str) -> dict[str, Any]:
    (only,) = [v for v in found["grid"]["verdicts"] if v["limit"] == limit]
    return only  # type: ignore[no-any-return]


def hosting_mw(bus: int, **settings: Any) -> float:
    network = load_case("activsg2000")
    study = Study(network, Settings(**settings))
    return next(iter(host(study, single(np.array([network.bus_index(bus)]))))).hosting_mw


def test_the_margin_of_the_wires_is_hosting_less_the_peak() -> None:
    found = summary(SITE, *NONE_N1)
    branch, peak = verdict(found, "branch"), found["sites"]["campus"]["peak_load_mw"]
    expected = hosting_mw(7095, security="n1")
    assert branch["margin_mw"] == pytest.approx(expected - peak)
    assert branch["binds"] is False
    assert branch["probability"] == 0
    assert branch["zone"] == "bus 7095"
    assert branch["at"].startswith("branch ")
    assert "after the outage of" in branch["at"]
    assert branch["preexisting"].startswith("3 limits are over")
    assert branch["margin_low_mw"] <= branch["margin_mw"] <= branch["margin_high_mw"]


def test_every_limit_is_named_and_the_wires_of_one_point_say_what_they_cannot() -> None:
    limits = {v["limit"]: v["verdict"] for v in summary(SITE, *NONE_N1)["grid"]["verdicts"]}
    assert list(limits) == [
        "energy", "reserve", "interface", "branch", "voltage", "frequency", "swing",
    ]  # fmt: skip
    assert limits["frequency"] == limits["swing"] == limits["reserve"] == "not-assessed"
    assert limits["energy"] == "holds"


def at_bus(gpus: int) -> dict[str, Any]:
    return summary(SITE, *NONE_N1, "sites.campus.at.bus=1001", f"sites.campus.cluster.gpus={gpus}")


def test_a_load_beyond_the_wires_binds_and_one_near_them_is_open() -> None:
    """At a weak bus, with as many GPUs as just fit, and with twice as many."""
    peak, gpus = summary(SITE, *NONE_N1)["sites"]["campus"]["peak_load_mw"], 1024
    room = hosting_mw(1001, security="n1")
    for _ in range(3):  # the layout that is planned for more GPUs draws another power for each
        gpus = round(gpus * room / peak / 8) * 8
        few = at_bus(gpus)
        peak = few["sites"]["campus"]["peak_load_mw"]
    branch = verdict(few, "branch")
    assert branch["verdict"] == "indeterminate"
    assert 0.05 < branch["probability"] < 0.95
    many = at_bus(2 * gpus)
    assert verdict(many, "branch")["verdict"] == "binds"
    peak_of_many = many["sites"]["campus"]["peak_load_mw"]
    assert verdict(many, "branch")["margin_mw"] == pytest.approx(room - peak_of_many)
    assert "It does not fit" in verdict_lines(many)[-3]


def test_every_way_to_ask_stands_in_the_summary_and_more_redispatch_never_hosts_less() -> None:
    ways = {
        (w["redispatch"], w["security"]): w["hosting_mw"]
        for w in summary(SITE, *NONE_N1, "grid.preexisting=frozen")["grid"]["ways"]
    }
    assert ways["none", "n1"] <= ways["none", "base"] + 1e-6
    assert ways["none", "base"] <= ways["dc-opf", "base"] + 1e-4
    assert ways["none", "n1"] <= ways["n1-secure", "n1"] + 1e-4
    assert ways["none", "n1"] == pytest.approx(
        hosting_mw(7095, security="n1", preexisting="frozen")
    )


def test_two_sites_share_the_wires() -> None:
    site = plain(load_scenario(SITE)[1])["sites"][0]
    content = plain(load_scenario(SITE, NONE_N1)[1])
    content["sites"] = [site, site | {"name": "other", "at": {"zone": "", "bus": 5049}}]
    scenario = resolve(Scenario.model_validate_json(json.dumps(content)))
    found = run_scenario(scenario, seed=1).summary
    assert verdict(found, "branch")["zone"] == "bus 5049, bus 7095"
    assert [row["bus"] for row in found["grid"]["sites"]] == [7095, 5049]
    assert len(found["sites"]) == 2


def test_a_bus_beyond_an_island_answers_with_its_reason(tmp_path: Path) -> None:
    case = tmp_path / "island.m"
    case.write_text(
        "function mpc = island\nmpc.version = '2';\nmpc.baseMVA = 100;\nmpc.bus = [\n"
        " 1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;\n 2 1 50 0 0 0 1 1 0 230 1 1.1 0.9;\n"
        " 3 1 0 0 0 0 1 1 0 230 1 1.1 0.9;\n];\n"
        "mpc.gen = [ 1 50 0 9 -9 1 100 1 200 0; ];\n"
        "mpc.branch = [\n 1 2 0 0.1 0 90 0 0 0 0 1;\n 2 3 0 0.1 0 90 0 0 0 0 0;\n];\n"
    )
    found = summary(SITE, *NONE_N1, f"grid.case={case}", "sites.campus.at.bus=3")
    for limit in ("energy", "branch"):
        assert verdict(found, limit)["binds"] is True
        assert "no generator in the island of bus 3" in verdict(found, limit)["at"]
    holds = summary(SITE, *NONE_N1, f"grid.case={case}", "sites.campus.at.bus=2")
    assert verdict(holds, "branch")["margin_mw"] == pytest.approx(
        40 - found["sites"]["campus"]["peak_load_mw"]
    )


def test_the_case_file_is_part_of_what_names_the_run(tmp_path: Path) -> None:
    case = tmp_path / "c.m"
    text = (
        "function mpc = c\nmpc.version = '2';\nmpc.baseMVA = 100;\nmpc.bus = [\n"
        " 1 3 9 0 0 0 1 1 0 230 1 1.1 0.9;\n 2 1 0 0 0 0 1 1 0 230 1 1.1 0.9;\n];\n"
        "mpc.gen = [ 1 9 0 9 -9 1 100 1 200 0; ];\nmpc.branch = [ 1 2 0 0.1 0 90 0 0 0 0 1; ];\n"
    )
    case.write_text(text)
    scenario_file = tmp_path / "s.yaml"
    scenario_file.write_text(
        SITE.read_text("utf-8")
        .replace("7095", "2")
        .replace("kind: nodal,", "kind: nodal, case: c.m,")
    )
    _, scenario = load_scenario(scenario_file)
    assert scenario.grid.case == str(case)  # relative to the file that names it
    before = data_used(scenario)
    assert str(case) in before
    assert "grid/nodal/activsg2000_buses.csv" in before
    case.write_text(text.replace(" 90 ", " 80 "))
    assert data_used(scenario) != before


def run(path: Path, out: Path, *more: str) -> Path:
    assert main(["run", str(path), "--out", str(out), *more]) == 0
    (folder,) = out.glob("t-*/seed-1")
    return folder


def test_a_study_of_every_bus_writes_tables_maps_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(
        CASES / "nodal-study-without-sites.yaml", tmp_path, "--set", "grid.study.joint_sites=3"
    )
    study = json.loads((folder / "summary.json").read_text())["grid"]["study"]
    assert study["buses"] == 120
    assert [way["way"] for way in study["ways"]] == ["none/base", "none/n1"]
    rows = pq.read_table(folder / "grid_hosting.parquet").to_pylist()
    assert len(rows) == 240
    by_hand = np.mean([row["hosting_mw"] >= 75 for row in rows if row["way"] == "none/n1"])
    assert study["ways"][1]["hosts"][0]["frac"] == pytest.approx(by_hand)
    assert [p["sites"] for p in study["ways"][1]["joint"]] == [1, 2, 3]
    names = sorted(path.stem for path in (folder / "figures").glob("*.svg"))
    assert names == [
        "wires_curve", "wires_joint", "wires_map_none_base", "wires_map_none_n1", "wires_prices",
    ]  # fmt: skip
    page = (folder / "report.html").read_text()
    assert 'id="wires_map_none_n1"' in page
    assert "Hosting by voltage: fixed dispatch, N-1" in page
    out = capsys.readouterr().out
    assert "75 MW fit at" in out
    assert main(["check", str(folder)]) == 0
    assert main(["report", str(folder)]) == 0


def test_a_cascade_study_follows_the_outages_named(tmp_path: Path) -> None:
    folder = run(CASES / "nodal-cascade.yaml", tmp_path)
    study = json.loads((folder / "summary.json").read_text())["grid"]["study"]
    assert study["cascades"][0]["cascade"] == "no outage"
    assert [row["outage"][0]["row"] for row in study["cascades"][1:]] == [1, 2]
    assert study["load_mw"] == 500
    assert study["redispatch_first"]["unserved_mw"] >= 0
    assert all(row["lost_after_redispatch_mw"] >= 0 for row in study["cascades"])
    assert study["rules"]["trip_threshold_frac"] == 1.1
    assert [row["runs"] for row in study["monte_carlo"]] == [3, 3, 3]
    assert study["islands"]["separated"] >= study["islands"]["walked"] >= 0
    summary_text = (folder / "summary.json").read_text()
    assert "seconds of islands that a cascade splits off" in summary_text
    used = data_used(load_scenario(CASES / "nodal-cascade.yaml")[1])
    assert {"grid/nodal/cascade.yaml", "grid/regions/dynamics.yaml"} <= used.keys()
    stages = pq.read_table(folder / "grid_cascade_stages.parquet").to_pylist()
    assert all(s["generation_mw"] == pytest.approx(s["load_mw"], abs=1e-6) for s in stages)
    assert sorted(p.stem for p in (folder / "figures").glob("*.svg")) == [
        "wires_blackouts", "wires_cascade", "wires_contingency", "wires_outages", "wires_prices",
    ]  # fmt: skip
    again = run(CASES / "nodal-cascade.yaml", tmp_path / "again")
    assert (again / "summary.json").read_bytes() == (folder / "summary.json").read_bytes()


def test_a_study_of_states_answers_for_each_cutoff(tmp_path: Path) -> None:
    folder = run(CASES / "nodal-every-state.yaml", tmp_path)
    study = json.loads((folder / "summary.json").read_text())["grid"]["study"]
    assert [row["state"] for row in study["states"]] == ["Texas", "Texas"]
    assert "synthetic grid" in study["label"]
    told = json.loads((folder / "summary.json").read_text())["assumptions"]
    assert any(t.startswith("least_effect_frac = 0.03 frac (assumption, 0 to 0.1)") for t in told)
    assert "an assumed cut-off" in (folder / "report.html").read_text()
    assert len(pq.read_table(folder / "grid_states.parquet")) == 10
    assert (folder / "figures" / "wires_states.svg").is_file()
    assert "synthetic" in (folder / "report.html").read_text()


def test_an_outage_that_is_not_there_names_its_field(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    args = ["run", str(CASES / "nodal-cascade.yaml"), "--out", str(tmp_path)]
    assert main([*args, "--set", "grid.study.outages=[99999]"]) == 2
    assert "grid.study.outages: branch row 99999" in capsys.readouterr().err
    assert main([*args, "--set", "grid.study.loads=[]"]) == 2
    assert "a cascade study without a load" in capsys.readouterr().err
