"""The frequency step when a whole site leaves at once, and the largest loss allowed.

Settled deviation = loss / (frequency response per 0.1 Hz) x 0.1 Hz: quasi-static, governors
included; the first swing goes further and is not computed by the zonal view.
"""

from __future__ import annotations

import numpy as np

from sim.grid.network import FloatArray, FrequencyFigures
from sim.grid.sampling import Draws
from sim.units import three_digits

NOMINAL_HZ = 60.0


def step_hz(loss_mw: float, figures: FrequencyFigures) -> float:
    """Settled rise of frequency after the loss of a load, Hz."""
    return loss_mw / figures.response_mw_per_tenth_hz.value * 0.1


def margin_mw(site_mw: FloatArray, figures: FrequencyFigures, draws: Draws) -> FloatArray:
    """Largest sudden load loss less the site, shape (1 + n_samples,)."""
    allowed = draws.of(f"loss.{figures.interconnection}", figures.largest_load_loss_mw)
    return np.asarray(allowed - site_mw)


def detail(site_mw: float, figures: FrequencyFigures, observed_mw: float | None) -> str:
    """The step in Hz, and the loss beside one that has happened."""
    rise = step_hz(site_mw, figures)
    response = figures.response_mw_per_tenth_hz.value
    text = (
        f"losing {three_digits(site_mw)} MW at once settles {rise:+.3f} Hz "
        f"({NOMINAL_HZ + rise:.3f} Hz) in the {figures.interconnection} interconnection, "
        f"response {response:,.0f} MW/0.1 Hz"
    )
    if observed_mw:
        text += f"; {site_mw / observed_mw:.2f} of the {observed_mw:,.0f} MW lost on 2024-07-10"
    return text
