"""Rule `carbon-aware`: training waits while the supply is dirty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.control.hysteresis import Switch
from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, Proposal, SiteView


@register
@dataclass(frozen=True, slots=True)
class CarbonAware:
    """Suspend training above an intensity; it goes on below the band, after a least time."""

    kind: ClassVar[str] = "carbon-aware"
    says: ClassVar[str] = "suspend training while the carbon intensity is above a threshold"
    needs: ClassVar[frozenset[str]] = frozenset({"carbon"})
    assumes: ClassVar[tuple[str, ...]] = (
        "carbon intensity is the mean at the stack of the place's interconnection",
    )

    above_kg_per_mwh: float = knob(450.0, 0, 2000, "kg/MWh", "intensity above which to wait")
    band_frac: float = knob(0.05, 0, 1, "", "how far below the threshold the wait ends")
    hold_s: float = knob(3600.0, 0, 1e6, "s", "least time of a wait")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """Wait above the threshold; go on below the band, after the least time."""
        switch = Switch(self.above_kg_per_mwh, self.band_frac, self.hold_s)
        turn = switch.turn(memory, view.time_s, view.grid.carbon_kg_per_mwh)
        if not turn.on:
            return NOTHING, turn
        jobs = frozenset(w.name for w in view.workloads if w.kind == "training")
        return Proposal(suspend=jobs), turn
