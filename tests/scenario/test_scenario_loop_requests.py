"""Requests that are simulated one by one move between sites: each appears once, at one place."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sim.control.allocate import combine
from sim.control.view import Proposal
from sim.errors import InputError, LawViolation
from sim.scenario.laws import check_outcome
from sim.scenario.resolve import resolve
from sim.scenario.run import run_scenario
from sim.scenario.schema import Scenario
from sim.scenario.simulate import Outcome, simulate
from sim.scenario.verify_summary import check_counts

RATE_PER_S = 40.0
LENGTHS = {"kind": "constant", "input_tokens": 200, "output_tokens": 40}


def plain(fidelity: str = "request", **rule: Any) -> dict[str, Any]:
    """The same fleet in Texas and in Virginia, an hour in which their prices differ."""
    fleet = {
        "kind": "serving",
        "name": "chat",
        "arch": "llama-3.1-8b",
        "fidelity": fidelity,
        "gpus": 8,
        "requests": {"kind": "poisson", "rate_per_s": RATE_PER_S, "lengths": LENGTHS},
        "warmup_s": 0,
    }
    sites = [
        {
            "name": name,
            "at": {"zone": zone},
            "cluster": {"gpus": 8},
            "workloads": [copy.deepcopy(fleet)],
        }
        for name, zone in (("west", "TX-ERCOT"), ("east", "VA"))
    ]
    shift = {"kind": "shift-requests", "margin_usd_per_mwh": 0, "hold_s": 0} | rule
    return {
        "name": "moving",
        "epoch": "2024-08-20T20:00:00Z",
        "horizon_h": 0.25,
        "sites": sites,
        "grid": {"kind": "zonal", "samples": 8, "hosting": False},
        "control": {"coupling": {"kind": "interval"}, "rules": [shift]},
    }


def run(**rule: Any) -> Outcome:
    return simulate(resolve(Scenario.model_validate(plain(**rule))), 1)


def counts(outcome: Outcome) -> dict[str, dict[str, float]]:
    found = {}
    for site in outcome.sites:
        fleet = site.run.fleets["chat"].fleet
        totals = [cell.totals(fleet._reached_ps) for cell in fleet.cells]
        found[site.name] = {
            "arrived": sum(t.arrived for t in totals),
            "moved": fleet.moved(fleet._reached_ps),
            "received": fleet.received,
            "under_way": fleet.under_way,
        }
    return found


@pytest.fixture(scope="module")
def still() -> dict[str, dict[str, float]]:
    return counts(run(most_frac=0.0))


@pytest.fixture(scope="module")
def moving() -> dict[str, dict[str, float]]:
    return counts(run(most_frac=0.4))


def test_each_request_appears_exactly_once(still, moving):
    """What came at both sites without the rule arrives with it, here or there, or is on its way."""
    found = moving
    came = sum(site["arrived"] for site in still.values())
    gone = sum(site["moved"] for site in found.values())
    assert gone > 0.2 * 0.5 * came
    assert sum(site["received"] for site in found.values()) == gone
    arrived = sum(site["arrived"] for site in found.values())
    assert arrived + sum(site["under_way"] for site in found.values()) == came


def test_the_same_seed_moves_the_same_requests(moving):
    assert counts(run(most_frac=0.4)) == moving


def test_who_moves_at_a_small_share_moves_at_a_larger_one(still):
    moved = [sum(s["moved"] for s in counts(run(most_frac=f)).values()) for f in (0.2, 0.8)]
    assert moved == sorted(moved)
    came = sum(site["arrived"] for site in still.values()) / 2
    assert moved[-1] == pytest.approx(0.8 * came, rel=0.1)


def test_without_a_share_nothing_moves(still):
    assert all(not s["moved"] and not s["received"] for s in still.values())


def test_the_summary_tells_what_moved_and_what_the_way_cost(still):
    scenario = resolve(Scenario.model_validate(plain(most_frac=0.4, latency_s=0.5)))
    summary = run_scenario(scenario, 1).summary
    sites = summary["control"]["sites"].values()
    moved = sum(s["requests_moved_away"] for s in sites)
    assert sum(s["requests_received"] for s in sites) == moved > 0
    assert sum(s["moved_usd"] for s in sites) == pytest.approx(moved / 1e6)
    assert sum(s["moved_wait_s"] for s in sites) == pytest.approx(0.5 * moved)
    serving = summary["serving"]
    assert serving["completed"] <= serving["requests"]
    assert serving["requests"] == sum(site["arrived"] for site in still.values())
    assert sum(f["requests"] for f in serving["fleets"].values()) > 1.1 * serving["requests"]
    check_counts(summary)
    serving["requests"] = sum(f["requests"] for f in serving["fleets"].values())
    with pytest.raises(LawViolation, match="serving requests"):
        check_counts(summary)


def test_sampled_replicas_cannot_hand_over_and_say_why():
    with pytest.raises(InputError, match="sampled replicas speak for all"):
        simulate(resolve(Scenario.model_validate(plain(fidelity="sampled"))), 1)


def test_unlike_fidelities_do_not_exchange():
    tree = plain()
    tree["sites"][1]["workloads"][0]["fidelity"] = "fluid"
    with pytest.raises(InputError, match="with the same fidelity"):
        simulate(resolve(Scenario.model_validate(tree)), 1)


def test_a_fleet_that_keeps_its_requests_gets_none_of_others():
    """Two fleets may move; a third, whose requests are sessions at one site, stays as it is."""
    tree = plain(most_frac=0.9)
    for site in tree["sites"]:
        site["cluster"]["gpus"] = 16
        site["workloads"].append(copy.deepcopy(site["workloads"][0]) | {"name": "talk"})
    sessions = {"kind": "sessions", "starts_per_s": 1, "mean_turns": 3, "mean_think_s": 10}
    tree["sites"][0]["workloads"][1]["requests"] = sessions
    outcome = simulate(resolve(Scenario.model_validate(tree)), 1)
    assert sum(site.run.fleets["chat"].fleet.received for site in outcome.sites) > 0
    assert sum(site.run.fleets["talk"].fleet.received for site in outcome.sites) == 0
    with pytest.raises(InputError, match="no request can be handed over"):
        outcome.sites[0].run.fleets["talk"].fleet.receive(None, None, 0)
    given = outcome.sites[1].run.fleets["chat"].fleet
    given._inbox.received += 1
    with pytest.raises(LawViolation, match="requests handed over"):
        check_outcome(outcome)


def test_shares_of_several_rules_never_come_to_more_than_all():
    found = combine([Proposal(shift_frac={"a": 0.8}), Proposal(shift_frac={"b": 0.8})])
    assert found.shift_frac == pytest.approx({"a": 0.5, "b": 0.5})
