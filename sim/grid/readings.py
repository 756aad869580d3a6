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
SHORT_MW: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Reading:
    """One limit at one zone.

    Args:
        hour: the hour with the least room; "" where the limit has none.
        margin_mw: room left after the load at nominal figures (> 0), None if not assessed.
        margin_low_mw, margin_high_mw: 5th and 95th percentile over the assumptions.
        probability: that the load makes the limit bind: share of negative margins among the
            samples that were not short before (among all, where most were short before).
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
    drawn = margin_mw[1:]
    short = np.zeros(len(drawn), dtype=bool) if before is None else before[1:]
    probability = binding_probability(drawn, short)
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
        short_before=float(short.mean()),
        preexisting=preexisting,
        preexisting_mw=preexisting_mw,
        assumptions=assumptions,
    )


def binding_probability(margin_mw: FloatArray, short_before: BoolArray) -> float:
    """How probable it is that the load makes the limit bind: the verdict is about the change.

    Args:
        margin_mw: by sample, shape (n_samples,).
        short_before: samples that were short without the load, same shape. They say nothing
            about the change, so they are left out unless they are the most.
    """
    counted = margin_mw if short_before.mean() >= 0.5 else margin_mw[~short_before]
    return float((counted < 0).mean())


def answer(probability: float) -> Answer:
    """Binds or holds if that is 95 % sure, else indeterminate."""
    if probability >= SURE:
        return "binds"
    return "holds" if probability <= 1 - SURE else "indeterminate"
