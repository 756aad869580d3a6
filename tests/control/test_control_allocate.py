"""Orders from proposals: kept limits, in the named order, never more held back than needed."""

from __future__ import annotations

import pytest
from control_helpers import CAPS, site
from hypothesis import given
from hypothesis import strategies as st

from sim.control.allocate import RESPONSES, allocate, combine
from sim.control.view import Proposal


def test_without_a_limit_nothing_is_ordered():
    orders = allocate(site(), Proposal())
    assert not orders.caps_w
    assert not orders.suspend
    assert not orders.admit_frac
    assert orders.expected_w == site().full_import_w


@given(st.floats(0, 2e6), st.floats(0, 5e5), st.floats(0, 5e5), st.permutations(RESPONSES))
def test_expected_is_within_the_limit_or_what_is_missed(limit_w, battery_w, generation_w, order):
    view = site(battery_w, generation_w)
    orders = allocate(view, Proposal(limit_w=limit_w), tuple(order))
    assert orders.expected_w <= limit_w + orders.missed_w + 1e-6
    assert orders.missed_w >= 0
    assert orders.battery_w <= battery_w
    assert orders.generation_w <= generation_w
    assert all(0 <= share <= 1 for share in orders.admit_frac.values())
    if limit_w >= view.full_import_w:
        assert orders.expected_w == view.full_import_w


@given(st.floats(0, 2e6), st.floats(0, 2e6))
def test_a_tighter_limit_never_takes_more(one_w, other_w):
    low_w, high_w = sorted((one_w, other_w))
    low, high = (allocate(site(), Proposal(limit_w=w)) for w in (low_w, high_w))
    assert low.expected_w <= high.expected_w + 1e-6


def test_the_site_misses_what_it_cannot_give_up():
    view = site()
    orders = allocate(view, Proposal(limit_w=0.0))
    idle_w = view.meter_w(sum(w.idle_chip_w for w in view.workloads))
    assert orders.suspend == {"pretrain"}
    assert orders.admit_frac == {"chat": 0.0}
    assert orders.missed_w == pytest.approx(idle_w)


def test_a_response_that_is_not_allowed_is_not_used():
    orders = allocate(site(battery_w=1e6), Proposal(limit_w=0.0), ("cap-training",))
    assert set(orders.caps_w) == {"pretrain"}
    assert orders.caps_w["pretrain"] == CAPS[-1]
    assert not orders.suspend
    assert orders.battery_w == 0
    assert orders.missed_w > 0


def test_storage_goes_first_by_default():
    view = site(battery_w=2e5)
    orders = allocate(view, Proposal(limit_w=view.full_w - 1e5))
    assert orders.battery_w == pytest.approx(1e5)
    assert not orders.caps_w


def test_caps_are_no_deeper_than_needed():
    view = site()
    limit_w = view.full_w - 0.05 * 600e3
    orders = allocate(view, Proposal(limit_w=limit_w))
    assert orders.caps_w == {"pretrain": 650.0}


def test_supply_behind_the_meter_counts_towards_the_limit():
    view = site(own_w=5e5)
    assert allocate(view, Proposal(limit_w=view.full_w - 4e5)).expected_w == view.full_w - 5e5


def test_suspending_is_for_training_only():
    orders = allocate(site(), Proposal(suspend=frozenset({"chat", "pretrain"})))
    assert orders.suspend == {"pretrain"}


def test_combine_takes_the_tightest_limit_and_all_that_is_suspended():
    found = combine(
        [
            Proposal(limit_w=5.0, suspend=frozenset({"a"})),
            Proposal(limit_w=3.0, shift_frac={"east": 0.2}),
            Proposal(suspend=frozenset({"b"}), shift_frac={"east": 0.1}),
        ]
    )
    assert found == Proposal(3.0, frozenset({"a", "b"}), {"east": 0.2})
