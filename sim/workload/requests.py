"""Requests: one as a value, many as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.randomness import stream
from sim.units import PS_PER_S
from sim.workload.arrivals import ArrivalProcess
from sim.workload.lengths import LengthDistribution

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it arrives, how much it reads and writes.

    Attributes:
        request_id: position in its stream, from 0.
        arrival_ps: simulation clock.
        input_tokens: prompt length, at least 1.
        output_tokens: tokens it generates, at least 1.
        priority: its class, 0 comes first.
        session: number that the requests of a session share, at least 0.
        blocks: numbers of the blocks of its prompt, for prefix stores.
    """

    request_id: int
    arrival_ps: int
    input_tokens: int
    output_tokens: int
    priority: int = 0
    session: int = 0
    blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.input_tokens < 1 or self.output_tokens < 1:
            raise InputError(
                f"request {self.request_id}: {self.input_tokens} input and "
                f"{self.output_tokens} output tokens, each must be at least 1"
            )


@dataclass(frozen=True, slots=True, eq=False)
class RequestTable:
    """Requests as columns, sorted by arrival; iterate for `Request` values.

    Attributes:
        arrival_ps: shape (n,), not decreasing.
        input_tokens: shape (n,), at least 1.
        output_tokens: shape (n,), at least 1.
        priority, session: shape (n,), or None for all 0.
        blocks: numbers of the prompt's blocks of each, or None.
    """

    arrival_ps: IntArray
    input_tokens: IntArray
    output_tokens: IntArray
    priority: IntArray | None = None
    session: IntArray | None = None
    blocks: list[tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        shapes = {column.shape for column in self.columns}
        if len(shapes) != 1:
            raise InputError(f"columns of a request table differ in shape: {sorted(shapes)}")
        if np.any(np.diff(self.arrival_ps) < 0):
            raise InputError("arrivals of a request table are not sorted", "sort them by time")

    def __len__(self) -> int:
        return len(self.arrival_ps)

    @property
    def columns(self) -> tuple[IntArray, ...]:
        """Arrival, input, output, priority and session."""
        none = np.zeros(len(self.arrival_ps), dtype=np.int64)
        rest = (none if column is None else column for column in (self.priority, self.session))
        return (self.arrival_ps, self.input_tokens, self.output_tokens, *rest)

    def rows(self, keep: NDArray[np.bool_]) -> RequestTable:
        """Some of the rows, in order, with their blocks.

        Args:
            keep: shape (n,).
        """
        arrival, tokens_in, tokens_out, priority, session = (c[keep] for c in self.columns)
        kept = np.flatnonzero(keep)
        blocks = None if self.blocks is None else [self.blocks[row] for row in kept]
        return RequestTable(arrival, tokens_in, tokens_out, priority, session, blocks)

    def __iter__(self) -> Iterator[Request]:
        rows = zip(*(column.tolist() for column in self.columns), strict=True)
        for number, (time_ps, tokens_in, tokens_out, priority, session) in enumerate(rows):
            blocks = self.blocks[number] if self.blocks else ()
            yield Request(number, time_ps, tokens_in, tokens_out, priority, session, blocks)


def coins_by_session(table: RequestTable, coins: NDArray[np.float64]) -> NDArray[np.float64]:
    """One coin for all rows of a session, that of its first; 0 is no session.

    Args:
        coins: one for each row, shape (n,).
    """
    if table.session is None:
        return coins
    _, first, session = np.unique(table.session, return_index=True, return_inverse=True)
    return np.where(table.session > 0, coins[first[session]], coins)


def thin_requests(
    table: RequestTable, keep_frac: float, horizon_s: float, rng: np.random.Generator
) -> RequestTable:
    """The rows of a recorded trace that a coin keeps, each with its lengths.

    One coin a row, or a session.

    Args:
        table: the trace.
        keep_frac: probability that a row is kept, 0 to 1.
        horizon_s: later rows are left out.
        rng: one uniform draw per row.
    """
    if not 0 <= keep_frac <= 1:
        raise InputError(f"keep_frac = {keep_frac}, must be in [0, 1]", path="keep_frac")
    keep = coins_by_session(table, rng.random(len(table))) < keep_frac
    keep &= table.arrival_ps < round(horizon_s * PS_PER_S)
    return table.rows(keep)


def draw_requests(
    arrivals: ArrivalProcess, lengths: LengthDistribution, horizon_s: float, seed: int, purpose: str
) -> RequestTable:
    """Draw all requests of a horizon.

    Arrival times and lengths come from streams of their own, so that a change of one
    leaves the other as it was.

    Args:
        arrivals: when requests come.
        lengths: how long they are.
        horizon_s: requests arrive in [0, horizon_s).
        seed: the run's seed.
        purpose: who asks, for example the site's name.
    """
    times_s = arrivals.times_s(horizon_s, stream(seed, "arrivals", purpose))
    tokens = lengths.sample(len(times_s), stream(seed, "lengths", purpose))
    arrival_ps = np.rint(times_s * PS_PER_S).astype(np.int64)
    return RequestTable(arrival_ps, *tokens)
