"""Moist air: vapour pressure, wet bulb, and the heat that water takes along."""

from __future__ import annotations

import numpy as np

from sim.facility.profile import FloatArray

PSYCHROMETER_PER_K = 6.53e-4
"""Psychrometer constant of the ventilated wet bulb, 1/K (WMO-No. 8, annex 4.B)."""
EVAPORATION_J_PER_KG = 2.45e6
"""Latent heat of water at about 20 C."""
AIR_J_PER_KG_K = 1006.0
"""Specific heat of dry air."""
HALVINGS = 40
"""Steps of the bisection: 100 K / 2^40 is far below a thousandth of a degree."""


def saturation_pa(temperature_c: FloatArray) -> FloatArray:
    """Vapour pressure over water (Magnus form of WMO-No. 8, annex 4.B)."""
    return np.asarray(611.2 * np.exp(17.62 * temperature_c / (243.12 + temperature_c)))


def wet_bulb_c(
    dry_bulb_c: FloatArray, dew_point_c: FloatArray, pressure_pa: FloatArray
) -> FloatArray:
    """Wet bulb temperature, from the psychrometer's balance of heat.

    Solves e_s(Tw) - A p (T - Tw) = e_s(Td) by bisection between dew point and dry bulb. A dew
    point above the dry bulb (rounding in the source) counts as saturated air.
    """
    low = np.minimum(dew_point_c, dry_bulb_c)
    high = np.asarray(dry_bulb_c, dtype=np.float64)
    vapour_pa = saturation_pa(low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        given_pa = saturation_pa(middle) - PSYCHROMETER_PER_K * pressure_pa * (dry_bulb_c - middle)
        too_wet = given_pa > vapour_pa
        high = np.where(too_wet, middle, high)
        low = np.where(too_wet, low, middle)
    return np.asarray((low + high) / 2)
