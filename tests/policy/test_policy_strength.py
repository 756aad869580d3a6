"""Without strength a policy is its baseline, byte for byte; with more of it, it does more."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from policy_scenarios import at_one_site, campus, fleet, serving

from sim.policy import Policy, parse_policy, policy_kinds
from sim.policy.compare import compare, twins
from sim.policy.figures import figures
from sim.policy.patch import coupled
from sim.record.timeline import to_table
from sim.scenario.requests_table import reference_rows, schema
from sim.scenario.resolve import resolve
from sim.scenario.run import run_scenario
from sim.scenario.schema import Facility, Scenario

KINDS = policy_kinds()


def cooled(kind: str) -> Scenario:
    """The fleet in a building with a cooling plant."""
    scenario = fleet(0.25)
    building = Facility.model_validate({"cooling": {"kind": kind, "weather": "dallas"}})
    site = scenario.sites[0].model_copy(update={"facility": building})
    return resolve(scenario.model_copy(update={"sites": [site]}))


def faulty() -> Scenario:
    sag = {"kind": "voltage-sag", "at_s": 300.0, "voltage_pu": 0.5}
    control = {"faults": [sag], "ride_through": {"without_ups_frac": 0.5}}
    return at_one_site([serving(200)], 64, 0.25, control=control)


def split() -> Scenario:
    return at_one_site([serving(200, disaggregated=True, gpus=64)], 64, 0.25)


ALREADY_SO = {
    "water-limit": (lambda: cooled("dry-liquid"), "water-limit"),
    "architecture": (lambda: fleet(0.25), "architecture:arch=llama-3.1-8b"),
    "disaggregation": (split, "disaggregation"),
    "siting": (lambda: fleet(0.25), "siting:zone=VA"),
    "spread": (lambda: fleet(0.25), "spread:zones=VA"),
}
"""Policies that have no strength of zero: the scenario is already what they ask for."""
STAGES = {"less-data": lambda: campus(0.25), "ride-through": faulty}


def without_strength(kind: str) -> tuple[Scenario, Policy]:
    if kind in ALREADY_SO:
        scenario, text = ALREADY_SO[kind]
        return scenario(), parse_policy(text)
    neutral = KINDS[kind].neutral
    assert neutral, f"{kind} has no strength of zero: add it to ALREADY_SO"
    pairs = ",".join(f"{key}={value}" for key, value in neutral.items())
    return STAGES.get(kind, lambda: fleet(0.25))(), parse_policy(f"{kind}:{pairs}")


def run_bytes(scenario: Scenario) -> tuple[str, pa.Table, pa.Table]:
    """Summary, signals and requests of a run."""
    found = run_scenario(scenario, 1)
    summary = json.dumps(found.summary, sort_keys=True)
    return (
        summary,
        to_table(found.outcome.timelines),
        reference_rows(found.outcome.simulation, schema()),
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_policy_without_strength_is_its_baseline_byte_for_byte(kind):
    scenario, policy = without_strength(kind)
    baseline, (changed,) = twins(scenario, [(policy,)])
    if changed == baseline:
        return  # the same resolved scenario is the same run
    before, after = run_bytes(baseline), run_bytes(changed)
    assert after[0] == before[0]
    assert after[1].equals(before[1])
    assert after[2].equals(before[2])


def test_the_comparison_of_bytes_fails_for_a_policy_with_strength():
    baseline, (changed,) = twins(fleet(0.25), [(parse_policy("power-cap:gpu_w=400"),)])
    before, after = run_bytes(baseline), run_bytes(changed)
    assert before[0] != after[0]
    assert not before[1].equals(after[1])


def test_requests_of_a_run_are_the_same_bytes_too():
    """On a fleet whose requests are simulated one by one."""
    requests = {"kind": "poisson", "rate_per_s": 5, "lengths": CONSTANT}
    scenario = at_one_site([serving(1) | {"requests": requests, "fidelity": "sampled"}], 8, 0.02)
    policy = parse_policy("demand-response:depth_frac=0,start_h=0")
    baseline, (changed,) = twins(scenario, [(policy,)])
    before, after = run_bytes(baseline), run_bytes(changed)
    assert len(before[2]) > 0
    assert after[2].equals(before[2])


CONSTANT = {"kind": "constant", "input_tokens": 100, "output_tokens": 20}


@cache
def figure(text: str, key: str) -> float:
    """A figure of a short run of the campus under a policy."""
    scenario = resolve(parse_policy(text).apply(short_campus()))
    if key == "mean_import_mw":
        scenario = coupled(scenario)
    return float(figures(run_scenario(scenario, 1).summary, scenario)[key])


@cache
def short_campus() -> Scenario:
    return campus(0.5)


MORE = [
    ("demand-response:start_h=0,depth_frac={}", (0.1, 0.6), "held_back_mwh", 1),
    ("import-limit:limit_mw={}", (0.9, 1.4), "mean_load_mw", 1),
    ("power-cap:gpu_w={}", (350, 500, 650), "mean_load_mw", 1),
    ("swing-limit:psu_j_per_gpu={}", (10, 65, 300), "swing_mw", -1),
    ("pue-cap:pue={}", (1.07, 1.1, 1.15), "mean_load_mw", 1),
    ("less-data:saved_frac={}", (0.1, 0.3, 0.6), "days_to_finish", -1),
    ("prefix-caching:hit_frac={}", (0.1, 0.4, 0.8), "energy_j_per_output_token", -1),
    ("oversubscription:extra_frac={}", (0.1, 0.3, 0.6), "requests_completed", 1),
    ("on-site-generation:gas_rule=baseload,gas_frac={}", (0.1, 0.6), "mean_import_mw", -1),
]


@pytest.mark.parametrize(
    ("text", "strengths", "key", "sign"), MORE, ids=[m[0].split(":")[0] for m in MORE]
)
def test_more_of_a_policy_never_does_less(text, strengths, key, sign):
    found = [sign * figure(text.format(strength), key) for strength in strengths]
    assert found == sorted(found)
    assert found[-1] != found[0]


def two_sites() -> Scenario:
    tree: dict[str, Any] = fleet(0.25).model_dump(mode="json")
    other = json.loads(json.dumps(tree["sites"][0])) | {"name": "east"}
    return resolve(Scenario.model_validate(tree | {"sites": [tree["sites"][0], other]}))


def test_a_policy_at_one_site_leaves_the_other_alone():
    policies = [
        parse_policy("demand-response:depth_frac=0.3,start_h=0,at=east"),
        parse_policy("pue-cap:pue=1.08,at=east"),
    ]
    scenario = two_sites()
    for policy in policies:
        baseline, (changed,) = twins(scenario, [(policy,)])
        before, after = (run_scenario(s, 1).summary["sites"] for s in (baseline, changed))
        assert after["campus"] == before["campus"]
        assert after["east"]["energy_j"]["facility"] < before["east"]["energy_j"]["facility"]
    assert policies[0].label == "demand-response:depth_frac=0.3,start_h=0,at=east"


def test_each_site_may_have_a_policy_of_its_own():
    both = (parse_policy("pue-cap:pue=1.1,at=campus"), parse_policy("pue-cap:pue=1.08,at=east"))
    row = compare(two_sites(), [both], 1)["policies"][0]
    assert row["delta"]["mean_load_mw"] < 0
