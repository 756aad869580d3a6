"""Rule `ramp-limit`: the site's power rises no faster than agreed, so that it returns in steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, Proposal, SiteView
from sim.units import MEGA


@register
@dataclass(frozen=True, slots=True)
class RampLimit:
    """Between ticks the limit rises by the ramp from what the site took before.

    A fall is not limited here: what stops, stops. Within a training step the power moves
    faster; storage or a power floor at the site smooth that.
    """

    kind: ClassVar[str] = "ramp-limit"
    says: ClassVar[str] = "let the site's power rise no faster than a ramp (staged return)"
    needs: ClassVar[frozenset[str]] = frozenset()
    assumes: ClassVar[tuple[str, ...]] = (
        "the ramp is kept between control ticks; power within a training step is not held",
    )

    up_mw_per_min: float = knob(5.0, 1e-3, 1e6, "MW/min", "fastest rise")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """The last power and the ramp until the next tick; no limit once the site is full."""
        limit_w = view.import_w + self.up_mw_per_min * MEGA / 60.0 * view.interval_s
        return (Proposal(limit_w=limit_w) if limit_w < view.full_import_w else NOTHING), memory
