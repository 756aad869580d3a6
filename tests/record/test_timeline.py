"""What a timeline remembers of a signal."""

from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.errors import InputError
from sim.record.timeline import Timeline, to_table, watch
from sim.signals import StepSignal
from sim.units import PS_PER_S, to_ps


def stairs() -> Timeline:
    signal = StepSignal("campus.facility_w", 1.0)
    timeline = watch(signal)
    signal.set(to_ps(10), 2.0)
    signal.set(to_ps(10), 3.0)
    signal.set(to_ps(20), 3.0)
    signal.set(to_ps(30), 0.5)
    return timeline


def test_it_keeps_the_last_value_of_each_instant() -> None:
    timeline = stairs()
    assert timeline.times_ps.tolist() == [0, to_ps(10), to_ps(30)]
    assert timeline.values.tolist() == [1.0, 3.0, 0.5]
    assert len(timeline) == 3


@pytest.mark.parametrize(
    ("time_s", "value"), [(0, 1), (9.999, 1), (10, 3), (29, 3), (30, 0.5), (1e6, 0.5)]
)
def test_the_value_at_an_instant(time_s: float, value: float) -> None:
    assert stairs().at(to_ps(time_s)) == value


def test_a_window_cuts_segments() -> None:
    segments = stairs().between(to_ps(5), to_ps(30))
    assert (segments.edges_ps / PS_PER_S).tolist() == [5, 10, 30]
    assert segments.values.tolist() == [1, 3]
    later = stairs().between(to_ps(40), to_ps(50))
    assert later.values.tolist() == [0.5]
    assert later.durations_ps.tolist() == [to_ps(10)]


def test_what_was_never_known_is_an_error() -> None:
    late = Timeline("x_w")
    with pytest.raises(InputError, match=r"x_w has no value at 0 s \(never set\)"):
        late.at(0)
    late(to_ps(5), 1.0)
    with pytest.raises(InputError, match=r"no value at 4 s \(first known at 5 s\); start the"):
        late.between(to_ps(4), to_ps(9))
    with pytest.raises(InputError, match="the window from 9 s to 9 s is empty; let the horizon"):
        late.between(to_ps(9), to_ps(9))


def test_the_table_is_long_sorted_and_has_the_same_bytes_each_time() -> None:
    other = Timeline("a_w")
    other(0, 7.0)
    table = to_table([stairs(), other])
    assert table.column("signal").to_pylist() == ["a_w"] + ["campus.facility_w"] * 3
    assert table.column("time_s").to_pylist() == [0, 0, 10, 30]
    assert table.column("value").to_pylist() == [7, 1, 3, 0.5]
    files = [io.BytesIO(), io.BytesIO()]
    for file, order in zip(files, ([stairs(), other], [other, stairs()]), strict=True):
        pq.write_table(to_table(order), file)
    assert files[0].getvalue() == files[1].getvalue()


def test_an_empty_table_has_its_columns() -> None:
    table = to_table([])
    assert table.num_rows == 0
    assert table.column_names == ["signal", "time_s", "value"]


def test_a_name_is_recorded_once() -> None:
    with pytest.raises(InputError, match=r"signal .campus\.facility_w. is recorded twice"):
        to_table([stairs(), stairs()])


def test_arrays_are_copies() -> None:
    timeline = stairs()
    timeline.values[:] = 0
    times = timeline.times_ps
    timeline(to_ps(50), 1.0)
    assert np.count_nonzero(timeline.values) == 4
    assert len(times) == 3
