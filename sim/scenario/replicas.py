"""What a step of a replica costs, from what a scenario says of it."""

from __future__ import annotations

from sim import arch
from sim.cost.serving import ReplicaCost
from sim.cost.speculation import Speculation, assumed_speculation
from sim.flops.precision import precision
from sim.hardware.node import Node
from sim.scenario.prefix_store import kept_tokens
from sim.scenario.schema.serving import ServingSpec
from sim.scenario.schema.serving_parts import SpeculationSpec


def replica_cost(spec: ServingSpec, node: Node, cap_w: float | None = None) -> ReplicaCost:
    """Costs of one replica under a cap per GPU, None for none.

    What a store of prefixes keeps of the cache is not there for running requests.

    Raises:
        InputError: the layout cannot serve this model; CapacityError if it does not fit.
    """
    cost = ReplicaCost(
        arch.load(spec.arch),
        spec.layout.to_layout(),
        node,
        spec.max_num_seqs,
        cap_w,
        precision=precision(spec.precision),
        engine=spec.engine,
        speculation=_speculation(spec.speculation),
    )
    cost.kv_capacity_tokens -= kept_tokens(spec, cost.kv_capacity_tokens)
    return cost


def _speculation(spec: SpeculationSpec | None) -> Speculation | None:
    if spec is None:
        return None
    assumed = assumed_speculation()
    return Speculation(
        draft_tokens=spec.draft_tokens or assumed.draft_tokens,
        acceptance_frac=_given(spec.acceptance_frac, assumed.acceptance_frac),
        draft_cost_frac=_given(spec.draft_cost_frac, assumed.draft_cost_frac),
    )


def _given(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
