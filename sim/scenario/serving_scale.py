"""The autoscaler of a scenario: its bounds, and how long a model loads."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from sim.cluster.serving.autoscale import Autoscale, Autoscaler
from sim.cost.capacity import weight_bytes_per_gpu
from sim.cost.serving import ReplicaCost
from sim.units import to_s

if TYPE_CHECKING:
    from sim.scenario.schema.serving import ServingSpec


def autoscale(spec: ServingSpec, cost: ReplicaCost) -> Autoscale | None:
    """What a resolved spec says of its autoscaler; None without one.

    Raises:
        InputError: the bounds do not fit together.
    """
    given = spec.autoscaler
    if given is None:
        return None
    most = given.max_replicas or (spec.gpus or 0) // cost.gpus
    return Autoscale(
        min_replicas=given.min_replicas,
        max_replicas=most,
        start_replicas=given.start_replicas or most,
        interval_s=given.interval_s,
        load_s=load_s(cost, given.storage_bytes_per_s),
        slots=spec.max_num_seqs,
        kind=given.kind,
        target_frac=given.target_frac,
        slo_e2e_s=math.inf if given.slo_e2e_s is None else given.slo_e2e_s,
        tolerance_frac=given.tolerance_frac,
        patience=given.patience,
    )


def load_s(cost: ReplicaCost, storage_bytes_per_s: float) -> float:
    """Time to read the weights of a replica, each GPU its own part."""
    each = weight_bytes_per_gpu(cost.arch, cost.layout, cost.program.precision)
    return cost.gpus * each / storage_bytes_per_s


def scaler_json(scaler: Autoscaler, end_ps: int) -> dict[str, Any]:
    """What the autoscaler did: replicas ready over the whole run, and each change."""
    story = [*scaler.story, (end_ps, scaler.ready)]
    held = [ready * (after - at) for (at, ready), (after, _) in itertools.pairwise(story)]
    counts = [ready for _, ready in scaler.story]
    return {
        "load_s": scaler.spec.load_s,
        "replicas_mean": sum(held) / end_ps,
        "replicas_min": min(counts),
        "replicas_max": max(counts),
        "changes": [{"time_s": to_s(at), "replicas": ready} for at, ready in scaler.story],
    }
