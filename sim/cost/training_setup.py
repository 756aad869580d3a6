"""What is trained, and how it is laid out."""

from __future__ import annotations

from dataclasses import dataclass

from sim.arch import Architecture
from sim.cost.layout import Layout
from sim.flops.training import Recompute


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """What is trained, and how it is laid out.

    Args:
        global_batch_tokens: wanted tokens of an optimiser step; rounded to whole micro-batches.
        recompute: activations kept from forward to backward: all (`none`), all but the
            attention core (`selective`), or only each layer's input (`full`).
        cap_w: power cap of each GPU, None for none.
    """

    arch: Architecture
    layout: Layout
    sequence_tokens: int
    global_batch_tokens: int
    micro_batch_sequences: int = 1
    recompute: Recompute = "selective"
    cap_w: float | None = None

    @property
    def micro_batches(self) -> int:
        """Micro-batches that each pipeline runs in a step, at least 1."""
        tokens = self.layout.dp * self.micro_batch_sequences * self.sequence_tokens
        return max(1, round(self.global_batch_tokens / tokens))

    @property
    def step_tokens(self) -> int:
        """Tokens of one optimiser step, over all replicas."""
        sequences = self.micro_batches * self.micro_batch_sequences * self.layout.dp
        return sequences * self.sequence_tokens
