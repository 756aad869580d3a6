"""Measured hours: demand by area, and the generation mix of eight areas in 2022.

Times are UTC; hour k of a table begins k hours after its start. A year has its own hours:
nothing here mixes two years, `profiles.py` refuses it unless it is asked for.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
import pyarrow.parquet as pq

from sim.datum import data_file
from sim.errors import InputError, UnknownNameError
from sim.grid.network import FloatArray

FOLDER: Final = "grid/regions"
REGION_TABLE: Final = f"{FOLDER}/demand_regions.parquet"
AREA_TABLE: Final = f"{FOLDER}/demand_areas_2024.parquet"
LONG_TABLE: Final = f"{FOLDER}/demand_2016_2024.parquet"
MIX_TABLE: Final = f"{FOLDER}/mix_2022.parquet"
MIX_YEAR: Final = 2022
REGION_YEARS: Final = (2023, 2024)
MIX_FUELS: Final = ("wind", "solar", "hydro", "oil", "gas", "coal", "nuclear", "other")
LONG_NAMES: Final = {"ERCOT": "TEX", "NYISO": "NY", "ISNE": "NE", "ISO-NE": "NE", "ERCO": "TEX",
                     "NYIS": "NY"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hours:
    """Columns of hourly figures, MW, NaN where a figure is missing.

    Args:
        start: begin of the first hour, UTC.
        columns: each of shape (n_hours,).
    """

    start: datetime
    source: str
    columns: dict[str, FloatArray]

    @property
    def n_hours(self) -> int:
        """Length of the columns."""
        return len(next(iter(self.columns.values())))

    @property
    def times(self) -> tuple[datetime, ...]:
        """Begin of every hour, UTC."""
        return tuple(self.start + timedelta(hours=k) for k in range(self.n_hours))

    def column(self, name: str) -> FloatArray:
        """One column.

        Raises:
            UnknownNameError: no such area.
        """
        if name not in self.columns:
            raise UnknownNameError("area", name, self.columns)
        return self.columns[name]

    def year(self, year: int) -> Hours:
        """The hours of one year.

        Raises:
            InputError: the year is not in the table.
        """
        first = int((datetime(year, 1, 1, tzinfo=UTC) - self.start).total_seconds() // 3600)
        last = first + hours_of(year)
        if first < 0 or last > self.n_hours:
            years = f"{self.start.year} to {self.times[-1].year}"
            raise InputError(f"year {year} is not in the table", f"it holds {years}")
        cut = {name: values[first:last] for name, values in self.columns.items()}
        return Hours(datetime(year, 1, 1, tzinfo=UTC), self.source, cut)


def hours_of(year: int) -> int:
    """8,760, or 8,784 in a leap year."""
    return int((datetime(year + 1, 1, 1, tzinfo=UTC) - datetime(year, 1, 1, tzinfo=UTC)).days * 24)


@cache
def read_hours(path: str) -> Hours:
    """A parquet table of hourly columns under `sim/data`. Callers must not change it."""
    table = pq.read_table(io.BytesIO(data_file(path).read_bytes()))
    notes = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    columns = {
        name: table[name].to_numpy(zero_copy_only=False).astype(float)
        for name in table.column_names
    }
    start = datetime.fromisoformat(notes["start_utc"][:19]).replace(tzinfo=UTC)
    return Hours(start, notes["source"], columns)


def long_demand(area: str) -> FloatArray:
    """Demand of an area of 2016-2024, MW, by its EIA-930 name or an operator's (ERCOT, NYISO)."""
    return read_hours(LONG_TABLE).column(LONG_NAMES.get(area.upper(), area.upper()))


@dataclass(frozen=True, slots=True)
class Mix:
    """Measured generation of an area in 2022, MW by fuel; gaps are filled along a line.

    Args:
        generation_mw: by fuel, shape (8760,).
        filled_hours: how many hours were missing or leapt in the source.
        demand_mw: measured demand, None where it is not known.
    """

    area: str
    generation_mw: dict[str, FloatArray]
    filled_hours: int
    demand_mw: FloatArray | None

    @property
    def total_mw(self) -> FloatArray:
        """All fuels."""
        return np.asarray(sum(self.generation_mw.values()))

    @property
    def interchange_mw(self) -> FloatArray | None:
        """Import > 0: measured demand less generation; None where demand is not known."""
        return None if self.demand_mw is None else self.demand_mw - self.total_mw


MIX_DEMAND: Final = {"ERCO": "TEX", "NYIS": "NY", "SOCO": "SOCO", "BPAT": "BPAT", "AZPS": "AZPS"}


def mix_areas() -> tuple[str, ...]:
    """Areas whose mix of 2022 is known."""
    return tuple(sorted({name.split(".")[0] for name in read_hours(MIX_TABLE).columns}))


@cache
def measured_mix(area: str) -> Mix:
    """The mix of an area in 2022. Callers must not change it.

    Raises:
        UnknownNameError: no mix is known for the area.
    """
    if area not in mix_areas():
        raise UnknownNameError("area with a measured mix", area, mix_areas())
    table = read_hours(MIX_TABLE)
    columns = {fuel: table.columns[f"{area}.{fuel}"] for fuel in MIX_FUELS}
    missing = int(np.isnan(columns["gas"]).sum())
    filled = {fuel: _fill(values) for fuel, values in columns.items()}
    name = MIX_DEMAND.get(area)
    demand = read_hours(LONG_TABLE).year(MIX_YEAR).column(name) if name else None
    return Mix(area, filled, missing, demand)


def _fill(values: FloatArray) -> FloatArray:
    known = ~np.isnan(values)
    at = np.arange(len(values))
    return np.asarray(np.interp(at, at[known], values[known]))
