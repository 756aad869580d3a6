"""The power goes and comes back: what a job loses, draws and does, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_training_events import GPUS, plan

from sim.cluster.training import JobPlan, Outage, TrainingJob, check_training_laws
from sim.record.integral import Integrator
from sim.units import to_ps


def run(made: JobPlan, end_s: float) -> tuple[TrainingJob, Integrator]:
    env = simpy.Environment(initial_time=0)
    job = TrainingJob(env, made)
    meter = Integrator.of(job.chip_w)
    env.run(until=to_ps(end_s))
    check_training_laws(job, to_ps(end_s), meter.integral(0, to_ps(end_s)))
    return job, meter


def outage(at_s: float, until_s: float, **changes: Any) -> Outage:
    return Outage(to_ps(at_s), to_ps(until_s), **changes)


def test_work_since_the_last_checkpoint_is_lost():
    """A checkpoint at 100 s holds 25 steps; 10 more are lost at 141 s (half a second to save)."""
    job, meter = run(plan(outages=(outage(141, 151, restart_s=20.0),)), 200)
    assert job.lost_steps == 10
    assert job.failures_by_cause == {"no power": 1}
    dark_j = meter.integral(to_ps(141), to_ps(151))
    assert dark_j == 0
    assert meter.integral(to_ps(151), to_ps(171)) == pytest.approx(20 * 100 * GPUS)
    back_s = 151 + 20 + 0.5  # restart, and reading the checkpoint
    assert job.steps_done == 25 + int((200 - back_s) // 4)


def test_without_an_outage_nothing_is_different():
    plain, _ = run(plan(), 200)
    late, _ = run(plan(outages=(outage(500, 510),)), 200)
    assert late.events == plain.events
    assert late.steps_done == plain.steps_done


def test_only_a_part_goes_dark_and_the_rest_idles():
    _, meter = run(plan(outages=(outage(141, 151, dark_frac=0.25),)), 200)
    assert meter.integral(to_ps(141), to_ps(151)) == pytest.approx(10 * 75 * GPUS)


def test_an_outage_while_the_job_starts_again_starts_it_once_more():
    twice = (outage(141, 151, restart_s=20.0), outage(160, 165, restart_s=20.0))
    job, _ = run(plan(outages=twice), 300)
    assert job.failures_by_cause == {"no power": 2}
    once, _ = run(plan(outages=twice[:1]), 300)
    assert job.steps_done < once.steps_done


@given(
    st.lists(st.tuples(st.floats(1, 350), st.floats(0.5, 60)), max_size=4),
    st.sampled_from(["step", "interval"]),
)
@settings(deadline=None, max_examples=40)
def test_steps_time_and_energy_are_conserved_through_any_outages(times, fidelity):
    cuts = tuple(outage(at_s, at_s + for_s, restart_s=7.0) for at_s, for_s in times)
    job, _ = run(plan(outages=cuts, fidelity=fidelity), 400)
    assert job.steps_done <= 100


@given(st.floats(1, 300), st.floats(1, 40))
@settings(deadline=None, max_examples=20)
def test_a_longer_outage_never_trains_more(at_s, for_s):
    short, _ = run(plan(outages=(outage(at_s, at_s + for_s),)), 400)
    long, _ = run(plan(outages=(outage(at_s, at_s + 2 * for_s),)), 400)
    assert long.steps_done <= short.steps_done


@given(st.floats(1, 300))
@settings(deadline=None, max_examples=15)
def test_both_fidelities_lose_the_same(at_s):
    cut = (outage(at_s, at_s + 10, restart_s=5.0),)
    one, _ = run(plan(outages=cut, fidelity="step"), 400)
    two, _ = run(plan(outages=cut, fidelity="interval"), 400)
    assert (one.steps_done, one.lost_steps) == (two.steps_done, two.lost_steps)
