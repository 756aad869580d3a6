"""Hosting under a budget of curtailment: by hand, monotone, never below the firm room."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.policy.hosted import flexible_hosting_mw

LOAD = np.array([100.0, 90.0, 80.0, 70.0])


def test_without_a_budget_only_what_is_firm_fits():
    assert flexible_hosting_mw(LOAD, 10.0, 0.0) == 10.0


def test_by_hand():
    """Firm limit 110: a load of X is short by X - 10 in the first hour, X - 20 in the second.

    With X = 16 the shortage is 6 of 64 MWh, 9.375 %.
    """
    assert flexible_hosting_mw(LOAD, 10.0, 6 / 64) == pytest.approx(16.0)


def test_a_shallow_depth_stops_it_earlier():
    """At most a quarter of the load may go: X - 10 <= X / 4, so X <= 13.33."""
    assert flexible_hosting_mw(LOAD, 10.0, 0.9, depth_frac=0.25) == pytest.approx(40 / 3)


@given(st.floats(0, 0.3), st.floats(0, 0.3), st.floats(0.5, 50))
def test_a_larger_budget_never_hosts_less(one, other, firm_mw):
    low, high = sorted((one, other))
    less, more = (flexible_hosting_mw(LOAD, firm_mw, b) for b in (low, high))
    assert firm_mw <= less <= more * (1 + 1e-9)
