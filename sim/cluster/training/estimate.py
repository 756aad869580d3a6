"""How long a whole run takes on average, without simulating it: Daly's formula and additions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.cluster.training.failures import expected_time_s
from sim.cluster.training.plan import JobPlan


@dataclass(frozen=True, slots=True)
class Expected:
    """Mean times of a run, spares at hand.

    Attributes:
        run_s: from start to end. steps_s: of that in steps that are kept.
    """

    run_s: float
    steps_s: float

    @property
    def goodput_frac(self) -> float:
        """Share of the time in steps that are kept."""
        return self.steps_s / self.run_s if self.run_s else 1.0


def expected_run(plan: JobPlan) -> Expected:
    """Mean times of a plan.

    Steps and their pauses are saved in segments that a failure starts over (Daly 2006, section
    2). To first order on top: a failure also loses the checkpoint that is being written beside
    the steps; a slow node costs its slowing until it is found, and then a restart unless a failure
    came first; planned work
    costs its duration, a checkpoint and a restart.
    """
    step_s = plan.step.time_s
    paused_s = step_s + sum(p.phase.time_s / p.every_steps for p in plan.pauses)
    work_s = plan.steps * paused_s
    interval_s = max(1, math.ceil(plan.checkpoint_interval_s / paused_s)) * paused_s
    saved_s = expected_time_s(work_s, interval_s, plan.checkpoint.time_s, plan.failures)
    again_s = _again_s(plan)
    extra_s = 0.0
    if plan.failures:
        extra_s += work_s * plan.failures.rate_per_s * plan.background_s
    if plan.stragglers:
        extra_s += work_s * plan.stragglers.rate_per_s * _slow_cost_s(plan, again_s)
    run_s = saved_s + extra_s
    if plan.maintenance:  # by the clock, so of all this time
        run_s *= 1 + (plan.maintenance.duration_s + again_s) / plan.maintenance.interval_s
    return Expected(run_s + plan.ramps.start_s, plan.steps * step_s)


def _slow_cost_s(plan: JobPlan, again_s: float) -> float:
    """Time that a slow node costs: until it is found and replaced, or a failure comes first."""
    stragglers, rate = plan.stragglers, plan.failures.rate_per_s if plan.failures else 0.0
    if stragglers is None:
        return 0.0
    found = math.exp(-rate * stragglers.detect_s)
    slow_s = (1 - found) / rate if rate else stragglers.detect_s
    return slow_s * stragglers.slow_frac / (1 + stragglers.slow_frac) + found * again_s


def _again_s(plan: JobPlan) -> float:
    """A checkpoint, a restart and reading the checkpoint."""
    restart_s = plan.failures.restart.time_s if plan.failures else 0.0
    whole_s = plan.checkpoint.time_s + plan.background_s
    return whole_s + restart_s + plan.reload.time_s
