"""A typical year of weather: the eight shipped climates, and EPW or TMY3 files of the user.

Series are in local standard time, hour 0 first; `utc` turns them into hours of the UTC year.
"""

from __future__ import annotations

import gzip
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from sim.datum import data_file, data_names
from sim.errors import InputError, Place, UnknownNameError
from sim.facility.profile import FloatArray
from sim.facility.psychrometrics import wet_bulb_c
from sim.files import YEAR_BYTES, csv_rows, is_file, read_bytes
from sim.units import H_PER_YEAR

FOLDER, SUFFIX = "weather", ".csv.gz"
DOUBT = "# Doubtful:"
FIELDS = (
    "dry_bulb_c",
    "dew_point_c",
    "pressure_pa",
    "ghi_w_m2",
    "dni_w_m2",
    "dhi_w_m2",
    "wind_m_s",
)
SCALES = (0.1, 0.1, 10.0, 1.0, 1.0, 1.0, 0.1)
LIMITS = {
    "dry_bulb_c": (-70.0, 60.0, "C"),
    "dew_point_c": (-90.0, 45.0, "C"),
    "pressure_pa": (31_000.0, 120_000.0, "Pa"),
    "ghi_w_m2": (0.0, 1500.0, "Wh/m2"),
    "dni_w_m2": (0.0, 1500.0, "Wh/m2"),
    "dhi_w_m2": (0.0, 1000.0, "Wh/m2"),
    "wind_m_s": (0.0, 80.0, "m/s"),
}
"""What a figure of a weather file may be; the formats' codes for "missing" lie outside."""


@dataclass(frozen=True, slots=True, eq=False)
class Weather:
    """A year of hourly weather at a place; arrays of 8,760 hours of local standard time.

    Attributes:
        utc_offset_h: local standard time less UTC.
        ghi_w_m2, dni_w_m2, dhi_w_m2: mean irradiance of the hour: global horizontal, direct
            normal, diffuse horizontal.
    """

    name: str
    latitude_deg: float
    longitude_deg: float
    utc_offset_h: float
    elevation_m: float
    dry_bulb_c: FloatArray
    wet_bulb_c: FloatArray
    pressure_pa: FloatArray
    ghi_w_m2: FloatArray
    dni_w_m2: FloatArray
    dhi_w_m2: FloatArray
    wind_m_s: FloatArray

    def utc(self, series: FloatArray) -> FloatArray:
        """A local series as hours of the UTC year (half-hour zones: the nearest hour)."""
        return np.roll(series, -round(self.utc_offset_h))


def climates() -> list[str]:
    """Names of the shipped climates."""
    return data_names(FOLDER, SUFFIX)


@cache
def climate(name: str) -> Weather:
    """A shipped climate.

    Raises:
        UnknownNameError: no such climate.
    """
    if name not in climates():
        raise UnknownNameError("climate", name, climates())
    text = gzip.decompress(data_file(f"{FOLDER}/{name}{SUFFIX}").read_bytes()).decode("utf-8")
    head = text.partition("\n")[0].partition(": ")[2].split(", ")
    latitude, longitude, offset, elevation = (
        float("".join(c for c in part if c in "0123456789.-+")) for part in head
    )
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    table = np.loadtxt(lines, delimiter=",") * np.array(SCALES)
    return _weather(name, (latitude, longitude, offset, elevation), table)


@cache
def doubt_of(name: str) -> str:
    """Why a shipped climate is doubtful, from the head of its table; "" where it is not.

    A file of the user is not judged.
    """
    if name not in climates():
        return ""
    packed = data_file(f"{FOLDER}/{name}{SUFFIX}").read_bytes()
    for line in gzip.decompress(packed).decode("utf-8").splitlines():
        if not line.startswith("#"):
            break
        if line.startswith(DOUBT):
            return line.removeprefix(DOUBT).strip()
    return ""


def read_weather(path: str | Path) -> Weather:
    """An EPW file, or a TMY3 CSV file, of the user.

    Raises:
        InputError: with file and line: no such file, another format, a row that is short, not a
            number, missing or outside its limits, hours that jump, or not a whole year.
    """
    file = Path(path)
    if not is_file(file):
        raise InputError(f"no such weather file {str(file)!r}", "give an .epw or TMY3 .csv file")
    text = read_bytes(file, "a weather file", YEAR_BYTES).decode("utf-8-sig", errors="replace")
    lines = csv_rows(text, str(file))
    if lines and lines[0] and lines[0][0].strip().upper() == "LOCATION":
        return _read(str(file), lines, EPW)
    if len(lines) > 1 and lines[1] and lines[1][0].strip().startswith("Date"):
        return _read(str(file), lines, _tmy3(str(file), lines[1]))
    raise InputError(
        "neither an EPW file (first line LOCATION,...) nor a TMY3 file (second line Date ...,)",
        "give one of the two formats",
        place=Place(str(file), 1),
    )


@dataclass(frozen=True, slots=True)
class _Format:
    """Where a weather file keeps what.

    Attributes:
        head: columns of latitude, longitude, UTC offset, elevation in the first line.
        skip: lines before the first hour.
        columns: of `FIELDS`, with the factor to SI.
    """

    name: str
    head: tuple[int, int, int, int]
    skip: int
    columns: tuple[int, ...]
    factors: tuple[float, ...]


EPW = _Format("EPW", (6, 7, 8, 9), 8, (6, 7, 9, 13, 14, 15, 21), (1.0,) * 7)
_TMY3_NAMES = ("Dry-bulb", "Dew-point", "Pressure", "GHI (", "DNI (", "DHI (", "Wspd")


def _tmy3(file: str, names: Sequence[str]) -> _Format:
    columns = []
    for wanted in _TMY3_NAMES:
        found = [k for k, name in enumerate(names) if name.strip().startswith(wanted)]
        if not found:
            raise InputError(f"no column {wanted!r}", "give a TMY3 file", place=Place(file, 2))
        columns.append(found[0])
    mbar = 100.0
    return _Format("TMY3", (4, 5, 3, 6), 2, tuple(columns), (1, 1, mbar, 1, 1, 1, 1))


def _read(file: str, lines: Sequence[Sequence[str]], form: _Format) -> Weather:
    place = [_number(file, 1, lines[0], k, "the place") for k in form.head]
    rows: list[list[float]] = []
    expected = datetime(2023, 1, 1, 1)  # noqa: DTZ001  the end of the first hour
    for number, row in _hours(lines, form.skip):
        month, day, hour = _stamp(file, number, row, form)
        if (month, day) == (2, 29):
            continue
        if (month, day, hour) != _label(expected):
            want = "/".join(str(n) for n in _label(expected))
            raise InputError(
                f"month/day/hour {month}/{day}/{hour} where {want} is due",
                "give each hour of local standard time once, without daylight saving",
                place=Place(file, number),
            )
        expected += timedelta(hours=1)
        rows.append(_figures(file, number, row, form))
        if len(rows) > H_PER_YEAR:
            break
    if len(rows) != H_PER_YEAR:
        raise InputError(
            f"{len(rows)} hours, not the {H_PER_YEAR} of a year",
            "give a whole year",
            place=Place(file, len(lines)),
        )
    return _weather(Path(file).stem, (place[0], place[1], place[2], place[3]), np.array(rows))


def _hours(lines: Sequence[Sequence[str]], skip: int) -> Iterator[tuple[int, Sequence[str]]]:
    """Line number and row of each hour; empty lines are passed over."""
    rows = itertools.islice(enumerate(lines, start=1), skip, None)
    return ((number, row) for number, row in rows if any(cell.strip() for cell in row))


def _label(end: datetime) -> tuple[int, int, int]:
    """Month, day and hour 1-24 of the hour that ends at a time."""
    start = end - timedelta(hours=1)
    return start.month, start.day, start.hour + 1


def _stamp(file: str, number: int, row: Sequence[str], form: _Format) -> tuple[int, int, int]:
    if form.name == "EPW":
        month, day, hour = (_number(file, number, row, k, "time") for k in (1, 2, 3))
        return int(month), int(day), int(hour)
    try:
        month_text, day_text, _ = row[0].split("/")
        return int(month_text), int(day_text), int(row[1].split(":")[0])
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{','.join(row[:2])!r} is no date and time",
            "write MM/DD/YYYY,HH:MM",
            place=Place(file, number),
        ) from error


def _figures(file: str, number: int, row: Sequence[str], form: _Format) -> list[float]:
    values = []
    for name, column, factor in zip(FIELDS, form.columns, form.factors, strict=True):
        value = _number(file, number, row, column, name) * factor
        low, high, unit = LIMITS[name]
        if not low <= value <= high:
            raise InputError(
                f"{name} is {value:g} {unit}, outside {low:g} to {high:g} (or marked as missing)",
                "fill or mend the hour",
                place=Place(file, number, column + 1),
            )
        values.append(value)
    return values


def _number(file: str, line: int, row: Sequence[str], column: int, name: str) -> float:
    if column >= len(row):
        raise InputError(
            f"{len(row)} columns: no column {column + 1} for {name}",
            "the line is cut short",
            place=Place(file, line),
        )
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        what, place = f"{row[column]!r} is no number for {name}", Place(file, line, column + 1)
        raise InputError(what, "mend the line", place=place)
    return value


def _weather(name: str, place: tuple[float, float, float, float], table: FloatArray) -> Weather:
    latitude, longitude, offset, elevation = place
    dry, dew, pressure, ghi, dni, dhi, wind = table.T.copy()
    wet = wet_bulb_c(dry, dew, pressure)
    return Weather(
        name, latitude, longitude, offset, elevation, dry, wet, pressure, ghi, dni, dhi, wind
    )
