"""What interrupts a job, what that costs, and how often to save against it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.cost.training import Phase
from sim.errors import InputError

MOST_FAILURES: Final = 700.0
"""Between two checkpoints: with more, the expected time is no number any more."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of interruption.

    Args:
        rate_per_s: of the whole job, per second of work.
        restart: detecting it, replacing what failed, starting the processes.
        takes_node: the node goes to repair; otherwise it starts again itself.
    """

    name: str
    rate_per_s: float
    restart: Phase
    takes_node: bool = True


@dataclass(frozen=True, slots=True)
class Failures:
    """Interruptions of a job that loses everything since its last checkpoint.

    They come as a Poisson process while the job works, none while it recovers.

    Args:
        rate_per_s: interruptions of the whole job per second of work.
        restart: detecting, replacing the node, starting the processes.
        reload: reading the checkpoint.
        spare_nodes: nodes that stand in for failed ones.
        repair_s: time until a failed node is back.
        causes: kinds of interruptions, whose rates sum to `rate_per_s`; empty: one kind.
    """

    rate_per_s: float
    restart: Phase
    reload: Phase
    spare_nodes: int
    repair_s: float
    causes: tuple[Cause, ...] = ()

    @property
    def recovery_s(self) -> float:
        """Mean time from an interruption to work, with a spare at hand."""
        if not self.causes:
            return self.restart.time_s + self.reload.time_s
        weighted_s = sum(c.rate_per_s * c.restart.time_s for c in self.causes)
        return weighted_s / self.rate_per_s + self.reload.time_s

    def next_after_s(self, rng: np.random.Generator) -> float:
        """Work until the next interruption."""
        return float(rng.exponential(1 / self.rate_per_s))

    def draw_cause(self, rng: np.random.Generator) -> Cause:
        """What an interruption is."""
        if not self.causes:
            return Cause("failure", self.rate_per_s, self.restart)
        edges = np.cumsum([c.rate_per_s for c in self.causes])
        place = int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))
        return self.causes[min(place, len(self.causes) - 1)]


def by_cause(
    causes: tuple[Cause, ...], reload: Phase, spare_nodes: int, repair_s: float
) -> Failures:
    """Failures of several kinds at once."""
    rate = math.fsum(c.rate_per_s for c in causes)
    mean_s = math.fsum(c.rate_per_s * c.restart.time_s for c in causes) / rate
    restart = Phase("restart", mean_s, causes[0].restart.gpu_power_w)
    return Failures(rate, restart, reload, spare_nodes, repair_s, causes)


class SpareNodes:
    """Which failed nodes are away, and until when."""

    def __init__(self, count: int, repair_ps: int):
        self.count = count
        self.repair_ps = repair_ps
        self._back_at_ps: deque[int] = deque()

    def take(self, now_ps: int) -> int:
        """Send a failed node to repair; the time to wait for a replacement."""
        while self._back_at_ps and self._back_at_ps[0] <= now_ps:
            self._back_at_ps.popleft()
        wait_ps = 0
        if len(self._back_at_ps) >= self.count:
            # Without any spare the failed node itself must come back.
            first_ps = self._back_at_ps[0] if self.count else now_ps + self.repair_ps
            wait_ps = first_ps - now_ps
        self._back_at_ps.append(now_ps + self.repair_ps)
        return wait_ps


def young_daly_interval_s(checkpoint_s: float, rate_per_s: float) -> float:
    """Work between checkpoints that loses least: sqrt(2 C M), C cost, M mean time between.

    Young 1974, doi:10.1145/361147.361115; Daly 2006, doi:10.1016/j.future.2004.11.016.
    """
    return math.sqrt(2 * checkpoint_s / rate_per_s)


def expected_time_s(
    work_s: float, interval_s: float, checkpoint_s: float, failures: Failures | None
) -> float:
    """Expected time of `work_s` of steps, saved after each `interval_s`, spares at hand.

    A segment of length L = interval + checkpoint that any interruption starts over takes
    (1/r + R) (exp(r L) - 1) on average: each try survives with probability exp(-r L), so
    exp(r L) - 1 tries fail, and time under risk is (exp(r L) - 1) / r (Daly 2006, section 2).

    Raises:
        InputError: failures come so often that no segment is ever saved.
    """
    segments = work_s / interval_s
    length_s = interval_s + checkpoint_s
    if failures is None:
        return segments * length_s
    rate = failures.rate_per_s
    if rate * length_s > MOST_FAILURES:
        raise InputError(
            f"a failure every {1 / rate:.3g} s and a checkpoint every {length_s:.3g} s: "
            "the job would never finish",
            "save more often, or give fewer failures",
        )
    return segments * (1 / rate + failures.recovery_s) * math.expm1(rate * length_s)
