"""Faults fed back: the grid loses load, jobs and requests lose work, frequency sees the MW."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from sim.errors import InputError
from sim.policy import parse_policy
from sim.policy.compare import compare
from sim.scenario.faults import held_shares, site_faults
from sim.scenario.faults_summary import events_of, total_off_grid
from sim.scenario.resolve import resolve
from sim.scenario.run import run_scenario
from sim.scenario.schema import Control, Scenario
from sim.scenario.simulate import simulate

SAG = {"kind": "voltage-sag", "at_s": 600.0, "duration_s": 0.1, "voltage_pu": 0.5}
SIX = [SAG | {"at_s": 600.0 + t} for t in (0, 16, 32, 48, 64, 82)]


def plain(faults: list[dict[str, Any]], coupled: bool = False, **settings: Any) -> dict[str, Any]:
    """A fluid fleet, and a job that is named last, in Virginia."""
    fleet = {
        "kind": "serving",
        "name": "chat",
        "arch": "llama-3.1-8b",
        "fidelity": "fluid",
        "gpus": 400,
        "requests": {
            "kind": "poisson",
            "rate_per_s": 2500,
            "lengths": {"kind": "constant", "input_tokens": 1000, "output_tokens": 200},
        },
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
        "checkpoint": {"interval_s": 300},
    }
    control: dict[str, Any] = {"faults": faults, "ride_through": settings}
    if coupled:
        control["coupling"] = {"kind": "interval"}
    site = {
        "name": "campus",
        "at": {"zone": "VA"},
        "cluster": {"gpus": 800},
        "workloads": [fleet, job],
    }
    return {
        "name": "faults",
        "horizon_h": 1,
        "epoch": "2024-07-10T22:30:00Z",
        "sites": [site],
        "grid": {"kind": "zonal", "samples": 8, "hosting": False},
        "control": control,
    }


def made(*args: Any, **kwargs: Any) -> Scenario:
    return resolve(Scenario.model_validate(plain(*args, **kwargs)))


def run(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return ran(json.dumps(plain(*args, **kwargs)))


@cache
def ran(text: str) -> dict[str, Any]:
    """Summary of a scenario; many tests look at the same one."""
    return run_scenario(resolve(Scenario.model_validate_json(text)), 1).summary


def faults_of(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return run(*args, **kwargs)["faults"]


def control(faults: list[dict[str, Any]], **settings: Any) -> Control:
    return Control.model_validate({"faults": faults, "ride_through": settings})


def test_a_ups_takes_the_load_off_the_grid_and_keeps_the_work():
    """A dip to 0.5 pu: all blocks transfer, 10 s of health, 30 s of walk-in; no work is lost."""
    found = run([SAG])
    fault, site = found["faults"], found["sites"]["campus"]
    full_mw = site["power_w"]["facility"]["mean"] / 1e6
    assert fault["off_grid_mw"] == pytest.approx(full_mw, rel=0.01)
    assert fault["steps_lost"] == 0
    assert fault["requests_requeued"] == 0
    away_s = 0.09 + 10 + 30 / 2
    gone_mwh = (site["energy_j"]["facility"] - site["energy_j"]["import"]) / 3.6e9
    assert gone_mwh == pytest.approx(full_mw * away_s / 3600, rel=0.01)
    assert fault["sites"]["campus"]["off_grid_mwh"] == pytest.approx(gone_mwh)


def test_without_a_ups_the_job_starts_again_and_requests_wait_again():
    kept = run([SAG])
    lost = run([SAG], without_ups_frac=1.0)
    assert lost["faults"]["sites"]["campus"]["restarts"] == 1
    assert lost["faults"]["steps_lost"] > 0
    assert lost["faults"]["requests_requeued"] > 0
    assert lost["training"]["steps"] < kept["training"]["steps"]
    fleet = lost["serving"]["fleets"]["campus.chat"]
    assert fleet["completed"] <= fleet["requests"]
    assert lost["energy_j"]["chip"] < kept["energy_j"]["chip"]


def test_requests_are_conserved_through_a_fault():
    outcome = simulate(made([SAG], without_ups_frac=1.0), 1)
    fleet = outcome.sites[0].run.fleets["chat"].fleet
    fleet.check_laws()
    book = fleet.ledger
    assert book.served + fleet.backlog == pytest.approx(book.arrived, rel=1e-9)
    assert 0 < book.requeued < 0.05 * book.arrived
    assert 0 < book.late < 0.5 * book.arrived


def test_no_request_is_late_where_there_is_room():
    outcome = simulate(made([SAG]), 1)
    assert outcome.sites[0].run.fleets["chat"].fleet.ledger.late == 0


def test_in_flight_requests_follow_littles_law():
    """Rate times output tokens times time per token, just before the replicas go."""
    outcome = simulate(made([SAG], without_ups_frac=1.0), 1)
    fleet = outcome.sites[0].run.fleets["chat"]
    per_replica = fleet.rate_per_s / fleet.replicas
    held = fleet.rate_per_s * 200 * fleet.costs.curve(None).tpot_at_s(per_replica)
    assert fleet.fleet.ledger.requeued == pytest.approx(held, rel=1e-6)


def test_six_faults_hold_the_site_off_the_grid_until_someone_returns_it():
    """The third within a minute, at 632 s, holds every block; half an hour, and the walk-in."""
    found = site_faults(control(SIX, off_grid_s=1800.0), "campus", False)
    away = dict(found.off_grid)
    assert max(away.values()) == 1.0
    assert max(away) == pytest.approx(632.1 + 1800 + 30)
    assert found.darkness == ()


def test_an_empty_ups_battery_loses_the_work():
    """Without generators the battery lasts 300 s; brought back after half an hour."""
    settings = {"generators": False, "off_grid_s": 1800.0, "back": "manual"}
    found = site_faults(control([SAG], **settings), "campus", False)
    (dark,) = found.darkness
    assert dark.at_s == pytest.approx(600.01 + 300)
    assert (dark.low_frac, dark.high_frac) == (0.0, 1.0)
    assert site_faults(control([SAG], **settings), "campus", True).darkness == ()
    assert faults_of([SAG], **settings)["sites"]["campus"]["restarts"] == 1


def test_what_goes_dark_first_is_named_last():
    """A quarter of 800 GPUs: half of the job's 400, none of the fleet's."""
    found = site_faults(control([SAG], without_ups_frac=0.25), "campus", False)
    chat, pretrain = held_shares([400, 400])
    assert [o.dark_frac for o in found.outages(pretrain)] == pytest.approx([0.5])
    assert found.outages(chat) == ()
    assert faults_of([SAG], without_ups_frac=0.25)["requests_requeued"] == 0


def test_a_dip_that_everything_stands_changes_nothing_but_what_is_told():
    mild = run([SAG | {"voltage_pu": 0.95}])
    bare = plain([])
    bare["control"] = {}
    calm = run_scenario(resolve(Scenario.model_validate(bare)), 1).summary
    for key in ("energy_j", "power_w", "training", "serving"):
        assert mild[key] == calm[key]
    assert mild["faults"]["off_grid_mw"] == 0
    assert mild["faults"]["highest_hz"] == 60.0
    assert "faults" not in calm


def test_frequency_out_of_the_window_is_a_fault_too():
    low = {"kind": "frequency-excursion", "at_s": 600, "duration_s": 5, "frequency_hz": 58.5}
    assert faults_of([low])["off_grid_mw"] > 0
    assert faults_of([low | {"frequency_hz": 59.5}])["off_grid_mw"] == 0


def test_the_frequency_sees_the_mw_that_leave_and_come_back():
    found = faults_of([SAG])
    seconds = found["frequency"]["eastern"]
    assert seconds["lost_mw"] == pytest.approx(found["off_grid_mw"])
    assert 60 < seconds["highest_hz"] < 60.01
    assert found["margin_mw"] == seconds["margin_mw"]


def test_a_larger_share_that_stays_is_never_worse():
    rows = [faults_of([SAG], stay_frac=s, without_ups_frac=1.0) for s in (0, 0.6, 1)]
    for key in ("off_grid_mw", "gpu_h_lost", "requests_requeued", "highest_hz"):
        values = [row[key] for row in rows]
        assert values == sorted(values, reverse=True), key
    assert rows[-1]["off_grid_mw"] == 0


def test_the_policy_saves_work_and_mw_and_without_strength_nothing():
    policies = [
        parse_policy("ride-through:stay_frac=1"),
        parse_policy("ride-through:stay_frac=0"),
        parse_policy("ride-through:stay_frac=0,with_ups_frac=1"),
    ]
    found = compare(made([SAG], without_ups_frac=0.6), policies, 1)
    stay, nothing, ups = (row["delta"] for row in found["policies"])
    assert stay["off_grid_mw"] < 0
    assert stay["gpu_h_lost"] < 0
    assert not any(nothing.values())
    assert "no strength" in found["policies"][1]["why"]
    assert ups["gpu_h_lost"] < 0
    assert ups["off_grid_mw"] >= 0


def test_the_loop_sees_only_what_the_grid_sees():
    found = run([SAG], coupled=True)
    site = found["sites"]["campus"]
    imported_mwh = site["energy_j"]["import"] / 3.6e9
    assert found["control"]["sites"]["campus"]["import_mwh"] == pytest.approx(imported_mwh)
    assert imported_mwh < site["energy_j"]["facility"] / 3.6e9


def test_behind_a_supply_the_battery_takes_over_and_the_books_balance():
    tree = plain([SAG], coupled=True)
    battery = {"power_mw": 0.4, "energy_mwh": 1.0, "initial_frac": 0.9}
    tree["sites"][0]["facility"] = {"battery": battery}
    calm = {**tree, "control": {"coupling": {"kind": "interval"}}}
    with_fault, without = (
        run_scenario(resolve(Scenario.model_validate(t)), 1).summary for t in (tree, calm)
    )
    imports = [s["sites"]["campus"]["energy_j"]["import"] for s in (with_fault, without)]
    assert imports[0] != imports[1]


def test_steps_of_the_balance_add_up_and_events_lie_apart():
    scenario = made([SAG, SAG | {"at_s": 2400.0}])
    losses = simulate(scenario, 1).simulation.faults.losses
    groups = events_of(total_off_grid(losses))
    assert len(groups) == 2
    for group in groups:
        assert group[0].mw < 0
        assert sum(step.mw for step in group) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("faults", "settings", "message"),
    [
        ([SAG | {"at_s": 4000}], {}, r"control.faults\[0\].at_s: a fault at 4000 s in a run of"),
        ([SAG | {"sites": ["north"]}], {}, r"control.faults\[0\].sites: unknown site 'north'"),
        ([SAG, SAG], {}, "control.faults: an excursion"),
        ([SAG | {"at_s": -1}], {}, "at_s"),
        ([SAG | {"voltage_pu": -0.1}], {}, "voltage_pu"),
        ([SAG], {"stay_frac": 1.2}, "stay_frac"),
        ([SAG], {"without_ups_frac": -0.2}, "without_ups_frac"),
        ([{"kind": "earthquake", "at_s": 1}], {}, "earthquake"),
    ],
)
def test_wrong_faults_are_named_before_anything_runs(faults, settings, message):
    with pytest.raises(Exception, match=message):
        run(faults, **settings)


@pytest.mark.parametrize("fidelity", ["request", "sampled"])
def test_replicas_simulated_one_by_one_cannot_go_dark_and_say_so(fidelity):
    tree = plain([SAG], without_ups_frac=1.0)
    tree["sites"][0]["workloads"][0] |= {"fidelity": fidelity, "requests": REQUESTS}
    with pytest.raises(InputError, match="give fidelity: fluid") as caught:
        run_scenario(resolve(Scenario.model_validate(tree)), 1)
    assert caught.value.path == "sites[0].workloads[0].fidelity"


REQUESTS = {
    "kind": "poisson",
    "rate_per_s": 20,
    "lengths": {"kind": "constant", "input_tokens": 100, "output_tokens": 20},
}
