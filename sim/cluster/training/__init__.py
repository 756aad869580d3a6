"""Training jobs as SimPy processes."""

from sim.cluster.training.job import JobPlan, TrainingJob
from sim.cluster.training.laws import check_training_laws

__all__ = ["JobPlan", "TrainingJob", "check_training_laws"]
