"""Rule `demand-response`: use less in agreed hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, Proposal, SiteView
from sim.units import S_PER_H


@register
@dataclass(frozen=True, slots=True)
class DemandResponse:
    """A share less than the site would draw, from an hour on, once or every so many hours."""

    kind: ClassVar[str] = "demand-response"
    says: ClassVar[str] = "draw a share less than the site would, in agreed hours"
    needs: ClassVar[frozenset[str]] = frozenset()
    assumes: ClassVar[tuple[str, ...]] = (
        "the reduction is measured against what the site would draw with nothing held back",
    )

    depth_frac: float = knob(0.25, 0, 1, "", "reduction of the site's power")
    start_h: float = knob(16.0, 0, 1e5, "h", "start of the first event")
    duration_h: float = knob(3.0, 0, 1e5, "h", "length of an event")
    every_h: float = knob(0.0, 0, 1e5, "h", "time from event to event; 0: only one")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """The reduction while an event lasts."""
        since_h = view.time_s / S_PER_H - self.start_h
        if since_h >= 0 and self.every_h > 0:
            since_h %= self.every_h
        if self.depth_frac == 0 or not 0 <= since_h < self.duration_h:
            return NOTHING, memory
        return Proposal(limit_w=(1 - self.depth_frac) * view.full_import_w), memory
