"""Parts of a serving fleet that a scenario may add: prefix stores, two pools, failures, drafts."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Discriminator, Field, Tag, model_validator

from sim.scenario.schema.base import Strict, Whole
from sim.scenario.schema.layout import LayoutSpec


class PrefixCacheSpec(Strict):
    """A store of prompt blocks at each replica; those unused for longest go out first.

    A prompt is not read again as far as its leading blocks are in the store of its replica.
    `kv_frac` keeps a share of the replica's cache for it, and running requests have the rest;
    `store_blocks` is a store beside the cache, from which blocks come in no time. Blocks are
    those of the trace (512 tokens in Mooncake's), or of `kv_block_tokens` with sessions.
    """

    kv_frac: float | None = Field(None, gt=0, le=0.95)
    store_blocks: Whole | None = Field(None, ge=1, le=100_000_000)

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.kv_frac is None) == (self.store_blocks is None):
            raise ValueError("a prefix cache needs one size: kv_frac or store_blocks")
        return self


class ReplicaFailuresSpec(Strict):
    """Replicas break at a constant rate per GPU; what they hold is routed again.

    Left out, a figure is the one of `sim/data/training/failures.yaml`.
    """

    gpu_mtbf_h: float | None = Field(
        None, gt=0, le=1e9, description="GPU hours between failures, each of which stops a replica"
    )
    repair_h: float | None = Field(
        None, gt=0, le=1e5, description="until the replica is back, its model loaded"
    )


class SpeculationSpec(Strict):
    """Speculative decoding; left out, a figure is that of `sim/data/hardware/speculation.yaml`."""

    draft_tokens: Whole | None = Field(None, ge=1, le=16)
    acceptance_frac: float | None = Field(None, ge=0, le=1)
    draft_cost_frac: float | None = Field(None, ge=0, le=1)


class DisaggregationSpec(Strict):
    """Prompts are read on replicas of their own, and their caches sent to those that decode.

    Left out, both kinds get the replicas with which they saturate together, of the workload's
    layout, and a cache goes over the network ports of the `tp` GPUs of the narrower replica
    (`sim/data/hardware`). With `true` all is left out.
    """

    prefill_replicas: Whole | None = Field(
        None, ge=1, le=10_000_000, description="that read prompts; the other GPUs decode"
    )
    prefill_frac: float | None = Field(
        None, gt=0, lt=1, description="share of the GPUs; in place of prefill_replicas"
    )
    prefill_layout: LayoutSpec | None = Field(
        None, description="of the replicas that read prompts; default: that of the workload"
    )
    link_bytes_per_s: float | None = Field(
        None, ge=1e6, le=1e15, description="of each replica that reads prompts"
    )
    link_latency_s: float | None = Field(None, ge=0, le=60)

    @model_validator(mode="after")
    def _one_share(self) -> Self:
        if self.prefill_replicas is not None and self.prefill_frac is not None:
            raise ValueError("prefill_replicas and prefill_frac are both given; give one of them")
        return self


def _said(value: object) -> str:
    return "how" if isinstance(value, dict | DisaggregationSpec) else "whether"


Disaggregated = Annotated[
    Annotated[bool, Tag("whether")] | Annotated[DisaggregationSpec, Tag("how")],
    Discriminator(_said),
]
"""Yes or no, or how: told apart by their form, so that an error is about what was written."""


def check_two_pools(
    fidelity: str, autoscaler: object, failures: object, swap_s_per_block: float | None
) -> None:
    """Refuse what two pools cannot do; features that are not asked for are None.

    Raises:
        ValueError: says what to leave out.
    """
    if fidelity == "sampled":
        raise ValueError(
            "disaggregated replicas hand over to each other, sampled ones stand alone; "
            "give fidelity: cells, request or fluid"
        )
    names = ("autoscaler", "failures", "preemption: swap")
    for name, asked in zip(names, (autoscaler, failures, swap_s_per_block), strict=True):
        if asked is not None:
            raise ValueError(f"{name} does not know two pools; leave it or disaggregated out")
