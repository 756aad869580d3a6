"""Step signals of a finished run, read back from `signals.parquet`, and their bin means.

A signal holds its value until its next change, so means over bins and shares of time are
exact integrals, whatever the bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

Floats = NDArray[np.float64]
BINS: Final = 400
"""Bins over the run: as many as a page shows apart."""


@dataclass(frozen=True, slots=True)
class Series:
    """A piecewise-constant quantity from the first time to the end of the run.

    Args:
        time_s: times of change, rising, shape (n,).
        value: value from those times on, shape (n,).
    """

    time_s: Floats
    value: Floats

    def at(self, time_s: Floats) -> Floats:
        """Values at times; before the first change the first value holds."""
        held = np.searchsorted(self.time_s, time_s, side="right") - 1
        return np.asarray(self.value[np.maximum(held, 0)], dtype=np.float64)


def read_series(folder: Path) -> dict[str, Series]:
    """Signal name -> series, of a run folder; empty where signals were not recorded."""
    path = folder / "signals.parquet"
    if not path.is_file():
        return {}
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    names = np.array(table.column("signal").to_pylist())
    time_s = table.column("time_s").to_numpy()
    value = table.column("value").to_numpy()
    return {
        str(name): Series(time_s[names == name], value[names == name]) for name in np.unique(names)
    }


def added(parts: Mapping[str, Series]) -> Series:
    """The sum of signals, with a change wherever one of them changes.

    Args:
        parts: at least one.
    """
    time_s = np.unique(np.concatenate([part.time_s for part in parts.values()]))
    return Series(time_s, np.sum([part.at(time_s) for part in parts.values()], axis=0))


def held_s(series: Series, end_s: float) -> Floats:
    """How long each value held up to the end of the run, shape (n,)."""
    edges_s: Floats = np.append(np.minimum(series.time_s, end_s), end_s)
    return np.diff(edges_s)


def bin_means(series: Series, edges_s: Floats) -> Floats:
    """Exact mean of a signal in each bin, shape (n_edges - 1,)."""
    cuts_s = np.unique(np.concatenate([series.time_s, edges_s]))
    cuts_s = cuts_s[(cuts_s >= edges_s[0]) & (cuts_s <= edges_s[-1])]
    integral = np.concatenate([[0.0], np.cumsum(np.diff(cuts_s) * series.at(cuts_s[:-1]))])
    whole: Floats = np.interp(edges_s, cuts_s, integral)
    return np.diff(whole) / np.diff(edges_s)


def bin_extremes(series: Series, edges_s: Floats) -> tuple[Floats, Floats]:
    """Least and greatest value that a signal takes in each bin."""
    cuts_s = np.unique(np.concatenate([series.time_s, edges_s[:-1]]))
    cuts_s = cuts_s[(cuts_s >= edges_s[0]) & (cuts_s < edges_s[-1])]
    starts = np.searchsorted(cuts_s, edges_s[:-1])
    values = series.at(cuts_s)
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)


def axis_of(horizon_s: float) -> tuple[float, str]:
    """Seconds in the unit that suits an axis of this length, and its name."""
    return (3600.0, "h") if horizon_s >= 2 * 3600 else ((60.0, "min"), (1.0, "s"))[horizon_s < 300]
