"""Weather: psychrometrics, the shipped climates, user files and their faults by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError, UnknownNameError
from sim.facility.psychrometrics import saturation_pa, wet_bulb_c
from sim.facility.series import market_prices, read_hours, read_profile
from sim.facility.solar import pv_profile, sun, wind_profile
from sim.facility.weather import climate, climates, doubt_of, read_weather

EPW_HEAD = """\
LOCATION,Somewhere,ST,USA,TMY,000000,40.0,-105.0,-7.0,1600.0
DESIGN CONDITIONS,0
TYPICAL/EXTREME PERIODS,0
GROUND TEMPERATURES,0
HOLIDAYS/DAYLIGHT SAVINGS,No,0,0,0
COMMENTS 1,
COMMENTS 2,
DATA PERIODS,1,1,Data,Sunday, 1/ 1,12/31""".splitlines()
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def epw_rows() -> list[list[str]]:
    rows = []
    for month, days in enumerate(DAYS, start=1):
        for day in range(1, days + 1):
            for hour in range(1, 25):
                row = ["0"] * 35
                row[0:5] = ["2005", str(month), str(day), str(hour), "0"]
                row[6:10] = ["20.0", "10.0", "50", "84000"]
                row[13:16] = ["100", "50", "60"]
                row[21] = "3.0"
                rows.append(row)
    return rows


def write_epw(folder: Path, rows: list[list[str]]) -> Path:
    path = folder / "somewhere.epw"
    path.write_text("\n".join([*EPW_HEAD, *(",".join(row) for row in rows)]) + "\n", "utf-8")
    return path


def arrays(*values: float) -> list[np.ndarray]:
    return [np.array([v]) for v in values]


@given(st.floats(-40, 50), st.floats(0, 40), st.floats(60_000, 105_000))
def test_the_wet_bulb_lies_between_dew_point_and_dry_bulb(
    dry_c: float, below_k: float, pressure_pa: float
) -> None:
    wet = wet_bulb_c(*arrays(dry_c, dry_c - below_k, pressure_pa))[0]
    assert dry_c - below_k - 1e-6 <= wet <= dry_c + 1e-6


@given(st.floats(-20, 45), st.floats(1, 20), st.floats(0.5, 10))
def test_moister_air_has_a_higher_wet_bulb(dry_c: float, below_k: float, more_k: float) -> None:
    moist = wet_bulb_c(*arrays(dry_c, dry_c - below_k, 101_325.0))[0]
    dry = wet_bulb_c(*arrays(dry_c, dry_c - below_k - more_k, 101_325.0))[0]
    assert moist > dry


def test_known_points_of_moist_air() -> None:
    """Saturation at 0 and 20 C; 30 C with a dew point of 20 C has a wet bulb of 23.0 C."""
    assert saturation_pa(np.array([0.0, 20.0])) == pytest.approx([611.2, 2339], rel=4e-3)
    assert wet_bulb_c(*arrays(30.0, 20.0, 101_325.0))[0] == pytest.approx(23.0, abs=0.1)


def test_a_dew_point_above_the_dry_bulb_counts_as_saturated() -> None:
    assert wet_bulb_c(*arrays(10.0, 10.4, 101_325.0))[0] == pytest.approx(10.0)


@pytest.mark.parametrize("name", climates())
def test_shipped_climates_are_whole_and_their_sun_stands_right(name: str) -> None:
    """Beam on the horizontal plus diffuse is the global irradiance only if hours are right."""
    weather = climate(name)
    assert weather.dry_bulb_c.shape == (8760,)
    up, east, south = sun(weather)
    assert up**2 + east**2 + south**2 == pytest.approx(1.0)
    closure = weather.dni_w_m2 * np.maximum(up, 0) + weather.dhi_w_m2
    error = np.abs(closure - weather.ghi_w_m2)[up > 0.1].mean()
    for shift in (-1, 1):
        wrong = np.roll(weather.dni_w_m2, shift) * np.maximum(up, 0) + weather.dhi_w_m2
        assert error < np.abs(wrong - weather.ghi_w_m2)[up > 0.1].mean()


def test_the_shipped_tables_are_those_of_the_facts(facts: Path) -> None:
    rows = np.genfromtxt(
        facts / "weather" / "tmy_AZ_Phoenix.csv", delimiter=",", skip_header=1, usecols=(3, 4, 6, 7)
    )
    weather = climate("phoenix")
    assert weather.dry_bulb_c == pytest.approx(rows[:, 0], abs=0.051)
    assert weather.pressure_pa == pytest.approx(rows[:, 2], abs=5.1)
    assert weather.ghi_w_m2 == pytest.approx(rows[:, 3])


def test_sun_makes_more_in_phoenix_and_more_with_tracking() -> None:
    factors = {n: pv_profile(climate(n)).mean() for n in ("phoenix", "dallas", "virginia")}
    assert factors["phoenix"] > factors["dallas"] > factors["virginia"]
    assert 0.28 < factors["phoenix"] < 0.36  # tracked, 1.3 DC to AC
    for name, tracked in factors.items():
        fixed = pv_profile(climate(name), "fixed")
        assert fixed.mean() < tracked
        assert 0 <= fixed.min() <= fixed.max() <= 1
    assert 0 <= wind_profile(climate("dallas")).min() <= wind_profile(climate("dallas")).max() <= 1


def test_utc_hours_of_a_local_series() -> None:
    weather = climate("phoenix")
    local = np.arange(8760.0)
    assert weather.utc(local)[7] == 0  # midnight in Phoenix is 7 h UTC


def test_an_epw_file_is_read(tmp_path: Path) -> None:
    weather = read_weather(write_epw(tmp_path, epw_rows()))
    assert (weather.latitude_deg, weather.utc_offset_h, weather.elevation_m) == (40.0, -7.0, 1600.0)
    assert weather.dry_bulb_c.shape == (8760,)
    assert weather.wet_bulb_c[0] == pytest.approx(13.7, abs=0.3)


def test_a_leap_day_is_left_out(tmp_path: Path) -> None:
    rows = epw_rows()
    day = [row[:] for row in rows[(31 + 27) * 24 : (31 + 28) * 24]]
    for row in day:
        row[2] = "29"
    cut = (31 + 28) * 24
    weather = read_weather(write_epw(tmp_path, rows[:cut] + day + rows[cut:]))
    assert weather.dry_bulb_c.size == 8760


def change(rows: list[list[str]], number: int, column: int, text: str) -> list[list[str]]:
    rows[number][column] = text
    return rows


FAULTS = {
    "missing": (lambda r: change(r, 100, 6, "99.9"), r":109:7: dry_bulb_c is 99.9 C, outside"),
    "text": (lambda r: change(r, 5, 9, "high"), r":14:10: 'high' is no number for pressure_pa"),
    "irradiance": (lambda r: change(r, 7, 14, "9999"), r":16:15: dni_w_m2 is 9999 Wh/m2"),
    "short line": (lambda r: [*r[:50], r[50][:10], *r[51:]], r":59: 10 columns: no column 14"),
    "gap": (lambda r: r[:1000] + r[1001:], r":1009: month/day/hour 2/11/18 where 2/11/17 is due"),
    "repeated hour": (lambda r: [*r[:30], r[29], *r[30:]], r":39: month/day/hour .* is due"),
    "half a year": (lambda r: r[:4000], r"4000 hours, not the 8760 of a year"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_weather_file_names_its_line(tmp_path: Path, fault: str) -> None:
    spoil, message = FAULTS[fault]
    with pytest.raises(InputError, match=message):
        read_weather(write_epw(tmp_path, spoil(epw_rows())))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such weather file"):
        read_weather(tmp_path / "none.epw")
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="neither an EPW file"):
        read_weather(tmp_path / "x.csv")
    with pytest.raises(UnknownNameError, match="did you mean 'phoenix'"):
        climate("phoenixx")


def test_a_tmy3_file_is_read(tmp_path: Path) -> None:
    names = ["Date (MM/DD/YYYY)", "Time (HH:MM)", "GHI (W/m^2)", "DNI (W/m^2)", "DHI (W/m^2)"]
    names += ["Dry-bulb (C)", "Dew-point (C)", "Pressure (mbar)", "Wspd (m/s)"]
    lines = ["722780,PHOENIX,AZ,-7.0,33.45,-111.983,337", ",".join(names)]
    for row in epw_rows():
        date = f"{row[1]}/{row[2]}/1988,{row[3]}:00"
        lines.append(f"{date},100,50,60,20.0,10.0,840,3.0")
    path = tmp_path / "tmy3.csv"
    path.write_text("\n".join(lines))
    weather = read_weather(path)
    assert weather.pressure_pa[0] == 84_000
    assert weather.latitude_deg == 33.45
    path.write_text("\n".join([lines[0], lines[1].replace("Pressure", "Druck"), *lines[2:]]))
    with pytest.raises(InputError, match="no column 'Pressure'"):
        read_weather(path)


SERIES = {
    "gap": (
        ["2024-01-01T00:00:00+00:00,1", "2024-01-01T03:00:00+00:00,2"],
        r":3: .*2 hours are missing",
    ),
    "twice": (
        ["2024-11-03T01:00:00,1", "2024-11-03T01:00:00,2"],
        r":3: .*the clock goes 0 h",
    ),
    "daylight saving": (
        ["2024-03-10T01:00:00-05:00,1", "2024-03-10T03:00:00-04:00,2"],
        r":3: the time zone changes",
    ),
    "no value": (["2024-01-01T00:00:00,1", "2024-01-01T01:00:00,"], r":3: no value"),
    "not a number": (["2024-01-01T00:00:00,1", "2024-01-01T01:00:00,x"], r":3: 'x' is no number"),
    "infinite": (["2024-01-01T00:00:00,1", "2024-01-01T01:00:00,inf"], r":3: 'inf' is no finite"),
    "no time": (["yesterday,1", "2024-01-01T01:00:00,2"], r":2: 'yesterday' is no time"),
}


@pytest.mark.parametrize("fault", SERIES)
def test_a_bad_series_names_its_line(tmp_path: Path, fault: str) -> None:
    rows, message = SERIES[fault]
    path = tmp_path / "series.csv"
    path.write_text("\n".join(["time,value", *rows]))
    with pytest.raises(InputError, match=message):
        read_hours(path)


def test_a_profile_is_a_whole_year_of_fractions(tmp_path: Path) -> None:
    start = np.datetime64("2023-01-01T00:00:00")
    lines = [f"{start + np.timedelta64(h, 'h')},{0.25}" for h in range(8760)]
    path = tmp_path / "wind.csv"
    path.write_text("\n".join(["time,output", *lines]))
    assert read_profile(path).sum() == pytest.approx(2190)
    path.write_text("\n".join(["time,output", *lines[:-1]]))
    with pytest.raises(InputError, match="8759 hours from 01 January"):
        read_profile(path)
    path.write_text("\n".join(["time,output", lines[0].replace("0.25", "1.2"), *lines[1:]]))
    with pytest.raises(InputError, match=r":2: 1\.2 is outside 0 to 1"):
        read_profile(path)
    with pytest.raises(UnknownNameError, match="column"):
        read_hours(path, "price")


def test_market_prices_are_whole_and_hold_the_storm() -> None:
    assert market_prices("ercot", 2021).max() > 8000
    assert all(market_prices(m, y).size == 8760 for m in ("caiso", "pjm") for y in (2023, 2024))
    with pytest.raises(UnknownNameError, match="market"):
        market_prices("nordpool", 2024)
    with pytest.raises(UnknownNameError, match="year"):
        market_prices("pjm", 2022)


JANUARY_C, YEARLY_MAXIMUM_C = 0.9, 36.0
"""New York (Central Park): normal January mean, and mean yearly maximum (NOAA 1991-2020)."""


def test_new_yorks_table_fits_the_normals_in_its_means_only_and_says_so() -> None:
    air = climate("new-york")
    assert air.dry_bulb_c[: 31 * 24].mean() == pytest.approx(JANUARY_C, abs=1.0)
    assert air.dry_bulb_c.max() < YEARLY_MAXIMUM_C - 5
    assert air.wind_m_s.mean() > 2 * np.median([climate(n).wind_m_s.mean() for n in climates()])
    assert "no hour above 28.5 C" in doubt_of("new-york")


def test_only_new_york_is_in_doubt_and_a_file_of_the_user_is_not_judged() -> None:
    assert [name for name in climates() if doubt_of(name)] == ["new-york"]
    assert doubt_of("mine.epw") == ""
