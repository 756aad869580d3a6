"""Write the weather and price tables of `sim/data/{weather,price}` from the reference facts.

    python tools/build_facility_tables.py FACTS [OUT]

Deterministic: the same facts give the same bytes. Weather is kept to a tenth of a degree,
10 Pa and 1 W/m2, prices to a cent. The generation mix of 2022 stands in
`sim/data/grid/regions/mix_2022.parquet`, written by `build_region_tables.py`.
"""

from __future__ import annotations

import csv
import gzip
import sys
from datetime import datetime, timedelta
from pathlib import Path

STATIONS = {
    "phoenix": ("tmy_AZ_Phoenix", "Phoenix Sky Harbor", 33.428, -112.004, -7, 337),
    "san-jose": ("tmy_CA_SanJose", "San Jose Mineta", 37.359, -121.924, -8, 16),
    "atlanta": ("tmy_GA_Atlanta", "Atlanta Hartsfield", 33.630, -84.442, -5, 308),
    "chicago": ("tmy_IL_Chicago", "Chicago O'Hare", 41.960, -87.932, -6, 202),
    "new-york": ("tmy_NY_NewYorkJFK", "New York Kennedy", 40.639, -73.762, -5, 3),
    "dallas": ("tmy_TX_DallasFtWorth", "Dallas-Fort Worth", 32.898, -97.019, -6, 171),
    "virginia": ("tmy_VA_Leesburg", "Leesburg VA", 39.078, -77.558, -5, 119),
    "seattle": ("tmy_WA_Seattle", "Seattle-Tacoma", 47.444, -122.314, -8, 137),
}
"""Name -> file, station, latitude, longitude, UTC offset [h], elevation [m]."""

WEATHER_NOTE = """\
# Typical year of {station}: {latitude} N, {longitude} E, UTC{offset:+d}, {elevation} m
# Source: TMYx typical meteorological years (climate.onebuilding.org; attribution), as of 2024
# Rows: hours 1-24 of local standard time, hour h covers h-1 to h. Columns: dry bulb [0.1 C],
# dew point [0.1 C], pressure [10 Pa], global horizontal, direct normal and diffuse
# horizontal irradiation [Wh/m2], wind speed [0.1 m/s]
"""
DOUBTS = {
    "new-york": "its monthly means fit the normals of New York (January 1.3 against 0.9 C), its "
    "extremes do not: no hour above 28.5 C where a year reaches 36 C in the mean (Central Park, "
    "NOAA normals 1991-2020, read second-hand), none below -1.4 C; mean wind 11 m/s and 1,883 "
    "kWh/m2 of sun are too much; peaks of cooling come out too low, use with care",
}
COLUMNS = {
    "dry_bulb_c": 10,
    "dew_point_c": 10,
    "pressure_pa": 0.1,
    "ghi_wh_m2": 1,
    "dni_wh_m2": 1,
    "dhi_wh_m2": 1,
    "wind_speed_m_s": 10,
}

MARKETS = {
    "caiso": "US-CAL-CISO",
    "pjm": "US-MIDA-PJM",
    "nyiso": "US-NY-NYIS",
    "ercot": "US-TEX-ERCO",
}
YEARS = (2021, 2023, 2024)
PRICE_NOTE = """\
# Hourly electricity prices [USD/MWh], UTC, hour labelled by its start
# Source: public data of the system operators (CAISO, PJM, NYISO, ERCOT); whether real-time or
# day-ahead is not stated by the collection that the figures come from; as of 2025-01
"""


def write_gzip(path: Path, text: str) -> None:
    """A compressed file without a time stamp, so that the bytes repeat."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        packed.write(text.encode("utf-8"))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def check_typical_year(rows: list[dict[str, str]]) -> None:
    """8,760 hours in order, without 29 February."""
    start = datetime(2023, 1, 1)  # noqa: DTZ001  local standard time
    for number, row in enumerate(rows):
        time = start + timedelta(hours=number)
        found = tuple(int(row[k]) for k in ("month", "day", "hour_1_24"))
        if found != (time.month, time.day, time.hour + 1):
            raise SystemExit(f"row {number + 2}: {found} is not {time}")
    if len(rows) != 8760:
        raise SystemExit(f"{len(rows)} hours, not 8760")


def weather(facts: Path, out: Path) -> None:
    """One table for each station."""
    for name, (stem, station, latitude, longitude, offset, elevation) in STATIONS.items():
        rows = read_rows(facts / "weather" / f"{stem}.csv")
        check_typical_year(rows)
        lines = [
            ",".join(str(round(float(row[key]) * scale)) for key, scale in COLUMNS.items())
            for row in rows
        ]
        note = WEATHER_NOTE.format(
            station=station,
            latitude=latitude,
            longitude=longitude,
            offset=offset,
            elevation=elevation,
        )
        if name in DOUBTS:
            note += f"# Doubtful: {DOUBTS[name]}\n"
        write_gzip(out / "weather" / f"{name}.csv.gz", note + "\n".join(lines) + "\n")


def price(facts: Path, out: Path) -> None:
    """One table for each market, one column for each year; hours past a year's end are empty."""
    for market, code in MARKETS.items():
        columns = []
        for year in YEARS:
            rows = read_rows(facts / "price" / f"price_{code}_{year}.csv")
            start = datetime.fromisoformat(f"{year}-01-01 00:00:00+00:00")
            for number, row in enumerate(rows):
                if datetime.fromisoformat(row["datetime_utc"]) != start + timedelta(hours=number):
                    raise SystemExit(f"{code} {year}: row {number + 2} breaks the hours")
            cents = [round(float(row["price_usd_per_mwh"]) * 100) for row in rows]
            columns.append([*map(str, cents), *[""] * (8784 - len(cents))])
        lines = [",".join(map(str, YEARS)), *(",".join(row) for row in zip(*columns, strict=True))]
        note = PRICE_NOTE + "# Columns: year; values in US cents\n"
        write_gzip(out / "price" / f"{market}.csv.gz", note + "\n".join(lines) + "\n")


def main() -> None:
    """Write all tables."""
    facts = Path(sys.argv[1])
    out = Path(sys.argv[2] if len(sys.argv) > 2 else "sim/data")
    weather(facts, out)
    price(facts, out)


if __name__ == "__main__":
    main()
