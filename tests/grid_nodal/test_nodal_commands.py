"""The verbs of the command line: plain, JSON-ready answers with the contract's keys."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nodal_cases import case_text, package_case

from sim.errors import InputError, UnknownNameError
from sim.grid.nodal import commands
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.states import buses_by_state, spread, state_of_area


def plain(answer: dict[str, object]) -> None:
    """No NaN, no infinity, no numpy: strict JSON."""
    json.dumps(answer, allow_nan=False)


def test_hosting_has_the_contract_keys() -> None:
    answer = commands.hosting("activsg2000", bus=[7095, 1001], security="n1")
    plain(answer)
    assert answer.keys() >= {"buses", "preexisting_violations", "conventions"}
    first = answer["buses"][0]
    assert first["bus"] == 7095
    assert first["binding"]["kind"] == "n1"
    assert first["binding"]["branch"].keys() == {"row", "from", "to", "circuit"}
    assert first["binding"]["outage"]["row"] >= 1
    assert len(answer["preexisting_violations"]) == 3
    assert answer["conventions"]["security"] == "n1"


def test_n1_secure_implies_security_n1() -> None:
    answer = commands.hosting("activsg2000", bus=[5049], redispatch="n1-secure")
    assert answer["conventions"]["security"] == "n1"


def test_all_buses_give_tables_and_a_curve() -> None:
    answer = commands.hosting("activsg2000", least_kv=500, curve_sites=3)
    plain(answer)
    assert len(answer["buses"]) == 120
    assert [row["group"] for row in answer["by_kv"]] == [500.0]
    assert [point["sites"] for point in answer["curve"]] == [1, 2, 3]


def test_joint_hosting_is_one_answer() -> None:
    answer = commands.hosting("activsg2000", bus=[7095, 1001], joint=True)
    plain(answer)
    assert answer["joint"]["buses"] == [7095, 1001]


def test_flow_show_n1_opf_and_cascade_are_plain() -> None:
    answers = {
        "buses": commands.show("activsg2000"),
        "islands": commands.flow("activsg2000"),
        "violations": commands.n1("activsg2000"),
        "objective_usd_per_h": commands.opf("activsg2000"),
        "cascades": commands.cascade("activsg2000", n1_seeds=True, runs=2),
    }
    for key, answer in answers.items():
        plain(answer)
        assert answer[key]


def test_opf_has_the_contract_keys() -> None:
    answer = commands.opf("activsg2000", extra_load_mw={7095: 100.0})
    assert answer.keys() >= {"objective_usd_per_h", "lmp", "flows"}
    assert len(answer["lmp"]) == 2000
    assert answer["flows"][0]["row"] == 1


def test_unknown_buses_rows_and_loads_are_refused() -> None:
    with pytest.raises(InputError, match="bus 9 is not in case"):
        commands.hosting("activsg2000", bus=[9])
    with pytest.raises(InputError, match="branch row 99999"):
        commands.cascade("activsg2000", outage=[99999])
    with pytest.raises(InputError, match="load -5 MW"):
        commands.opf("activsg2000", extra_load_mw={7095: -5.0})
    with pytest.raises(InputError, match="no bus in area 99"):
        commands.hosting("activsg2000", area=99)


def test_every_area_has_a_state_and_sites_spread_evenly() -> None:
    assert len(set(state_of_area().values())) == 48
    buses = np.arange(100)
    assert spread(buses, 20).tolist() == np.linspace(0, 99, 20).round().astype(int).tolist()
    assert len(spread(buses[:7], 20)) == 7
    by_state = buses_by_state(load_case("activsg2000"), 0)
    assert {state: len(buses) for state, buses in by_state.items()} == {"Texas": 2000}
    with pytest.raises(InputError, match="areas of case case_ACTIVSg500 are not those"):
        buses_by_state(package_case("case_ACTIVSg500"), 0)


def test_states_are_a_plain_answer_for_each_cutoff() -> None:
    answer = commands.states("activsg2000", buses_per_state=4, least_effect_frac=(0.0, 0.03))
    plain(answer)
    assert [row["least_effect_frac"] for row in answer["states"]] == [0.0, 0.03]
    assert answer["states"][0]["median_n1_mw"] <= answer["states"][1]["median_n1_mw"]
    assert len(answer["buses"]) == 8
    assert (
        "0.03 of the new load left out: an assumption (0 to 0.1"
        in answer["conventions"]["least_effect"]
    )
    (told,) = answer["assumptions"]
    assert told.startswith("least_effect_frac = 0.03 frac (assumption, 0 to 0.1)")
    with pytest.raises(UnknownNameError, match="state 'Oregon'"):
        commands.states("activsg2000", state=["Oregon"])
    with pytest.raises(InputError, match="above 0 MW"):
        commands.states("activsg2000", load_mw=0.0)


def test_a_branch_over_before_any_outage_is_named_once(tmp_path: Path) -> None:
    """60 MW on 1-3 at rating 40, before any outage and after each: one row, not three."""
    file = tmp_path / "over.m"
    file.write_text(
        case_text(
            [(1, 3, 0), (2, 2, 0), (3, 1, 90)],
            [(1, 90, 0, 200), (2, 0, 0, 200)],
            [(1, 2, 0.1, 99), (1, 3, 0.1, 40), (2, 3, 0.1, 99)],
        )
    )
    rows = commands.hosting(str(file), bus=[3], security="n1")["preexisting_violations"]
    assert [(row["branch"]["row"], row["outage"]) for row in rows] == [(2, None)]
