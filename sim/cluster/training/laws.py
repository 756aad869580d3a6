"""Laws of a training job, counted by other code than the process's own."""

from __future__ import annotations

import math

from sim.cluster.training.job import TrainingJob
from sim.cost.training import Phase
from sim.errors import LawViolation
from sim.units import to_ps, to_s

RELATIVE_TOLERANCE = 1e-9


def check_training_laws(job: TrainingJob, end_ps: int, recorded_energy_j: float) -> None:
    """Hold a job against its own plan at the end of a run.

    Energy: what the recorder integrated equals the sum over the operations of all steps,
    checkpoints and recoveries, phases that were cut, the started phase, waiting and idling.
    Steps: each step, kept or lost, went through each of its phases once.
    Time: all of these fill the run.

    Raises:
        LawViolation: with the job, both numbers and their difference.
    """
    _check_steps(job)
    _check_time(job, end_ps)
    expected_j = operations_energy_j(job, end_ps)
    if not math.isclose(recorded_energy_j, expected_j, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-6):
        raise LawViolation(
            f"{job.plan.name}: recorded chip energy {recorded_energy_j:.6e} J, summed over "
            f"operations {expected_j:.6e} J, difference {recorded_energy_j - expected_j:.3e} J"
        )


def operations_energy_j(job: TrainingJob, end_ps: int) -> float:
    """Chip energy of all GPUs, summed operation by operation."""
    step = job.plan.step
    per_phase_j = {p.name: 0.0 for p in step.phases}
    for part in step.parts:
        per_phase_j[part.phase] += part.energy_j
    for phase in _other_phases(job):
        per_phase_j[phase.name] = phase.time_s * phase.gpu_power_w
    power_w = {p.name: p.gpu_power_w for p in (*step.phases, *_other_phases(job))}
    terms = [n * per_phase_j[name] for name, n in job.phases_done.items()]
    terms += [to_s(cut_ps) * power_w[name] for name, cut_ps in job.cut_ps.items()]
    if job.phase_now:
        terms.append(to_s(_started_ps(job, end_ps)) * job.phase_now.gpu_power_w)
    terms.append(to_s(_idle_ps(job, end_ps) + job.waited_ps) * job.plan.idle_gpu_w)
    return math.fsum(terms) * step.gpus


def _other_phases(job: TrainingJob) -> list[Phase]:
    failures = job.plan.failures
    return [job.plan.checkpoint, *([failures.restart, failures.reload] if failures else [])]


def _check_steps(job: TrainingJob) -> None:
    kept_or_lost = job.steps_done + job.lost_steps
    for phase in job.plan.step.phases:
        surplus = job.phases_done[phase.name] - kept_or_lost
        # A step that was cut may have ended its first phases; so may the one under way.
        if not 0 <= surplus <= 1 + job.failures_seen:
            raise LawViolation(
                f"{job.plan.name}: {job.steps_done} steps done and {job.lost_steps} lost, but "
                f"phase {phase.name} ended {job.phases_done[phase.name]} times"
            )


def _check_time(job: TrainingJob, end_ps: int) -> None:
    phases = (*job.plan.step.phases, *_other_phases(job))
    lengths_ps = {p.name: to_ps(p.time_s) for p in phases}
    busy_ps = sum(n * lengths_ps[name] for name, n in job.phases_done.items())
    busy_ps += sum(job.cut_ps.values()) + job.waited_ps
    total_ps = busy_ps + _started_ps(job, end_ps) + _idle_ps(job, end_ps)
    if total_ps != end_ps:
        raise LawViolation(f"{job.plan.name}: phases fill {total_ps} ps of a run of {end_ps} ps")


def _started_ps(job: TrainingJob, end_ps: int) -> int:
    return end_ps - job.phase_since_ps if job.phase_now else 0


def _idle_ps(job: TrainingJob, end_ps: int) -> int:
    return end_ps - job.done_at_ps if job.done_at_ps is not None else 0
