"""Orders to a running job: stop, go on, cap, floor; and passing many steps as one event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim.cluster.training import Failures, JobPlan, TrainingJob, check_training_laws
from sim.cost.training import Part, Phase, TrainingStepCost
from sim.errors import InputError
from sim.record.integral import Integrator
from sim.units import to_ps

GPUS = 10


def step(slow: float = 1.0, power: float = 1.0) -> TrainingStepCost:
    """3 s at 400 W, 1 s at 200 W."""
    return TrainingStepCost(
        parts=(
            Part("forward", "pipeline", 3.0 * slow, 400.0 * power),
            Part("optimiser", "synchronise", 1.0, 200.0 * power),
        ),
        gpus=GPUS,
        tokens=1000,
        model_flops=1e15,
        gpu_memory_bytes={},
        clock_frac=1.0,
        peak_flops=1e15,
    )


def step_under(cap_w: float | None) -> TrainingStepCost:
    return step() if cap_w is None else step(2.0, cap_w / 400.0)


def plan(steps: int = 1000, fidelity: Any = "interval", **changes: Any) -> JobPlan:
    base = JobPlan(
        "job",
        step(),
        steps,
        Phase("checkpoint", 0.5, 250.0),
        100.0,
        100.0,
        step_under=step_under,
        limit_gpu_w=700.0,
        fidelity=fidelity,
    )
    return replace(base, **changes)


class Run:
    """A job with a meter, to which orders are given at set times."""

    def __init__(self, job_plan: JobPlan, seed: int = 1):
        self.env = simpy.Environment(initial_time=0)
        self.job = TrainingJob(self.env, job_plan, np.random.default_rng(seed))
        self.meter = Integrator.of(self.job.chip_w)

    def until(self, time_s: float) -> TrainingJob:
        self.env.run(until=to_ps(time_s))
        end_ps = to_ps(time_s)
        check_training_laws(self.job, end_ps, self.meter.integral(0, end_ps))
        return self.job

    def power_w(self, start_s: float, end_s: float) -> float:
        return self.meter.integral(to_ps(start_s), to_ps(end_s)) / (end_s - start_s)


@pytest.mark.parametrize("fidelity", ["interval", "step"])
def test_a_saved_stop_ends_the_step_saves_idles_and_reads_again(fidelity: Any) -> None:
    run = Run(plan(fidelity=fidelity))
    run.until(10)
    run.job.suspend()
    assert run.job.suspended
    assert run.until(50).steps_done == 3
    assert run.job.checkpoints_done == 1
    assert run.power_w(12.5, 50) == pytest.approx(GPUS * 100)
    run.job.resume()
    assert run.until(54.6).steps_done == 4
    assert run.job.ledger.time_ps("suspended") == to_ps(37.5)
    assert run.job.ledger.time_ps("reload") == to_ps(0.5)


@pytest.mark.parametrize("fidelity", ["interval", "step"])
def test_an_unsaved_stop_goes_on_where_it_was(fidelity: Any) -> None:
    run = Run(plan(fidelity=fidelity))
    run.until(10)
    run.job.suspend(save=False)
    assert run.until(50).steps_done == 3
    run.job.resume()
    assert run.until(54.1).steps_done == 4
    assert (run.job.checkpoints_done, run.job.lost_steps) == (0, 0)


def test_an_order_at_the_very_start_and_two_at_once_are_obeyed() -> None:
    run = Run(plan())
    run.until(1e-9)
    run.job.suspend(save=False)
    run.job.set_cap(200.0)
    run.job.set_floor_w(150.0)
    assert run.until(100).steps_done == 1
    run.job.resume()
    run.job.suspend(save=False)
    assert run.until(200).steps_done == 1
    run.job.resume()
    assert run.until(208.1).steps_done == 2


@pytest.mark.parametrize("fidelity", ["interval", "step"])
def test_a_cap_slows_the_steps_that_follow_and_is_lifted(fidelity: Any) -> None:
    run = Run(plan(fidelity=fidelity))
    run.until(5)
    run.job.set_cap(200.0)
    assert run.until(29.1).steps_done == 5
    assert run.power_w(8, 29) == pytest.approx(GPUS * (6 * 200 + 1 * 100) / 7)
    run.job.set_cap(None)
    assert run.until(36 + 8.1).steps_done == 8
    assert [pace.steps for pace in run.job.ledger.paces[:2]] == [2, 4]


def test_the_plans_own_cap_stays_the_upper_one() -> None:
    run = Run(plan(step=step_under(300.0), cap_w=300.0))
    run.job.set_cap(500.0)
    job = run.until(71)
    assert (job.cap_w, job.steps_done, len(job.ledger.paces)) == (300.0, 10, 1)


@pytest.mark.parametrize("fidelity", ["interval", "step"])
def test_a_floor_costs_energy_and_no_time(fidelity: Any) -> None:
    run = Run(plan(fidelity=fidelity))
    run.job.set_floor_w(300.0)
    assert run.until(40.1).steps_done == 10
    assert run.job.pace.mean_w == pytest.approx((3 * 400 + 300) / 4)
    assert run.power_w(0, 40) == pytest.approx(GPUS * (3 * 400 + 300) / 4, rel=2e-3)


def test_a_floor_above_the_limit_and_a_cap_without_a_cost_are_refused() -> None:
    with pytest.raises(InputError, match=r"power floor of 900 W .* limit of 700 W"):
        Run(plan()).job.set_floor_w(900.0)
    with pytest.raises(InputError, match="no cost of a step under a cap of 300"):
        Run(plan(step_under=None)).job.set_cap(300.0)


def failing(rate_per_s: float) -> Failures:
    return Failures(rate_per_s, Phase("restart", 2.0, 100.0), Phase("reload", 1.0, 200.0), 1, 30.0)


@given(st.integers(0, 10**6), st.floats(1e-4, 0.05), st.floats(10, 5000), st.integers(1, 900))
def test_passing_steps_at_once_equals_walking_them(
    seed: int, rate_per_s: float, until_s: float, steps: int
) -> None:
    """Same steps, saves, failures and losses; same energy to rounding."""
    fields = {"failures": failing(rate_per_s), "until_ps": to_ps(until_s)}
    runs = [Run(plan(steps, f, **fields), seed) for f in ("interval", "step")]
    one, other = (run.until(until_s) for run in runs)
    for name in ("steps_done", "lost_steps", "checkpoints_done", "failures_seen", "done_at_ps"):
        assert getattr(one, name) == getattr(other, name), name
    end_ps = to_ps(until_s)
    energies_j = [run.meter.integral(0, end_ps) for run in runs]
    assert energies_j[0] == pytest.approx(energies_j[1], rel=1e-12)
    assert one.ledger.spent_ps == other.ledger.spent_ps


def test_a_window_shows_every_phase_and_the_rest_one_level() -> None:
    run = Run(plan(windows_ps=((to_ps(40), to_ps(60)),)))
    changes: list[float] = []
    run.job.chip_w.subscribe(lambda t, _w: changes.append(t / 1e12))
    run.until(95)
    assert [t for t in changes if 41 < t < 59] == [43.0, 44.0, 47.0, 48.0, 51.0, 52.0, 55.0, 56.0]
    assert [t for t in changes if t < 39 or t > 61] == [0.0, 0.0]


def give(job: TrainingJob, word: str, number: str) -> None:
    if word in {"stop", "save"}:
        job.suspend(save=word == "save")
    elif word == "go":
        job.resume()
    elif word == "floor":
        job.set_floor_w(float(number))
    else:
        job.set_cap(float(number) if word == "cap" else None)


ORDERS = st.lists(
    st.tuples(
        st.floats(0.1, 60),
        st.sampled_from(
            ["stop", "save", "go", "cap 200", "cap 300", "free", "floor 250", "floor 0"]
        ),
    ),
    max_size=12,
)


@given(ORDERS, st.integers(0, 99), st.floats(1e-4, 0.02), st.sampled_from(["interval", "step"]))
def test_laws_hold_under_any_orders(
    orders: list[tuple[float, str]], seed: int, rate_per_s: float, fidelity: Any
) -> None:
    run = Run(plan(200, fidelity, failures=failing(rate_per_s)), seed)
    now_s = 0.0
    for wait_s, order in orders:
        now_s += wait_s
        job = run.until(now_s)
        word, _, number = order.partition(" ")
        give(job, word, number)
    job = run.until(now_s + 50)
    assert job.steps_done + job.lost_steps == job.ledger.steps + job.steps_under_way
    assert run.meter.measure(0, to_ps(now_s + 50)).max <= GPUS * 400
