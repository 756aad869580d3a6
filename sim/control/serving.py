"""Per-request rules of serving: admission, batcher, router. Plain functions of integers.

This is the closed set that a compiled engine must repeat exactly. Every decision depends
on integers only (tokens, blocks, counts) and, for one router, on two uniform draws.

Rules (cited by number in tests):

1.  Order. Running requests are kept in the order of admission, waiting ones in the order of
    submission: admission takes the oldest waiting request, preemption the newest running
    one, which goes back to the head of the waiting queue. Nobody overtakes within a class.
2.  Target. A prefill target is the number of tokens whose keys and values must be in the
    cache before a sequence decodes: its prompt, and after a preemption its prompt plus the
    tokens generated so far. A sequence decodes when `cached >= target`.
3.  Token. The step that brings `cached` to the target, and each decode step, generates one
    token at its end. The last token of a request is never cached, so a request with prompt
    I and output O holds at most I + O - 1 tokens.
4.  Blocks. A sequence that will hold c tokens after the step holds ceil(c / block size)
    blocks during the step. Blocks are taken when the step is planned, returned at
    completion or preemption.
5.  Drop. A request is refused on arrival when its I + O - 1 tokens can never be admitted:
    more blocks than the cache has beside the watermark, or, where prefill is not chunked,
    more tokens than one step may hold.
6.  Admission. The oldest waiting request is admitted when the blocks of its whole target,
    taken now, would leave the watermark free, and fewer than `max_seqs` requests run.
    The blocks are taken chunk by chunk; the rest of the target is not reserved.
7.  Preemption. When a running sequence needs blocks and none are free, the newest running
    sequence (in the end itself) loses all its blocks, and goes back to the head of its
    class's queue. With `recompute` it loses its cached tokens; with `swap` they go to the
    host's memory, come back when it is admitted again, and each block that moves lengthens
    the step by a fixed time. A step that preempts admits nobody.
8.  Chunked prefill: running sequences first, in order, each up to the token budget that is
    left; then admissions with what remains. Decodes and prefill chunks share a step.
9.  Prefill priority: if any waiting request can be admitted with its whole target within
    the budget, the step holds only prefills and the running ones sit out; otherwise all
    running sequences decode.
10. Decode priority: prompts enter only when nothing decodes, whole, within one budget;
    otherwise all running sequences decode.
11. Classes. Class 0 comes first: the waiting requests are ordered by class, then by
    submission. Running requests are not preempted for a higher class.
12. Shedding. A request is refused on arrival when the tokens that wait for prefill at its
    replica and its own would be more than its class allows.
13. Ties between replicas go to the lowest index (join-shortest-queue, least-kv,
    prefix-affinity) or to the first draw (power of two).
14. Failure. A replica that fails loses its cache and the step under way. Its requests, the
    running ones by admission and then the waiting ones, are routed again at once, each with
    the tokens that it has generated; what looks at the session (session-sticky) or at the prompt
    (prefix-affinity) does it at random, or by the shortest queue. Replicas that are down or
    draining get no requests, unless no other is there: then they wait with the last one.
15. Prefix store. A replica keeps the prompt blocks that were used last, `prefix_blocks` of them.
    When a request comes, the leading blocks of its prompt that are kept count as cached, but
    for one token; then all its blocks are used, the first first. A replica that was off or
    broken starts with an empty store, and a broken one has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sim.control.routers import (
    ROUTERS,
    Router,
    RouterView,
    at_random,
    join_shortest_queue,
    least_kv,
    power_of_two,
    prefix_affinity,
    round_robin,
    router,
    session_sticky,
)
from sim.errors import CapacityError, InputError, UnknownNameError

__all__ = [
    "BATCHERS",
    "MAX_CLASSES",
    "PREEMPTIONS",
    "ROUTERS",
    "BatchRules",
    "Batcher",
    "ClassRule",
    "Limits",
    "Router",
    "RouterView",
    "SequenceView",
    "StepPlan",
    "admits",
    "at_random",
    "blocks_for",
    "chunked_prefill",
    "decode_priority",
    "drop_reason",
    "join_shortest_queue",
    "least_kv",
    "over_queue",
    "power_of_two",
    "prefill_priority",
    "prefix_affinity",
    "replica_limits",
    "round_robin",
    "router",
    "session_sticky",
]


class SequenceView(Protocol):
    """What a rule may read of a sequence."""

    @property
    def cached(self) -> int:
        """Tokens whose keys and values are in the cache."""

    @property
    def target(self) -> int:
        """Tokens that must be cached before the sequence decodes (rule 2)."""

    @property
    def blocks(self) -> int:
        """Cache blocks held."""


PREEMPTIONS: Final = ("recompute", "swap")
MAX_CLASSES: Final = 4


@dataclass(frozen=True, slots=True)
class ClassRule:
    """What a class of requests is promised and allowed (rules 11 and 12).

    Attributes:
        max_queue_tokens: prefill tokens that may wait at a replica when one of the class
            comes, its own included; None for any.
        slo_ttft_s, slo_tpot_s: what counts as served in time; None for any.
    """

    max_queue_tokens: int | None = None
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None


@dataclass(frozen=True, slots=True)
class BatchRules:
    """How a replica forms its steps. Defaults: vLLM's API server on an 80 GB Hopper GPU.

    Attributes:
        batcher: `chunked-prefill`, `prefill-priority` or `decode-priority` (rules 8 to 10).
        max_num_seqs: most requests in one step.
        max_num_batched_tokens: token budget of a step.
        block_size_tokens: tokens in a cache block.
        watermark_frac: share of the blocks that admission leaves free.
        preemption: `recompute` or `swap` (rule 7).
        swap_s_per_block, swap_j_per_block: what moving a block to or from the host adds to
            the time and energy of a step.
        classes: first come first; at most four.
        prefix_blocks: size of the prefix store (rule 15), 0 for none.
        prefix_block_tokens: tokens of its blocks; 512 in the Mooncake trace.

    Raises:
        InputError: a value out of range; UnknownNameError: no such batcher or preemption.
    """

    batcher: str = "chunked-prefill"
    max_num_seqs: int = 1024
    max_num_batched_tokens: int = 8192
    block_size_tokens: int = 16
    watermark_frac: float = 0.01
    preemption: str = "recompute"
    swap_s_per_block: float = 0.0
    swap_j_per_block: float = 0.0
    classes: tuple[ClassRule, ...] = (ClassRule(),)
    prefix_blocks: int = 0
    prefix_block_tokens: int = 512

    def __post_init__(self) -> None:
        if self.preemption not in PREEMPTIONS:
            raise UnknownNameError("preemption", self.preemption, PREEMPTIONS, path="preemption")
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise InputError(f"{len(self.classes)} classes, must be 1 to {MAX_CLASSES}")
        if not (self.swap_s_per_block >= 0 and self.swap_j_per_block >= 0):
            raise InputError("swap_s_per_block and swap_j_per_block must be at least 0")
        if self.batcher not in BATCHERS:
            raise UnknownNameError("batcher", self.batcher, BATCHERS, path="batcher")
        if self.prefix_blocks < 0 or (self.prefix_blocks and self.preemption == "swap"):
            raise InputError(
                f"prefix_blocks = {self.prefix_blocks}, must be at least 0, and 0 with swap"
            )
        lengths = ("max_num_seqs", "max_num_batched_tokens", "block_size_tokens")
        for name in (*lengths, "prefix_block_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}, must be at least 1", path=name)
        if not 0 <= self.watermark_frac < 1:
            raise InputError(
                f"watermark_frac = {self.watermark_frac}, must be in [0, 1)", path="watermark_frac"
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """The integers that bound a step of one replica (rules and its coster together)."""

    chunked: bool
    max_seqs: int
    max_tokens: int
    block_size: int
    total_blocks: int
    watermark_blocks: int


def replica_limits(rules: BatchRules, kv_capacity_tokens: int, max_sequences: int) -> Limits:
    """Limits of a replica with this cache.

    Args:
        rules: how steps are formed.
        kv_capacity_tokens: tokens of cache that fit beside the weights.
        max_sequences: limit by state that does not grow with the context.

    Raises:
        CapacityError: the cache holds no block beside the watermark, or no sequence.
        InputError: the token budget cannot hold one token of each sequence.
    """
    max_seqs = min(rules.max_num_seqs, max_sequences)
    if max_seqs < 1:
        raise CapacityError(f"max_sequences = {max_sequences}: not one sequence fits")
    if rules.max_num_batched_tokens < max_seqs:
        raise InputError(
            f"max_num_batched_tokens = {rules.max_num_batched_tokens} is below the "
            f"{max_seqs} sequences of a step",
            "raise max_num_batched_tokens or lower max_num_seqs",
        )
    total = kv_capacity_tokens // rules.block_size_tokens
    watermark = int(rules.watermark_frac * total)
    if total - watermark < 1:
        raise CapacityError(
            f"the cache holds {kv_capacity_tokens} tokens, less than one block of "
            f"{rules.block_size_tokens} beside the watermark",
            "use more GPUs per replica or a smaller model",
        )
    return Limits(
        chunked=rules.batcher == "chunked-prefill",
        max_seqs=max_seqs,
        max_tokens=rules.max_num_batched_tokens,
        block_size=rules.block_size_tokens,
        total_blocks=total,
        watermark_blocks=watermark,
    )


def blocks_for(tokens: int, block_size: int) -> int:
    """Blocks that hold so many tokens: the ceiling of the ratio."""
    return -(-tokens // block_size)


# --- admission -----------------------------------------------------------------------------


def drop_reason(input_tokens: int, output_tokens: int, limits: Limits) -> str | None:
    """Why a request can never be served here, or None (rule 5)."""
    most = input_tokens + output_tokens - 1
    if blocks_for(most, limits.block_size) > limits.total_blocks - limits.watermark_blocks:
        return "exceeds-kv-cache"
    if not limits.chunked and most > limits.max_tokens:
        return "exceeds-token-budget"
    return None


def admits(target: int, free_blocks: int, limits: Limits) -> bool:
    """Whether a waiting request may enter now (rule 6, the cache part)."""
    return blocks_for(target, limits.block_size) <= free_blocks - limits.watermark_blocks


def over_queue(queued_tokens: int, left_tokens: int, rule: ClassRule) -> bool:
    """Whether a request is shed (rule 12)."""
    most = rule.max_queue_tokens
    return most is not None and queued_tokens + left_tokens > most


# --- batcher -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What the next step does.

    Attributes:
        run_tokens: new tokens of the first `len(run_tokens)` running sequences; those
            beyond that and not preempted sit out.
        preempted: how many of the newest running sequences lose their cache first.
        admit_tokens: new tokens of the first `len(admit_tokens)` waiting sequences, which
            enter behind the running ones.
    """

    run_tokens: tuple[int, ...] = ()
    preempted: int = 0
    admit_tokens: tuple[int, ...] = ()


Batcher = Callable[[Sequence[SequenceView], Sequence[SequenceView], int, Limits], StepPlan]
"""(running, waiting, free blocks, limits) -> plan; both sequences oldest first."""


def chunked_prefill(
    running: Sequence[SequenceView],
    waiting: Sequence[SequenceView],
    free_blocks: int,
    limits: Limits,
) -> StepPlan:
    """Running sequences first, then admissions, within one token budget (rule 8)."""
    run_tokens, preempted, free = _continue_running(running, free_blocks, limits)
    if preempted:
        return StepPlan(run_tokens, preempted)
    budget = limits.max_tokens - sum(run_tokens)
    slots = limits.max_seqs - len(running)
    return StepPlan(run_tokens, 0, _admit(waiting, budget, slots, free, limits))


def prefill_priority(
    running: Sequence[SequenceView],
    waiting: Sequence[SequenceView],
    free_blocks: int,
    limits: Limits,
) -> StepPlan:
    """Whole prompts first and alone; decode only when none can enter (rule 9)."""
    slots = limits.max_seqs - len(running)
    admitted = _admit(waiting, limits.max_tokens, slots, free_blocks, limits)
    if admitted:
        return StepPlan(admit_tokens=admitted)
    run_tokens, preempted, _ = _continue_running(running, free_blocks, limits)
    return StepPlan(run_tokens, preempted)


def decode_priority(
    running: Sequence[SequenceView],
    waiting: Sequence[SequenceView],
    free_blocks: int,
    limits: Limits,
) -> StepPlan:
    """Decode until all are done, then the next prompts (rule 10)."""
    if not running:
        admitted = _admit(waiting, limits.max_tokens, limits.max_seqs, free_blocks, limits)
        return StepPlan(admit_tokens=admitted)
    run_tokens, preempted, _ = _continue_running(running, free_blocks, limits)
    return StepPlan(run_tokens, preempted)


BATCHERS: Final[Mapping[str, Batcher]] = {
    "chunked-prefill": chunked_prefill,
    "prefill-priority": prefill_priority,
    "decode-priority": decode_priority,
}


def _continue_running(
    running: Sequence[SequenceView], free: int, limits: Limits
) -> tuple[tuple[int, ...], int, int]:
    """New tokens of the running sequences, number preempted, blocks left (rules 4, 7)."""
    budget = limits.max_tokens
    kept = len(running)
    tokens: list[int] = []
    while len(tokens) < kept and budget > 0:
        sequence = running[len(tokens)]
        new = min(max(sequence.target - sequence.cached, 1), budget)
        need = blocks_for(sequence.cached + new, limits.block_size) - sequence.blocks
        while need > free and kept > len(tokens):
            kept -= 1
            free += running[kept].blocks
        if kept == len(tokens):
            break  # the sequence itself was the newest and lost its cache
        free -= need
        budget -= new
        tokens.append(new)
    return tuple(tokens), len(running) - kept, free


def _admit(
    waiting: Sequence[SequenceView], budget: int, slots: int, free: int, limits: Limits
) -> tuple[int, ...]:
    """First chunks of the waiting sequences that enter, oldest first (rule 6)."""
    tokens: list[int] = []
    while len(tokens) < min(len(waiting), slots) and budget > 0:
        target, cached = waiting[len(tokens)].target, waiting[len(tokens)].cached
        left = target - cached
        if not admits(target, free, limits) or (left > budget and not limits.chunked):
            break
        new = min(left, budget)
        free -= blocks_for(cached + new, limits.block_size)
        budget -= new
        tokens.append(new)
    return tuple(tokens)
