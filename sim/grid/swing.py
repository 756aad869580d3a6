"""Periodic swings of a training load against the governor dead band.

Quasi-static deviation = swing / frequency response: the peak-to-peak swing of all sites in an
interconnection, taken in step (one job spread over sites swings together). Within the dead
band governors stay quiet; beyond it they follow every iteration. Inertia damps swings faster
than about 1 Hz further; modes between areas may amplify slow ones: neither is computed here.
"""

from __future__ import annotations

import numpy as np

from sim.grid.network import FloatArray, FrequencyFigures
from sim.grid.sampling import Draws
from sim.units import three_digits


def allowed_mw(figures: FrequencyFigures, draws: Draws) -> FloatArray:
    """Swing that stays within the dead band, peak to peak, shape (1 + n_samples,)."""
    ic = figures.interconnection
    band_hz = draws.of(f"band.{ic}", figures.dead_band_hz)
    response = draws.of(f"response.{ic}", figures.response_mw_per_tenth_hz)
    return np.asarray(band_hz * response / 0.1)


def detail(swing_mw: float, figures: FrequencyFigures) -> str:
    """The deviation beside the dead band."""
    hz = swing_mw / figures.response_mw_per_tenth_hz.value * 0.1
    return (
        f"{three_digits(swing_mw)} MW peak to peak in the {figures.interconnection} "
        f"interconnection moves it by {hz:.4f} Hz; dead band {figures.dead_band_hz.value:g} Hz"
    )
