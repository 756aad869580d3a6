"""Rule `curtailment`: a flexible connection gives way when its place is short.

The order of the grid is what the place lacks, reserve included. It comes into force after a
notice, moves no faster than the ramp, and ends when the budget of the year is used up: from
then on the grid has to take the load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, Proposal, SiteView
from sim.units import S_PER_H

HOURS_PER_YEAR = 8760.0


@dataclass(frozen=True, slots=True)
class _State:
    """Since when the place is short, what is held back now, and what was in all."""

    since_s: float | None = None
    held_w: float = 0.0
    used_j: float = 0.0


@register
@dataclass(frozen=True, slots=True)
class Curtailment:
    """Give way to the place's shortage within a budget, with notice and ramp."""

    kind: ClassVar[str] = "curtailment"
    says: ClassVar[str] = "give way when the place is short, within a budget, after a notice"
    needs: ClassVar[frozenset[str]] = frozenset()
    assumes: ClassVar[tuple[str, ...]] = (
        "the budget is a share of what the site would draw in a year of 8,760 h at full power",
        "the sites of a place share its shortage in proportion to their power",
    )

    budget_frac: float = knob(0.005, 0, 1, "", "share of a year's energy that may be curtailed")
    notice_s: float = knob(600.0, 0, 1e6, "s", "from the order to the answer")
    depth_frac: float = knob(1.0, 0, 1, "", "deepest reduction of the site's power")
    ramp_frac_per_min: float = knob(0.1, 1e-4, 1e6, "1/min", "fastest change, of full power")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """Hold back what the place lacks."""
        state: _State = memory or _State()
        full_w = view.full_import_w
        short_w = min(view.grid.short_w, self.depth_frac * full_w)
        since_s = state.since_s if state.since_s is not None else view.time_s
        due = short_w > 0 and view.time_s - since_s >= self.notice_s
        step_w = self.ramp_frac_per_min * full_w * view.interval_s / 60.0
        wanted_w = min(short_w if due else 0.0, self._left_w(state, view))
        held_w = min(max(wanted_w, state.held_w - step_w), state.held_w + step_w)
        held_w = min(held_w, self._left_w(state, view))
        used_j = state.used_j + held_w * view.interval_s
        after = _State(since_s if short_w > 0 else None, held_w, used_j)
        if held_w <= 0:
            return NOTHING, after
        return Proposal(limit_w=full_w - held_w), after

    def _left_w(self, state: _State, view: SiteView) -> float:
        """What the rest of the budget holds back until the next tick."""
        budget_j = self.budget_frac * view.full_import_w * HOURS_PER_YEAR * S_PER_H
        return max(0.0, budget_j - state.used_j) / view.interval_s
