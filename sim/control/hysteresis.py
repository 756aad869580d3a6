"""A switch with a band and a least time, so that an answer does not chase what it moves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switch:
    """On above a threshold; off at or below the band, and not before a least time.

    Args:
        above: threshold. band_frac: how far below it the switch goes off.
        hold_s: least time on.
    """

    above: float
    band_frac: float
    hold_s: float

    def since_s(self, before_s: float | None, time_s: float, value: float) -> float | None:
        """Since when the switch is on at `time_s`; None for off.

        Args:
            before_s: the same at the tick before.
        """
        if before_s is None:
            return time_s if value > self.above else None
        held = time_s - before_s < self.hold_s
        return before_s if held or value > self.above * (1 - self.band_frac) else None
