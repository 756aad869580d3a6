"""Replicas of whole fleets that break: the plan, both engines, and what a scenario tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import simpy
from test_serving_compiled_fleet import FREE, RULES, WHOLE, run
from test_serving_fleet import SPEC

from sim.cluster.serving.breakdowns import Breakdowns, Breaking
from sim.cluster.serving.fleet import ServingFleet
from sim.cost.tables import TableCoster
from sim.errors import InputError
from sim.scenario.run import load_scenario, run_scenario
from sim.units import PS_PER_S
from sim.workload.requests import draw_requests

CASE = Path(__file__).resolve().parents[1] / "cases" / "valid" / "serving-failures.yaml"
OFTEN = Breaking(12.0, 3.0)


def test_a_plan_breaks_at_its_rate_and_repairs_in_its_time() -> None:
    """1,000 replicas for 100 s, 8 s whole and 2 s broken in turn: 10,000 failures, 1 in 5 down."""
    plan = Breakdowns(Breaking(8.0, 2.0), 1000, 7, 100.0)
    end_ps, changes = 100 * PS_PER_S, []
    while plan.next_ps <= end_ps:
        now_ps = plan.next_ps
        changes += [(now_ps, change.place, change.broken) for change in plan.act(now_ps)]
    assert plan.count == pytest.approx(10_000, rel=0.03)
    assert plan.down_ps(end_ps) / end_ps == pytest.approx(200, rel=0.04)
    own = [(time_ps, broken) for time_ps, place, broken in changes if place == 3]
    assert [broken for _, broken in own] == [i % 2 == 0 for i in range(len(own))]
    assert all(b[0] - a[0] == 2 * PS_PER_S for a, b in zip(own[::2], own[1::2], strict=False))
    fewer = Breakdowns(Breaking(8.0, 2.0), 4, 7, 100.0)
    assert fewer.next_ps == min(time_ps for time_ps, place, _ in changes if place < 4)


@pytest.mark.parametrize("router", ["round-robin", "join-shortest-queue", "least-kv"])
def test_both_fleets_break_alike(router: str) -> None:
    table = draw_requests(WHOLE.arrivals, WHOLE.lengths, 20.0, 3, "same")
    spec = replace(WHOLE, replicas=3, cell_replicas=3, router=router, failures=OFTEN)
    fast = run(spec, recorded=table)[0]
    env = simpy.Environment()
    slow_spec = replace(SPEC, n_replicas=3, horizon_s=20.0, warmup_s=4.5, rules=RULES)
    slow_spec = replace(slow_spec, router=router, failures=OFTEN)
    slow = ServingFleet(env, slow_spec, TableCoster(FREE), 1, recorded=table)
    env.run(20 * PS_PER_S)
    slow.check_laws()
    plan = fast.breakdowns
    assert plan is not None
    assert plan.count == slow.breakdowns.count >= 3  # type: ignore[union-attr]
    assert fast.requeued == slow.requeued > 10
    ours, theirs = fast.result(), slow.result()
    for name in ("requests", "completed", "tokens_in", "tokens_out", "dropped", "shed"):
        assert getattr(ours, name).value == getattr(theirs, name).value, name
    assert ours.energy_j.value == pytest.approx(theirs.energy_j.value, rel=1e-9)
    assert ours.e2e_s.mean.value == pytest.approx(theirs.e2e_s.mean.value, rel=1e-9)  # type: ignore[union-attr]


def test_a_fleet_whose_only_replica_breaks_goes_on() -> None:
    spec = replace(WHOLE, replicas=1, failures=OFTEN)
    fleet = run(spec)[0]
    assert fleet.breakdowns.count >= 1  # type: ignore[union-attr]
    assert fleet.requeued > 0
    assert fleet.result().completed.value > 0


def test_a_scenario_counts_its_failures() -> None:
    fast = ("grid={samples: 8, hosting: false}",)
    found = run_scenario(load_scenario(CASE, fast)[1], 1).summary
    (fleet,) = found["serving"]["fleets"].values()
    told = fleet["failures"]
    assert told["replica_mtbf_h"] == pytest.approx(0.05)
    assert told["count"] >= told["repaired"] > 0
    assert told["requests_requeued"] > 0
    assert 0 < told["replicas_down_mean"] < 4


def test_what_is_left_out_is_told_as_the_published_rate() -> None:
    changes = ("grid={samples: 8, hosting: false}", "sites[0].workloads[0].failures={}")
    found = run_scenario(load_scenario(CASE, changes)[1], 1).summary
    (fleet,) = found["serving"]["fleets"].values()
    assert fleet["failures"]["replica_mtbf_h"] == pytest.approx(50676 / 2)
    assert any("mean time a node is away" in line for line in found["assumptions"])


def test_bad_input_is_refused() -> None:
    for bad in ((0.0, 1.0), (1.0, float("inf"))):
        with pytest.raises(InputError, match="times above 0"):
            Breaking(*bad)
    with pytest.raises(InputError, match="recompute"):
        replace(WHOLE, rules=replace(RULES, preemption="swap"), failures=OFTEN)
