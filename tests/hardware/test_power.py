"""Chip power, caps and collectives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import CapacityError, UnknownNameError
from sim.hardware.collectives import all_gather, all_reduce, all_to_all
from sim.hardware.device import load_device
from sim.hardware.node import Link, load_node
from sim.hardware.power import active_power_w, capped_power_w, clock_for_cap

H100 = load_device("h100-sxm")
unit = st.floats(0, 1)


@given(unit, unit)
def test_power_stays_between_the_active_floor_and_the_limit(cu: float, mu: float) -> None:
    assert H100.active_w <= active_power_w(H100, cu, mu) <= H100.limit_w


@given(unit, unit, unit)
def test_power_never_falls_with_utilisation(cu: float, mu: float, more: float) -> None:
    base = active_power_w(H100, cu, mu)
    assert active_power_w(H100, min(1, cu + more), mu) >= base
    assert active_power_w(H100, cu, min(1, mu + more)) >= base


def test_the_power_law_at_a_corner() -> None:
    # 218.5 + 688.3 * sqrt(0.04) + 196.5 * sqrt(0.25), by hand
    assert active_power_w(H100, 0.04, 0.25) == pytest.approx(218.5 + 137.66 + 98.25)


@given(st.floats(250, 700), st.floats(0.35, 1))
def test_the_clock_for_a_cap_draws_the_cap(power_w: float, clock: float) -> None:
    cap_w = capped_power_w(H100, power_w, clock)
    assert clock_for_cap(H100, power_w, cap_w) == pytest.approx(clock)


def test_a_cap_above_the_power_changes_nothing() -> None:
    assert clock_for_cap(H100, 500, 600) == 1.0


def test_a_cap_below_the_lowest_clock_is_refused_with_both_numbers() -> None:
    with pytest.raises(CapacityError, match=r"150 W is below the 173 W .* at least 173 W"):
        clock_for_cap(H100, 700, 150)


def test_the_published_cap_cost_lies_within_the_model() -> None:
    """MLPerf 4.1, 500 W instead of 700 W: 17 to 21 % of the throughput lost."""
    lost = 1 - clock_for_cap(H100, 700, 500)
    assert 0.17 <= lost <= 0.21


def test_a_ring_moves_what_the_formula_says() -> None:
    link = Link(bytes_per_s=100.0, latency_s=1.0)
    assert all_reduce(400, 4, link).link_bytes == 600
    assert all_reduce(400, 4, link).time_s == pytest.approx(1 + 6)
    assert all_gather(400, 4, link).link_bytes == 300
    assert all_to_all(400, 4, link).link_bytes == 300


def test_one_gpu_exchanges_nothing() -> None:
    link = Link(bytes_per_s=100.0, latency_s=1.0)
    assert all_reduce(400, 1, link).time_s == 0


def test_unknown_hardware_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'h100-sxm'"):
        load_device("h100-smx")
    with pytest.raises(UnknownNameError, match="dgx-h100"):
        load_node("dgx-h10")
