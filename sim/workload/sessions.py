"""Conversations of several turns: the next one comes some time after the last answer.

A turn's prompt holds what was said before, so it grows from turn to turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.randomness import stream
from sim.units import PS_PER_S, to_ps
from sim.workload.arrivals import ArrivalProcess
from sim.workload.lengths import LengthDistribution

IntArray = NDArray[np.int64]

LEAST_THINK_S = 0.001


@dataclass(frozen=True, slots=True, eq=False)
class SessionTable:
    """Turns as columns; the number of a turn is its row.

    Attributes:
        arrival_ps: of first turns, else 0, shape (n,); so are the others.
        input_tokens, output_tokens: at least 1.
        parent: the turn before, or -1 for a first turn; always an earlier row.
        think_ps: from the end of the turn before to this one's arrival.
        session: number of the session.
        priority: class, 0 comes first; None for all 0.
    """

    arrival_ps: IntArray
    input_tokens: IntArray
    output_tokens: IntArray
    parent: IntArray
    think_ps: IntArray
    session: IntArray
    priority: IntArray | None = None

    def __post_init__(self) -> None:
        later = self.parent >= 0
        if np.any(self.parent >= np.arange(len(self.parent))):
            raise InputError("a turn must stand behind the turn before it")
        if np.any(self.think_ps[later] < to_ps(LEAST_THINK_S)):
            raise InputError(f"a think time is below {LEAST_THINK_S} s")
        if len(np.unique(self.parent[later])) != int(later.sum()):
            raise InputError("a turn has two turns behind it")

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def next_turn(self) -> dict[int, int]:
        """The turn that follows each turn that has one."""
        return {int(p): row for row, p in enumerate(self.parent) if p >= 0}


@dataclass(frozen=True, slots=True)
class SessionShape:
    """How sessions go on: a geometric number of turns, think times exponential above the least.

    Attributes:
        mean_turns: of a session. mean_think_s, least_think_s: from an answer to the next turn.

    Raises:
        InputError: fewer turns than one, or no think time.
    """

    mean_turns: float
    mean_think_s: float
    least_think_s: float = LEAST_THINK_S

    def __post_init__(self) -> None:
        thinks = LEAST_THINK_S <= self.least_think_s < self.mean_think_s < np.inf
        if not (1 <= self.mean_turns < np.inf and thinks):
            raise InputError(
                f"sessions of {self.mean_turns:g} turns, {self.mean_think_s:g} s apart, "
                f"{self.least_think_s:g} s at least",
                f"give one turn or more, and a mean above the least, which is {LEAST_THINK_S} s "
                "or more",
                path="mean_think_s",
            )

    def mean_tokens(self, lengths: LengthDistribution) -> tuple[float, float]:
        """Mean prompt and output of all turns: a turn has `mean_turns` - 1 before it, on average.

        A turn of a geometric session is the j-th (from 0) with probability p (1 - p)^j, where
        p = 1 / `mean_turns`; so j is 1 / p - 1 on average.
        """
        tokens_in, tokens_out = lengths.mean_tokens
        before = (self.mean_turns - 1) * (tokens_in + tokens_out)
        return tokens_in + before, tokens_out


def draw_sessions(
    starts: ArrivalProcess,
    lengths: LengthDistribution,
    shape: SessionShape,
    horizon_s: float,
    seed: int,
    purpose: str,
) -> SessionTable:
    """Sessions that start in a horizon; each turn adds a drawn prompt to all that was said."""
    rng = stream(seed, "sessions", purpose)
    begins_s = starts.times_s(horizon_s, stream(seed, "arrivals", purpose))
    turns = rng.geometric(1 / shape.mean_turns, len(begins_s))
    total = int(turns.sum())
    tokens_in, tokens_out = lengths.sample(total, stream(seed, "lengths", purpose))
    session = np.repeat(np.arange(len(turns)), turns)
    first = np.zeros(total, dtype=bool)
    first[np.cumsum(turns) - turns] = True
    arrival = np.where(first, np.rint(begins_s[session] * PS_PER_S), 0).astype(np.int64)
    least_s = shape.least_think_s
    think_s = least_s + rng.exponential(shape.mean_think_s - least_s, total)
    think = np.where(first, 0, np.rint(think_s * PS_PER_S)).astype(np.int64)
    return SessionTable(
        arrival_ps=arrival,
        input_tokens=tokens_in + _said_before(tokens_in + tokens_out, first),
        output_tokens=tokens_out,
        parent=np.where(first, -1, np.arange(total) - 1),
        think_ps=think,
        session=session + 1,
    )


def _said_before(tokens: IntArray, first: NDArray[np.bool_]) -> IntArray:
    """Tokens of the earlier turns of the same session."""
    before = np.concatenate([[0], np.cumsum(tokens)[:-1]]).astype(np.int64)
    start = np.maximum.accumulate(np.where(first, np.arange(len(tokens)), 0))
    return np.asarray(before - before[start]) if len(tokens) else before[:0]
