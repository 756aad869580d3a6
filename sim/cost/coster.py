"""What a replica, or a table of step costs, asks about the cost of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sim.cost.step import StepCost

PrefillChunk = tuple[int, int]
"""(new tokens, tokens already cached) of one sequence."""


class StepCoster(Protocol):
    """Time and energy of any step of one replica, and what fits into it."""

    @property
    def gpus(self) -> int:
        """GPUs of the replica."""

    @property
    def idle_power_w(self) -> float:
        """Chip power of the whole replica when no step runs."""

    @property
    def unloaded_power_w(self) -> float:
        """Chip power of the whole replica that is off or broken: no model is loaded."""

    @property
    def loading_power_w(self) -> float:
        """Chip power of the whole replica while its model is loaded."""

    @property
    def kv_capacity_tokens(self) -> int:
        """Tokens of cache that fit beside the weights."""

    @property
    def max_sequences(self) -> int:
        """Most sequences at once, by state that does not grow with the context."""

    def cost(self, prefill: Sequence[PrefillChunk], decode_contexts: Sequence[int]) -> StepCost:
        """Cost of one step.

        Args:
            prefill: chunks of prompts.
            decode_contexts: tokens already cached of each decoding sequence.
        """
