"""The course of a rate over the day: harmonics of 24 hours in its logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.units import S_PER_H
from sim.workload.dispersion import window_counts

FloatArray = NDArray[np.float64]

DAY_S: Final = 24.0 * S_PER_H
HARMONICS: Final = 2
BIN_S: Final = 900.0
LEAST_DAYS: Final = 0.9
ROUNDS: Final = 50


@dataclass(frozen=True, slots=True)
class DailyCourse:
    """Rate over its daily mean: exp(sum of harmonics), divided by its own mean.

    Attributes:
        cosines, sines: of the 1st, 2nd, ... harmonic of a day; empty for a constant rate.
    """

    cosines: tuple[float, ...] = ()
    sines: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        values = (*self.cosines, *self.sines)
        if len(self.cosines) != len(self.sines) or not np.isfinite(values).all():
            raise InputError(f"daily course {self.cosines}, {self.sines}: pairs of finite numbers")

    def factor(self, time_s: FloatArray) -> FloatArray:
        """Rate over mean rate at times of the run, shape as given; its mean over a day is 1."""
        if not self.cosines:
            return np.ones_like(time_s)
        return np.asarray(np.exp(self._log(time_s)) / np.exp(self._log(_GRID_S)).mean())

    @property
    def peak_frac(self) -> float:
        """Highest rate over mean rate."""
        return float(self.factor(_GRID_S).max())

    @property
    def mean_square(self) -> float:
        """Mean over a day of the squared rate over the squared mean rate, at least 1."""
        return float((self.factor(_GRID_S) ** 2).mean())

    def _log(self, time_s: FloatArray) -> FloatArray:
        weights = np.array([*self.cosines, *self.sines])
        return np.asarray(_columns(time_s, len(self.cosines)) @ weights)


_GRID_S: Final = np.arange(0.0, DAY_S, 300.0) + 150.0


def _columns(time_s: FloatArray, harmonics: int) -> FloatArray:
    """Cosines, then sines, of each harmonic, shape (n, 2 harmonics)."""
    angle = 2 * np.pi * np.arange(1, harmonics + 1) * (time_s[..., None] / DAY_S)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)


def fit_course(times_s: FloatArray, span_s: float, harmonics: int = HARMONICS) -> DailyCourse:
    """The daily course of arrivals by Poisson regression; constant if less than a day is known.

    Maximum likelihood by iteratively reweighted least squares [1] on counts of a quarter of
    an hour. Bursts widen the errors of the coefficients but do not bias them.

    References: [1] McCullagh, Nelder, "Generalized Linear Models", 2nd ed. (1989), section 2.5.
    """
    if span_s < LEAST_DAYS * DAY_S:
        return DailyCourse()
    counts = window_counts(times_s, BIN_S, span_s).astype(float)
    middle = np.asarray((np.arange(len(counts)) + 0.5) * BIN_S)
    design = np.hstack([np.ones((len(counts), 1)), _columns(middle, harmonics)])
    log_rate = np.log(np.maximum(counts, 0.5))
    weights = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        mean = np.exp(log_rate)
        working = log_rate + (counts - mean) / mean
        root = np.sqrt(mean)[:, None]
        found = np.linalg.lstsq(design * root, working * root[:, 0], rcond=None)[0]
        done = bool(np.abs(found - weights).max() < 1e-9)
        weights, log_rate = found, np.clip(design @ found, -30.0, 30.0)
        if done:
            break
    parts = [float(w) for w in weights[1:]]
    return DailyCourse(tuple(parts[:harmonics]), tuple(parts[harmonics:]))
