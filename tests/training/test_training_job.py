"""The training process: a timeline, its laws, and a case in which each law fails."""

from __future__ import annotations

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim.cluster.training import JobPlan, TrainingJob, check_training_laws
from sim.cost.training import Part, Phase, TrainingStepCost
from sim.errors import LawViolation
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
    return JobPlan("job", cost or step(), steps, Phase("checkpoint", 0.5, 250.0), interval_s, 100.0)


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
    job.phases_done["synchronise"] -= 1
    with pytest.raises(LawViolation, match="3 steps done but phase synchronise ended 2 times"):
        check_training_laws(job, to_ps(20), meter.integral(0, to_ps(20)))


def test_lost_time_is_found() -> None:
    job, meter = run(plan(), 20)
    job.phases_done["checkpoint"] += 1
    with pytest.raises(LawViolation, match="phases fill"):
        check_training_laws(job, to_ps(20), meter.integral(0, to_ps(20)))


def test_a_job_cut_by_the_horizon_counts_its_started_phase() -> None:
    job, meter = run(plan(), 2.0)
    assert job.steps_done == 0
    assert meter.integral(0, to_ps(2)) == pytest.approx(2 * 4000)
    check_training_laws(job, to_ps(2), meter.integral(0, to_ps(2)))
