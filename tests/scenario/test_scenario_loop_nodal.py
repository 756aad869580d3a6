"""The loop on a grid of buses: limits of lines become orders, prices stand at buses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.errors import InputError
from sim.policy import parse_policy
from sim.policy.compare import compare
from sim.scenario.resolve import resolve
from sim.scenario.run import run_scenario
from sim.scenario.schema import Scenario

CASE = """function mpc = tiny
mpc.version = '2';
mpc.baseMVA = 1;
mpc.bus = [
  1 3 0   0 0 0 1 1 0 230 1 1.1 0.9;
  2 2 0   0 0 0 1 1 0 230 1 1.1 0.9;
  3 1 0.9 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [
  1 0.9 0 9 -9 1 1 1 2.0 0;
  2 0   0 9 -9 1 1 1 2.0 0;
];
mpc.branch = [
  1 2 0 0.1 0 {rating} 0 0 0 0 1;
  1 3 0 0.1 0 {rating} 0 0 0 0 1;
  2 3 0 0.1 0 {rating} 0 0 0 0 1;
];
mpc.gencost = [
  2 0 0 2 10 0;
  2 0 0 2 30 0;
];
"""
"""Generators at 1 (10 USD/MWh) and 2 (30), 0.9 MW of load at 3; 2 x rating reach bus 3."""


def plain(folder: Path, rating: float = 0.8, **changes: Any) -> dict[str, Any]:
    """A fleet and a job of about 1 MW together at bus 3."""
    case = folder / f"tiny-{rating:g}.m"
    case.write_text(CASE.format(rating=rating), encoding="utf-8")
    requests = {
        "kind": "poisson",
        "rate_per_s": 2500,
        "lengths": {"kind": "constant", "input_tokens": 1000, "output_tokens": 200},
    }
    fleet = {
        "kind": "serving",
        "name": "chat",
        "arch": "llama-3.1-8b",
        "fidelity": "fluid",
        "gpus": 400,
        "requests": requests,
        "warmup_s": 0,
    }
    job = {
        "kind": "training",
        "name": "pretrain",
        "arch": "llama-3.1-8b",
        "tokens": 1e13,
        "gpus": 400,
        "layout": {"tp": 2, "zero": 1},
        "global_batch_tokens": 3_276_800,
    }
    grid = {"kind": "nodal", "case": str(case), "samples": 8, "redispatch": "dc-opf"}
    return {
        "name": "wires",
        "epoch": "2024-08-20T20:00:00Z",
        "horizon_h": 2,
        "sites": [
            {
                "name": "campus",
                "at": {"bus": 3},
                "cluster": {"gpus": 800},
                "workloads": [fleet, job],
            }
        ],
        "grid": grid | {"security": "base"} | changes.pop("grid", {}),
        "control": {"coupling": {"kind": "interval"} | changes.pop("coupling", {})} | changes,
    }


def run(folder: Path, rating: float = 0.8, **changes: Any) -> dict[str, Any]:
    scenario = resolve(Scenario.model_validate(plain(folder, rating, **changes)))
    return run_scenario(scenario, 1).summary


def curtailment(**knobs: Any) -> list[dict[str, Any]]:
    return [{"kind": "curtailment", "budget_frac": 1, "notice_s": 0, "depth_frac": 1} | knobs]


def test_without_a_limit_in_the_way_the_price_is_the_cheap_unit_s(tmp_path):
    book = run(tmp_path, rating=5.0)["grid"]["coupled"]
    assert book["highest_price_usd_per_mwh"] == {"bus 3": pytest.approx(10.0)}
    assert book["short_h"] == {"bus 3": 0.0}
    assert book["unserved_mwh"] == 0


def test_energy_costs_what_the_bus_costs_and_balances(tmp_path):
    """The cheap unit gives all: 10 USD/MWh for the site, which the redispatch pays as well."""
    found = run(tmp_path, rating=5.0)
    book = found["control"]["sites"]["campus"]
    assert book["cost_usd"] == pytest.approx(10.0 * book["import_mwh"])
    assert book["import_mwh"] == pytest.approx(found["energy_j"]["facility"] / 3.6e9)
    assert found["grid"]["coupled"]["redispatch_usd"] == pytest.approx(book["cost_usd"], rel=0.05)


def test_a_line_that_is_full_orders_the_site(tmp_path):
    """1.6 MW reach bus 3, 0.9 of them are taken: 0.7 MW are left for the site."""
    before = run(tmp_path)
    after = run(tmp_path, rules=curtailment(ramp_frac_per_min=1))
    assert before["grid"]["coupled"]["unserved_mwh"] > 0
    assert (
        after["grid"]["coupled"]["unserved_mwh"] < 0.3 * before["grid"]["coupled"]["unserved_mwh"]
    )
    assert after["grid"]["coupled"]["short_h"]["bus 3"] == pytest.approx(2.0)
    site = after["control"]["sites"]["campus"]
    assert site["import_mwh"] / 2 == pytest.approx(0.7, rel=0.06)
    assert site["orders"] <= 8


def test_with_a_fixed_dispatch_the_line_is_over_instead(tmp_path):
    fixed = {"redispatch": "none"}
    before = run(tmp_path, grid=fixed)["grid"]["coupled"]
    after = run(tmp_path, grid=fixed, rules=curtailment(ramp_frac_per_min=1))["grid"]["coupled"]
    assert before["over_h"] == pytest.approx(2.0)
    assert before["lines_over"] >= 1
    assert before["unserved_mwh"] == 0
    assert after["overload_mwh"] < 0.3 * before["overload_mwh"]
    assert after["branches"][0]["to"] == 3


def test_dear_buses_are_answered(tmp_path):
    """Between 1.05 and 1.4 MW at bus 3 line 1-3 binds: 50 USD/MWh (see the test by hand)."""
    rules = [{"kind": "price-response", "above_usd_per_mwh": 40, "depth_frac": 0.5}]
    found = run(tmp_path, rating=0.95, rules=rules)
    assert found["grid"]["coupled"]["highest_price_usd_per_mwh"]["bus 3"] == pytest.approx(50.0)
    book = found["control"]["sites"]["campus"]
    assert book["held_back_mwh"] > 0
    assert book["orders"] <= 2 * 2 * 3600 / 1800


def test_the_load_of_the_case_follows_a_zone(tmp_path):
    """At the hour of the zone's peak the case has its own load, at other hours less."""
    still = run(tmp_path)["grid"]["coupled"]
    moving = run(tmp_path, coupling={"load_zone": "TX-ERCOT"})["grid"]["coupled"]
    assert 0 < moving["unserved_mwh"] <= still["unserved_mwh"]
    night = plain(tmp_path, coupling={"load_zone": "TX-ERCOT"}) | {"epoch": "2024-03-20T09:00:00Z"}
    low = run_scenario(resolve(Scenario.model_validate(night)), 1).summary["grid"]["coupled"]
    assert low["unserved_mwh"] < moving["unserved_mwh"]


def test_without_rules_the_wires_change_nothing_in_the_run(tmp_path):
    coupled = run(tmp_path)
    alone = plain(tmp_path)
    alone["control"] = {}
    found = run_scenario(resolve(Scenario.model_validate(alone)), 1).summary
    for key in ("energy_j", "power_w", "training", "serving", "sites"):
        assert found[key] == coupled[key]


def test_a_policy_on_wires_is_compared_with_its_twin(tmp_path):
    scenario = resolve(Scenario.model_validate(plain(tmp_path)))
    row = compare(scenario, [parse_policy("emergency-curtailment:notice_s=0")], 1)["policies"][0]
    assert row["delta"]["unserved_mwh"] < 0
    assert row["delta"]["held_back_mwh"] > 0
    assert row["why"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rules": [{"kind": "carbon-aware"}]}, "carbon-aware needs the grid's carbon"),
        (
            {"grid": {"redispatch": "none"}, "rules": [{"kind": "price-response"}]},
            "price-response needs the grid's price",
        ),
        ({"rules": [{"kind": "suspend-at-peaks"}]}, "suspend-at-peaks needs the grid's load-rank"),
        ({"coupling": {"load_zone": "atlantis"}}, "atlantis"),
        ({"coupling": {"load_zone": "AK"}}, "AK"),
    ],
)
def test_what_the_wires_do_not_say_is_refused_by_name(tmp_path, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path, **changes)
    assert str(caught.value).startswith("control.")


def test_a_zone_to_follow_is_refused_on_zones(tmp_path):
    tree = plain(tmp_path, coupling={"load_zone": "VA"})
    tree["grid"] = {"kind": "zonal", "samples": 8, "hosting": False}
    tree["sites"][0]["at"] = {"zone": "VA"}
    with pytest.raises(InputError, match="each of which has its own hours"):
        run_scenario(resolve(Scenario.model_validate(tree)), 1)


def test_other_grids_cannot_be_coupled(tmp_path):
    tree = plain(tmp_path)
    tree["grid"] = {"kind": "regions", "mixed_years": True}
    tree["sites"][0]["at"] = {"zone": "VA"}
    with pytest.raises(InputError, match="kind 'regions' cannot be coupled"):
        run_scenario(resolve(Scenario.model_validate(tree)), 1)
