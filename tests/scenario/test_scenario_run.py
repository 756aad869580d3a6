"""A run end to end in memory: laws, boundaries, directions that a user would expect."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sim.errors import FlopgridError, InputError, UnknownNameError
from sim.policy import parse_policy, policy_kinds
from sim.policy.compare import compare
from sim.policy.figures import figures
from sim.policy.registry import PolicyKind, register
from sim.report.verdict_text import MAX_LINES, verdict_lines
from sim.scenario.run import load_scenario, run_scenario
from sim.units import MEGA

ROOT = Path(__file__).resolve().parents[2]
ONE_STATE = ROOT / "scenarios" / "100k-h100-one-state.yaml"
FAST = ("grid.samples=16", "horizon_h=2")


@cache
def summary(*overrides: str) -> dict[str, Any]:
    _, scenario = load_scenario(ONE_STATE, [*FAST, *overrides])
    return run_scenario(scenario, seed=1).summary


def margin(found: dict[str, Any], limit: str) -> float:
    return min(v["margin_mw"] for v in found["grid"]["verdicts"] if v["limit"] == limit)


def meter_mw(found: dict[str, Any]) -> float:
    return float(found["power_w"]["facility"]["mean"]) / MEGA


def test_a_hundred_thousand_gpus_draw_what_is_published() -> None:
    """110 to 165 MW at PUE 1.2; 150 MW is allocated to a real site of this size."""
    found = summary()
    assert 110 < meter_mw(found) < 165
    causes = found["sites"]["campus"]["causes_w"]
    assert sum(causes.values()) / MEGA == pytest.approx(meter_mw(found))
    assert min(causes.values()) > 1e6


def test_the_summary_of_a_fleet_in_more_cells_than_are_simulated_can_be_a_file() -> None:
    """Its counts are added up in arrays: none of their numbers may stay one of NumPy's."""
    overrides = ["horizon_h=0.002", "grid.samples=8", "grid.hosting=false"]
    overrides.append("sites.campus.workloads[0].warmup_s=1")
    _, scenario = load_scenario(ROOT / "scenarios" / "100k-h100-serving.yaml", overrides)
    found = run_scenario(scenario, seed=1).summary
    assert "500 of 25000 replicas" in found["serving"]["fleets"]["campus.serving"]["basis"]
    assert json.loads(json.dumps(found)) == found


def test_boundaries_and_energy_agree() -> None:
    found = summary()
    energy, power = found["energy_j"], found["power_w"]
    assert energy["chip"] < energy["it"] < energy["facility"]
    assert energy["facility"] / energy["it"] == pytest.approx(1.2)
    for boundary, joules in energy.items():
        assert joules == pytest.approx(power[boundary]["mean"] * found["horizon_s"])


def test_the_first_verdict_holds_with_room_in_ercot() -> None:
    verdicts = {v["limit"]: v for v in summary()["grid"]["verdicts"]}
    assert set(verdicts) == {
        "energy",
        "reserve",
        "interface",
        "branch",
        "voltage",
        "frequency",
        "swing",
    }
    assert verdicts["branch"]["verdict"] == verdicts["voltage"]["verdict"] == "not-assessed"
    assert verdicts["reserve"]["verdict"] == "holds"


def test_more_gpus_leave_less_room_everywhere() -> None:
    one, two = summary(), summary("sites.campus.cluster.gpus=200000")
    assert meter_mw(two) > 1.8 * meter_mw(one)
    for limit in ("energy", "reserve", "interface", "frequency", "swing"):
        assert margin(two, limit) < margin(one, limit)


def test_a_small_reserve_binds_where_ercot_does_not() -> None:
    found = summary("sites.campus.cluster.gpus=400000", "sites.campus.at.zone=MA")
    binding = {v["limit"] for v in found["grid"]["verdicts"] if v["verdict"] == "binds"}
    assert "reserve" in binding
    assert summary("sites.campus.cluster.gpus=400000")["grid"]["verdicts"][1]["verdict"] == "holds"


def test_a_higher_pue_draws_more_and_leaves_less() -> None:
    better, worse = summary(), summary("sites.campus.facility.pue_design=1.45")
    assert meter_mw(worse) == pytest.approx(meter_mw(better) * 1.45 / 1.2)
    assert worse["energy_j"]["it"] == better["energy_j"]["it"]
    assert margin(worse, "reserve") < margin(better, "reserve")


def test_a_power_cap_draws_less_and_trains_slower() -> None:
    free, capped = summary(), summary("control.power_cap={kind: static, gpu_w: 500}")
    assert meter_mw(capped) < meter_mw(free)
    assert capped["training"]["tokens"] < free["training"]["tokens"]
    assert margin(capped, "reserve") > margin(free, "reserve")


def test_the_verdict_fits_a_screen_and_names_each_term() -> None:
    lines = verdict_lines(summary())
    assert len(lines) <= MAX_LINES
    text = "\n".join(lines)
    for word in ("GPUs", "cooling", "network", "storage", "reserve", "frequency", "Verdict"):
        assert word in text


def test_hosting_is_given_for_every_zone_in_mw_and_gpus() -> None:
    hosting = summary()["grid"]["hosting"]
    assert {"TX-ERCOT", "TX-other", "DC", "AK", "HI", "VA"} <= hosting.keys()
    assert len(hosting) == 52
    per_gpu_kw = summary()["grid"]["meter_kw_per_gpu"]
    for found in hosting.values():
        if found["hosting_mw"] is not None:
            assert found["gpus"] == int(found["hosting_mw"] * 1e3 / per_gpu_kw)


def test_assumptions_and_sources_are_named() -> None:
    found = summary()
    assert any("node.host_w" in line for line in found["assumptions"])
    assert any("availab" in line or "frequency response" in line for line in found["assumptions"])
    assert found["sources"]


def test_a_fleet_serves_and_its_energy_per_token_is_at_every_boundary() -> None:
    _, scenario = load_scenario(
        ROOT / "tests" / "cases" / "valid" / "serving-least.yaml", ["grid.samples=8"]
    )
    serving = run_scenario(scenario, seed=1).summary["serving"]
    energy = serving["energy_j_per_output_token"]
    assert 0 < energy["chip"] < energy["it"] < energy["facility"]
    assert serving["completed"] > 0
    assert serving["ttft_s"]["p50"] <= serving["ttft_s"]["p99"]
    assert "all 32 replicas simulated" in next(iter(serving["fleets"].values()))["basis"]


def test_what_if_reports_the_change_of_each_policy() -> None:
    _, scenario = load_scenario(ONE_STATE, FAST)
    policies = [parse_policy("power-cap:gpu_w=500"), parse_policy("spread:zones=TX-ERCOT+VA")]
    found = compare(scenario, policies, 1)
    cap, spread = (row["delta"] for row in found["policies"])
    assert cap["mean_load_mw"] < 0
    assert cap["training_tokens"] < 0
    assert spread["zones"] == 1
    assert spread["largest_site_mw"] < -40
    assert spread["margin_frequency_mw"] > 0
    assert found["policies"][1]["assumes"]
    assert found["baseline"] == figures(summary(), scenario)


def test_spreading_over_states_takes_its_own_and_the_largest() -> None:
    _, scenario = load_scenario(ONE_STATE, FAST)
    spread = parse_policy("spread:states=4").apply(scenario)
    zones = [site.at.zone for site in spread.sites]
    assert zones[0] == "TX-ERCOT"
    assert len(set(zones)) == 4
    assert sum(site.cluster.nodes or 0 for site in spread.sites) == 12_500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("power-cpa:gpu_w=500", "did you mean 'power-cap'"),
        ("power-cap:gpu=500", "did you mean 'gpu_w'"),
        ("power-cap:gpu_w", "is not key=value"),
    ],
)
def test_a_misspelt_policy_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_policy(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("power-cap", "gpu_w is missing"),
        ("power-cap:gpu_w=lots", "is not a number"),
        ("power-cap:gpu_w=9", "outside 100 to 700 W"),
        ("spread:states=1", "outside 2 to 50 states"),
        ("spread:zones=VA+VA", "names a zone twice"),
        ("spread:zones=VA+OH,states=2", "both given"),
        ("spread:zones=VA+Ohia", "unknown zone"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(text: str, message: str) -> None:
    _, scenario = load_scenario(ONE_STATE)
    with pytest.raises(InputError, match=message):
        parse_policy(text).apply(scenario)


def test_a_policy_registers_once() -> None:
    kind: PolicyKind = policy_kinds()["spread"]
    with pytest.raises(FlopgridError, match="registered twice"):
        register(kind)


def test_unknown_zone_of_a_site_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError):
        load_scenario(ONE_STATE, ["sites.campus.at.zone=Texsa"])


def test_figures_hold_no_nan() -> None:
    for key, value in figures(summary()).items():
        assert not (isinstance(value, float) and math.isnan(value)), key


def test_a_malformed_trace_row_stops_the_run_with_its_line() -> None:
    skip = ROOT / "tests" / "cases" / "valid" / "serving-trace-skip.yaml"
    stop = "sites.campus.workloads[0].requests.on_bad_rows=stop"
    _, scenario = load_scenario(skip, [stop])
    with pytest.raises(InputError, match=r"bad-rows\.csv:3: .*input_tokens"):
        run_scenario(scenario, seed=1)


def test_malformed_trace_rows_are_skipped_and_counted_when_asked() -> None:
    skip = ROOT / "tests" / "cases" / "valid" / "serving-trace-skip.yaml"
    _, scenario = load_scenario(skip, ["grid.samples=8", "grid.hosting=false"])
    serving = run_scenario(scenario, seed=1).summary["serving"]
    assert serving["fleets"]["campus.serving"]["bad_rows"] == 2


def test_a_recorded_trace_is_replayed_with_its_own_lengths() -> None:
    path = ROOT / "tests" / "cases" / "valid" / "serving-trace.yaml"
    overrides = ["sites.campus.workloads[0].representative_replicas=32", "grid.hosting=false"]
    _, scenario = load_scenario(path, [*overrides, "grid.samples=8", "horizon_h=0.002"])
    serving = run_scenario(scenario, seed=1).summary["serving"]
    assert serving["requests"] == 4
    assert serving["tokens_in"] <= 374 + 396 + 879 + 91
