"""Hourly series: the user's CSV files with their gaps and clock jumps, and shipped prices."""

from __future__ import annotations

import gzip
import itertools
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

from sim.datum import data_file, data_names
from sim.errors import InputError, Place, UnknownNameError
from sim.facility.profile import FloatArray
from sim.files import YEAR_BYTES, csv_rows, is_file, read_text
from sim.units import H_PER_YEAR

HOUR = timedelta(hours=1)
PRICE_SUFFIX = ".csv.gz"


def read_hours(path: str | Path, column: str | None = None) -> tuple[datetime, FloatArray]:
    """A CSV with a head, a time in its first column and values beside it.

    Args:
        column: name of the values' column; the second one by default.

    Returns:
        the first time (with its zone, if the file has one), and the values of all hours.

    Raises:
        InputError: with file and line: a value or time that cannot be read, a gap, an hour that
            stands twice, or a time zone that changes (daylight saving).
    """
    file = Path(path)
    if not is_file(file):
        raise InputError(f"no such file {str(file)!r}", "give a CSV of hourly values")
    rows = csv_rows(read_text(file, "a CSV of hourly values", YEAR_BYTES), str(file))
    if len(rows) < 3:
        raise InputError("fewer than two hours", "give a head and hourly rows", place=_at(file, 1))
    place = _column(file, rows[0], column)
    times = [_time(file, n, row) for n, row in enumerate(rows[1:], start=2)]
    for number, (before, after) in enumerate(itertools.pairwise(times), start=3):
        _check_step(file, number, before, after)
    values = [_value(file, n, row, place) for n, row in enumerate(rows[1:], start=2)]
    return times[0], np.array(values)


def read_profile(path: str | Path) -> FloatArray:
    """A year of output over rating, hour by hour from 1 January (UTC), 0 to 1.

    Raises:
        InputError: as `read_hours`; or not 8,760 hours, or a value outside 0 to 1.
    """
    start, values = read_hours(path)
    if values.size != H_PER_YEAR or (start.month, start.day, start.hour) != (1, 1, 0):
        raise InputError(
            f"{values.size} hours from {start:%d %B %H:%M}",
            f"give the {H_PER_YEAR} hours of a year from 1 January 00:00 UTC",
            place=_at(Path(path), 2),
        )
    outside = np.flatnonzero((values < 0) | (values > 1))
    if outside.size:
        raise InputError(
            f"{values[outside[0]]:g} is outside 0 to 1",
            "give output over rating",
            place=_at(Path(path), int(outside[0]) + 2),
        )
    return values


def _column(file: Path, head: list[str], column: str | None) -> int:
    if column is None:
        return 1
    names = [name.strip() for name in head]
    if column not in names:
        raise UnknownNameError("column", column, names).at(_at(file, 1))
    return names.index(column)


def _time(file: Path, line: int, row: list[str]) -> datetime:
    try:
        return datetime.fromisoformat(row[0].strip())
    except (ValueError, IndexError) as error:
        text = row[0] if row else ""
        raise InputError(
            f"{text!r} is no time", "write 2024-01-31T13:00:00+00:00", place=_at(file, line)
        ) from error


def _check_step(file: Path, line: int, before: datetime, after: datetime) -> None:
    if before.utcoffset() != after.utcoffset():
        raise InputError(
            f"the time zone changes from {before.isoformat()} to {after.isoformat()}",
            "give the whole series in UTC or in local standard time",
            place=_at(file, line),
        )
    step = after - before
    if step == HOUR:
        return
    hours = step / HOUR
    what = f"{hours - 1:g} hours are missing" if step > HOUR else f"the clock goes {hours:g} h"
    raise InputError(
        f"{after.isoformat()} after {before.isoformat()}: {what}",
        "give each hour once, in order, without daylight saving",
        place=_at(file, line),
    )


def _value(file: Path, line: int, row: list[str], place: int) -> float:
    text = row[place].strip() if place < len(row) else ""
    try:
        value = float(text)
    except ValueError as error:
        what = "no value" if not text else f"{text!r} is no number"
        raise InputError(what, "fill or mend the hour", place=_at(file, line)) from error
    if not np.isfinite(value):
        raise InputError(f"{text!r} is no finite number", "fill the hour", place=_at(file, line))
    return value


def _at(file: Path, line: int) -> Place:
    return Place(str(file), line)


@cache
def market_prices(market: str, year: int) -> FloatArray:
    """Hourly prices of a market in a year [USD/MWh], UTC; 29 February is left out.

    Raises:
        UnknownNameError: no such market or year.
    """
    if market not in data_names("price", PRICE_SUFFIX):
        raise UnknownNameError("market", market, data_names("price", PRICE_SUFFIX))
    packed = data_file(f"price/{market}{PRICE_SUFFIX}").read_bytes()
    lines = [x for x in gzip.decompress(packed).decode().splitlines() if not x.startswith("#")]
    years = lines[0].split(",")
    if str(year) not in years:
        raise UnknownNameError("year of prices", str(year), years)
    place = years.index(str(year))
    cents = [row.split(",")[place] for row in lines[1:]]
    prices = np.array([float(c) for c in cents if c]) / 100
    if prices.size > H_PER_YEAR:
        leap_day = (31 + 28) * 24
        prices = np.delete(prices, slice(leap_day, leap_day + 24))
    return prices
