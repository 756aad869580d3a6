"""The nodes of a job: when the next one fails or slows down, spares, and planned work."""

from __future__ import annotations

import numpy as np

from sim.cluster.training.failures import Cause, SpareNodes
from sim.cluster.training.plan import NEVER_PS, JobPlan, Outage
from sim.units import to_ps


class Nodes:
    """Clocks of what the nodes have in store for a job.

    Attributes:
        straggles_at_ps: next slow node.
        slow_until_ps: when the slow node at work is found; None without one.
        maintained_at_ps: next planned work.
    """

    def __init__(self, plan: JobPlan, rng: np.random.Generator | None):
        self._plan, self._rng = plan, rng
        self._breaks_at_ps = self.straggles_at_ps = NEVER_PS
        self._outages = sorted(plan.outages, key=lambda outage: outage.at_ps)
        self.slow_until_ps: int | None = None
        self.maintained_at_ps = NEVER_PS
        failures = plan.failures
        self.spares = SpareNodes(
            failures.spare_nodes if failures else 0, to_ps(failures.repair_s if failures else 0.0)
        )
        self.draw_failure(0)
        self.draw_straggler(0)
        self.plan_maintenance(0)

    @property
    def fails_at_ps(self) -> int:
        """The next interruption: a node breaks, or the power goes."""
        return min([self._breaks_at_ps, *(o.at_ps for o in self._outages[:1])])

    def take_outage(self, now_ps: int) -> Outage | None:
        """The last outage that has begun by now, if any has; earlier ones are over with it."""
        begun = [o for o in self._outages if o.at_ps <= now_ps]
        self._outages = self._outages[len(begun) :]
        return max(begun, key=lambda outage: outage.until_ps, default=None)

    @property
    def is_slow(self) -> bool:
        """True while a slow node slows the job."""
        return self.slow_until_ps is not None

    @property
    def noticed_at_ps(self) -> int:
        """The next thing that the job notices between two steps."""
        slow_ps = self.straggles_at_ps if self.slow_until_ps is None else self.slow_until_ps
        return min(slow_ps, self.maintained_at_ps)

    def draw_failure(self, now_ps: int) -> None:
        """When the next interruption comes, if any does."""
        if self._plan.failures and self._rng:
            self._breaks_at_ps = now_ps + to_ps(self._plan.failures.next_after_s(self._rng))

    def draw_cause(self) -> Cause:
        """What the interruption is."""
        failures, rng = self._plan.failures, self._rng
        assert failures is not None  # noqa: S101 - only a plan with failures is interrupted
        assert rng is not None  # noqa: S101
        return failures.draw_cause(rng)

    def draw_straggler(self, now_ps: int) -> None:
        """When the next node slows down, if any does."""
        self.straggles_at_ps = NEVER_PS
        if self._plan.stragglers and self._rng:
            after_s = float(self._rng.exponential(1 / self._plan.stragglers.rate_per_s))
            self.straggles_at_ps = now_ps + to_ps(after_s)

    def slow_down(self, now_ps: int) -> None:
        """A node is slow from now on, until it is found."""
        if self._plan.stragglers:
            self.slow_until_ps = now_ps + to_ps(self._plan.stragglers.detect_s)

    def all_well(self) -> None:
        """No node is slow any more."""
        self.slow_until_ps = None

    def plan_maintenance(self, now_ps: int) -> None:
        """The next planned work is an interval away."""
        if self._plan.maintenance:
            self.maintained_at_ps = now_ps + to_ps(self._plan.maintenance.interval_s)

    def shift(self, stopped_ps: int) -> None:
        """Nothing fails or slows down while the job stands; planned work goes by the clock."""
        self._breaks_at_ps += stopped_ps if self._breaks_at_ps != NEVER_PS else 0
        self.straggles_at_ps += stopped_ps if self.straggles_at_ps != NEVER_PS else 0
        if self.slow_until_ps is not None:
            self.slow_until_ps += stopped_ps
