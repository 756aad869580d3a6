"""Sessions in whole fleets: both engines tell the same; a scenario tells what became of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import simpy
from test_serving_compiled_fleet import FREE, RULES, WHOLE, run
from test_serving_fleet import SPEC

from sim.cluster.serving.cell_feeds import cell_coins
from sim.cluster.serving.fleet import ServingFleet
from sim.cost.tables import TableCoster
from sim.scenario.run import load_scenario, run_scenario
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import ConstantLengths
from sim.workload.requests import RequestTable
from sim.workload.sessions import SessionShape

CASE = Path(__file__).resolve().parents[1] / "cases" / "valid" / "serving-sessions.yaml"
SHAPE = SessionShape(3.0, 1.2, 0.3)
STORE = replace(RULES, prefix_blocks=400, prefix_block_tokens=16)
FLEET = replace(
    WHOLE,
    replicas=3,
    cell_replicas=3,
    router="round-robin",
    rules=STORE,
    arrivals=PoissonArrivals(6.0),
    lengths=ConstantLengths(100, 30),
    sessions=SHAPE,
)


@pytest.mark.parametrize("tick_s", [0.1, 1.0])
def test_both_fleets_tell_the_same(tick_s: float) -> None:
    fast = run(replace(FLEET, tick_s=tick_s))[0]
    env = simpy.Environment()
    same = replace(
        SPEC,
        name=f"{FLEET.name}.cell0",
        n_replicas=3,
        horizon_s=20.0,
        warmup_s=4.5,
        rules=STORE,
        router="round-robin",
        arrivals=FLEET.arrivals,
        lengths=FLEET.lengths,
        sessions=SHAPE,
    )
    slow = ServingFleet(env, same, TableCoster(FREE), 1)
    env.run(20 * PS_PER_S)
    slow.check_laws()
    assert fast.sessions == slow.sessions
    assert fast.sessions.ended > 50  # type: ignore[union-attr]
    assert fast.prefix_tokens == slow.prefix_tokens
    assert fast.prefix_tokens[0] > 1000
    ours, theirs = fast.result(), slow.result()
    for name in ("requests", "completed", "tokens_in", "tokens_out", "dropped", "shed"):
        assert getattr(ours, name).value == getattr(theirs, name).value, name
    assert ours.energy_j.value == pytest.approx(theirs.energy_j.value, rel=1e-9)
    assert ours.ttft_s.mean.value == pytest.approx(theirs.ttft_s.mean.value, rel=1e-9)  # type: ignore[union-attr]


def test_a_turn_that_is_not_admitted_ends_its_session() -> None:
    fleet = run(FLEET, lambda f: f.set_admission(0, 0.7))[0]
    counts, result = fleet.sessions, fleet.result()
    assert counts is not None
    assert result.shed.value == pytest.approx(0.3 * result.requests.value, rel=0.25)
    assert counts.cut_short == pytest.approx(0.3 * counts.turns, rel=0.2)


def test_classes_hold_for_all_turns_of_a_session() -> None:
    rules = replace(STORE, classes=(STORE.classes[0],) * 2)
    result = run(replace(FLEET, rules=rules, class_shares=(0.5, 0.5)))[0].result()
    first, second = result.classes
    assert first.completed.value + second.completed.value == result.completed.value
    assert min(first.completed.value, second.completed.value) > 60


def test_a_scenario_tells_what_became_of_its_sessions() -> None:
    fast = ("grid={samples: 8, hosting: false}",)
    found = run_scenario(load_scenario(CASE, fast)[1], 1).summary
    (fleet,) = found["serving"]["fleets"].values()
    told = fleet["sessions"]
    assert told["started"] == pytest.approx(180, rel=0.25)
    assert 0 < told["ended"] < told["started"]
    assert told["turns"] == pytest.approx(fleet["requests"])
    assert 0.05 < fleet["prefix_cache"]["hit_frac"] < 0.9


def test_a_session_of_a_trace_stays_in_one_cell() -> None:
    """Both where every cell is simulated and where some speak for all."""
    count = np.arange(300)
    ones = np.ones(300, dtype=np.int64)
    trace = RequestTable(count * 10**9, ones, ones, session=1 + count % 50)
    spec = replace(WHOLE, replicas=8, cell_replicas=2, router="session-sticky")
    coins = cell_coins(spec, 1, trace)
    cells = np.floor(4 * coins)
    assert all(len(set(cells[trace.session == one])) == 1 for one in range(1, 51))
    assert len(set(cells)) == 4
