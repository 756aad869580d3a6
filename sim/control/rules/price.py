"""Rule `price-response`: use less while power is dear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.control.hysteresis import Switch
from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, Proposal, SiteView


@register
@dataclass(frozen=True, slots=True)
class PriceResponse:
    """A share less above a price; it ends when the price is well below, and not before a time.

    The band and the least time, which doubles with each answer called again at once, keep it from
    chasing the price that it moves itself.
    """

    kind: ClassVar[str] = "price-response"
    says: ClassVar[str] = "draw a share less while the price is above a threshold"
    needs: ClassVar[frozenset[str]] = frozenset({"price"})
    assumes: ClassVar[tuple[str, ...]] = (
        "prices are marginal costs of the dispatch: scarcity prices of real markets are higher",
    )

    above_usd_per_mwh: float = knob(150.0, 0, 1e6, "USD/MWh", "price above which to answer")
    depth_frac: float = knob(0.5, 0, 1, "", "reduction of the site's power")
    band_frac: float = knob(0.1, 0, 1, "", "how far below the threshold the answer ends")
    hold_s: float = knob(1800.0, 0, 1e6, "s", "least time of an answer")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """Start above the threshold; end below the band, after the least time."""
        switch = Switch(self.above_usd_per_mwh, self.band_frac, self.hold_s)
        turn = switch.turn(memory, view.time_s, view.grid.price_usd_per_mwh)
        if not turn.on or self.depth_frac == 0:
            return NOTHING, turn
        return Proposal(limit_w=(1 - self.depth_frac) * view.full_import_w), turn
