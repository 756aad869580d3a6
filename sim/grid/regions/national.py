"""Headroom of the whole country, as far as the known hours reach, beside the published sum.

The published study pools nine years (2016-2024) of 22 areas. Nine areas are known over the nine
years and are taken as they are. The rest of each region is known for 2023 and 2024 only: fewer
years give less room, because the hottest year weighs more. The sum with the two years as they
are is the low end; divided by what two years give of nine in the nine known areas, the high end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

import numpy as np

from sim.grid.network import FloatArray
from sim.grid.regions.headroom import from_hours
from sim.grid.regions.hourly import LONG_TABLE, REGION_TABLE, REGION_YEARS, read_hours

INSIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "CAR": ("DUK",),
    "NE": ("NE",),
    "NW": ("BPAT", "PSCO"),
    "NY": ("NY",),
    "SE": ("SOCO",),
    "SW": ("AZPS",),
    "TEN": ("TVA",),
    "TEX": ("TEX",),
}
"""Areas with nine years of hours, by the EIA-930 region that they are part of."""
LEAST_SHARE: Final = 0.1
"""A rest below this share of its region is rounding, not an area."""
START: Final = datetime(REGION_YEARS[0], 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class National:
    """The country at a curtailment rate, GW.

    Args:
        nine_years_gw: by area, nine years pooled: the method as published.
        two_years_gw: by rest of a region, two years pooled.
        two_over_nine: what two years give of nine, over the nine known areas together.
    """

    curtailment_frac: float
    nine_years_gw: Mapping[str, float]
    two_years_gw: Mapping[str, float]
    two_over_nine: float
    two_over_nine_range: tuple[float, float]

    @property
    def low_gw(self) -> float:
        """With the two years as they are."""
        return sum(self.nine_years_gw.values()) + sum(self.two_years_gw.values())

    @property
    def high_gw(self) -> float:
        """With the two years raised to nine."""
        return sum(self.nine_years_gw.values()) + sum(self.two_years_gw.values()) / (
            self.two_over_nine
        )


def national(curtailment_frac: float) -> National:
    """Headroom of all regions at a curtailment rate.

    Raises:
        InputError: a rate outside 0 to 1.
    """
    long = read_hours(LONG_TABLE)
    rate = curtailment_frac
    nine = {
        name: from_hours(name, hours, long.start, rate).load_mw / 1e3
        for name, hours in long.columns.items()
    }
    short = {name: from_hours(name, _two_years(name), START, rate).load_mw / 1e3 for name in nine}
    rest = {
        name: from_hours(name, hours, START, rate).load_mw / 1e3 for name, hours in _rests().items()
    }
    each = [short[name] / nine[name] for name in nine]
    return National(
        rate, nine, rest, sum(short.values()) / sum(nine.values()), (min(each), max(each))
    )


def _two_years(name: str) -> FloatArray:
    long = read_hours(LONG_TABLE)
    return np.concatenate([long.year(year).columns[name] for year in REGION_YEARS])


@cache
def _rests() -> dict[str, FloatArray]:
    """Hours of 2023 and 2024 of each region less its areas with nine years."""
    found: dict[str, FloatArray] = {}
    for name, hours in read_hours(REGION_TABLE).columns.items():
        known = [_two_years(area) for area in INSIDE.get(name, ())]
        rest = hours - sum(known, np.zeros(len(hours)))
        if rest.mean() >= LEAST_SHARE * hours.mean():
            label = f"{name} less {', '.join(INSIDE[name])}" if name in INSIDE else name
            found[label] = rest
    return found
