"""Rule `suspend-at-peaks`: training stands still in the place's highest hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, Proposal, SiteView


@register
@dataclass(frozen=True, slots=True)
class SuspendAtPeaks:
    """Suspend training in the highest hours of the year's load, which are taken as foreseen."""

    kind: ClassVar[str] = "suspend-at-peaks"
    says: ClassVar[str] = "suspend training in the highest hours of the place's load"
    needs: ClassVar[frozenset[str]] = frozenset({"load-rank"})
    assumes: ClassVar[tuple[str, ...]] = ("the highest hours of the year are known in advance",)

    hours_frac: float = knob(0.01, 0, 1, "", "share of the year's hours, 0.01 = 88 h")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """Nothing runs in the highest hours."""
        if view.grid.load_rank_frac > self.hours_frac or self.hours_frac == 0:
            return NOTHING, memory
        jobs = frozenset(w.name for w in view.workloads if w.kind == "training")
        return Proposal(suspend=jobs), memory
