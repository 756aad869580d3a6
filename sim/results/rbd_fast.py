"""First-order Sobol indices of any sample, from spectra: random balance designs (RBD-FAST).

The runs are put in the order of a factor, up by every other one and down again by the rest. What
the factor does then repeats slowly: its index is the share of the variance in the first
`HARMONICS` frequencies (Tarantola, Gatelli, Mara 2006, doi:10.1016/j.ress.2005.06.003; order of
Plischke 2010, doi:10.1016/j.ress.2009.11.005), less what chance puts there (Tissot, Prieur 2012,
doi:10.1016/j.ress.2012.06.010). The interval is that of a bootstrap with half the runs each time,
drawn once for all factors; all resamples of a factor are one array.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from sim.randomness import stream

Floats = npt.NDArray[np.float64]
HARMONICS: Final = 10
RUNS_A_HARMONIC: Final = 8
"""Fewer runs than this for each frequency: fewer frequencies."""


def first_order(
    x: Floats, y: Floats, *, resamples: int, sure: float, seed: int
) -> list[tuple[float, float]]:
    """(index, half-width of its interval) of each column of x; (0, 0) for a constant column.

    Args:
        x: factors, shape (n_runs, n_factors). y: the figure, shape (n_runs,).
        resamples: of the bootstrap. sure: confidence of the interval.
    """
    runs = len(y)
    harmonics = min(HARMONICS, max(1, runs // RUNS_A_HARMONIC))
    drawn = stream(seed, "index resamples").integers(runs, size=(resamples, runs // 2))
    half_widths = float(stats.norm.ppf((1 + sure) / 2))
    place = np.empty(runs, dtype=np.int16 if runs < 2**15 else np.int64)
    found = []
    for column in x.T:
        if not np.ptp(column):
            found.append((0.0, 0.0))
            continue
        order = np.argsort(column, kind="stable")
        place[order] = np.arange(runs)
        ordered = y[order]
        again = np.sort(place[drawn], axis=1, kind="stable")  # small whole numbers: by radix
        shares = _share(ordered[again], harmonics)
        index = float(_share(ordered, harmonics))
        found.append((index, half_widths * float(shares.std(ddof=1))))
    return found


def _share(ordered: Floats, harmonics: int) -> Floats:
    """Share of the variance in the slow frequencies, less that of chance; by the last axis."""
    runs = ordered.shape[-1]
    there_and_back = np.concatenate([ordered[..., ::2], ordered[..., 1::2][..., ::-1]], axis=-1)
    centred = there_and_back - there_and_back.mean(axis=-1, keepdims=True)
    power = np.abs(np.fft.rfft(centred)[..., 1:]) ** 2
    if runs % 2 == 0:
        power[..., -1] /= 2  # the highest frequency has no twin
    whole = power.sum(axis=-1)
    slow = power[..., :harmonics].sum(axis=-1)
    share = np.divide(slow, whole, out=np.zeros_like(whole), where=whole > 0)
    chance = 2 * harmonics / runs
    corrected: Floats = share - chance / (1 - chance) * (1 - share)
    return corrected
