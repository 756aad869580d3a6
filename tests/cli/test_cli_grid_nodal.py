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


@pytest.mark.parametrize("verb", ["flow", "n1", "hosting", "opf", "cascade", "show"])
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
    ],
)
def test_bad_input_is_one_clear_error(args: tuple[str, ...], capsys: Capture) -> None:
    assert main(["grid", *args]) != 0
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.strip()
