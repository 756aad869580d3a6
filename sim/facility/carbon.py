"""Emissions: the hourly mix of an area, gaps and all, and what is embodied in the site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np

from sim.datum import Datum, data, data_file
from sim.errors import InputError, UnknownNameError
from sim.facility.profile import FloatArray
from sim.units import J_PER_KWH, KILO

MIX = "grid/regions/mix_2022.parquet"
MIX_YEAR = 2022
FIGURES = "facility/carbon.yaml"
FUELS = ("wind", "solar", "hydro", "oil", "gas", "coal", "nuclear", "other")


def carbon_figures() -> dict[str, Datum]:
    """Emission factors and embodied emissions of the data file."""
    return data(FIGURES)


@dataclass(frozen=True, slots=True, eq=False)
class GridCarbon:
    """Emissions of an area's generation in the hours of 2022 (UTC).

    Attributes:
        g_per_kwh: of each hour; NaN where the source has none.
        gap_hours: hours without a figure. They are left out of means, never counted as zero.
    """

    area: str
    g_per_kwh: FloatArray
    gap_hours: int

    def filled(self) -> FloatArray:
        """The series with each gap bridged between its neighbours, for a sum over all hours."""
        hours = np.arange(self.g_per_kwh.size)
        known = np.isfinite(self.g_per_kwh)
        return np.interp(hours, hours[known], self.g_per_kwh[known])

    @property
    def mean_g_per_kwh(self) -> float:
        """Mean over the hours that have a figure."""
        return float(np.nanmean(self.g_per_kwh))


@cache
def areas() -> list[str]:
    """Areas with an hourly mix."""
    return sorted({name.partition(".")[0] for name in _mix().column_names})


@cache
def _mix() -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(data_file(MIX).read_bytes()))


@cache
def grid_carbon(area: str) -> GridCarbon:
    """Hourly emissions of an area, from its mix and the factors of each fuel.

    Raises:
        UnknownNameError: no mix of such an area.
    """
    if area not in areas():
        raise UnknownNameError("area", area, areas())
    mix = np.stack([_column(area, fuel) for fuel in FUELS])
    factors = np.array([carbon_figures()[f"fuel.{fuel}"].value for fuel in FUELS])
    total = mix.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        grams = np.where(total > 0, factors @ mix / total, np.nan)
    gaps = int((~np.isfinite(grams)).sum())
    if gaps == grams.size:
        raise InputError(f"area {area} has no hour with a figure", "choose another area")
    return GridCarbon(area, grams, gaps)


def _column(area: str, fuel: str) -> FloatArray:
    column = _mix()[f"{area}.{fuel}"].to_numpy(zero_copy_only=False)
    return cast("FloatArray", np.asarray(column, dtype=np.float64))


def import_kg(carbon: GridCarbon, import_w: FloatArray, start_h: int = 0) -> float:
    """Emissions of a year's import, location-based; gaps are bridged.

    Args:
        import_w: hourly means from hour `start_h` of the UTC year on.
    """
    place = (np.arange(import_w.size) + start_h) % carbon.g_per_kwh.size
    return float(carbon.filled()[place] @ import_w) * 3600 / J_PER_KWH / KILO


@dataclass(frozen=True, slots=True)
class Embodied:
    """Emissions of making a site [kg], by part, and by the year over the lives of the parts."""

    kg: dict[str, float]
    yearly_kg: dict[str, float]


def embodied(
    nodes: int,
    gpus: int,
    it_mw: float,
    lives_y: Mapping[str, float],
    pv_kw: float = 0.0,
    battery_kwh: float = 0.0,
) -> Embodied:
    """Emissions embodied in servers, network, building, PV and battery.

    Args:
        lives_y: years of `it`, `facility`, `pv`, `battery`.
    """
    f = {name: d.value for name, d in carbon_figures().items()}
    kg = {
        "servers": nodes * (f["embodied.gpu_board_kg"] + f["embodied.server_rest_kg"]),
        "network": gpus * f["embodied.network_kg_per_gpu"],
        "building": it_mw * f["embodied.shell_kg_per_mw"],
        "pv": pv_kw * f["embodied.pv_kg_per_kw"],
        "battery": battery_kwh * f["embodied.battery_kg_per_kwh"],
    }
    life = {"servers": "it", "network": "it", "building": "facility"}
    yearly = {name: mass / lives_y[life.get(name, name)] for name, mass in kg.items()}
    return Embodied(kg, yearly)
