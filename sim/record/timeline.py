"""A signal's history: (time, value) at each change, and the table of several of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.signals import StepSignal
from sim.units import PS_PER_S, to_s

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Segments:
    """A piecewise-constant signal over a window.

    Args:
        edges_ps: start of each segment and the end of the last, strictly rising,
            shape (n_segments + 1,), int64.
        values: value in each segment, in the signal's unit, shape (n_segments,).
    """

    edges_ps: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def durations_ps(self) -> NDArray[np.int64]:
        """Length of each segment, shape (n_segments,)."""
        return np.diff(self.edges_ps)


class Timeline:
    """Observer that keeps each change of one signal (16 bytes a change).

    Changes at one instant leave only the last value: the others held for no time.

    Args:
        name: the signal's name, with its unit as suffix.
    """

    __slots__ = ("_times_ps", "_values", "name")

    def __init__(self, name: str):
        self.name = name
        self._times_ps = array("q")
        self._values = array("d")

    def __call__(self, time_ps: int, value: float) -> None:
        """Note that the signal has `value` from `time_ps` on."""
        if self._times_ps and self._times_ps[-1] == time_ps:
            self._values[-1] = value
            return
        self._times_ps.append(time_ps)
        self._values.append(value)

    def __len__(self) -> int:
        return len(self._times_ps)

    @property
    def times_ps(self) -> NDArray[np.int64]:
        """Times of change, shape (n,), a copy."""
        return np.array(self._times_ps, dtype=np.int64)

    @property
    def values(self) -> NDArray[np.float64]:
        """Values from those times on, shape (n,), a copy."""
        return np.array(self._values, dtype=np.float64)

    def at(self, time_ps: int) -> float:
        """The value at an instant (of a change: the new value).

        Raises:
            InputError: the instant lies before the first change.
        """
        index = int(np.searchsorted(self.times_ps, time_ps, side="right")) - 1
        if index < 0:
            raise self._too_early(time_ps)
        return self._values[index]

    def between(self, start_ps: int, end_ps: int) -> Segments:
        """The signal over [start, end).

        Raises:
            InputError: the window is empty, or starts before the first change.
        """
        if end_ps <= start_ps:
            raise InputError(
                f"{self.name}: the window from {to_s(start_ps):g} s to {to_s(end_ps):g} s is empty",
                "let the horizon be longer than the warm-up",
            )
        times_ps = self.times_ps
        first = int(np.searchsorted(times_ps, start_ps, side="right")) - 1
        if first < 0:
            raise self._too_early(start_ps)
        last = int(np.searchsorted(times_ps, end_ps, side="left"))
        inner_ps = times_ps[first + 1 : last]
        edges_ps = np.concatenate(([start_ps], inner_ps, [end_ps])).astype(np.int64)
        return Segments(edges_ps, self.values[first:last])

    def _too_early(self, time_ps: int) -> InputError:
        known = f"first known at {to_s(self._times_ps[0]):g} s" if self._times_ps else "never set"
        return InputError(
            f"{self.name} has no value at {to_s(time_ps):g} s ({known})",
            "start the window later",
        )


def watch(signal: StepSignal) -> Timeline:
    """A timeline that has subscribed to a signal."""
    timeline = Timeline(signal.name)
    signal.subscribe(timeline)
    return timeline


def to_table(timelines: Sequence[Timeline]) -> pa.Table:
    """Several timelines as one long table, sorted by signal name, then time.

    Returns:
        columns `signal` (dictionary of text), `time_s` (double), `value` (double).

    Raises:
        InputError: two timelines have the same name.
    """
    import pyarrow as pa

    ordered = sorted(timelines, key=lambda timeline: timeline.name)
    names = [timeline.name for timeline in ordered]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"signal {min(twice)!r} is recorded twice", "give each its own name")
    codes = np.repeat(np.arange(len(ordered), dtype=np.int32), [len(t) for t in ordered])
    none_ps, none = np.empty(0, np.int64), np.empty(0, np.float64)
    return pa.table(
        {
            "signal": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(names, pa.string())),
            "time_s": np.concatenate([none_ps, *(t.times_ps for t in ordered)]) / PS_PER_S,
            "value": np.concatenate([none, *(t.values for t in ordered)]),
        }
    )
