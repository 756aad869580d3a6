"""Network limits as rows over generators and buses, found when they are broken.

A row is a branch in the base case, or a branch after an outage. In both cases its flow is
linear in the bus injections: PTDF row, plus LODF times the PTDF row of the outage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.grid.nodal.pairs import Pairs, unique
from sim.grid.nodal.study import TOLERANCE_MW, Study
from sim.grid.nodal.tables import Floats, Ints

AT_ONCE = 40
"""Rows added to a program per round."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: `lower <= at_base + per_mw . (change of injections) <= upper`.

    Args:
        branch, outage: indices; outage -1 in the base case.
        per_mw: flow per MW injected at each bus, shape (n_buses,).
        at_base_mw: flow at the base point.
    """

    branch: int
    outage: int
    per_mw: Floats
    at_base_mw: float
    lower_mw: float
    upper_mw: float


class Limits:
    """Finds broken limits of a study.

    Args:
        with_outages: also after each single branch outage.
        strict: no allowance for limits that are over at the base point; also the limits on
            angle differences that a case may hold.
    """

    def __init__(self, study: Study, *, with_outages: bool, strict: bool = False):
        self.study = study
        self._with_outages = with_outages
        self._strict = strict
        self.upper_mw = study.base_limit_mw.copy()
        if strict:
            rating = study.network.branches.rating_mw
            self.upper_mw = np.where(study.grid.branch_on, rating, np.inf)
        self.lower_mw = -self.upper_mw
        if strict:
            self._tighten_by_angles()

    def _tighten_by_angles(self) -> None:
        grid, b = self.study.grid, self.study.network.branches
        scale = grid.susceptance_pu * self.study.network.base_mva
        ends = [
            np.where(
                np.isfinite(angle) & grid.branch_on, scale * np.radians(angle - b.shift_deg), angle
            )
            for angle in (b.min_angle_deg, b.max_angle_deg)
        ]
        low = np.where(scale < 0, -np.inf, ends[0])
        high = np.where(scale < 0, np.inf, ends[1])
        self.lower_mw = np.maximum(self.lower_mw, low)
        self.upper_mw = np.minimum(self.upper_mw, high)

    def broken(self, flow_mw: Floats, known: set[tuple[int, int]]) -> list[Limit]:
        """The worst limits that these flows break and that are not known yet.

        Outages are looked at once the base case holds.
        """
        over = np.maximum(flow_mw - self.upper_mw, self.lower_mw - flow_mw)
        rows = np.flatnonzero(over > TOLERANCE_MW)
        worst = rows[np.argsort(-over[rows])]
        fresh = [(int(row), -1) for row in worst if (int(row), -1) not in known]
        if not fresh and self._with_outages:
            fresh = self._broken_after_outage(flow_mw, known)
        return self.build(fresh[:AT_ONCE])

    def _broken_after_outage(
        self, flow_mw: Floats, known: set[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Worst first; at most three outages for one branch."""
        study = self.study
        pairs = unique(study.pairs.suspects(flow_mw), len(flow_mw))
        over = np.abs(pairs.after(flow_mw)) - self._limit_of(pairs)
        worst = [int(i) for i in np.argsort(-over) if over[i] > TOLERANCE_MW]
        fresh: list[tuple[int, int]] = []
        seen: dict[int, int] = {}
        for i in worst:
            branch, outage = int(pairs.branch[i]), int(pairs.outage[i])
            seen[branch] = seen.get(branch, 0) + 1
            if seen[branch] <= 3 and (branch, outage) not in known:
                fresh.append((branch, outage))
        return fresh

    def build(self, names: list[tuple[int, int]]) -> list[Limit]:
        """The named limits, (branch, outage or -1)."""
        if not names:
            return []
        study, flow = self.study, self.study.base.flow_mw
        needed = np.unique([b for b, _ in names] + [k for _, k in names if k >= 0]).astype(np.int64)
        rows = study.grid.ptdf_rows(needed)
        place = {int(branch): i for i, branch in enumerate(needed)}
        share = self._lodf(names)
        limits = []
        for (branch, outage), lodf in zip(names, share, strict=True):
            per_mw, at_base = rows[place[branch]], float(flow[branch])
            lower, upper = self.lower_mw[branch], self.upper_mw[branch]
            if outage >= 0:
                per_mw = per_mw + lodf * rows[place[outage]]
                at_base += lodf * float(flow[outage])
                upper = self._pair_limit(branch, outage, lodf)
                lower = -upper
            limits.append(Limit(branch, outage, per_mw, at_base, float(lower), float(upper)))
        return limits

    def _lodf(self, names: list[tuple[int, int]]) -> list[float]:
        outages = sorted({k for _, k in names if k >= 0})
        if not outages:
            return [0.0] * len(names)
        columns = self.study.grid.lodf_columns(np.array(outages, dtype=np.int64))
        at = {k: i for i, k in enumerate(outages)}
        return [float(columns[b, at[k]]) if k >= 0 else 0.0 for b, k in names]

    def _pair_limit(self, branch: int, outage: int, lodf: float) -> float:
        one: Ints = np.array([branch], dtype=np.int64)
        pair = Pairs(one, np.array([outage], dtype=np.int64), np.array([lodf]))
        return float(self._limit_of(pair)[0])

    def _limit_of(self, pairs: Pairs) -> Floats:
        if self._strict:
            return self.study.emergency_limit_mw[pairs.branch]
        return self.study.pair_limit_mw(pairs)
