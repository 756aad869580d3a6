"""Replicas of a scenario that break: how often, and what the summary tells of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sim.cluster.serving.breakdowns import Breaking
from sim.cost.serving import ReplicaCost
from sim.datum import Datum, data
from sim.units import S_PER_H, to_s

if TYPE_CHECKING:
    from sim.cluster.serving.protocol import BreakingFleet
    from sim.scenario.schema.serving import ServingSpec

FAILURES = "training/failures.yaml"
FIGURES = {"gpu_mtbf_h": "rate.gpu_mtbf_h", "repair_h": "recovery.repair_h"}
"""Where a figure stands that a scenario leaves out."""


def breaking(spec: ServingSpec, cost: ReplicaCost) -> Breaking | None:
    """How often a replica breaks, by its number of GPUs; None where none does."""
    if spec.failures is None:
        return None
    figures = {key: figure.value for key, figure in assumed(spec).items()}
    given = {key: value for key in FIGURES if (value := getattr(spec.failures, key)) is not None}
    used = figures | given
    return Breaking(used["gpu_mtbf_h"] * S_PER_H / cost.gpus, used["repair_h"] * S_PER_H)


def assumed(spec: ServingSpec) -> dict[str, Datum]:
    """The figures that a scenario leaves to the data."""
    if spec.failures is None:
        return {}
    left = [key for key in FIGURES if getattr(spec.failures, key) is None]
    return {key: data(FAILURES)[FIGURES[key]] for key in left}


def failures_json(fleets: Sequence[BreakingFleet], replicas: int, end_ps: int) -> dict[str, Any]:
    """What broke in the whole run, at the simulated replicas; empty where nothing can.

    Args:
        fleets: simulated parts of one fleet. replicas: of all of them.
    """
    plans = [fleet.breakdowns for fleet in fleets if fleet.breakdowns]
    if not plans:
        return {}
    return {
        "failures": {
            "replica_mtbf_h": plans[0].spec.mtbf_s / S_PER_H,
            "repair_h": plans[0].spec.repair_s / S_PER_H,
            "count": sum(plan.count for plan in plans),
            "repaired": sum(plan.repaired for plan in plans),
            "requests_requeued": sum(fleet.requeued for fleet in fleets),
            "replicas_down_mean": sum(to_s(p.down_ps(end_ps)) for p in plans) / to_s(end_ps),
            "simulated_replicas": replicas,
        }
    }
