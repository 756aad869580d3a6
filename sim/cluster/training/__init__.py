"""Training jobs as SimPy processes."""

from sim.cluster.training.failures import Failures, expected_time_s, young_daly_interval_s
from sim.cluster.training.job import JobPlan, TrainingJob
from sim.cluster.training.laws import check_training_laws

__all__ = [
    "Failures",
    "JobPlan",
    "TrainingJob",
    "check_training_laws",
    "expected_time_s",
    "young_daly_interval_s",
]
