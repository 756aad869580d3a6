"""The wires interval by interval: three buses by hand, oracles, and checks that must fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nodal_cases import tiny, triangle

from sim.grid.nodal.cases import load_case
from sim.grid.nodal.interval import FixedWires, FreeWires, wires_dispatch
from sim.grid.nodal.opf import DcOpf, Interruptible
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study

SITE = np.array([2])
DC_OPF = Settings(redispatch="dc-opf")


def mw(*values: float) -> np.ndarray:
    return np.array(values)


def ask(dispatch, load_mw: float, scale: float = 1.0):
    return dispatch.solve(scale, mw(load_mw), mw(load_mw))


def test_fixed_dispatch_by_hand():
    """Headroom 110 and 200 MW: line 1-3 takes (2/3 110 + 1/3 200) / 310 of the new load.

    60 MW flow before, so 40 MW of room carry 40 * 930 / 420 = 88.571 MW.
    """
    wires = wires_dispatch(triangle(100.0), Settings(), SITE)
    within = ask(wires, 88.5)
    assert within.short_mw == [0]
    assert within.over == ()
    beyond = ask(wires, 120.0)
    assert beyond.short_mw == pytest.approx([120 - 40 * 930 / 420])
    assert beyond.over == (1,)
    assert beyond.over_mw == pytest.approx(60 + 120 * 420 / 930 - 100)
    assert beyond.binding == (1,)
    assert beyond.price_usd_per_mwh is None


def test_under_half_the_load_more_fits():
    """30 MW on line 1-3, headroom 155 and 200: (2/3 155 + 1/3 200) / 355 of the new load."""
    wires = wires_dispatch(triangle(100.0), Settings(), SITE)
    share = (2 / 3 * 155 + 1 / 3 * 200) / 355
    found = ask(wires, 200.0, scale=0.5)
    assert found.short_mw == pytest.approx([200 - 70 / share])


def test_prices_and_redispatch_by_hand():
    """Line 1-3 binds: 2 g1 + g2 = 180. One more MW at bus 3: g1 - 1, g2 + 2, so 50 USD/MWh."""
    found = ask(wires_dispatch(triangle(60.0), DC_OPF, SITE), 15.0)
    assert found.price_usd_per_mwh == pytest.approx([50.0])
    assert found.added_usd_per_h == pytest.approx(75 * 10 + 30 * 30 - 900)
    assert found.short_mw == [0]
    assert found.binding == (1,)


def test_a_site_is_cut_before_other_load():
    """Both lines into bus 3 carry 60 MW: 120 in all, 30 for the site."""
    found = ask(wires_dispatch(triangle(60.0), DC_OPF, SITE), 50.0)
    assert found.short_mw == pytest.approx([20.0])
    assert found.unserved_mw == pytest.approx(20.0)
    assert found.price_usd_per_mwh == pytest.approx([5000.0])


def test_what_is_missing_does_not_vanish_because_it_was_obeyed():
    wires = wires_dispatch(triangle(60.0), DC_OPF, SITE)
    found = wires.solve(1.0, mw(30.0), mw(50.0))
    assert found.short_mw == pytest.approx([20.0])
    assert found.unserved_mw == 0


def test_after_any_outage_one_line_must_carry_all():
    """60 MW into bus 3 over one line: 10 MW beside a load of 50."""
    secure = Settings(redispatch="n1-secure", security="n1")
    free = wires_dispatch(triangle(60.0, load=50.0), secure, SITE)
    fixed = wires_dispatch(triangle(60.0, load=50.0), Settings(security="n1"), SITE)
    for wires in (free, fixed):
        assert ask(wires, 9.9).short_mw == [0]
        assert ask(wires, 30.0).short_mw == pytest.approx([20.0])
    assert ask(fixed, 30.0).over


def test_beyond_all_generation_a_site_is_cut():
    wires = wires_dispatch(triangle(1e4), Settings(), SITE)
    found = ask(wires, 400.0)
    assert found.short_mw == pytest.approx([400 - 310])
    assert found.unserved_mw == pytest.approx(90.0)


def test_what_is_over_without_the_sites_is_not_theirs():
    """Line 1-3 carries 60 of 50 MW before: left as it is, and load at bus 1 does not mind it."""
    wires = wires_dispatch(triangle(50.0), Settings(), np.array([0]))
    assert ask(wires, 5.0).over == ()
    assert ask(wires, 5.0).short_mw == [0]


def test_of_two_sites_the_one_is_cut_that_helps_more():
    wires = wires_dispatch(triangle(60.0, load=60.0), Settings(), np.array([1, 2]))
    found = wires.solve(1.0, mw(60.0, 60.0), mw(60.0, 60.0))
    assert found.short_mw[0] == 0
    assert found.short_mw[1] > 0


@given(st.lists(st.floats(0, 60), min_size=2, max_size=2), st.floats(0.5, 1.0))
@settings(deadline=None, max_examples=25)
def test_a_program_that_goes_on_equals_a_new_one(sites, scale):
    """Oracle: the same loads in a program built for them, with nothing to be cut."""
    network = triangle(100.0)
    bus = np.array([1, 2])
    going = FreeWires(Study(network, DC_OPF), bus)
    going.solve(0.9, mw(10.0, 20.0), mw(10.0, 20.0))
    found = going.solve(scale, np.array(sites), np.array(sites))
    extra = network.at_bus(bus, np.array(sites)) + (scale - 1) * network.buses.load_mw
    if found.unserved_mw:
        return
    fresh = DcOpf(Study(network, DC_OPF), extra_load_mw=extra).optimum()
    alone = DcOpf(Study(network, DC_OPF), extra_load_mw=(scale - 1) * network.buses.load_mw)
    added = fresh.objective_usd_per_h - alone.optimum().objective_usd_per_h
    assert found.added_usd_per_h == pytest.approx(added, abs=1e-6)


def loading(network, bus, load_mw, security: str) -> float:
    """Worst loading of a limit that holds without the sites, by a new study: an independent way."""
    study = Study(network, Settings(security=security))
    wires = FixedWires(study, bus)
    hour = wires._hour(1.0)
    flow = study.base.flow_mw + study.grid.transfer(
        network.at_bus(bus, -load_mw) + load_mw.sum() * study.pickup
    )
    assert flow == pytest.approx(hour.flow_mw + hour.per_mw @ load_mw, abs=1e-6)
    return float((np.abs(flow) / study.base_limit_mw).max())


def test_after_the_cut_the_synthetic_texas_holds_and_before_it_does_not():
    """The check itself must fail where nothing is cut."""
    network = load_case("activsg2000")
    bus = np.array([network.bus_index(7095), network.bus_index(1004)])
    full = mw(2500.0, 1500.0)
    found = FixedWires(Study(network, Settings()), bus).solve(1.0, full, full)
    assert found.short_mw.sum() > 0
    assert loading(network, bus, full, "base") > 1.001
    assert loading(network, bus, full - found.short_mw, "base") <= 1 + 1e-6


def test_cuts_under_outages_are_no_smaller_than_without():
    network = load_case("activsg2000")
    bus = np.array([network.bus_index(7095), network.bus_index(1004)])
    full = mw(1500.0, 900.0)
    cuts = [
        wires_dispatch(network, Settings(security=s), bus).solve(1.0, full, full).short_mw.sum()
        for s in ("base", "n1")
    ]
    assert cuts[0] <= cuts[1]
    assert cuts[1] > 0


def test_two_islands_keep_to_their_own_generators():
    network = tiny(
        [(1, 3, 50), (2, 1, 0), (3, 3, 50), (4, 1, 0)],
        [(1, 50, 0, 100), (3, 50, 0, 60)],
        [(1, 2, 0.1, 500), (3, 4, 0.1, 500)],
        costs=["2 0 0 2 10 0;", "2 0 0 2 30 0;"],
    )
    bus = np.array([1, 3])
    for way in (Settings(), DC_OPF):
        found = wires_dispatch(network, way, bus).solve(1.0, mw(60.0, 60.0), mw(60.0, 60.0))
        assert found.short_mw == pytest.approx([10.0, 50.0])


def test_interruptible_loads_start_at_nothing():
    study = Study(triangle(60.0), DC_OPF)
    alone = DcOpf(study).optimum()
    with_site = DcOpf(study, interruptible=Interruptible(SITE, 5000.0)).optimum()
    assert with_site.objective_usd_per_h == pytest.approx(alone.objective_usd_per_h)
    assert with_site.cut_mw == [0]
