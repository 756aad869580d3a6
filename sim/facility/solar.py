"""PV and wind from hourly weather: what each watt of a plant gives in each hour.

PV: position of the sun at the middle of the hour, beam and isotropic diffuse light on the
panel, cell temperature by Faiman's model, losses, inverter clipping. Figures in
`sim/data/facility/solar.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from sim.datum import Datum, data
from sim.facility.profile import FloatArray
from sim.facility.weather import Weather

Mounting = Literal["fixed", "tracking"]
FIGURES = "facility/solar.yaml"
STANDARD_W_M2 = 1000.0
STANDARD_C = 25.0
LOW_SUN_SIN = np.sin(np.radians(2.0))
"""Below two degrees of height the hour's mean direction means nothing: no beam."""


def solar_figures() -> dict[str, Datum]:
    """Losses and curves of the data file."""
    return data(FIGURES)


def pv_profile(
    weather: Weather, mounting: Mounting = "tracking", figures: Mapping[str, Datum] | None = None
) -> FloatArray:
    """AC output per W of AC rating in each hour of the weather, 0 to 1."""
    f = {name: d.value for name, d in (figures or solar_figures()).items()}
    height_sin, east, south = sun(weather)
    beam_cos, tilt_cos = _panel(weather, mounting, height_sin, east, south, f)
    light = (
        weather.dni_w_m2 * np.where(height_sin > LOW_SUN_SIN, beam_cos, 0.0)
        + weather.dhi_w_m2 * (1 + tilt_cos) / 2
        + weather.ghi_w_m2 * f["pv.albedo"] * (1 - tilt_cos) / 2
    )
    cell_c = weather.dry_bulb_c + light / (
        f["pv.faiman_w_m2_k"] + f["pv.faiman_wind_w_s_m3_k"] * weather.wind_m_s
    )
    heat = 1 + f["pv.temperature_per_k"] * (cell_c - STANDARD_C)
    dc = light / STANDARD_W_M2 * heat * (1 - f["pv.loss_frac"]) * f["pv.dc_ac_ratio"]
    return np.clip(dc * f["pv.inverter_frac"], 0.0, 1.0)


def sun(weather: Weather) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Unit vector to the sun (up, east, south) at the middle of each hour.

    Declination and equation of time by Spencer's series (1971).
    """
    hours = np.arange(weather.dry_bulb_c.size)
    day = 2 * np.pi * (hours // 24) / 365
    declination = (
        0.006918
        - 0.399912 * np.cos(day)
        + 0.070257 * np.sin(day)
        - 0.006758 * np.cos(2 * day)
        + 0.000907 * np.sin(2 * day)
        - 0.002697 * np.cos(3 * day)
        + 0.00148 * np.sin(3 * day)
    )
    late_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(day)
        - 0.032077 * np.sin(day)
        - 0.014615 * np.cos(2 * day)
        - 0.040849 * np.sin(2 * day)
    )
    shift_min = 4 * (weather.longitude_deg - 15 * weather.utc_offset_h) + late_min
    angle = np.radians(15 * (hours % 24 + 0.5 + shift_min / 60 - 12))
    latitude = np.radians(weather.latitude_deg)
    up = np.sin(latitude) * np.sin(declination)
    up = up + np.cos(latitude) * np.cos(declination) * np.cos(angle)
    east = -np.cos(declination) * np.sin(angle)
    south = np.sin(latitude) * np.cos(declination) * np.cos(angle)
    south = south - np.cos(latitude) * np.sin(declination)
    return up, east, south


def _panel(
    weather: Weather,
    mounting: Mounting,
    up: FloatArray,
    east: FloatArray,
    south: FloatArray,
    f: Mapping[str, float],
) -> tuple[FloatArray, FloatArray]:
    """Cosine of the angle between panel and sun, and of the panel's tilt."""
    if mounting == "fixed":
        tilt = np.radians(f["pv.tilt_per_latitude"] * abs(weather.latitude_deg))
        towards = south if weather.latitude_deg >= 0 else -south
        beam = np.maximum(up * np.cos(tilt) + towards * np.sin(tilt), 0.0)
        return beam, np.full_like(beam, np.cos(tilt))
    # A north-south axis: the panel turns east to west to face the sun, up to a limit.
    limit = np.radians(f["pv.tracker_limit_deg"])
    turn = np.clip(np.arctan2(east, np.maximum(up, 1e-6)), -limit, limit)
    beam = np.maximum(up * np.cos(turn) + east * np.sin(turn), 0.0)
    return beam, np.cos(turn)


def wind_profile(weather: Weather, figures: Mapping[str, Datum] | None = None) -> FloatArray:
    """Output per W of rating in each hour, from the wind at 10 m and a turbine's curve.

    A station at an airport says little about a wind farm: give a measured profile for more
    than a first look. Cubic between cut-in and rated speed, nothing above cut-out.
    """
    f = {name: d.value for name, d in (figures or solar_figures()).items()}
    raised = (f["wind.hub_m"] / 10.0) ** f["wind.shear"]
    speed = weather.wind_m_s * raised
    low, rated, high = f["wind.cut_in_m_s"], f["wind.rated_m_s"], f["wind.cut_out_m_s"]
    part = (np.clip(speed, low, rated) ** 3 - low**3) / (rated**3 - low**3)
    return np.where(speed < high, part, 0.0) * (1 - f["wind.loss_frac"])
