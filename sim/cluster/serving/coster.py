"""What a replica asks about the cost of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.cost.coster import PrefillChunk, StepCoster
from sim.cost.step import StepCost
from sim.units import to_ps

__all__ = ["LinearCoster", "PrefillChunk", "StepCoster", "step_duration_ps"]


def step_duration_ps(cost: StepCost) -> int:
    """Whole picoseconds of a step, at least one.

    A coster whose times are whole picoseconds is repeated exactly, so that a sum of steps
    in closed form equals the steps walked one by one.
    """
    return max(1, to_ps(cost.time_s))


@dataclass(frozen=True, slots=True)
class LinearCoster:
    """The simplest coster: a step costs a + b tokens + c cached. For tests and benchmarks.

    Attributes:
        step_s: time of any step (a); reads the weights.
        token_s: time per new token (b).
        cached_s: time per token of cache read (c).
        power_w: chip power during a step, all GPUs.
        idle_power_w: chip power when no step runs, all GPUs.
        unloaded_power_w, loading_power_w: without a model, and while it is loaded.
        kv_capacity_tokens: tokens of cache.
        max_sequences: most sequences at once.
        gpus: GPUs of the replica.
        token_flops: FLOPs per new token.
        pair_flops: FLOPs per pair of a new token and a cached one.
        weight_bytes: bytes of weights read in a step.
        cached_bytes: bytes per token of cache read.
    """

    step_s: float
    token_s: float = 0.0
    cached_s: float = 0.0
    power_w: float = 700.0
    idle_power_w: float = 120.0
    kv_capacity_tokens: int = 1_000_000
    max_sequences: int = 1_000_000
    gpus: int = 1
    token_flops: float = 1.0
    pair_flops: float = 0.0
    weight_bytes: float = 1.0
    cached_bytes: float = 0.0
    unloaded_power_w: float = 70.0
    loading_power_w: float = 120.0

    def cost(self, prefill: Sequence[PrefillChunk], decode_contexts: Sequence[int]) -> StepCost:
        """Cost of one step."""
        decodes, decode_cached = len(decode_contexts), sum(decode_contexts)
        tokens = decodes + sum(new for new, _ in prefill)
        cached = decode_cached + sum(old for _, old in prefill)
        pairs = decode_cached + sum(new * old for new, old in prefill)
        time_s = self.step_s + self.token_s * tokens + self.cached_s * cached
        return StepCost(
            time_s=time_s,
            energy_j=self.power_w * time_s,
            flops=self.token_flops * tokens + self.pair_flops * pairs,
            hbm_bytes=self.weight_bytes + self.cached_bytes * cached,
            weight_bytes=self.weight_bytes,
            link_bytes=0.0,
            bound="time",
        )
