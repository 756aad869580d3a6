"""Laws of a training job, counted by other code than the process's own."""

from __future__ import annotations

import math

from sim.cluster.training.job import TrainingJob
from sim.errors import LawViolation
from sim.units import to_ps, to_s

RELATIVE_TOLERANCE = 1e-9


def check_training_laws(job: TrainingJob, end_ps: int, recorded_energy_j: float) -> None:
    """Hold a job against its own plan at the end of a run.

    Energy: what the recorder integrated equals the sum over the operations of all steps and
    checkpoints (picosecond rounding of a phase is allowed for), the started phase and idling.
    Steps: each done step went through each of its phases once.
    Time: the phases, the started phase and idling fill the run.

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
    per_phase_j[job.plan.checkpoint.name] = (
        job.plan.checkpoint.time_s * job.plan.checkpoint.gpu_power_w
    )
    energy_j = math.fsum(n * per_phase_j[name] for name, n in job.phases_done.items())
    if job.phase_now:
        energy_j += to_s(_started_ps(job, end_ps)) * job.phase_now.gpu_power_w
    energy_j += to_s(_idle_ps(job, end_ps)) * job.plan.idle_gpu_w
    return energy_j * step.gpus


def _check_steps(job: TrainingJob) -> None:
    for phase in job.plan.step.phases:
        surplus = job.phases_done[phase.name] - job.steps_done
        if surplus not in (0, 1):
            raise LawViolation(
                f"{job.plan.name}: {job.steps_done} steps done but phase {phase.name} ended "
                f"{job.phases_done[phase.name]} times"
            )


def _check_time(job: TrainingJob, end_ps: int) -> None:
    lengths_ps = {p.name: to_ps(p.time_s) for p in (*job.plan.step.phases, job.plan.checkpoint)}
    busy_ps = sum(n * lengths_ps[name] for name, n in job.phases_done.items())
    total_ps = busy_ps + _started_ps(job, end_ps) + _idle_ps(job, end_ps)
    if total_ps != end_ps:
        raise LawViolation(f"{job.plan.name}: phases fill {total_ps} ps of a run of {end_ps} ps")


def _started_ps(job: TrainingJob, end_ps: int) -> int:
    return end_ps - job.phase_since_ps if job.phase_now else 0


def _idle_ps(job: TrainingJob, end_ps: int) -> int:
    return end_ps - job.done_at_ps if job.done_at_ps is not None else 0
