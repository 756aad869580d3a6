"""Laws of a training job, counted by other code than the process's own."""

from __future__ import annotations

import math

from sim.cluster.training.job import TrainingJob
from sim.errors import LawViolation

RELATIVE_TOLERANCE = 1e-9


def check_training_laws(job: TrainingJob, end_ps: int, recorded_energy_j: float) -> None:
    """Hold a job against its own plan at the end of a run.

    Energy: what the recorder integrated equals the sum over the operations of all steps, and
    over everything else that the job's ledger holds.
    Steps: each whole step was kept or lost. Time: all of these fill the run.

    Raises:
        LawViolation: with the job, both numbers and their difference.
    """
    _check_steps(job)
    time_ps, gpu_energy_j = job.accounts(end_ps)
    if time_ps != end_ps:
        raise LawViolation(f"{job.plan.name}: phases fill {time_ps} ps of a run of {end_ps} ps")
    expected_j = gpu_energy_j * job.plan.step.gpus
    if not math.isclose(recorded_energy_j, expected_j, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-6):
        raise LawViolation(
            f"{job.plan.name}: recorded chip energy {recorded_energy_j:.6e} J, summed over "
            f"operations {expected_j:.6e} J, difference {recorded_energy_j - expected_j:.3e} J"
        )


def _check_steps(job: TrainingJob) -> None:
    """Whole steps in the ledger, and those of a stretch under way, are kept or lost."""
    kept_or_lost = job.steps_done + job.lost_steps
    counted = job.ledger.steps + job.steps_under_way
    if kept_or_lost != counted:
        raise LawViolation(
            f"{job.plan.name}: {job.steps_done} steps done and {job.lost_steps} lost, but "
            f"{counted} steps ended"
        )
