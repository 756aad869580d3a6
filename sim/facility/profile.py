"""Hourly profiles: what each watt of a plant gives in each hour of a year, with exact means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.errors import InputError
from sim.units import S_PER_H

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A quantity that is constant within each hour; the series repeats after its end.

    Attributes:
        hourly: value of hour h, which covers h to h+1, shape (hours,).
        start_h: hour of the series at simulation time 0.
    """

    hourly: FloatArray
    start_h: int = 0

    def __post_init__(self) -> None:
        if self.hourly.ndim != 1 or not self.hourly.size:
            raise InputError("a profile needs one row of at least one hour", "give hourly values")
        if not np.isfinite(self.hourly).all():
            hour = int(np.flatnonzero(~np.isfinite(self.hourly))[0])
            raise InputError(f"hour {hour} of a profile has no value", "fill or mend the series")

    def at(self, time_s: float) -> float:
        """Value of the hour that holds a time."""
        return float(self.hourly[(int(time_s // S_PER_H) + self.start_h) % self.hourly.size])

    def mean(self, time_s: float, duration_s: float) -> float:
        """Exact mean over an interval that may cross hours."""
        end_s = time_s + duration_s
        hour = int(time_s // S_PER_H)
        if duration_s <= 0 or end_s <= (hour + 1) * S_PER_H:
            return self.at(time_s)
        total = 0.0
        while hour * S_PER_H < end_s:
            start, stop = max(time_s, hour * S_PER_H), min(end_s, (hour + 1) * S_PER_H)
            total += (stop - start) * self.at(hour * S_PER_H)
            hour += 1
        return total / duration_s


def constant(value: float) -> Profile:
    """The same value in every hour."""
    return Profile(np.array([value], dtype=np.float64))
