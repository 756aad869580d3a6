"""How the replicas of a scenario's fleet form steps, and its classes of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.control.serving import BatchRules, ClassRule
from sim.scenario.prefix_store import block_tokens, store_blocks

if TYPE_CHECKING:
    from sim.cost.serving import ReplicaCost
    from sim.scenario.schema.serving import ClassSpec, ServingSpec


def batch_rules(spec: ServingSpec, cost: ReplicaCost) -> BatchRules:
    """Rules of a resolved spec.

    Args:
        cost: of the replicas that read prompts.
    """
    return BatchRules(
        batcher=spec.batcher,
        max_num_seqs=spec.max_num_seqs,
        max_num_batched_tokens=spec.max_num_batched_tokens,
        block_size_tokens=spec.kv_block_tokens,
        watermark_frac=spec.kv_watermark_frac,
        preemption=spec.preemption,
        swap_s_per_block=spec.swap_s_per_block or 0.0,
        classes=tuple(map(_class_rule, spec.classes)) or (ClassRule(),),
        prefix_blocks=store_blocks(spec, cost),
        prefix_block_tokens=block_tokens(spec),
    )


def _class_rule(spec: ClassSpec) -> ClassRule:
    return ClassRule(spec.max_queue_tokens, spec.slo_ttft_s, spec.slo_tpot_s)


def class_shares(spec: ServingSpec) -> tuple[float, ...]:
    """Share of the requests of each class; none without classes."""
    return tuple(kind.share_frac for kind in spec.classes)
