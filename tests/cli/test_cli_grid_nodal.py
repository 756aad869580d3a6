"""`flopgrid grid` on nodal cases: tables, JSON, one-line errors."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sim.cli.main import main

Capture = pytest.CaptureFixture[str]

# Load of 100 MW at bus 3; x = 0.1 everywhere, so bus 1 sends 2/3 over 1-3 and 1/3 over 1-2-3.
CASE = """function mpc = three
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
 1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
 2 1 0 0 0 0 1 1 0 230 1 1.1 0.9;
 3 1 100 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [ 1 100 0 99 -99 1 100 1 500 0; ];
mpc.branch = [
 1 2 0.001 0.1 0 300 0 0 0 0 1;
 2 3 0.001 0.1 0 300 0 0 0 0 1;
 1 3 0.001 0.1 0 200 0 0 0 0 1;
];
mpc.gencost = [ 2 0 0 2 20 0; ];
"""


@pytest.fixture
def case(tmp_path: Path) -> str:
    path = tmp_path / "three.m"
    path.write_text(CASE, encoding="utf-8")
    return str(path)


def answer(capsys: Capture, *args: str) -> Any:
    assert main(["grid", *args, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_flow_by_hand(case: str, capsys: Capture) -> None:
    flows = [b["flow_mw"] for b in answer(capsys, "flow", case)["branches"]]
    assert flows == pytest.approx([100 / 3, 100 / 3, 200 / 3])


def test_hosting_by_hand(case: str, capsys: Capture) -> None:
    """Base: 2/3 (100 + x) = 200. N-1: the path 1-3 alone carries 100 + x = 200."""
    base = answer(capsys, "hosting", case, "--bus", "3")["buses"][0]
    assert base["hosting_mw"] == pytest.approx(200)
    n1 = answer(capsys, "hosting", case, "--bus", "3", "--security", "n1")["buses"][0]
    assert n1["hosting_mw"] == pytest.approx(100)
    assert n1["binding"]["branch"]["row"] == 3


def test_opf_by_hand(case: str, capsys: Capture) -> None:
    found = answer(capsys, "opf", case, "--load", "3=50")
    assert found["objective_usd_per_h"] == pytest.approx(3000)
    assert [p["usd_per_mwh"] for p in found["lmp"]] == pytest.approx([20, 20, 20])


def test_cascade_without_overload_loses_nothing(case: str, capsys: Capture) -> None:
    assert answer(capsys, "cascade", case, "--outage", "1")["cascades"][0]["lost_mw"] == 0


def test_voltage_holds_its_keys(case: str, capsys: Capture) -> None:
    if find_spec("lightsim2grid") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs the optional extra 'ac'")
    found = answer(capsys, "voltage", case, "--bus", "3", "--outages", "2")
    assert found["conventions"]["range_pu"] == [0.9, 1.05]
    assert 0 < found["buses"][0]["hosting_mw"] <= 400


def test_settings_reach_the_answer(case: str, capsys: Capture) -> None:
    """After an outage 1.5 times the rating: 100 + x = 300 over 1-3 alone."""
    args = ("hosting", case, "--bus", "3", "--security", "n1", "--emergency-rating-factor", "1.5")
    n1 = answer(capsys, *args, "--preexisting", "frozen", "--susceptance", "x/(r2+x2)")
    assert n1["buses"][0]["hosting_mw"] == pytest.approx(200)
    said = n1["conventions"]
    assert (said["emergency_factor"], said["preexisting_violations"]) == (1.5, "frozen")
    assert said["susceptance"] == "x/(r2+x2)"
    cut = answer(capsys, "hosting", case, "--bus", "3", "--least-effect", "0.9")["buses"][0]
    assert cut["binding"]["kind"] == "generation"  # no branch feels 90 % of the load


def test_joint_hosting_of_sets_and_regions(case: str, capsys: Capture) -> None:
    found = answer(capsys, "hosting", case, "--set", "a=3", "--set", "both=2,3")
    assert [row["set"] for row in found["sets"]] == ["a", "both"]
    assert found["sets"][0]["hosting_mw"] == pytest.approx(200)
    free = answer(capsys, "hosting", case, "--bus", "2,3", "--joint", "free", "--site", "150")
    # a at bus 2, b at bus 3: 1-3 carries (a + 2 (100 + b)) / 3 = 200 with a = 150
    assert free["joint"]["load_mw"] == pytest.approx([150, 125])
    assert answer(capsys, "hosting", case, "--by", "kv")["sets"][0]["sites"] == 3
    assert answer(capsys, "hosting", case, "--bus", "2,3", "--joint")["joint"]["sites"] == 2


def test_cascade_threshold_and_hidden_failures(case: str, capsys: Capture) -> None:
    """180 MW more at bus 3 put 186.7 on 1-3 (rating 200): it trips from 0.9 on, not at 1.0."""
    load = ("cascade", case, "--load", "3=180")
    assert answer(capsys, *load, "--threshold", "1.0")["cascades"][0]["branches_lost"] == 0
    assert answer(capsys, *load, "--threshold", "0.9")["cascades"][0]["branches_lost"] > 0
    args = (*load, "--threshold", "1.0", "--outage", "1", "--runs", "4", "--hidden-failures", "1.0")
    chance = answer(capsys, *args)["monte_carlo"][0]
    assert chance["loses_load_frac"] == 1
    never = answer(capsys, *args[:-1], "0.0")["monte_carlo"][0]
    assert never["lost_mw"]["max"] == answer(capsys, *args[:8])["cascades"][0]["lost_mw"]


def test_commitment_by_hand(case: str, capsys: Capture, tmp_path: Path) -> None:
    profile = tmp_path / "day.csv"
    profile.write_text("load_frac\n1.0\n0.5\n")
    found = answer(capsys, "commit", case, "--profile", str(profile))
    assert found["objective_usd"] == pytest.approx(20 * 150)
    stored = answer(capsys, "commit", case, "--profile", str(profile), "--storage", "3:10:20")
    assert stored["hours"][0]["units_on"] == 1


def test_states_and_figures(capsys: Capture, tmp_path: Path) -> None:
    args = ["grid", "states", "activsg2000", "--buses", "3", "--state", "Texas"]
    assert main([*args, "--least-effect", "0", "--figures", str(tmp_path)]) == 0
    assert "Texas" in capsys.readouterr().out
    assert (tmp_path / "states.svg").is_file()
    hosting = ["grid", "hosting", "activsg2000", "--area", "1", "--least-kv", "230", "--curve", "2"]
    assert main([*hosting, "--figures", str(tmp_path)]) == 0
    made = {path.name for path in tmp_path.glob("hosting-*")}
    assert made == {f"hosting-{n}.{s}" for n in ("map", "curve", "joint") for s in ("svg", "csv")}
    first = (tmp_path / "hosting-map.svg").read_bytes()
    assert main([*hosting, "--figures", str(tmp_path)]) == 0
    assert (tmp_path / "hosting-map.svg").read_bytes() == first
    capsys.readouterr()


@pytest.mark.parametrize("verb", ["flow", "n1", "hosting", "opf", "commit", "cascade", "show"])
def test_tables_for_people(verb: str, case: str, capsys: Capture) -> None:
    assert main(["grid", verb, case]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_list_and_show_know_nodal_cases(capsys: Capture) -> None:
    assert "activsg2000" in {row["name"] for row in answer(capsys, "list")}
    assert answer(capsys, "show", "activsg2000")["buses"] == 2000


@pytest.mark.parametrize(
    "args",
    [
        ("flow", "nowhere"),
        ("show", "nowhere"),
        ("hosting", "activsg2000", "--bus", "one"),
        ("hosting", "activsg2000", "--bus", "9"),
        ("hosting", "activsg2000", "--bus", "1001", "--redispatch", "dc-opf", "--security", "n1"),
        ("opf", "activsg2000", "--load", "1001"),
        ("voltage", "activsg2000"),
        ("flow", "missing.m"),
        ("flow", "missing.json"),
        ("flow", "missing.nc"),
        ("hosting", "activsg2000", "--set", "west"),
        ("hosting", "activsg2000", "--bus", "5049", "--joint", "--site", "10"),
        ("hosting", "activsg2000", "--state", "Texas", "--least-kv", "900"),
        ("states", "activsg2000", "--state", "Ohio"),
        ("cascade", "activsg2000", "--threshold", "0"),
        ("cascade", "activsg2000", "--hidden-failures", "2"),
        ("commit", "activsg2000", "--storage", "5049:10"),
        ("commit", "activsg2000", "--hours", "0"),
    ],
)
def test_bad_input_is_one_clear_error(args: tuple[str, ...], capsys: Capture) -> None:
    assert main(["grid", *args]) != 0
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.strip()
