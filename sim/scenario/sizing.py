"""How many GPUs a serving fleet needs for its traffic.

A replica that runs its largest batch `n` spends on a request of `i` prompt and `o` output
tokens the time of its prefill plus `o` decode steps shared by `n`. The fleet is sized so
that its replicas are busy for the wanted share of the time. A first estimate: the run then
says what latencies come out. A fluid, and a fleet in two pools, is sized by its steady curve.
"""

from __future__ import annotations

import math

from sim.cost.serving import UNBOUNDED_TOKENS, ReplicaCost
from sim.errors import CapacityError
from sim.hardware.node import Node
from sim.scenario.cap_costs import CapCosts
from sim.scenario.disaggregation import sized_pools
from sim.scenario.replicas import replica_cost
from sim.scenario.schema import ServingSpec
from sim.scenario.traffic import traffic


def sized_gpus(spec: ServingSpec, node: Node, busy_frac: float, share_frac: float = 1.0) -> int:
    """GPUs for the mean request of a serving spec.

    Args:
        share_frac: of the spec's requests that come here.

    Raises:
        CapacityError: the model, or one request's cache, does not fit into a replica.
    """
    if spec.fidelity == "fluid" or spec.disaggregated:
        return _sized_by_curve(spec, node, busy_frac, share_frac)
    cost = replica_cost(spec, node)
    found = traffic(spec.requests)
    mean_in, mean_out = (max(1, round(tokens)) for tokens in found.mean_tokens)
    busy_s = request_s(cost, spec, mean_in, mean_out)
    replicas = math.ceil(share_frac * found.rate_per_s * busy_s / busy_frac)
    least = spec.representative_replicas if spec.fidelity == "sampled" else 1
    return max(replicas, least) * cost.gpus


def _sized_by_curve(spec: ServingSpec, node: Node, busy_frac: float, share_frac: float) -> int:
    """GPUs at a share of the saturation that the fluid itself knows."""
    costs = CapCosts(spec, node, None)
    wanted_per_s = share_frac * traffic(spec.requests).rate_per_s / busy_frac
    if spec.disaggregated:
        return sized_pools(costs, wanted_per_s)
    replicas = math.ceil(wanted_per_s / costs.curve(None).saturation_per_s)
    return max(replicas, 1) * costs.at(None).gpus


def request_s(cost: ReplicaCost, spec: ServingSpec, input_tokens: int, output_tokens: int) -> float:
    """Replica time that a request takes when the batch is full."""
    total = input_tokens + output_tokens
    if total > cost.kv_capacity_tokens:
        raise CapacityError(
            f"one request of {total:,} tokens does not fit into the cache of a replica, "
            f"{cost.kv_capacity_tokens:,} tokens beside the weights of {spec.arch}",
            "raise tp, or shorten the requests",
            path="layout.tp",
        )
    batch = spec.max_num_seqs
    if cost.kv_capacity_tokens < UNBOUNDED_TOKENS:
        batch = min(batch, cost.kv_capacity_tokens // total)
    mean_context = input_tokens + output_tokens // 2
    decode_s = cost.cost([], [mean_context] * batch).time_s / batch
    return _prefill_s(cost, input_tokens, spec.max_num_batched_tokens) + output_tokens * decode_s


def _prefill_s(cost: ReplicaCost, tokens: int, budget: int) -> float:
    starts = range(0, tokens, budget)
    return sum(cost.cost([(min(budget, tokens - start), start)], []).time_s for start in starts)
