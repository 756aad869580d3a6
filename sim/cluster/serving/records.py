"""What happened: records of requests and steps, and the hooks that tell them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sim.cost.step import StepCost
from sim.signals import Hook
from sim.units import to_s
from sim.workload.requests import Request


@dataclass(frozen=True, slots=True)
class RequestCost:
    """A request's share of the replica's work (idle apart).

    Attributes:
        time_s: share of the time of the steps it was in.
        flops: share of their FLOPs (a MAC is 2).
        hbm_bytes: share of the bytes moved to and from HBM.
        energy_j: share of their energy, chip boundary.
    """

    time_s: float
    flops: float
    hbm_bytes: float
    energy_j: float


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A completed request. Times on the simulation clock.

    Attributes:
        request: as it arrived.
        replica: index of the replica that served it.
        start_ps: its first chunk began.
        first_token_ps: end of the step that gave the first token.
        end_ps: end of the step that gave the last token.
        preemptions: how often it lost its cache.
        recomputed_tokens: cached tokens that it lost in all.
        cost: its share of the work.
        given_tokens: prompt tokens that came with it or from a prefix store.
    """

    request: Request
    replica: int
    start_ps: int
    first_token_ps: int
    end_ps: int
    preemptions: int
    recomputed_tokens: int
    cost: RequestCost
    given_tokens: int = 0

    @property
    def ttft_s(self) -> float:
        """Time to first token, from arrival."""
        return to_s(self.first_token_ps - self.request.arrival_ps)

    @property
    def e2e_s(self) -> float:
        """From arrival to the last token."""
        return to_s(self.end_ps - self.request.arrival_ps)

    @property
    def tpot_s(self) -> float | None:
        """Mean time per output token after the first; None with a single one."""
        later = self.request.output_tokens - 1
        return to_s(self.end_ps - self.first_token_ps) / later if later else None


@dataclass(frozen=True, slots=True)
class UnfinishedRecord:
    """A request still waiting or running: what it has so far."""

    request: Request
    replica: int
    generated: int
    preemptions: int
    recomputed_tokens: int
    cost: RequestCost


@dataclass(frozen=True, slots=True)
class DropRecord:
    """A request that was refused on arrival, and why."""

    request: Request
    replica: int
    time_ps: int
    reason: str


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """Something happened to a request at a replica."""

    request: Request
    replica: int
    time_ps: int


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A finished step.

    Attributes:
        replica: index of the replica.
        start_ps: it began.
        end_ps: it ended.
        prefill: chunks of (new tokens, tokens cached before).
        decode_contexts: tokens cached before, of each decoding sequence.
        generated: tokens generated at its end.
        cost: as the coster said.
    """

    replica: int
    start_ps: int
    end_ps: int
    prefill: tuple[tuple[int, int], ...]
    decode_contexts: tuple[int, ...]
    generated: int
    cost: StepCost

    @property
    def tokens(self) -> int:
        """New tokens in the step."""
        return sum(new for new, _ in self.prefill) + len(self.decode_contexts)


@dataclass(frozen=True, slots=True)
class ServingEvents:
    """Hooks of one or more replicas; subscribe before the simulation runs.

    `preempted` may come more than once for a request, the others once at most.
    """

    arrived: Hook[RequestEvent] = field(default_factory=Hook)
    dropped: Hook[DropRecord] = field(default_factory=Hook)
    started: Hook[RequestEvent] = field(default_factory=Hook)
    preempted: Hook[RequestEvent] = field(default_factory=Hook)
    first_token: Hook[RequestEvent] = field(default_factory=Hook)
    completed: Hook[RequestRecord] = field(default_factory=Hook)
    stepped: Hook[StepRecord] = field(default_factory=Hook)


def record_columns(records: Iterable[RequestRecord]) -> dict[str, list[int] | list[float]]:
    """Completed requests as columns with their units, in the order given."""
    rows = list(records)
    requests = [record.request for record in rows]
    return {
        "request_id": [request.request_id for request in requests],
        "replica": [record.replica for record in rows],
        "arrival_s": [to_s(request.arrival_ps) for request in requests],
        "start_s": [to_s(record.start_ps) for record in rows],
        "first_token_s": [to_s(record.first_token_ps) for record in rows],
        "end_s": [to_s(record.end_ps) for record in rows],
        "input_tokens": [request.input_tokens for request in requests],
        "output_tokens": [request.output_tokens for request in requests],
        "preemptions": [record.preemptions for record in rows],
        "recomputed_tokens": [record.recomputed_tokens for record in rows],
        "share_time_s": [record.cost.time_s for record in rows],
        "share_flops": [record.cost.flops for record in rows],
        "share_hbm_bytes": [record.cost.hbm_bytes for record in rows],
        "share_energy_j": [record.cost.energy_j for record in rows],
    }
