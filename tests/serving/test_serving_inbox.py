"""Requests on their way to a fleet."""

from __future__ import annotations

import numpy as np

from sim.cluster.serving.inbox import Handed, Inbox
from sim.cluster.serving.kernels import layout as at
from sim.units import PS_PER_S


def rows(*times_s: float) -> tuple[np.ndarray, np.ndarray]:
    found = np.zeros((len(times_s), at.ARRIVAL_COLUMNS), dtype=np.int64)
    found[:, at.A_TIME] = [round(time_s * PS_PER_S) for time_s in times_s]
    return found, np.zeros((len(times_s), 2))


def test_arrivals_of_the_window_are_counted_by_source_and_nothing_else_is_kept() -> None:
    box = Inbox([1, 3], 5, (10 * PS_PER_S, 20 * PS_PER_S))
    for source, times_s, delay_s in (("a", (8, 9, 15), 1), ("b", (18, 19, 25), 2), ("a", (16,), 3)):
        box.put(*rows(*times_s), delay_s * PS_PER_S, 0, source)
    assert (box.received, box.under_way) == (7, 7)
    assert box.handed == {}
    assert sum(len(one) for one, _ in box.take(18 * PS_PER_S)) == 3
    assert box.handed == {"a": Handed(2, 1.0)}
    assert sum(len(one) for one, _ in box.take(99 * PS_PER_S)) == 4
    assert box.handed == {"a": Handed(3, 5 / 3)}
    assert box.under_way == len(box._tags) == 0


def test_a_way_ends_where_the_fleet_stands() -> None:
    """What would come into a time that is simulated already comes at its end, a longer way."""
    box = Inbox([1], 5, (0, 20 * PS_PER_S))
    box.put(*rows(3.0), PS_PER_S, 6 * PS_PER_S, "a")
    box.take(7 * PS_PER_S)
    assert box.handed == {"a": Handed(1, 3.0)}
