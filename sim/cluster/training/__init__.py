"""Training jobs as SimPy processes."""

from sim.cluster.training.estimate import Expected, expected_run
from sim.cluster.training.failures import (
    Cause,
    Failures,
    by_cause,
    expected_time_s,
    young_daly_interval_s,
)
from sim.cluster.training.job import TrainingJob
from sim.cluster.training.laws import check_training_laws
from sim.cluster.training.ledger import Ledger, Pace
from sim.cluster.training.plan import JobPlan, Maintenance, Outage, Pause, Ramps, Stragglers
from sim.cluster.training.shape import slowed

__all__ = [
    "Cause",
    "Expected",
    "Failures",
    "JobPlan",
    "Ledger",
    "Maintenance",
    "Outage",
    "Pace",
    "Pause",
    "Ramps",
    "Stragglers",
    "TrainingJob",
    "by_cause",
    "check_training_laws",
    "expected_run",
    "expected_time_s",
    "slowed",
    "young_daly_interval_s",
]
