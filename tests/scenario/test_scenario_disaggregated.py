"""Disaggregated fleets in scenarios: from the command line to a folder that holds its laws."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sim.cli.main import main
from sim.errors import CapacityError, LawViolation
from sim.hardware.node import load_node
from sim.policy import parse_policy
from sim.policy.compare import twins
from sim.report.serving_split import serving_splits
from sim.report.verdict_text import _serving_words
from sim.scenario.build import build
from sim.scenario.cap_costs import CapCosts
from sim.scenario.disaggregation import sized_pools
from sim.scenario.resolve import resolve
from sim.scenario.run import load_scenario
from sim.scenario.schema import ServingSpec
from sim.scenario.verify_summary import check_counts

TEXT = """
name: pools
horizon_h: 0.01
sites:
  - name: campus
    at: {zone: TX-ERCOT}
    cluster: {gpus: 16}
    workloads:
      - kind: serving
        arch: llama-3.1-8b
        fidelity: request
        disaggregated: {prefill_replicas: 6, link_bytes_per_s: 5e10, link_latency_s: 0.01}
        requests: {kind: poisson, rate_per_s: 30}
        classes: [{name: chat, share_frac: 0.5, slo_ttft_s: 1}, {name: batch, share_frac: 0.5}]
        warmup_s: 6
record: {requests: all}
grid: {samples: 8, hosting: false}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pools")
    (place / "pools.yaml").write_text(TEXT, "utf-8")
    assert main(["run", str(place / "pools.yaml"), "--out", str(place)]) == 0
    (found,) = place.glob("pools-*/seed-1")
    return found


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text("utf-8"))
    return found


def test_a_run_tells_both_pools_and_holds_its_laws(folder: Path) -> None:
    summary = summary_of(folder)
    fleet = summary["serving"]["fleets"]["campus.serving"]
    pools = fleet["disaggregated"]
    assert [pools[kind]["replicas"] for kind in ("prefill", "decode")] == [6, 10]
    assert fleet["completed"] > 800
    assert pools["handed_over"] >= fleet["completed"]
    assert pools["transfer_s"]["mean"] > 0.01 + 1000 * 131_072 / 5e10
    assert 0 < pools["link"]["busy_frac"] < pools["prefill"]["busy_frac"] < 1
    assert main(["check", str(folder)]) == 0
    assert "6 replicas read prompts, 10 decode, caches go over in 1" in _serving_words(
        summary["serving"]
    )


def test_rows_are_of_whole_requests(folder: Path) -> None:
    rows = pq.read_table(folder / "requests.parquet").to_pylist()
    done = [row for row in rows if row["status"] == "completed" and row["output_tokens"] > 1]
    assert {row["class"] for row in done} == {"chat", "batch"}
    assert {row["replica"] for row in done} == set(range(6, 16))
    for row in done:
        assert row["e2e_s"] == pytest.approx(row["end_s"] - row["arrival_s"], abs=1e-9)
        later_s = row["tpot_s"] * (row["output_tokens"] - 1)
        assert row["ttft_s"] + later_s == pytest.approx(row["e2e_s"], abs=1e-9)
        assert later_s > 0.01
        assert row["energy_chip_j"] > 0


def test_the_report_divides_the_power_as_the_pools_drew_it(folder: Path) -> None:
    summary = summary_of(folder)
    tree = load_scenario(folder / "scenario.resolved.yaml")[1].model_dump(mode="json")
    split = serving_splits(tree, summary)["campus.serving"]
    pools = summary["serving"]["fleets"]["campus.serving"]["disaggregated"]
    idle_w = split.standing_w / 16
    above = [p["energy_j"] - idle_w * p["gpus"] * 30.0 for p in (pools["prefill"], pools["decode"])]
    assert split.prefill_frac == pytest.approx(above[0] / sum(above))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({("decode", "energy_j"): 1.0}, "pools of campus.serving"),
        ({("prefill", "busy_frac"): 1.5}, "busy 1.5"),
        ({("link", "busy_frac"): 1.25}, "busy 1.25"),
        ({("under_way",): 10**9}, "more than were sent"),
    ],
)
def test_a_tampered_summary_is_found(
    folder: Path, changes: dict[tuple[str, ...], float], words: str
) -> None:
    summary = copy.deepcopy(summary_of(folder))
    part = summary["serving"]["fleets"]["campus.serving"]["disaggregated"]
    for (*path, last), value in changes.items():
        for step in path:
            part = part[step]
        part[last] = value
    with pytest.raises(LawViolation, match=words):
        check_counts(summary)


def spec_with(tmp_path: Path, **changes: Any) -> tuple[ServingSpec, Any]:
    file = tmp_path / "pools.yaml"
    file.write_text(TEXT, "utf-8")
    scenario = load_scenario(file)[1]
    spec = scenario.sites[0].workloads[0]
    assert isinstance(spec, ServingSpec)
    found = ServingSpec.model_validate(spec.model_dump() | changes)
    return found, scenario


@pytest.mark.parametrize(
    ("given", "gpus", "pools"),
    [
        ({"prefill_frac": 0.25}, 16, (4, 12)),
        ({"prefill_frac": 0.5, "prefill_layout": {"tp": 2}}, 16, (4, 8)),
        ({"prefill_replicas": 3, "prefill_layout": {"tp": 4}}, 17, (3, 5)),
        (True, 2, (1, 1)),
    ],
)
def test_the_gpus_are_divided(
    tmp_path: Path, given: Any, gpus: int, pools: tuple[int, int]
) -> None:
    spec, _ = spec_with(tmp_path, disaggregated=given, gpus=gpus)
    costs = CapCosts(spec, load_node("dgx-h100"), None)
    assert costs.pools == pools
    assert costs.gpus <= gpus


def test_the_layout_of_prefill_replicas_is_resolved_in_full(tmp_path: Path) -> None:
    given = {"prefill_replicas": 2, "prefill_layout": {"tp": 2}}
    spec, scenario = spec_with(tmp_path, disaggregated=given)
    site = scenario.sites[0].model_copy(update={"workloads": [spec]})
    (found,) = resolve(scenario.model_copy(update={"sites": [site]})).sites[0].workloads
    assert found.disaggregated.prefill_layout.dp == 1


def test_no_pool_is_empty(tmp_path: Path) -> None:
    spec, _ = spec_with(tmp_path, disaggregated=True, gpus=1)
    with pytest.raises(CapacityError, match="leave 0 of 1 GPUs to decode"):
        _ = CapCosts(spec, load_node("dgx-h100"), None).pools


def test_left_alone_both_pools_saturate_together(tmp_path: Path) -> None:
    """More of either kind carries less."""
    node = load_node("dgx-h100")

    def most_per_s(given: Any) -> float:
        spec, _ = spec_with(tmp_path, disaggregated=given, gpus=200)
        return CapCosts(spec, node, None).curve(None).saturation_per_s

    spec, _ = spec_with(tmp_path, disaggregated=True, gpus=200)
    pools = CapCosts(spec, node, None).pools
    assert pools is not None
    best = most_per_s(True)
    for more in (-8, 8):
        assert most_per_s({"prefill_replicas": pools[0] + more}) < 0.97 * best
    slow = most_per_s({"prefill_replicas": pools[0], "link_bytes_per_s": 1e8})
    assert slow < 0.2 * best


def test_prefill_replicas_that_carry_less_than_the_traffic_are_not_made_up_for(
    tmp_path: Path,
) -> None:
    """The number that the message names is the least that is taken."""
    node = load_node("dgx-h100")
    wanted_per_s = 300.0

    def gpus(**given: Any) -> int:
        spec, _ = spec_with(tmp_path, disaggregated=given)
        return sized_pools(CapCosts(spec, node, None), wanted_per_s)

    with pytest.raises(CapacityError, match=r"prefill_replicas: \d+ or more") as told:
        gpus(prefill_replicas=2)
    (least,) = re.findall(r"prefill_replicas: (\d+)", str(told.value))
    enough = gpus(prefill_replicas=int(least))
    assert enough == pytest.approx(gpus(), abs=1)
    with pytest.raises(CapacityError, match=f"{least} or more"):
        gpus(prefill_replicas=int(least) - 1)
    with pytest.raises(CapacityError, match="with their links"):
        gpus(prefill_replicas=int(least), link_bytes_per_s=1e8)


def test_the_policy_keeps_the_fidelity(tmp_path: Path) -> None:
    _, scenario = spec_with(tmp_path)
    policy = parse_policy("disaggregation")
    for fidelity, kept in (("request", "request"), ("sampled", "cells"), ("fluid", "fluid")):
        plain = {"disaggregated": False, "fidelity": fidelity, "classes": []}
        spec = scenario.sites[0].workloads[0].model_copy(update=plain)
        site = scenario.sites[0].model_copy(update={"workloads": [spec]})
        _, (changed,) = twins(scenario.model_copy(update={"sites": [site]}), [(policy,)])
        found = changed.sites[0].workloads[0]
        assert (found.fidelity, found.disaggregated) == (kept, True)


def test_rules_expect_the_power_of_both_pools(tmp_path: Path) -> None:
    _, scenario = spec_with(tmp_path)
    fleet = build(scenario, 1).sites[0].fleets["serving"]
    assert fleet.replicas == 16
    assert fleet.idle_power_w == pytest.approx(fleet.chip_w.value)
    assert fleet.idle_power_w < fleet.expected_power_w(400.0) < fleet.expected_power_w(None)
