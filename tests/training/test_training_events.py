"""Everything that takes time in a run: causes, slow nodes, maintenance, pauses, saving, ramps."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cluster.training import (
    Cause,
    Failures,
    JobPlan,
    Maintenance,
    Pause,
    Ramps,
    Stragglers,
    TrainingJob,
    by_cause,
    check_training_laws,
    expected_run,
    slowed,
)
from sim.cost.training import Part, Phase, TrainingStepCost
from sim.record.integral import Integrator
from sim.units import to_ps

GPUS = 10


def step() -> TrainingStepCost:
    """3 s at 400 W, 1 s at 200 W."""
    return TrainingStepCost(
        parts=(
            Part("forward", "pipeline", 3.0, 400.0),
            Part("optimiser", "synchronise", 1.0, 200.0),
        ),
        gpus=GPUS,
        tokens=1000,
        model_flops=1e15,
        gpu_memory_bytes={},
        clock_frac=1.0,
        peak_flops=1e15,
    )


def plan(steps: int = 100, **changes: Any) -> JobPlan:
    base = JobPlan(
        "job", step(), steps, Phase("checkpoint", 0.5, 250.0), 100.0, 100.0, limit_gpu_w=700.0
    )
    return replace(base, **changes)


def run(job_plan: JobPlan, until_s: float, seed: int = 1) -> tuple[TrainingJob, Integrator]:
    env = simpy.Environment(initial_time=0)
    job = TrainingJob(env, job_plan, np.random.default_rng(seed))
    meter = Integrator.of(job.chip_w)
    env.run(until=to_ps(until_s))
    check_training_laws(job, to_ps(until_s), meter.integral(0, to_ps(until_s)))
    return job, meter


def causes() -> tuple[Cause, ...]:
    return (
        Cause("gpu", 3e-3, Phase("restart", 6.0, 100.0)),
        Cause("software", 1e-3, Phase("restart", 2.0, 100.0), takes_node=False),
    )


def failing(spares: int = 100, repair_s: float = 30.0) -> Failures:
    return by_cause(causes(), Phase("reload", 1.0, 200.0), spares, repair_s)


def test_causes_share_the_rate_and_the_mean_recovery() -> None:
    failures = failing()
    assert failures.rate_per_s == pytest.approx(4e-3)
    assert failures.recovery_s == pytest.approx((3 * 6 + 1 * 2) / 4 + 1)
    rng = np.random.default_rng(1)
    drawn = Counter(failures.draw_cause(rng).name for _ in range(4000))
    # 4.4 standard deviations of a binomial count
    assert abs(drawn["gpu"] - 3000) < 4.4 * math.sqrt(4000 * 0.75 * 0.25)


def test_only_causes_that_take_a_node_wait_for_one() -> None:
    soft = (Cause("software", 5e-3, Phase("restart", 2.0, 100.0), takes_node=False),)
    failures = by_cause(soft, Phase("reload", 1.0, 200.0), 0, 1e6)
    job, _ = run(plan(1000, failures=failures), 3000)
    assert job.failures_seen > 3
    assert job.ledger.time_ps("wait for a node") == 0
    assert job.failures_by_cause == {"software": job.failures_seen}


def test_a_pause_comes_after_every_so_many_steps() -> None:
    pause = Pause(Phase("evaluate", 10.0, 300.0), 5)
    job, meter = run(plan(20, pauses=(pause,)), 200)
    assert job.ledger.time_ps("evaluate") == to_ps(4 * 10)
    assert job.done_at_ps is not None
    assert job.done_at_ps == to_ps(20 * 4 + 4 * 10 + 0.5 * job.checkpoints_done)
    assert meter.integral(to_ps(20), to_ps(30)) == pytest.approx(10 * GPUS * 300)


def test_planned_maintenance_loses_no_step() -> None:
    job, _ = run(plan(200, maintenance=Maintenance(150.0, 20.0)), 900)
    assert job.maintenances >= 4
    assert job.lost_steps == 0
    assert job.ledger.time_ps("maintenance") == to_ps(20.0 * job.maintenances)


def test_a_slow_node_slows_the_job_until_it_is_replaced() -> None:
    slow = Stragglers(rate_per_s=1e-2, slow_frac=0.5, detect_s=60.0)
    job, _ = run(plan(400, stragglers=slow, wait_w=150.0), 1500)
    assert job.stragglers_seen > 3
    assert job.lost_steps == 0
    lengths = {pace.step_ps for pace in job.ledger.paces if pace.steps}
    assert lengths == {to_ps(4.0), to_ps(3.0 * 1.5 + 1.0)}
    assert any(what == "slow node replaced" for _, what, _ in job.events)


def test_slowing_adds_waiting_to_the_pipeline_and_nothing_else() -> None:
    cost = slowed(step(), 0.1, 150.0)
    assert cost.time_s == pytest.approx(4.3)
    assert cost.energy_j == pytest.approx(step().energy_j + GPUS * 0.3 * 150)


def test_a_checkpoint_written_beside_the_steps_counts_from_its_end() -> None:
    """Saved at 100 s, counts from 120 s: a failure at 110 s loses everything."""
    soft = by_cause(
        (Cause("x", 1e-9, Phase("restart", 2.0, 100.0), takes_node=False),),
        Phase("reload", 1.0, 200.0),
        1,
        1.0,
    )
    for fails_at_s, kept in ((110.0, 0), (130.0, 25)):
        env = simpy.Environment(initial_time=0)
        job_plan = plan(1000, background_s=20.0, failures=soft)
        job = TrainingJob(env, job_plan, np.random.default_rng(1))
        job._nodes._breaks_at_ps = to_ps(fails_at_s)
        env.run(until=to_ps(fails_at_s + 2.5))
        assert job.failures_seen == 1
        assert job.steps_done == kept


@given(
    st.integers(0, 10**6),
    st.floats(1e-4, 0.02),
    st.floats(8, 200),
    st.sampled_from([0.0, 3.0, 25.0]),
    st.sampled_from(["interval", "step"]),
)
@settings(max_examples=60)
def test_a_failure_loses_at_most_one_interval(
    seed: int, rate: float, interval_s: float, background_s: float, fidelity: Any
) -> None:
    """The steps of one interval, those of a checkpoint under way, and the step that crosses."""
    failures = by_cause(
        (Cause("gpu", rate, Phase("restart", 2.0, 100.0)),), Phase("reload", 1.0, 200.0), 5, 20.0
    )
    job, _ = run(
        plan(
            500,
            checkpoint_interval_s=interval_s,
            background_s=background_s,
            failures=failures,
            fidelity=fidelity,
        ),
        3000,
        seed,
    )
    # a checkpoint waits for the one being written before it
    longest_s = max(interval_s, background_s) + background_s
    assert job.most_lost_steps <= math.ceil(longest_s / 4.0) + 1
    assert job.steps_done + job.lost_steps == job.ledger.steps + job.steps_under_way


EVERYTHING: dict[str, Any] = {
    "failures": failing(2, 40.0),
    "stragglers": Stragglers(2e-3, 0.3, 50.0),
    "maintenance": Maintenance(400.0, 30.0),
    "pauses": (Pause(Phase("evaluate", 7.0, 300.0), 11),),
    "wait_w": 150.0,
}


@given(
    st.integers(0, 10**6),
    st.floats(10, 4000),
    st.sampled_from([0.0, 5.0]),
    st.sampled_from([math.inf, 40.0]),
    st.sampled_from([0.0, 300.0]),
)
@settings(max_examples=60)
def test_passing_steps_at_once_equals_walking_them_with_everything_on(
    seed: int, until_s: float, background_s: float, slope: float, floor_w: float
) -> None:
    made = plan(
        700,
        background_s=background_s,
        ramps=Ramps(slope, 10.0),
        floor_w=floor_w,
        until_ps=to_ps(until_s),
        **EVERYTHING,
    )
    one, meter = run(made, until_s, seed)
    other, walked = run(replace(made, fidelity="step"), until_s, seed)
    for name in (
        "steps_done",
        "lost_steps",
        "checkpoints_done",
        "failures_by_cause",
        "stragglers_seen",
        "maintenances",
        "done_at_ps",
        "events",
    ):
        assert getattr(one, name) == getattr(other, name), name
    assert one.ledger.by_use_ps() == other.ledger.by_use_ps()
    energies_j = [m.integral(0, to_ps(until_s)) for m in (meter, walked)]
    assert energies_j[0] == pytest.approx(energies_j[1], rel=1e-9)


def test_ramps_keep_the_slope_around_pauses_and_the_start() -> None:
    """40 W a GPU and second: no jump above a stair of the 8 that a change is drawn in."""
    made = plan(200, ramps=Ramps(40.0, 20.0), floor_w=200.0, **EVERYTHING)
    env = simpy.Environment(initial_time=0)
    job = TrainingJob(env, made, np.random.default_rng(3))
    levels: list[float] = []
    job.chip_w.subscribe(lambda _t, w: levels.append(w / GPUS))
    env.run(until=to_ps(600))
    jumps = [abs(b - a) for a, b in pairwise(levels)]
    assert job.failures_seen > 0
    bare = plan(200, **EVERYTHING)
    env = simpy.Environment(initial_time=0)
    other = TrainingJob(env, bare, np.random.default_rng(3))
    plain: list[float] = []
    other.chip_w.subscribe(lambda _t, w: plain.append(w / GPUS))
    env.run(until=to_ps(600))
    assert max(jumps) < 0.7 * max(abs(b - a) for a, b in pairwise(plain))


def test_dummy_work_is_booked() -> None:
    job, _ = run(plan(50, floor_w=300.0), 100)
    assert job.ledger.dummy_j() == pytest.approx(job.ledger.steps * 100.0)


def test_expected_run_meets_simulated_runs() -> None:
    """30 seeds with everything on; the mean lies within four standard errors, or 3 %."""
    made = plan(600, background_s=5.0, **{**EVERYTHING, "failures": failing(10_000, 1.0)})
    made = replace(made, stragglers=Stragglers(3e-4, 0.3, 50.0))
    times_s = []
    for seed in range(30):
        job, _ = run(made, 12_000, seed)
        assert job.done_at_ps is not None
        times_s.append(job.done_at_ps / 1e12)
    expected_s = expected_run(made).run_s
    half_s = max(4 * stdev(times_s) / math.sqrt(len(times_s)), 0.03 * expected_s)
    assert abs(fmean(times_s) - expected_s) < half_s


def test_tokens_are_steps_times_batch() -> None:
    job, _ = run(plan(60, **EVERYTHING), 3000)
    assert job.steps_done == 60
    assert job.steps_done * job.plan.step.tokens == 60_000
