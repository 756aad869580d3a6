"""The prefix store of a reference replica (rule 15): which prompt blocks it has seen lately."""

from __future__ import annotations

from sim.control.serving import BatchRules
from sim.workload.requests import Request


class PrefixBlocks:
    """Prompt blocks, the one unused for longest first."""

    def __init__(self, rules: BatchRules):
        self._most, self._block_tokens = rules.prefix_blocks, rules.prefix_block_tokens
        self._held: dict[int, None] = {}

    def tokens(self, request: Request) -> int:
        """Prompt tokens that the store has; at least one is read."""
        hits = 0
        while hits < len(request.blocks) and request.blocks[hits] in self._held:
            hits += 1
        return min(hits * self._block_tokens, request.input_tokens - 1)

    def use(self, request: Request) -> None:
        """Use all blocks of a prompt, and drop those unused for longest."""
        for block in request.blocks if self._most else ():
            self._held.pop(block, None)
            self._held[block] = None
            if len(self._held) > self._most:
                del self._held[next(iter(self._held))]

    def clear(self) -> None:
        """Forget all."""
        self._held.clear()
