"""Exact integrals over windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_helpers import S

from sim.cluster.serving.observe import Integral
from sim.errors import LawViolation
from sim.signals import StepSignal


def test_a_window_counts_only_what_is_inside() -> None:
    signal = StepSignal("power_w", 10.0)
    whole, window = Integral(signal), Integral(signal, 2 * S, 5 * S)
    signal.set(1 * S, 20.0)
    signal.set(3 * S, 40.0)
    signal.set(9 * S, 0.0)
    assert whole.at(10 * S) == 10 + 2 * 20 + 6 * 40
    assert window.at(10 * S) == 20 + 2 * 40


def test_the_past_of_an_integral_is_not_known() -> None:
    signal = StepSignal("power_w", 10.0)
    integral = Integral(signal)
    signal.set(3 * S, 40.0)
    with pytest.raises(LawViolation, match="asked after"):
        integral.at(2 * S)


def test_a_window_not_reached_is_empty() -> None:
    signal = StepSignal("power_w", 10.0)
    assert Integral(signal, 5 * S).at(3 * S) == 0.0


@given(
    st.lists(st.tuples(st.integers(1, 5 * S), st.floats(0, 1e6)), max_size=20),
    st.integers(0, 40 * S),
)
def test_two_windows_make_the_whole(changes: list[tuple[int, float]], cut_ps: int) -> None:
    signal = StepSignal("power_w", 3.0)
    whole = Integral(signal)
    left, right = Integral(signal, 0, cut_ps), Integral(signal, cut_ps)
    now_ps = 0
    for gap_ps, value in changes:
        now_ps += gap_ps
        signal.set(now_ps, value)
    end_ps = now_ps + S
    assert left.at(end_ps) + right.at(end_ps) == pytest.approx(whole.at(end_ps), rel=1e-12)
