"""What a view of the grid gets from a run, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sim.grid.hosting import Hosting
from sim.grid.verdict import GridVerdict

if TYPE_CHECKING:
    import pyarrow as pa

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlacedLoad:
    """Figures of the sites, summed by zone, MW."""

    peak_mw: Mapping[str, float]
    low_mw: Mapping[str, float]
    high_mw: Mapping[str, float]
    swing_mw: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GridView:
    """What a view of the grid adds to a run.

    Args:
        grid: keys for the summary's `grid`.
        assumptions: for the summary, beside those of the readings.
        tables: tables for the run folder, by file name.
    """

    verdict: GridVerdict
    hosting: tuple[Hosting, ...] = ()
    grid: Json = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
