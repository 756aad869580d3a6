"""A switch with a band and a least time, so that an answer does not chase what it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_HOLD_S: Final = 86_400.0
"""The least time grows no further than a day."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a switch remembers.

    Attributes:
        on: its position. since_s: since when. hold_s: least time of the last (or this) answer.
    """

    on: bool = False
    since_s: float = float("-inf")
    hold_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Switch:
    """On above a threshold; off at or below the band, and not before a least time.

    Where the answer moves the value by more than the band, no position can last: off, the value
    calls; on, it does not. So an answer that is called again within its least time after it
    ended takes twice as long as the one before, up to a day: the changes die out.

    Args:
        above: threshold. band_frac: how far below it the switch goes off.
        hold_s: least time on.
    """

    above: float
    band_frac: float
    hold_s: float

    def turn(self, before: Turn | None, time_s: float, value: float) -> Turn:
        """The switch at `time_s`, from what it was at the tick before (None: at the start)."""
        last = before or Turn()
        passed_s = time_s - last.since_s
        if last.on:
            stays = passed_s < last.hold_s or value > self.above * (1 - self.band_frac)
            return last if stays else Turn(False, time_s, last.hold_s)
        if value <= self.above:
            return last
        again = passed_s < max(last.hold_s, self.hold_s)
        hold_s = min(2 * last.hold_s, max(MOST_HOLD_S, self.hold_s)) if again else self.hold_s
        return Turn(True, time_s, hold_s)
