"""Services: one stream over several workloads, each request once, and what its users see."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cluster.serving.histograms import histogram_quantile_s
from sim.errors import InputError, LawViolation
from sim.policy.loads import scaled_requests
from sim.scenario.build import build
from sim.scenario.laws import check_dealt_out
from sim.scenario.loop_checks import check_rules
from sim.scenario.resolve import resolve
from sim.scenario.run import run_scenario
from sim.scenario.schema import Scenario, ServiceRequests
from sim.scenario.service_latency import Points, Seen, attained_frac, together
from sim.scenario.service_streams import ServiceStreams
from sim.scenario.service_summary import services_json
from sim.scenario.services import divide
from sim.scenario.simulate import Outcome, simulate
from sim.scenario.verify_services import check_services

LENGTHS = {"kind": "constant", "input_tokens": 200, "output_tokens": 40}
POISSON = {"kind": "poisson", "rate_per_s": 30.0, "lengths": LENGTHS}
GAMMA = {"kind": "gamma", "rate_per_s": 30.0, "cv": 3.0, "lengths": LENGTHS}
REGIONS = [
    {"name": "near", "share_frac": 0.6, "round_trip_s": {"east": 0.01, "west": 0.07}},
    {"name": "far", "share_frac": 0.4, "round_trip_s": {"east": 0.06, "west": 0.02}},
]


def fleet(name: str = "chat", weight: float = 1.0, **more: Any) -> dict[str, Any]:
    """A workload that takes part in the service."""
    part = {"kind": "service", "service": "chat", "weight": weight}
    own = {"kind": "serving", "name": name, "arch": "llama-3.1-8b", "fidelity": "request"}
    return own | {"gpus": 8, "requests": part, "warmup_s": 20} | more


def plain(
    requests: dict[str, Any] = POISSON, *, router: str = "weights", regions: Any = REGIONS,
    weights: tuple[float, ...] = (1.0, 1.0), **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A service that two sites answer."""
    service = {"name": "chat", "requests": requests, "router": router, "regions": regions}
    sites = [
        {
            "name": name,
            "at": {"zone": zone},
            "cluster": {"gpus": 8},
            "workloads": [fleet(weight=weight, **more)],
        }
        for name, zone, weight in zip(("east", "west"), ("VA", "TX-ERCOT"), weights, strict=True)
    ]
    return {
        "name": "served",
        "horizon_h": 0.05,
        "services": [service | {"slo": {"ttft_s": 0.06, "tpot_s": 0.05, "e2e_s": 1.0}}],
        "sites": sites,
        "grid": {"kind": "zonal", "samples": 8, "hosting": False},
    }


def scenario(data: dict[str, Any]) -> Scenario:
    return resolve(Scenario.model_validate(copy.deepcopy(data)))


def simulated(data: dict[str, Any], seed: int = 1) -> Outcome:
    return simulate(scenario(data), seed)


def told(outcome: Outcome) -> dict[str, Any]:
    results = {
        f"{site.name}.{name}": fleet.fleet.result()
        for site in outcome.sites
        for name, fleet in site.run.fleets.items()
    }
    return services_json(outcome.simulation, results)["chat"]


@cache
def two_sites() -> Outcome:
    return simulated(plain(GAMMA))


# -- the division


@settings(max_examples=40, deadline=None)
@given(
    weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6),
    seed=st.integers(0, 2**31 - 1),
)
def test_each_request_goes_to_exactly_one_workload(weights, seed):
    data = plain(GAMMA)
    data["sites"] = data["sites"][:1]
    data["services"][0]["regions"] = []
    data["sites"][0]["workloads"] = [fleet(f"w{n}", weight) for n, weight in enumerate(weights)]
    checked = Scenario.model_validate(data)
    streams = ServiceStreams(checked, seed)
    each = [streams.traffic(part).recorded for part in streams.parts.values()]
    whole = streams._divided(checked.services[0])[0]
    dealt = np.sort(np.concatenate([table.arrival_ps for table in each]))
    assert (dealt == whole.arrival_ps).all()
    shares = [part.share_frac for part in streams.parts.values()]
    assert shares == pytest.approx(np.array(weights) / sum(weights))
    assert sum(shares) == pytest.approx(1.0)


def test_the_stream_does_not_depend_on_who_answers():
    one, other = (
        ServiceStreams(Scenario.model_validate(plain(GAMMA, weights=weights)), 7)
        for weights in ((1.0, 1.0), (1.0, 9.0))
    )
    for streams in (one, other):
        for part in streams.parts.values():
            streams.traffic(part)
    service = next(iter(one.parts.values())).service
    assert (one._divided(service)[0].arrival_ps == other._divided(service)[0].arrival_ps).all()


def test_poisson_and_sessions_are_split_by_their_rates():
    sessions = {"kind": "sessions", "starts_per_s": 8.0, "mean_turns": 3, "mean_think_s": 10}
    for requests, whole in ((POISSON, 30.0), (sessions, 24.0)):
        streams = ServiceStreams(Scenario.model_validate(plain(requests, weights=(1.0, 3.0))), 1)
        rates = [streams.traffic(part).rate_per_s for part in streams.parts.values()]
        assert rates == pytest.approx([whole / 4, 3 * whole / 4])


def test_a_split_poisson_stream_comes_as_often_as_it_should():
    """Counts of both parts within five standard deviations of their Poisson means."""
    outcome = simulated(plain(POISSON, weights=(1.0, 2.0)))
    found = told(outcome)["targets"]
    window_s = 0.05 * 3600 - 20
    for name, share in (("east.chat", 1 / 3), ("west.chat", 2 / 3)):
        mean = 30.0 * share * window_s
        assert abs(found[name]["requests"] - mean) < 5 * mean**0.5


def test_a_pool_of_two_models_is_two_fleets_with_the_same_streams():
    pool = plain(POISSON)
    pool["services"][0]["regions"] = []
    pool["sites"] = pool["sites"][:1]
    pool["sites"][0]["cluster"] = {"gpus": 16}
    pool["sites"][0]["workloads"] = [
        fleet("small", 0.75),
        fleet("large", 0.25, arch="llama-3-70b", layout={"tp": 4}),
    ]
    apart = copy.deepcopy(pool)
    apart["services"] = []
    for workload, rate in zip(apart["sites"][0]["workloads"], (22.5, 7.5), strict=True):
        workload["requests"] = POISSON | {"rate_per_s": rate}
    results = [
        {name: one.fleet.result() for name, one in simulated(data).sites[0].run.fleets.items()}
        for data in (pool, apart)
    ]
    assert results[0] == results[1]


def test_a_fleet_is_sized_for_its_share():
    data = plain(POISSON | {"rate_per_s": 3000.0}, weights=(1.0, 3.0))
    for site in data["sites"]:
        site["cluster"] = {}
        site["workloads"][0] |= {"gpus": None, "sized_for_frac": 0.5}
    east, west = (site.workloads[0].gpus for site in scenario(data).sites)
    assert west == pytest.approx(3 * east, abs=3)


def test_nearest_sends_each_region_to_its_site_and_there_by_weight():
    data = plain(router="nearest")
    data["sites"][0]["cluster"] = {"gpus": 16}
    data["sites"][0]["workloads"].append(fleet("more", 3.0))
    parts = divide(Scenario.model_validate(data).services,
                   enumerate(Scenario.model_validate(data).sites))  # fmt: skip
    shares = {target: part.share_frac for target, part in parts.items()}
    assert shares == pytest.approx(
        {("east", "chat"): 0.15, ("east", "more"): 0.45, ("west", "chat"): 0.4}
    )
    assert parts["east", "chat"].round_trip_s == pytest.approx(0.01)
    assert parts["west", "chat"].round_trip_s == pytest.approx(0.02)


def test_ways_between_states_are_those_published():
    users = [{"name": "users", "at": "CA", "share_frac": 1.0, "round_trip_s": {"west": 0.001}}]
    parts = divide(Scenario.model_validate(plain(regions=users)).services,
                   enumerate(Scenario.model_validate(plain(regions=users)).sites))  # fmt: skip
    assert parts["east", "chat"].round_trip_s == pytest.approx(0.0665)
    assert parts["west", "chat"].round_trip_s == 0.001


# -- what users see


def test_the_way_is_seen_in_first_token_and_end_exactly():
    """The same run with and without regions: all that differs is the round trip."""
    short = {"horizon_h": 0.015}
    ways = {"east": 0.04, "west": 0.04}
    near = told(simulated(plain(regions=[]) | short))
    users = [{"name": "u", "share_frac": 1, "round_trip_s": ways}]
    far = told(simulated(plain(regions=users) | short))
    for level in ("p50", "p90", "p99", "mean"):
        for key, way_s in (("ttft_s", 0.04), ("e2e_s", 0.04), ("tpot_s", 0.0)):
            assert far[key][level] == pytest.approx(near[key][level] + way_s, rel=1e-12), key


def test_without_a_way_the_quantiles_are_those_of_the_fleets_counts_together():
    outcome = simulated(plain(regions=[]))
    cells = [cell.cell for site in outcome.sites for cell in site.run.fleets["chat"].fleet.cells]
    counts = sum(cell.histogram[:, 0].sum(axis=0) for cell in cells)
    found = told(outcome)["ttft_s"]
    for name, level in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
        assert found[name] == pytest.approx(histogram_quantile_s(counts, level), rel=1e-12)


def test_latencies_seen_together():
    one = Points(np.array([1.0, 2.0]), np.array([1.0, 1.0]), 1.5, 0.0)
    other = Points(np.array([1.0]), np.array([2.0]), 1.0, 0.0)
    seen = [Seen(one, 1.0, 0.0), Seen(other, 1.0, 5.0)]
    assert together(seen) == {"p50": 2.0, "p90": 6.0, "p99": 6.0, "mean": 3.75}
    assert attained_frac(seen, 2.0) == 0.5
    assert together([]) is None
    assert attained_frac([], 2.0) is None


@pytest.mark.parametrize("fidelity", ["cells", "sampled", "fluid"])
def test_every_fidelity_tells_its_service(fidelity):
    more = {"representative_replicas": 2} if fidelity == "sampled" else {}
    calm = GAMMA | {"rate_per_s": 6.0, "cv": 1.0}
    found = told(simulated(plain(calm, fidelity=fidelity, **more) | {"horizon_h": 0.015}))
    assert found["requests"] == pytest.approx(6.0 * 34, rel=0.6)
    assert (found["ttft_s"] is None) == (fidelity == "fluid")
    assert (found["latency_error_frac"] is None) == (fidelity == "fluid")
    assert sum(one["requests_frac"] for one in found["targets"].values()) == pytest.approx(1.0)


def test_the_same_seed_tells_the_same_and_check_passes(summary):
    data = plain(GAMMA)
    assert run_scenario(scenario(data), 1).summary == summary
    assert "1, each request at one fleet" in check_services(summary, scenario(data))


# -- together with run-time rules


def moving() -> dict[str, Any]:
    rule = {"kind": "shift-requests", "margin_usd_per_mwh": 0, "hold_s": 0, "most_frac": 0.4}
    data = plain(GAMMA) | {"epoch": "2024-08-20T20:00:00Z"}
    return data | {"control": {"coupling": {"kind": "interval"}, "rules": [rule]}}


def test_requests_that_a_rule_moves_are_counted_once_and_seen_over_both_ways():
    outcome = simulated(moving())
    found, still = told(outcome), told(two_sites())
    assert found["requests"] == still["requests"]
    taken = [one for one in found["targets"].values() if one["handed_to_it"]]
    assert taken
    check_dealt_out(outcome.simulation)
    (one,) = taken
    both = max(0.01 * 0.6 + 0.06 * 0.4, 0.07 * 0.6 + 0.02 * 0.4) + 0.03
    assert one["network_mean_s"] < both
    assert one["network_mean_s"] > min(0.01 * 0.6 + 0.06 * 0.4, 0.07 * 0.6 + 0.02 * 0.4)


def test_requests_do_not_move_out_of_their_service():
    data = moving()
    data["sites"][1]["workloads"][0]["requests"] = POISSON
    with pytest.raises(InputError, match="not all of its sites take them from the same service"):
        simulated(data)


def test_a_fleet_that_moves_nothing_may_have_the_name_of_one_that_does():
    """Of three sites, the third answers its own at another fidelity: nothing goes there."""
    data = moving()
    third = copy.deepcopy(data["sites"][1]) | {"name": "north"}
    third["workloads"] = [fleet() | {"requests": POISSON, "fidelity": "cells"}]
    data["sites"].append(third)
    data["services"][0]["regions"] = []
    check_rules(scenario(data))


# -- what is refused, and checks that must fail


def test_a_stream_too_long_to_be_dealt_out_is_refused():
    data = plain(GAMMA | {"rate_per_s": 1e6}) | {"horizon_h": 1.0}
    with pytest.raises(InputError, match="can be dealt out one by one"):
        build(scenario(data), 1)


def test_a_policy_does_not_scale_a_part_of_a_service():
    part = ServiceRequests(kind="service", service="chat")
    with pytest.raises(InputError, match="a part of those of service chat"):
        scaled_requests(part, 0.5)


def test_a_request_that_is_lost_on_the_way_is_noticed():
    simulation = copy.copy(two_sites().simulation)
    table, coins = simulation.streams._rows["chat"]
    keep = np.arange(len(table)) != len(table) - 1
    streams = copy.copy(simulation.streams)
    streams._rows = {"chat": (table.rows(keep), coins[keep])}
    object.__setattr__(simulation, "streams", streams)
    with pytest.raises(LawViolation, match="requests of service chat"):
        check_dealt_out(simulation)


def test_a_fleet_that_gets_the_part_of_another_is_noticed():
    """Poisson streams too: half the rate at each is not a quarter at one."""
    outcome = simulated(plain(weights=(1.0, 3.0)) | {"horizon_h": 0.02})
    simulation = outcome.simulation
    check_dealt_out(simulation)
    wrong = ServiceStreams(scenario(plain(weights=(1.0, 1.0))), 1)
    object.__setattr__(simulation, "streams", wrong)
    with pytest.raises(LawViolation, match=r"came to east\.chat, of"):
        check_dealt_out(simulation)


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    return run_scenario(scenario(plain(GAMMA)), 1).summary


@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        (("completed",), lambda v: v + 1, "completed of service chat"),
        (("requests",), lambda v: v + 1, "requests of service chat"),
        (("targets", "east.chat", "requests"), lambda v: v + 1, "requests at east.chat"),
        (("targets", "east.chat", "share_frac"), lambda v: v / 2, "shares of service chat"),
        (("targets", "east.chat", "network_mean_s"), lambda v: v + 0.01, "way to east.chat"),
        (("targets", "east.chat", "ttft_s", "mean"), lambda v: v * 2, "mean ttft_s of east.chat"),
        (("e2e_s", "mean"), lambda v: v * 2, "mean e2e_s of service chat"),
        (("ttft_s", "p50"), lambda v: v * 9, "p50 ttft_s of service chat"),
        (("regions", "near", "e2e_s", "p90"), lambda _: 0.0, "e2e_s of service chat"),
        (("slo", "ttft_s", "attained_frac"), lambda v: 1.0 - v, "ttft_s of service chat"),
    ],
)
def test_the_check_notices_a_changed_figure(summary, path, change, says):
    bad = copy.deepcopy(summary)
    node = bad["serving"]["services"]["chat"]
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = change(node[path[-1]])
    with pytest.raises(LawViolation, match=says):
        check_services(bad, scenario(plain(GAMMA)))


def test_the_check_notices_requests_that_were_handed_to_another_count(summary):
    bad = copy.deepcopy(summary)
    bad["serving"]["fleets"]["east.chat"]["handed_to_it"] = 3
    with pytest.raises(LawViolation, match=r"handed to east\.chat"):
        check_services(bad, scenario(plain(GAMMA)))


def test_the_check_notices_a_service_that_is_not_told(summary):
    bad = copy.deepcopy(summary)
    bad["serving"]["services"] = {}
    with pytest.raises(LawViolation, match="the scenario of"):
        check_services(bad, scenario(plain(GAMMA)))
