"""The training process: a timeline, its laws, and a case in which each law fails."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim.cluster.training import (
    Failures,
    JobPlan,
    TrainingJob,
    check_training_laws,
    expected_time_s,
    young_daly_interval_s,
)
from sim.cost.training import Part, Phase, TrainingStepCost
from sim.datum import datum
from sim.errors import InputError, LawViolation
from sim.record.integral import Integrator
from sim.units import to_ps

GPUS = 10


def step(pipeline_s: float = 3.0, synchronise_s: float = 1.0) -> TrainingStepCost:
    """Two operations of 600 W and 300 W in the pipeline, one of 200 W after it."""
    return TrainingStepCost(
        parts=(
            Part("forward", "pipeline", pipeline_s / 3, 600.0),
            Part("backward", "pipeline", pipeline_s * 2 / 3, 300.0),
            Part("optimiser", "synchronise", synchronise_s, 200.0),
        ),
        gpus=GPUS,
        tokens=1000,
        model_flops=1e15,
        gpu_memory_bytes={},
        clock_frac=1.0,
        peak_flops=1e15,
    )


def plan(steps: int = 3, interval_s: float = 6.0, cost: TrainingStepCost | None = None) -> JobPlan:
    return JobPlan(
        "job",
        cost or step(),
        steps,
        Phase("checkpoint", 0.5, 250.0),
        interval_s,
        100.0,
        fidelity="step",
    )


def run(job_plan: JobPlan, until_s: float) -> tuple[TrainingJob, Integrator]:
    env = simpy.Environment(initial_time=0)
    job = TrainingJob(env, job_plan)
    meter = Integrator.of(job.chip_w)
    env.run(until=to_ps(until_s))
    return job, meter


def test_timeline_of_steps_checkpoints_and_rest() -> None:
    env = simpy.Environment(initial_time=0)
    job = TrainingJob(env, plan())
    events: list[tuple[str, float]] = []
    job.on_step.subscribe(lambda n: events.append((f"step {n}", env.now / 1e12)))
    job.on_checkpoint.subscribe(lambda n: events.append((f"checkpoint {n}", env.now / 1e12)))
    job.chip_w.subscribe(lambda t, w: events.append((f"{w:g} W", t / 1e12)))
    env.run(until=to_ps(20))
    assert events == [
        ("1000 W", 0.0),
        ("4000 W", 0.0),
        ("2000 W", 3.0),
        ("step 1", 4.0),
        ("4000 W", 4.0),
        ("2000 W", 7.0),
        ("step 2", 8.0),
        ("2500 W", 8.0),
        ("checkpoint 1", 8.5),
        ("4000 W", 8.5),
        ("2000 W", 11.5),
        ("step 3", 12.5),
        ("2500 W", 12.5),
        ("checkpoint 2", 13.0),
        ("1000 W", 13.0),
    ]
    assert job.done_at_ps == to_ps(13)


@given(st.floats(0.001, 50), st.floats(0.001, 50), st.integers(1, 12), st.floats(0.5, 400))
def test_recorded_energy_is_the_sum_over_operations(
    pipeline_s: float, synchronise_s: float, steps: int, until_s: float
) -> None:
    job, meter = run(plan(steps, 6.0, step(pipeline_s, synchronise_s)), until_s)
    end_ps = to_ps(until_s)
    check_training_laws(job, end_ps, meter.integral(0, end_ps))


def test_a_lost_joule_is_found() -> None:
    job, meter = run(plan(), 20)
    recorded_j = meter.integral(0, to_ps(20))
    with pytest.raises(LawViolation, match=r"job: recorded chip energy .* difference"):
        check_training_laws(job, to_ps(20), recorded_j * (1 + 1e-8))


def test_a_lost_phase_is_found() -> None:
    job, meter = run(plan(), 20)
    job.ledger.paces[0].steps -= 1
    with pytest.raises(LawViolation, match="3 steps done and 0 lost, but 2 steps ended"):
        check_training_laws(job, to_ps(20), meter.integral(0, to_ps(20)))


def test_lost_time_is_found() -> None:
    job, meter = run(plan(), 20)
    job.ledger.add("checkpoint", 250.0, 1)
    with pytest.raises(LawViolation, match="phases fill"):
        check_training_laws(job, to_ps(20), meter.integral(0, to_ps(20)))


def test_a_job_cut_by_the_horizon_counts_its_started_phase() -> None:
    job, meter = run(plan(), 2.0)
    assert job.steps_done == 0
    assert meter.integral(0, to_ps(2)) == pytest.approx(2 * 4000)
    check_training_laws(job, to_ps(2), meter.integral(0, to_ps(2)))


def failing(rate_per_s: float, spares: int = 100, repair_s: float = 10.0) -> Failures:
    return Failures(
        rate_per_s, Phase("restart", 2.0, 100.0), Phase("reload", 1.0, 200.0), spares, repair_s
    )


def run_failing(failures: Failures, steps: int, seed: int, until_s: float) -> TrainingJob:
    env = simpy.Environment(initial_time=0)
    job_plan = JobPlan("job", step(), steps, Phase("checkpoint", 0.5, 250.0), 6.0, 100.0, failures)
    job = TrainingJob(env, job_plan, np.random.default_rng(seed))
    meter = Integrator.of(job.chip_w)
    env.run(until=to_ps(until_s))
    check_training_laws(job, to_ps(until_s), meter.integral(0, to_ps(until_s)))
    return job


class Scripted:
    """Interruptions after given stretches of work."""

    def __init__(self, *after_s: float):
        self.after_s = list(after_s)

    def exponential(self, _scale: float) -> float:
        return self.after_s.pop(0) if self.after_s else 1e9


def test_timeline_of_a_failure_and_its_recovery() -> None:
    """A failure at 9.5 s loses step 3, which had begun, and nothing that was saved at 8.5 s."""
    env = simpy.Environment(initial_time=0)
    job_plan = replace(plan(), failures=failing(1.0))
    job = TrainingJob(env, job_plan, Scripted(9.5))  # type: ignore[arg-type]
    events: list[tuple[str, float]] = []
    job.on_step.subscribe(lambda n: events.append((f"step {n}", env.now / 1e12)))
    job.on_checkpoint.subscribe(lambda n: events.append((f"checkpoint {n}", env.now / 1e12)))
    job.on_failure.subscribe(lambda n: events.append((f"failure {n}", env.now / 1e12)))
    env.run(until=to_ps(40))
    assert events == [
        ("step 1", 4.0),
        ("step 2", 8.0),
        ("checkpoint 1", 8.5),
        ("failure 1", 9.5),
        ("step 3", 16.5),
        ("checkpoint 2", 17.0),
    ]
    assert (job.lost_steps, job.steps_done) == (0, 3)


def test_work_since_the_checkpoint_is_lost_and_done_again() -> None:
    env = simpy.Environment(initial_time=0)
    job_plan = JobPlan("job", step(), 3, Phase("checkpoint", 0.5, 250.0), 6.0, 100.0, failing(1.0))
    job = TrainingJob(env, job_plan, Scripted(7.0))  # type: ignore[arg-type]
    env.run(until=to_ps(60))
    assert job.lost_steps == 1
    # 7 s lost, 3 s recovery, then the 13 s that the job takes undisturbed
    assert job.done_at_ps == to_ps(7 + 3 + 13)


def test_without_a_spare_the_job_waits_for_a_repair() -> None:
    env = simpy.Environment(initial_time=0)
    job_plan = JobPlan(
        "job", step(), 3, Phase("checkpoint", 0.5, 250.0), 6.0, 100.0, failing(1.0, 0, 20.0)
    )
    job = TrainingJob(env, job_plan, Scripted(7.0))  # type: ignore[arg-type]
    env.run(until=to_ps(100))
    assert job.ledger.time_ps("wait for a node") == to_ps(20)
    assert job.done_at_ps == to_ps(7 + 20 + 3 + 13)


@given(st.integers(0, 10**6), st.floats(0.001, 0.3), st.integers(0, 2), st.floats(5, 300))
def test_laws_hold_under_any_failures(
    seed: int, rate_per_s: float, spares: int, until_s: float
) -> None:
    job = run_failing(failing(rate_per_s, spares), 20, seed, until_s)
    assert job.steps_done <= 20
    # At most the work of one interval, and of the step that reaches past it, is thrown away.
    assert job.lost_steps <= job.failures_seen * 2


def test_mean_time_meets_dalys_formula() -> None:
    """40 seeds; the formula lies in the 99.9 % interval of the mean."""
    failures = failing(0.02)
    times_s = []
    for seed in range(60):
        job = run_failing(failures, 40, seed, 5000)
        assert job.done_at_ps is not None
        times_s.append(job.done_at_ps / 1e12)
    # Two steps of 4 s between checkpoints: the first end of a step after 6 s.
    expected_s = expected_time_s(160, 8.0, 0.5, failures)
    half_s = 3.46 * stdev(times_s) / math.sqrt(len(times_s))
    assert abs(fmean(times_s) - expected_s) < half_s


def test_young_dalys_interval_loses_least() -> None:
    failures = failing(1e-4)
    best_s = young_daly_interval_s(5.0, 1e-4)
    times_s = [expected_time_s(1e6, best_s * f, 5.0, failures) for f in (0.5, 0.9, 1.0, 1.1, 2.0)]
    # The optimum of the first-order formula lies within 5 % of the exact one here.
    assert min(times_s) == pytest.approx(times_s[2], rel=1e-4)
    assert times_s[0] > times_s[2] < times_s[4]


def test_a_job_that_fails_too_often_to_save_is_refused() -> None:
    """Found by fuzzing whole runs: exp of more failures than a float holds."""
    with pytest.raises(InputError, match=r"failure every 0.01 s .* would never finish"):
        expected_time_s(160, 8.0, 0.5, failing(100.0))


def test_llama_3s_rate_gives_one_interruption_in_three_hours_and_most_time_to_work() -> None:
    """16,384 GPUs: one per 3 h, above 90 % effective time; 100,000: one per half hour."""
    mtbf_h = datum("training/failures.yaml", "rate.gpu_mtbf_h").value
    assert mtbf_h / 16_384 == pytest.approx(3.09, abs=0.02)
    assert mtbf_h / 100_000 == pytest.approx(0.5, abs=0.02)
    rate_per_s = 16_384 / (mtbf_h * 3600)
    restart_s = datum("training/failures.yaml", "recovery.restart_s").value
    llama = Failures(
        rate_per_s, Phase("restart", restart_s, 0.0), Phase("reload", 3.0, 0.0), 10, 0.0
    )
    interval_s = young_daly_interval_s(3.0, rate_per_s)
    effective = 1e6 / expected_time_s(1e6, interval_s, 3.0, llama)
    assert 0.90 < effective < 0.97
