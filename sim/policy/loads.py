"""Scaling the traffic of a serving workload."""

from __future__ import annotations

from sim.errors import InputError
from sim.scenario.schema import Requests


def scaled_requests(requests: Requests, factor: float) -> Requests:
    """The same traffic at a multiple of its rate.

    Raises:
        InputError: a recorded trace, which has no rate to scale.
    """
    rates = [f for f in type(requests).model_fields if f.endswith("rate_per_s")]
    scaled = {f: getattr(requests, f) * factor for f in rates if getattr(requests, f) is not None}
    if not scaled:
        raise InputError(
            "a recorded trace without rate_per_s has no rate to scale", "give rate_per_s"
        )
    return requests.model_copy(update=scaled)
