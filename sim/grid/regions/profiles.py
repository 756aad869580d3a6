"""What wind, sun and water give in an hour, as a share of the rating, by EIA-930 region.

The measured mixes are those of eight areas in 2022; a region without one takes that of a named
neighbour. Both, and the share of the rating at the best hours, are assumptions and are listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from sim.datum import Datum, data
from sim.errors import InputError
from sim.grid.network import FloatArray
from sim.grid.regions.hourly import MIX_YEAR, hours_of, measured_mix

TECHNOLOGY: Final = "grid/regions/technology.yaml"
REGIONS: Final = (
    "CAL",
    "CAR",
    "CENT",
    "FLA",
    "MIDA",
    "MIDW",
    "NE",
    "NW",
    "NY",
    "SE",
    "SW",
    "TEN",
    "TEX",
)
WIND_FROM: Final = {
    "CAL": "CISO",
    "CENT": "MISO",
    "MIDA": "PJM",
    "MIDW": "MISO",
    "NE": "NYIS",
    "NW": "BPAT",
    "NY": "NYIS",
    "SW": "AZPS",
    "TEX": "ERCO",
}
SOLAR_FROM: Final = {
    "CAL": "CISO",
    "CENT": "ERCO",
    "MIDA": "PJM",
    "MIDW": "MISO",
    "NE": "PJM",
    "NW": "CISO",
    "NY": "PJM",
    "SW": "AZPS",
    "TEX": "ERCO",
}
HYDRO_FROM: Final = {
    "CAL": "CISO",
    "CENT": "MISO",
    "MIDA": "PJM",
    "MIDW": "MISO",
    "NE": "NYIS",
    "NW": "BPAT",
    "NY": "NYIS",
    "SW": "CISO",
    "TEX": "ERCO",
}
FALLBACK: Final = {"wind": "PJM", "solar": "SOCO", "hydro": "SOCO"}
SOURCES: Final = {"wind": WIND_FROM, "solar": SOLAR_FROM, "hydro": HYDRO_FROM}
BEST_HOURS_PERCENTILE: Final = 99.9


@dataclass(frozen=True, slots=True)
class Profiles:
    """Share of the rating by hour, shape (n_hours,), by fuel and region.

    Args:
        weather_year: year of the measured mixes.
        hydro_mean: share of the rating as a mean over each day, shape (n_hours,), by region.
    """

    weather_year: int
    wind: dict[str, FloatArray]
    solar: dict[str, FloatArray]
    hydro_mean: dict[str, FloatArray]
    assumptions: tuple[str, ...]


def profiles(load_year: int, weather_year: int = MIX_YEAR, *, mixed: bool = False) -> Profiles:
    """Profiles on the hours of the load's year.

    Args:
        mixed: allow the weather of another year than the load; it is then listed.

    Raises:
        InputError: weather of a year that was not measured, or of another year than the load
            without `mixed`.
    """
    if weather_year != MIX_YEAR:
        raise InputError(
            f"no wind and solar hours of {weather_year}", f"take the weather of {MIX_YEAR}"
        )
    if weather_year != load_year and not mixed:
        raise InputError(
            f"load of {load_year} with wind and sun of {weather_year}",
            "mixing years breaks the weather behind both; allow it with mixed_years to go on",
        )
    n = hours_of(load_year)
    return Profiles(
        weather_year,
        {r: fit_hours(_share("wind", r), n) for r in REGIONS},
        {r: fit_hours(_share("solar", r), n) for r in REGIONS},
        {r: daily_mean(fit_hours(_share("hydro", r), n)) for r in REGIONS},
        _assumptions(load_year, weather_year),
    )


def source_of(fuel: str, region: str) -> str:
    """The area whose measured hours stand for a region."""
    return SOURCES[fuel].get(region, FALLBACK[fuel])


@cache
def _share(fuel: str, region: str) -> FloatArray:
    """Measured output over its best hours, times the share of the rating at those."""
    values = measured_mix(source_of(fuel, region)).generation_mw[fuel]
    best = float(np.percentile(values, BEST_HOURS_PERCENTILE))
    peak = data(TECHNOLOGY)[f"availability.{fuel}_peak"].value
    return np.asarray(np.clip(values / best, 0.0, 1.0) * peak)


def fit_hours(values: FloatArray, n_hours: int) -> FloatArray:
    """Hours of one year on those of another: a leap day repeats 28 February."""
    february = slice(58 * 24, 59 * 24)
    if n_hours > len(values):
        return np.concatenate([values[: 59 * 24], values[february], values[59 * 24 :]])
    if n_hours < len(values):
        return np.concatenate([values[: 59 * 24], values[60 * 24 :]])
    return values


def daily_mean(values: FloatArray) -> FloatArray:
    """Every hour replaced by the mean of its day."""
    return np.repeat(values.reshape(-1, 24).mean(axis=1), 24)


def _assumptions(load_year: int, weather_year: int) -> tuple[str, ...]:
    figures: dict[str, Datum] = data(TECHNOLOGY)
    listed = [
        figures[f"availability.{fuel}_peak"].describe() for fuel in ("wind", "solar", "hydro")
    ]
    stand_in = "; ".join(
        f"{fuel}: " + ", ".join(f"{r} from {source_of(fuel, r)}" for r in REGIONS)
        for fuel in SOURCES
    )
    listed.append(f"hourly shapes measured in {weather_year} (EIA-930): {stand_in}")
    if load_year != weather_year:
        listed.append(
            f"mixed years: load of {load_year}, wind, sun and water of {weather_year}, hour by hour"
        )
    return tuple(listed)
