"""State of one request inside a replica, and of the step under way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sim.cluster.serving.coster import PrefillChunk, StepCoster, step_duration_ps
from sim.cluster.serving.records import RequestCost, RequestRecord, UnfinishedRecord
from sim.cluster.serving.request_cost import (
    NOTHING,
    Amounts,
    OwnPrices,
    StepPrices,
    step_prices,
)
from sim.control.serving import blocks_for
from sim.cost.step import StepCost
from sim.errors import LawViolation
from sim.units import to_s
from sim.workload.requests import Request


@dataclass(slots=True, eq=False)
class Sequence:
    """A request that waits or runs.

    Attributes:
        request: as it arrived.
        target: tokens that must be cached before it decodes (rule 2).
        cached: tokens whose keys and values are in the cache.
        blocks: cache blocks held.
        generated: output tokens so far; kept when the cache is lost.
        given: tokens that it had in the cache when it came.
        entered: tokens that it had there when it was last admitted.
        discarded: cached tokens lost to preemption, in all.
        preemptions: how often that happened.
        start_ps: its first chunk began.
        first_token_ps: its first token came.
        paid: its share so far.
    """

    request: Request
    target: int = field(init=False)
    cached: int = 0
    blocks: int = 0
    generated: int = 0
    discarded: int = 0
    given: int = 0
    entered: int = 0
    preemptions: int = 0
    start_ps: int | None = None
    first_token_ps: int | None = None
    paid: Amounts = NOTHING

    def __post_init__(self) -> None:
        self.target = self.request.input_tokens

    @property
    def decoding(self) -> bool:
        """Whether its next token needs one more cached token only (rule 2)."""
        return self.cached >= self.target

    @property
    def complete(self) -> bool:
        """Whether all its tokens have come."""
        return self.generated == self.request.output_tokens

    def enter(self) -> Sequence:
        """Be admitted."""
        self.entered = self.cached
        return self

    def grow(self, new: int, block_size: int) -> int:
        """Hold the blocks for so many more tokens; returns how many were added (rule 4)."""
        added = blocks_for(self.cached + new, block_size) - self.blocks
        self.blocks += added
        return added

    def advance(self, new: int, prices: StepPrices) -> bool:
        """Take part in a step that ends now; whether a token came (rule 3)."""
        if self.decoding:
            share = prices.decode_share(self.cached)
        else:
            share = prices.prefill_share(new, self.cached)
        paid = self.paid
        self.paid = (
            paid[0] + share[0],
            paid[1] + share[1],
            paid[2] + share[2],
            paid[3] + share[3],
        )
        self.cached += new
        token = self.cached >= self.target
        self.generated += token
        return token

    def lose_cache(self) -> int:
        """Be preempted (rule 7) by recompute; returns the blocks set free.

        Where nothing was computed on top of what it was given (its first step was cut off),
        that is not lost, but returned.
        """
        if self.cached == self.entered:
            self.return_given()
        self.discarded += self.cached
        self.cached = 0
        return self.swap_out()

    def return_given(self) -> None:
        """Leave what its replica had for it before anything was computed."""
        self.given -= self.cached
        self.cached = 0

    def swap_out(self) -> int:
        """Be preempted (rule 7), cached tokens kept elsewhere; returns the blocks set free."""
        self.preemptions += 1
        self.target = self.request.input_tokens + self.generated
        return self.release()

    def release(self) -> int:
        """Give all blocks back; returns how many."""
        blocks, self.blocks = self.blocks, 0
        return blocks

    def unfinished(self, replica: int) -> UnfinishedRecord:
        """What it has so far."""
        return UnfinishedRecord(
            request=self.request,
            replica=replica,
            generated=self.generated,
            preemptions=self.preemptions,
            recomputed_tokens=self.discarded,
            cost=RequestCost(*self.paid),
        )

    def record(self, replica: int, end_ps: int) -> RequestRecord:
        """The record of its completion.

        Raises:
            LawViolation: it completed without having started.
        """
        if self.start_ps is None or self.first_token_ps is None:
            raise LawViolation(f"request {self.request.request_id} completed before it started")
        return RequestRecord(
            request=self.request,
            replica=replica,
            start_ps=self.start_ps,
            first_token_ps=self.first_token_ps,
            end_ps=end_ps,
            preemptions=self.preemptions,
            recomputed_tokens=self.discarded,
            cost=RequestCost(*self.paid),
            given_tokens=self.given,
        )


@dataclass(frozen=True, slots=True)
class Handed:
    """What a request brings with it from the replica that read its prompt.

    Attributes:
        first_token_ps: when the first token came; the cache of the prompt comes with it.
    """

    first_token_ps: int


def new_sequence(request: Request, handed: Handed | None, given: int = 0) -> Sequence:
    """A request that begins, or one whose prompt was read elsewhere, in part or all."""
    sequence = Sequence(request, cached=given, given=given)
    if handed is not None:
        sequence.cached = sequence.given = request.input_tokens
        sequence.generated = 1
        sequence.target = request.input_tokens + 1
        sequence.first_token_ps = handed.first_token_ps
    return sequence


@dataclass(slots=True, eq=False)
class Step:
    """A step under way.

    Attributes:
        batch: its sequences with their new tokens, oldest first.
        prefill: chunks of (new tokens, cached tokens).
        decode_contexts: cached tokens of the decoding sequences.
        cost: as the coster said.
        start_ps: it began.
        duration_ps: how long it lasts.
        prices: how it is divided among its sequences.
    """

    batch: list[tuple[Sequence, int]]
    prefill: tuple[PrefillChunk, ...]
    decode_contexts: tuple[int, ...]
    cost: StepCost
    start_ps: int
    duration_ps: int
    prices: StepPrices

    @property
    def power_w(self) -> float:
        """Chip power: the step's energy over its whole picoseconds."""
        return self.cost.energy_j / to_s(self.duration_ps)


@dataclass(frozen=True, slots=True)
class Extra:
    """What moving cache blocks adds to a step."""

    time_ps: int = 0
    energy_j: float = 0.0


def begin_step(
    batch: list[tuple[Sequence, int]],
    coster: StepCoster,
    own: OwnPrices,
    now_ps: int,
    extra: Extra,
) -> Step:
    """Cost a step and fix how it will be divided.

    Args:
        batch: sequences with their new tokens, oldest first.
        coster: what a step costs.
        own: prices of the parts that belong to one sequence.
        now_ps: the step begins.
        extra: added to its cost.
    """
    decode = tuple([sequence.cached for sequence, _ in batch if sequence.decoding])
    prefill = tuple([(new, sequence.cached) for sequence, new in batch if not sequence.decoding])
    cost = coster.cost(prefill, decode)
    duration_ps = step_duration_ps(cost) + extra.time_ps
    if extra.time_ps or extra.energy_j:
        time_s, energy_j = to_s(duration_ps), cost.energy_j + extra.energy_j
        cost = replace(cost, time_s=time_s, energy_j=energy_j)
    return Step(
        batch=batch,
        prefill=prefill,
        decode_contexts=decode,
        cost=cost,
        start_ps=now_ps,
        duration_ps=duration_ps,
        prices=step_prices(cost, prefill, decode, own),
    )
