"""Prefix stores in whole fleets: both engines save the same; a scenario tells the share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import simpy
from test_serving_compiled_fleet import FREE, RULES, WHOLE, run
from test_serving_fleet import SPEC
from test_serving_prefix import table, with_blocks

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.fleet import ServingFleet
from sim.cost.tables import TableCoster
from sim.scenario.run import load_scenario, run_scenario
from sim.units import PS_PER_S
from sim.workload.requests import RequestTable, draw_requests

STORE = replace(RULES, prefix_blocks=60, prefix_block_tokens=64)
CASE = Path(__file__).resolve().parents[1] / "cases" / "valid" / "serving-prefix-cache.yaml"


@pytest.fixture(scope="module")
def prompts() -> RequestTable:
    """Prompts that share beginnings with one another."""
    drawn = draw_requests(WHOLE.arrivals, WHOLE.lengths, 20.0, 3, "same")
    return table(with_blocks(list(drawn), 64, 1))


def test_both_fleets_save_the_same(prompts: RequestTable) -> None:
    spec = replace(WHOLE, replicas=3, cell_replicas=3, router="round-robin", rules=STORE)
    fast = run(spec, recorded=prompts)[0]
    env = simpy.Environment()
    slow_spec = replace(
        SPEC, n_replicas=3, horizon_s=20.0, warmup_s=4.5, rules=STORE, router="round-robin"
    )
    slow = ServingFleet(env, slow_spec, TableCoster(FREE), 1, recorded=prompts)
    env.run(20 * PS_PER_S)
    slow.check_laws()
    hit, read = fast.prefix_tokens
    assert (hit, read) == slow.prefix_tokens
    assert 0.02 * read < hit < 0.9 * read
    ours, theirs = fast.result(), slow.result()
    assert ours.completed.value == theirs.completed.value
    assert ours.energy_j.value == pytest.approx(theirs.energy_j.value, rel=1e-9)
    none = run(replace(spec, rules=RULES), recorded=prompts)[0]
    assert none.prefix_tokens[0] == 0
    first, without = ours.ttft_s, none.result().ttft_s
    assert first is not None
    assert without is not None
    assert first.mean.value < 0.99 * without.mean.value


def test_each_cell_knows_the_blocks_of_its_own_prompts(prompts: RequestTable) -> None:
    spec = replace(WHOLE, replicas=8, cell_replicas=2, rules=STORE)
    whole = run(spec, recorded=prompts)[0]
    env = simpy.Environment()
    cells = CellFleet(env, spec, lambda _: FREE, 1, prompts)
    env.run(20 * PS_PER_S)
    cells.check_laws()
    assert len(cells.parts) == 4
    hit, read = cells.prefix_tokens
    assert 0.02 * read < hit < 0.9 * read
    assert whole.prefix_tokens[1] == read


def test_a_scenario_tells_what_came_from_the_store() -> None:
    """Two prompts of the trace share a block of 512 of their 1,724 tokens."""
    whole = ("sites[0].workloads[0].layout.tp=8", "grid={samples: 8, hosting: false}")
    found = run_scenario(load_scenario(CASE, whole)[1], 1).summary
    (fleet,) = found["serving"]["fleets"].values()
    told = fleet["prefix_cache"]
    assert (told["hit_tokens"], told["prompt_tokens"]) == (512, 1724)
    assert told["hit_frac"] == pytest.approx(512 / 1724)
    assert told["store_blocks"] > 1000
