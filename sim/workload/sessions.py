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
    """

    arrival_ps: IntArray
    input_tokens: IntArray
    output_tokens: IntArray
    parent: IntArray
    think_ps: IntArray
    session: IntArray

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


def draw_sessions(
    starts: ArrivalProcess,
    lengths: LengthDistribution,
    mean_turns: float,
    mean_think_s: float,
    horizon_s: float,
    seed: int,
    purpose: str,
) -> SessionTable:
    """Sessions that start in a horizon.

    The number of turns is geometric, the think time exponential above its least value; each
    turn adds a drawn prompt to all that was said before.

    Raises:
        InputError: fewer turns than one, or no think time.
    """
    if not mean_turns >= 1 or not mean_think_s > LEAST_THINK_S:
        raise InputError(f"sessions of {mean_turns} turns, {mean_think_s} s apart")
    rng = stream(seed, "sessions", purpose)
    begins_s = starts.times_s(horizon_s, stream(seed, "arrivals", purpose))
    turns = rng.geometric(1 / mean_turns, len(begins_s))
    total = int(turns.sum())
    tokens_in, tokens_out = lengths.sample(total, stream(seed, "lengths", purpose))
    session = np.repeat(np.arange(len(turns)), turns)
    first = np.zeros(total, dtype=bool)
    first[np.cumsum(turns) - turns] = True
    arrival = np.where(first, np.rint(begins_s[session] * PS_PER_S), 0).astype(np.int64)
    think_s = LEAST_THINK_S + rng.exponential(mean_think_s - LEAST_THINK_S, total)
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
