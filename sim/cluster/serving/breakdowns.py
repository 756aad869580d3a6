"""When replicas break and are back: the same plan for both engines.

Each replica has random numbers of its own, so it breaks at the same times whatever the
others do, and however many there are. Times are exponential while it is whole (a constant
rate), and a repair takes a fixed time. Replicas are told by their place: the first of each
routing cell, then the second of each.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim.cluster.serving.autoscale import Autoscale
from sim.cluster.serving.compiled import CompiledReplicas
from sim.control.serving import BatchRules
from sim.errors import InputError
from sim.units import PS_PER_S, to_ps
from sim.workload.counter import counter_key, uniform

NEVER_PS = 2**62


@dataclass(frozen=True, slots=True)
class Breaking:
    """How often a replica breaks.

    Attributes:
        mtbf_s: mean time of a whole replica until it breaks.
        repair_s: from then until it is back, its model loaded.

    Raises:
        InputError: a time is not above zero.
    """

    mtbf_s: float
    repair_s: float

    def __post_init__(self) -> None:
        if not (0 < self.mtbf_s < math.inf and 0 < self.repair_s < math.inf):
            raise InputError(
                f"failures with mtbf_s = {self.mtbf_s}, repair_s = {self.repair_s}",
                "give times above 0",
                path="failures",
            )


def check_failures(
    failures: Breaking | None, rules: BatchRules, autoscale: Autoscale | None
) -> None:
    """Refuse what failures do not go with.

    Raises:
        InputError: blocks are swapped to the host, or an autoscaler switches the same replicas.
    """
    if failures is None:
        return
    if rules.preemption == "swap":
        raise InputError("failures need preemption: recompute", path="failures")
    if autoscale is not None:
        raise InputError(
            "failures and an autoscaler would switch the same replicas",
            "leave one of them out",
            path="failures",
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A replica, by its place, breaks or is back."""

    place: int
    broken: bool


class Breakdowns:
    """The plan of a fleet.

    Args:
        replicas: of the fleet. key: of their random numbers. horizon_s: nothing breaks after.

    Attributes:
        count: how often a replica broke so far. repaired: and came back.
    """

    def __init__(self, spec: Breaking, replicas: int, key: int, horizon_s: float):
        self.spec = spec
        self.count = self.repaired = 0
        self._key = key
        self._horizon_ps = to_ps(horizon_s)
        self._times = [0] * replicas
        self._due: list[tuple[int, int, bool]] = []
        self._broken: dict[int, int] = {}
        self._down_ps = 0
        for place in range(replicas):
            self._break_later(place, 0)

    @property
    def next_ps(self) -> int:
        """When something changes next."""
        return self._due[0][0] if self._due else NEVER_PS

    def act(self, now_ps: int) -> list[Change]:
        """What changes until now, in the order of its time."""
        changes = []
        while self.next_ps <= now_ps:
            time_ps, place, breaks = heapq.heappop(self._due)
            changes.append(Change(place, breaks))
            if breaks:
                self.count += 1
                self._broken[place] = time_ps
                heapq.heappush(self._due, (time_ps + to_ps(self.spec.repair_s), place, False))
            else:
                self.repaired += 1
                self._down_ps += time_ps - self._broken.pop(place)
                self._break_later(place, time_ps)
        return changes

    def down_ps(self, now_ps: int) -> int:
        """Time that replicas were broken up to now, all together."""
        return self._down_ps + sum(now_ps - since_ps for since_ps in self._broken.values())

    def _break_later(self, place: int, from_ps: int) -> None:
        """Draw when a whole replica breaks, if that is within the run."""
        draw = uniform(self._key, self._times[place] << 32 | place)
        self._times[place] += 1
        time_ps = from_ps + 1 + round(-self.spec.mtbf_s * math.log1p(-draw) * PS_PER_S)
        if time_ps < self._horizon_ps:
            heapq.heappush(self._due, (time_ps, place, True))


def breakdowns(
    spec: Breaking | None, replicas: int, seed: int, name: str, horizon_s: float
) -> Breakdowns | None:
    """The plan of a fleet of a run, None where nothing breaks."""
    if spec is None:
        return None
    return Breakdowns(spec, replicas, counter_key(seed, "failures", name), horizon_s)


def places(cells: Sequence[CompiledReplicas]) -> list[tuple[int, int]]:
    """Replica and cell of each place: the first of each cell, then the second of each."""
    sizes = [len(replicas.cell.due) for replicas in cells]
    return sorted((r, c) for c, size in enumerate(sizes) for r in range(size))


class CellBreakdowns:
    """Breaks and repairs the replicas of cells as a plan says.

    Args:
        plan: of the fleet. cells: of the fleet.
    """

    def __init__(self, plan: Breakdowns, cells: Sequence[CompiledReplicas]):
        self.plan = plan
        self._cells = cells
        self._order = places(cells)

    @property
    def next_ps(self) -> int:
        """When something changes next."""
        return self.plan.next_ps

    def act(self, now_ps: int) -> None:
        """Do what is due, at cells that were settled to now."""
        for change in self.plan.act(now_ps):
            r, c = self._order[change.place]
            (self._cells[c].fail if change.broken else self._cells[c].join)(r, now_ps)
