"""Parts of a serving fleet that a scenario may add: stores of prefixes, replicas that break."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sim.scenario.schema.base import Strict, Whole


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
