"""Every policy keeps the contract of its kind; combinations and wrong words are named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from policy_scenarios import at_one_site, campus, serving

from sim.errors import FlopgridError, InputError
from sim.facility.cooling import PLANTS
from sim.grid.nodal.hosting_command import hosting
from sim.policy import apply_all, parse_policies, parse_policy, policy_kinds, register
from sim.policy.compare import compare
from sim.policy.registry import Policy
from sim.scenario.resolve import resolve
from sim.scenario.run import load_scenario
from sim.scenario.schema import Scenario

KINDS = policy_kinds()


def example(kind: str) -> str:
    """A policy with every required knob given."""
    given = {
        "import-limit": "limit_mw=1",
        "power-cap": "gpu_w=500",
        "spread": "states=2",
        "architecture": "arch=mamba-2.8b",
        "siting": "zone=OH",
    }
    return f"{kind}:{given[kind]}" if kind in given else kind


NOT_HERE = {"ride-through": "no fault", "water-limit": "no cooling plant"}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(NOT_HERE)))
def test_a_policy_is_a_pure_patch_to_a_valid_scenario(kind):
    before = campus()
    plain = before.model_dump(mode="json")
    policy = parse_policy(example(kind))
    once, twice = policy.apply(before), policy.apply(before)
    assert before.model_dump(mode="json") == plain
    assert once == twice
    assert Scenario.model_validate(once.model_dump(mode="python")) == once
    assert once.model_dump(mode="json") != plain
    resolve(once)


@pytest.mark.parametrize("kind", sorted(NOT_HERE))
def test_a_policy_that_does_not_fit_says_why(kind):
    with pytest.raises(InputError, match=NOT_HERE[kind]):
        parse_policy(kind).apply(campus())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_policy_says_what_it_models_and_what_to_look_at(kind):
    found = KINDS[kind]
    assert found.says
    assert found.metric
    for name, parameter in found.parameters.items():
        assert parameter.says, name
        assert parameter.describe()
        if parameter.is_number:
            assert parameter.low < parameter.high
            if parameter.default is not None:
                assert parameter.low <= parameter.default <= parameter.high
    assert found.neutral.keys() <= found.parameters.keys()


@pytest.mark.parametrize(
    ("kind", "key"),
    [(k, n) for k, found in KINDS.items() for n, p in found.parameters.items() if p.is_number],
)
def test_a_number_outside_its_limits_is_refused_by_name(kind, key):
    low = KINDS[kind].parameters[key].low
    with pytest.raises(InputError, match=key):
        parse_policy(f"{kind}:{key}={low - 1}")
    with pytest.raises(InputError, match="not a number"):
        parse_policy(f"{kind}:{key}=much")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "unknown policy 'nonsense'"),
        ("curtailment:depth=1", "unknown parameter of curtailment"),
        ("curtailment:depth_frac", "not key=value"),
        ("power-cap", "gpu_w is missing"),
        ("storage:rule=magic", "unknown rule 'magic'"),
        ("", "no policy is named"),
        ("power-cap:gpu_w=500;power-cap:gpu_w=400", "both decide power-cap"),
        ("siting:zone=OH;spread:states=2", "both decide where the sites stand"),
        ("curtailment;emergency-curtailment", "both decide when the grid may curtail a site"),
        ("flexible-connection;emergency-curtailment:notice_s=0", "contradicts"),
        ("pue-cap:at=a;pue-cap:pue=1.1,at=a+b", "contradicts"),
        ("power-cap:gpu_w=500,at=campus", "holds for the whole scenario"),
    ],
)
def test_wrong_words_are_named(text, message):
    with pytest.raises(InputError, match=message):
        parse_policies(text)


def test_a_policy_for_a_site_that_there_is_not_is_named_before_anything_runs():
    with pytest.raises(InputError, match="unknown site 'north'"):
        parse_policy("demand-response:at=north").apply(campus())


def test_policies_of_sites_apart_do_not_contradict():
    assert len(parse_policies("pue-cap:at=a;pue-cap:pue=1.1,at=b")) == 2


def test_policies_combine_in_their_order():
    both = parse_policies("power-cap:gpu_w=500;demand-response:depth_frac=0.1")
    found = apply_all(campus(), both)
    assert found.control.power_cap.gpu_w == 500
    assert [r.kind for r in found.control.rules] == ["demand-response"]
    assert found.control.coupling.kind == "interval"


def test_a_misfit_is_told_with_the_policy():
    with pytest.raises(InputError) as caught:
        apply_all(campus(), parse_policies("ride-through"))
    assert str(caught.value).startswith("--policy ride-through")


def test_a_second_policy_of_the_same_name_is_a_defect():
    with pytest.raises(FlopgridError, match="twice"):
        register(KINDS["power-cap"])


def test_a_label_reads_as_it_is_written():
    text = "spread:zones=VA+OH"
    policy = parse_policy(text)
    assert isinstance(policy, Policy)
    assert policy.label == text
    assert parse_policy("power-cap:gpu_w=500").label == "power-cap:gpu_w=500"


def test_oversubscription_keeps_the_power_of_before_as_the_limit():
    before = campus()
    after = parse_policy("oversubscription:extra_frac=0.25").apply(before)
    assert after.sites[0].cluster.nodes == 250
    assert after.control.rules[0].kind == "import-limit"
    fleet = after.sites[0].workloads[1]
    assert fleet.requests.rate_per_s == 3750


@pytest.mark.parametrize(
    ("text", "prefill"),
    [
        ("spread:zones=VA+OH", [8, 8]),
        ("oversubscription:extra_frac=0.25", [20]),
    ],
)
def test_prefill_replicas_are_scaled_with_the_gpus(text, prefill):
    """Not the same number beside a part of the GPUs, or beside more of them."""
    pools = {"prefill_replicas": 16}
    before = at_one_site([serving(200, disaggregated=pools, gpus=64)], 64, 0.25)
    after = resolve(parse_policy(text).apply(before))
    fleets = [site.workloads[0] for site in after.sites]
    assert [w.disaggregated.prefill_replicas for w in fleets] == prefill
    assert sum(w.gpus for w in fleets) == 4 * sum(prefill)


@pytest.mark.parametrize(
    "text", ["architecture:arch=llama-3.1-70b,tp=4", "precision:weights=fp8,busy_frac=0.5"]
)
def test_a_fleet_that_is_sized_again_chooses_its_prefill_replicas_anew(text):
    """Neither the old number beside other GPUs, nor GPUs that the old number asks for."""

    def sized(pools):
        before = at_one_site([serving(200, disaggregated=pools, gpus=64)], 64, 0.25)
        return resolve(parse_policy(text).apply(before)).sites[0].workloads[0].gpus

    assert sized({"prefill_replicas": 16}) == sized({"prefill_replicas": 4}) == sized(True)


def test_less_data_needs_a_training_job():
    only_serving = campus()
    site = only_serving.sites[0]
    alone = site.model_copy(update={"workloads": site.workloads[1:]})
    with pytest.raises(InputError, match="no training job"):
        parse_policy("less-data").apply(only_serving.model_copy(update={"sites": [alone]}))


def test_on_a_nodal_grid_a_site_goes_to_the_bus_of_its_voltage_that_hosts_most():
    tree = campus().model_dump()
    site = tree["sites"][0]
    site |= {"at": {"bus": 7095}, "workloads": site["workloads"][1:]}
    tree["grid"] = {"kind": "nodal", "case": "activsg2000", "samples": 8}
    scenario = Scenario.model_validate(tree)
    moved = parse_policy("siting:least_kv=500").apply(scenario).sites[0].at.bus
    found = hosting("activsg2000", least_kv=500, security="n1")["buses"]
    room = {row["bus"]: row["hosting_mw"] for row in found}
    assert room[moved] == max(room.values())
    with pytest.raises(InputError, match="no bus at 1400 kV"):
        parse_policy("siting:least_kv=1400").apply(scenario)


def test_a_policy_that_a_scenario_contradicts_is_refused_in_a_line():
    """Found by fuzzing whole runs: prefixes are a rate, and classes need single requests."""
    classes = [{"name": "all", "share_frac": 1.0}]
    fleet = serving(20, fidelity="request", classes=classes, gpus=8)
    with pytest.raises(InputError) as caught:
        apply_all(at_one_site([fleet], 8, 0.5), parse_policies("prefix-caching"))
    assert str(caught.value).startswith("--policy prefix-caching: does not fit this scenario: ")
    assert "classes needs single requests" in str(caught.value)


def test_cold_plates_do_not_keep_the_set_point_of_the_air() -> None:
    """A plant of cold plates has none, so keeping it would be refused."""
    cases = Path(__file__).resolve().parents[1] / "cases" / "valid"
    _, scenario = load_scenario(cases / "cooling-set-point-air.yaml")
    changed = KINDS["water-limit"].patch(scenario, {})
    cooling = changed.sites[0].facility.cooling
    assert cooling is not None
    assert (cooling.kind, cooling.air_supply_c) == ("dry-liquid", None)


@pytest.mark.parametrize("kind", sorted(PLANTS))
def test_a_water_limit_leaves_no_water_and_takes_energy_in_the_heat(kind: str) -> None:
    """A July noon in Phoenix, where each plant with water rejects its heat to something cooler."""
    site = {
        "name": "campus",
        "at": {"zone": "AZ"},
        "cluster": {"gpus": 64},
        "facility": {"cooling": {"kind": kind, "weather": "phoenix"}},
        "workloads": [serving(200)],
    }
    hot = campus(0.25).model_copy(update={"epoch": datetime(2026, 7, 1, 19, tzinfo=UTC)})
    scenario = Scenario.model_validate(hot.model_dump() | {"sites": [site]})
    found = compare(resolve(scenario), [parse_policy("water-limit")], 1)
    row = found["policies"][0]
    assert row["figures"]["water_m3"] == 0
    assert (found["baseline"]["water_m3"] > 0) is (kind != "dry-liquid")
    assert (row["delta"]["energy_mwh"] > 0) is (kind != "dry-liquid")
