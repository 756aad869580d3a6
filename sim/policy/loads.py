"""Scaling a serving workload: its traffic, and the pools that it names."""

from __future__ import annotations

from sim.errors import InputError
from sim.scenario.schema import Requests, ServiceRequests, ServingSpec
from sim.scenario.schema.serving_parts import Disaggregated, DisaggregationSpec


def scaled_requests(requests: Requests, factor: float) -> Requests:
    """The same traffic at a multiple of its rate.

    Raises:
        InputError: a recorded trace, which has no rate to scale, or a part of a service's
            requests, which are those of its other workloads too.
    """
    if isinstance(requests, ServiceRequests):
        raise InputError(
            f"the requests are a part of those of service {requests.service}",
            "change services of the scenario, or the weights, by `--set` or a sweep",
        )
    rates = [f for f in type(requests).model_fields if f.endswith("rate_per_s")]
    scaled = {f: getattr(requests, f) * factor for f in rates if getattr(requests, f) is not None}
    if not scaled:
        raise InputError(
            "a recorded trace without rate_per_s has no rate to scale", "give rate_per_s"
        )
    return requests.model_copy(update=scaled)


def scaled_serving(spec: ServingSpec, factor: float) -> dict[str, object]:
    """What changes with the GPUs of a fleet: its traffic, and the prefill replicas it names.

    Raises:
        InputError: see `scaled_requests`.
    """
    requests = scaled_requests(spec.requests, factor)
    return {"requests": requests, "disaggregated": _scaled_pools(spec.disaggregated, factor)}


def _scaled_pools(given: Disaggregated, factor: float) -> Disaggregated:
    """So many prefill replicas, in whole ones; a share of the GPUs stays one."""
    if not isinstance(given, DisaggregationSpec) or given.prefill_replicas is None:
        return given
    count = max(1, round(given.prefill_replicas * factor))
    return given.model_copy(update={"prefill_replicas": count})
