"""Rule `shift-requests`: send requests to where power is cheaper, cleaner, or not short."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, GridSignals, Proposal, SiteView


@register
@dataclass(frozen=True, slots=True)
class ShiftRequests:
    """Hand a share of the requests to the best other site while it is better by a margin."""

    kind: ClassVar[str] = "shift-requests"
    says: ClassVar[str] = "hand requests to a site where power is cheaper, cleaner or not short"
    needs: ClassVar[frozenset[str]] = frozenset({"price"})
    assumes: ClassVar[tuple[str, ...]] = (
        (
            "moving a request costs 1 USD a million (0.1 to 20) and 30 ms (10 to 80) by default: "
            "assumptions"
        ),
    )

    most_frac: float = knob(0.5, 0, 1, "", "largest share of the requests that moves")
    margin_usd_per_mwh: float = knob(20.0, 0, 1e6, "USD/MWh", "how much cheaper it must be")
    carbon_usd_per_kg: float = knob(0.0, 0, 100, "USD/kg", "price put on carbon in the choice")
    hold_s: float = knob(1800.0, 0, 1e6, "s", "least time between changes")
    latency_s: float = knob(0.03, 0, 10, "s", "added to the first token of a moved request")
    usd_per_million: float = knob(1.0, 0, 1e6, "USD", "cost of moving a million requests")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """The best place, kept for a least time."""
        chosen, since_s = memory or (None, float("-inf"))
        if view.time_s - since_s >= self.hold_s:
            best = self._best(view)
            if best != chosen:
                chosen, since_s = best, view.time_s
        if chosen is None or self.most_frac == 0:
            return NOTHING, (chosen, since_s)
        return Proposal(shift_frac={chosen: self.most_frac}), (chosen, since_s)

    def _best(self, view: SiteView) -> str | None:
        """The cheapest other site that is not short, if the margin is worth it."""
        open_sites = {n: s for n, s in view.elsewhere.items() if s.short_w <= 0}
        if not open_sites:
            return None
        name = min(open_sites, key=lambda n: (self._cost(open_sites[n]), n))
        gain = self._cost(view.grid) - self._cost(open_sites[name])
        return name if gain > self.margin_usd_per_mwh or view.grid.short_w > 0 else None

    def _cost(self, grid: GridSignals) -> float:
        return grid.price_usd_per_mwh + self.carbon_usd_per_kg * grid.carbon_kg_per_mwh
