"""A reading: one limit at one zone, with its margin, probability and what was short before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from sim.grid.network import FloatArray, Zone

BoolArray = npt.NDArray[np.bool_]
Limit = Literal["energy", "reserve", "interface", "branch", "voltage", "frequency", "swing"]
Answer = Literal["binds", "holds", "indeterminate", "not-assessed"]
LIMITS: Final[tuple[Limit, ...]] = (
    "energy",
    "reserve",
    "interface",
    "branch",
    "voltage",
    "frequency",
    "swing",
)
SURE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Reading:
    """One limit at one zone.

    Args:
        hour: the hour with the least room; "" where the limit has none.
        margin_mw: room left after the load at nominal figures (> 0), None if not assessed.
        probability: that the load makes the limit bind: share of negative margins among the
            samples that were not short before (among all, where most were short before).
        margin_low_mw, margin_high_mw: 5th and 95th percentile of the margin in those samples.
        short_before: share of the samples in which it was short before the load.
        preexisting: what was short before the load; "" if nothing.
        preexisting_mw: its size, MW.
    """

    limit: Limit
    zone: str
    verdict: Answer
    detail: str
    hour: str = ""
    margin_mw: float | None = None
    margin_low_mw: float | None = None
    margin_high_mw: float | None = None
    at: str = ""
    probability: float | None = None
    short_before: float = 0.0
    preexisting: str = ""
    preexisting_mw: float = 0.0
    assumptions: tuple[str, ...] = ()

    @property
    def binds(self) -> bool | None:
        """True, False, or None where the data cannot tell."""
        return {"binds": True, "holds": False}.get(self.verdict)


def reading(
    limit: Limit,
    zone: Zone,
    margin_mw: FloatArray,
    *,
    detail: str,
    at: str = "",
    hour: str = "",
    preexisting: str = "",
    preexisting_mw: float = 0.0,
    before: BoolArray | None = None,
    assumptions: tuple[str, ...] = (),
) -> Reading:
    """Turn margins, shape (1 + n_samples,), into a reading.

    Args:
        before: whether it was short before the load, same shape; None for never.
    """
    short = np.zeros(len(margin_mw), dtype=bool) if before is None else before
    drawn = counted(margin_mw, short)
    probability = float((drawn < 0).mean())
    low, high = (float(x) for x in np.percentile(drawn, [5, 95]))
    return Reading(
        limit=limit,
        zone=zone.name,
        verdict=answer(probability),
        detail=detail,
        hour=hour,
        margin_mw=float(margin_mw[0]),
        margin_low_mw=low,
        margin_high_mw=high,
        at=at,
        probability=probability,
        short_before=float(short[1:].mean()),
        preexisting=preexisting,
        preexisting_mw=preexisting_mw,
        assumptions=assumptions,
    )


def counted(values: FloatArray, short_before: BoolArray) -> FloatArray:
    """The samples that tell about the change: those that were not short without the load.

    Args:
        values: shape (1 + n_samples,), row 0 nominal.
        short_before: same shape.

    Returns:
        The drawn values of the samples that were not short before; of all samples where at
        least half were.
    """
    drawn, short = values[1:], short_before[1:]
    return drawn if short.mean() >= 0.5 else drawn[~short]


def answer(probability: float) -> Answer:
    """Binds or holds if that is 95 % sure, else indeterminate."""
    if probability >= SURE:
        return "binds"
    return "holds" if probability <= 1 - SURE else "indeterminate"
