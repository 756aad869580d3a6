"""A layout search for 100,000 GPUs, and 90 days of a run on them with everything that fails.

Run with `make bench` or `python benchmarks/training.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simpy

from sim import arch
from sim.arch import Architecture
from sim.cluster.training import JobPlan, TrainingJob, check_training_laws
from sim.cost.plan_training import plan_training
from sim.hardware.node import Node, load_node
from sim.record.integral import Integrator
from sim.scenario.jobs import plan_job
from sim.scenario.run import load_scenario
from sim.scenario.schema import Scenario, TrainingSpec
from sim.scenario.simulate import simulate
from sim.units import to_ps

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "gpt6-one-state.yaml"
DAYS = 90


def main() -> int:
    """Print wall and CPU time of each part."""
    _, scenario = load_scenario(SCENARIO, [f"horizon_h={DAYS * 24}", "grid.hosting=false"])
    spec = scenario.sites[0].workloads[0]
    assert isinstance(spec, TrainingSpec)  # noqa: S101 - the scenario has one training job
    node = load_node()
    model = arch.load("gpt6-class-moe")
    _timed("layout search, 100,000 GPUs", 10, lambda: _search(model, node))
    plan = plan_job("campus.training", spec, node, None, DAYS * 86_400)
    _timed(f"{DAYS} days of one job", 5, lambda: _run(plan))
    _timed(f"{DAYS} days with meters and laws", 5, lambda: _simulate(scenario))
    return 0


def _timed(name: str, aim_s: float, work: Callable[[], str]) -> None:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    told = work()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    print(f"{name:34} {wall_s:7.2f} s wall {cpu_s:7.2f} s CPU   aim: below {aim_s:g} s   {told}")


def _search(model: Architecture, node: Node) -> str:
    plan = plan_training(model, node, 100_000, global_batch_tokens=100_663_296)
    tried = len(plan.best) + sum(plan.rejected.values())
    return f"{tried:,} layouts, best {plan.best[0].cost.mfu:.1%} MFU"


def _run(plan: JobPlan) -> str:
    env = simpy.Environment(initial_time=0)
    job = TrainingJob(env, plan, np.random.default_rng(1))
    meter = Integrator.of(job.chip_w)
    end_ps = to_ps(DAYS * 86_400)
    env.run(until=end_ps)
    check_training_laws(job, end_ps, meter.integral(0, end_ps))
    return f"{job.steps_done:,} steps, {job.failures_seen:,} failures"


def _simulate(scenario: Scenario) -> str:
    outcome = simulate(scenario, 1)
    return f"{outcome.total['facility'].integral / 3.6e12:,.1f} GWh at the meter"


if __name__ == "__main__":
    sys.exit(main())
