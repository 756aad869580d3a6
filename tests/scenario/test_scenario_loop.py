"""The loop with the grid: orders are obeyed, books balance, nothing changes without strength."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from sim.errors import InputError
from sim.grid.regions.interval import IntervalDispatch
from sim.policy import apply_all, parse_policies
from sim.policy.patch import coupled
from sim.record.timeline import to_table
from sim.scenario.resolve import resolve
from sim.scenario.run import run_scenario
from sim.scenario.schema import Scenario
from sim.scenario.simulate import simulate

EPOCH = "2024-08-20T20:00:00Z"


def plain(**control: Any) -> dict[str, Any]:
    """Two campuses: a fluid fleet of a small model at each, and a training job at one."""
    fleet = {
        "kind": "serving",
        "name": "chat",
        "arch": "llama-3.1-8b",
        "fidelity": "fluid",
        "gpus": 800,
        "requests": {
            "kind": "poisson",
            "rate_per_s": 6000,
            "lengths": {"kind": "constant", "input_tokens": 1000, "output_tokens": 200},
        },
        "warmup_s": 0,
    }
    training = {
        "kind": "training",
        "name": "pretrain",
        "arch": "llama-3.1-8b",
        "tokens": 1e13,
        "gpus": 800,
        "layout": {"tp": 2, "zero": 1},
        "global_batch_tokens": 3_276_800,
    }
    return {
        "name": "loop",
        "epoch": EPOCH,
        "horizon_h": 3,
        "sites": [
            {
                "name": "west",
                "at": {"zone": "TX-ERCOT"},
                "cluster": {"gpus": 1600},
                "workloads": [fleet, training],
            },
            {
                "name": "east",
                "at": {"zone": "VA"},
                "cluster": {"gpus": 800},
                "workloads": [copy.deepcopy(fleet)],
            },
        ],
        "grid": {"kind": "zonal", "samples": 8, "hosting": False},
        "control": {"coupling": {"kind": "interval"}, **control},
    }


def scenario(**control: Any) -> Scenario:
    return resolve(Scenario.model_validate(plain(**control)))


def summary(**control: Any) -> dict[str, Any]:
    return run_scenario(scenario(**control), 1).summary


@pytest.fixture(scope="module")
def baseline() -> dict[str, Any]:
    return summary()


def rule(kind: str, **knobs: Any) -> list[dict[str, Any]]:
    return [{"kind": kind, **knobs}]


def test_without_rules_the_loop_changes_nothing_in_the_run(baseline):
    alone = plain()
    alone["control"] = {}
    found = run_scenario(resolve(Scenario.model_validate(alone)), 1).summary
    for key in ("energy_j", "power_w", "training", "serving", "sites"):
        assert found[key] == baseline[key]


def test_the_books_are_the_meter(baseline):
    """Cost over price and the meter's energy agree where the price is one."""
    sites = baseline["control"]["sites"]
    hours = baseline["grid"]["coupled"]["hours"]
    assert hours == pytest.approx(3.0)
    energy_mwh = sum(s["energy_j"]["facility"] for s in baseline["sites"].values()) / 3.6e9
    carbon_kg = sum(s["carbon_kg"] for s in sites.values())
    means = baseline["grid"]["coupled"]["mean_carbon_kg_per_mwh"]
    assert min(means.values()) <= carbon_kg / energy_mwh <= max(means.values())
    assert all(s["held_back_mwh"] == 0 for s in sites.values())


def test_what_the_grid_is_dispatched_with_is_what_the_meters_took(monkeypatch):
    """Energy balances over sites and grid: none is lost, none counted twice, with orders too."""
    seen_mw: list[dict[str, float]] = []
    solve = IntervalDispatch.solve

    def watched(self, hour, loads_mw):
        if loads_mw:
            seen_mw.append(dict(loads_mw))
        return solve(self, hour, loads_mw)

    monkeypatch.setattr(IntervalDispatch, "solve", watched)
    rules = rule("demand-response", depth_frac=0.25, start_h=1, duration_h=1)
    outcome = simulate(scenario(rules=rules), 1)
    interval_h = 300 / 3600
    taken_mwh = sum(desk.book.import_mwh for desk in outcome.loop.desks)
    # The grid of an interval is told what the meters took in the one before: the first tick has
    # only the expectation, and what was taken since the last tick is told to nobody.
    told_mwh = sum(sum(loads.values()) for loads in seen_mw[1:]) * interval_h
    last_mwh = sum(desk._import_w for desk in outcome.loop.desks) / 1e6 * interval_h
    assert len(seen_mw) == 36
    assert told_mwh + last_mwh == pytest.approx(taken_mwh, rel=1e-9)
    assert told_mwh != pytest.approx(taken_mwh, rel=1e-3)


def test_demand_response_holds_the_site_at_its_share(baseline):
    rules = rule("demand-response", depth_frac=0.25, start_h=1, duration_h=1, sites=["east"])
    outcome = simulate(scenario(rules=rules), 1)
    east = next(d for d in outcome.loop.desks if d.name == "east")
    west = next(d for d in outcome.loop.desks if d.name == "west")
    full_mw = baseline["sites"]["east"]["power_w"]["facility"]["mean"] / 1e6
    assert east.book.relief_mwh >= 0.25 * full_mw * (1 - 1e-9)
    assert east.book.missed_mwh == pytest.approx(0, abs=1e-6 * full_mw)
    assert east.book.restrained_h == pytest.approx(1.0)
    assert west.book.orders == 0


def test_held_back_energy_is_the_difference_to_the_baseline(baseline):
    """Without storage, what a fleet holds back is what the meter misses against its twin."""
    rules = rule("demand-response", depth_frac=0.2, start_h=1, duration_h=1, sites=["east"])
    found = summary(rules=rules)
    before_j = baseline["sites"]["east"]["energy_j"]["facility"]
    after_j = found["sites"]["east"]["energy_j"]["facility"]
    held_j = found["control"]["sites"]["east"]["held_back_mwh"] * 3.6e9
    assert before_j - after_j == pytest.approx(held_j, rel=1e-6)


def test_requests_shed_are_counted_and_all_others_are_served():
    rules = rule("import-limit", limit_mw=0.6, sites=["east"])
    found = summary(rules=rules)
    fleet = found["serving"]["fleets"]["east.chat"]
    assert fleet["shed"] > 0
    waiting = found["control"]["sites"]["east"]["requests_waiting"]
    assert fleet["completed"] + fleet["shed"] + waiting == pytest.approx(fleet["requests"])


def test_shifted_requests_appear_elsewhere_exactly_once():
    rules = rule("shift-requests", most_frac=0.3, margin_usd_per_mwh=0, hold_s=0)
    found = summary(rules=rules)
    sites = found["control"]["sites"]
    moved = sum(s["requests_moved_away"] for s in sites.values())
    received = sum(s["requests_received"] for s in sites.values())
    assert moved > 0
    assert received == pytest.approx(moved, rel=1e-12)
    assert sum(s["moved_usd"] for s in sites.values()) == pytest.approx(moved / 1e6)
    assert sum(s["moved_wait_s"] for s in sites.values()) == pytest.approx(0.03 * moved)
    fleets = found["serving"]["fleets"]
    came = 2 * 6000 * 3 * 3600
    served = sum(f["completed"] + f["shed"] for f in fleets.values())
    waiting = sum(s["requests_waiting"] for s in sites.values())
    assert served + waiting == pytest.approx(came, rel=1e-9)


def test_a_suspended_job_trains_less_and_goes_on_afterwards(baseline):
    rules = rule("demand-response", depth_frac=0.6, start_h=1, duration_h=1, sites=["west"])
    found = summary(rules=rules)
    before, after = baseline["training"]["steps"], found["training"]["steps"]
    assert 0.5 * before < after < before
    assert found["control"]["sites"]["west"]["suspended_gpu_h"] == pytest.approx(800.0)


def test_a_site_that_does_not_comply_leaves_it_to_the_grid(baseline):
    rules = rule("demand-response", depth_frac=0.25, start_h=1, duration_h=1)
    found = summary(coupling={"kind": "interval", "compliance_frac": 0.0}, rules=rules)
    assert found["energy_j"] == baseline["energy_j"]
    assert all(s["refused_orders"] > 0 for s in found["control"]["sites"].values())


def test_an_order_takes_effect_after_the_response_time(baseline):
    rules = rule("demand-response", depth_frac=0.25, start_h=1, duration_h=1, sites=["east"])
    late = summary(coupling={"kind": "interval", "respond_s": 120}, rules=rules)
    book = late["control"]["sites"]["east"]
    full_mw = baseline["sites"]["east"]["power_w"]["facility"]["mean"] / 1e6
    assert 0 < book["missed_mwh"] <= 0.25 * full_mw * 120 / 3600 * (1 + 1e-6)


def test_storage_answers_before_the_work():
    policies = parse_policies(
        "storage:power_frac=0.4,hours=4;demand-response:depth_frac=0.25,start_h=1,duration_h=1"
    )
    found = run_scenario(resolve(apply_all(scenario(), policies)), 1).summary
    for book in found["control"]["sites"].values():
        assert book["relief_mwh"] > 0
        assert book["held_back_mwh"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "knobs"),
    [
        ("curtailment", {"depth_frac": 0.0}),
        ("demand-response", {"depth_frac": 0.0, "start_h": 0}),
        ("price-response", {"depth_frac": 0.0, "above_usd_per_mwh": 0}),
        ("carbon-aware", {"above_kg_per_mwh": 2000}),
        ("suspend-at-peaks", {"hours_frac": 0.0}),
        ("ramp-limit", {"up_mw_per_min": 1e6}),
        ("import-limit", {"limit_mw": 1e6}),
        ("shift-requests", {"most_frac": 0.0}),
    ],
)
def test_a_rule_without_strength_gives_the_same_bytes(baseline, kind, knobs):
    changed = run_scenario(scenario(rules=rule(kind, **knobs)), 1)
    found = dict(changed.summary)
    told = set(found["assumptions"]) - set(baseline["assumptions"])
    found["assumptions"] = sorted(set(found["assumptions"]) - told)
    expected = dict(baseline)
    expected["assumptions"] = sorted(expected["assumptions"])
    if kind == "import-limit":  # it tells its limit, which never binds
        found.pop("control")
        expected.pop("control")
    assert json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_the_same_seed_gives_the_same_signals():
    rules = rule("price-response", above_usd_per_mwh=30, depth_frac=0.3)
    one, two = (to_table(simulate(scenario(rules=rules), 7).timelines) for _ in range(2))
    assert one.equals(two)


def test_a_ramp_of_traffic_and_a_step_of_price_do_not_set_it_swinging():
    """Price response against the dispatch: at most one change of orders per hold time."""
    rules = rule("price-response", above_usd_per_mwh=30, depth_frac=0.5, hold_s=1800)
    found = summary(rules=rules)
    for book in found["control"]["sites"].values():
        assert book["orders"] <= 2 * 3 * 3600 / 1800


@pytest.mark.parametrize(
    ("control", "message"),
    [
        ({"rules": rule("demand-response", sites=["north"])}, "there is no site 'north'"),
        ({"coupling": {"kind": "none"}, "rules": rule("demand-response")}, "coupling"),
        ({"rules": rule("curtailment", budget_frac=1.5)}, "budget_frac"),
        ({"rules": rule("curtailment", notice_s=-1)}, "notice_s"),
        ({"coupling": {"kind": "interval", "interval_s": 60, "respond_s": 60}}, "respond_s"),
    ],
)
def test_wrong_parameters_are_named_before_anything_runs(control, message):
    with pytest.raises(Exception, match=message):
        run_scenario(scenario(**control), 1)


def test_requests_need_somewhere_to_go():
    tree = plain(rules=rule("shift-requests"))
    tree["sites"] = tree["sites"][:1]
    with pytest.raises(InputError, match="no two sites"):
        run_scenario(resolve(Scenario.model_validate(tree)), 1)


def test_a_run_over_new_year_is_refused():
    tree = plain() | {"epoch": "2024-12-31T22:00:00Z"}
    with pytest.raises(InputError, match="knows one year"):
        run_scenario(resolve(Scenario.model_validate(tree)), 1)


def test_a_place_without_hours_is_refused():
    tree = plain()
    tree["sites"][0]["at"] = {"zone": "AK"}
    with pytest.raises(InputError, match="AK has no hourly load"):
        run_scenario(resolve(Scenario.model_validate(tree)), 1)


def test_coupling_twice_is_coupling_once():
    once = coupled(scenario())
    assert coupled(once) == once
