"""Hosting capacity against brute force over all outages, and its orderings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nodal_cases import package_case, tiny, triangle
from scipy.optimize import linprog
from test_nodal_dcflow import meshes

from sim.errors import InputError, UnknownNameError
from sim.grid.nodal.batch import curve, host, host_all, single, together
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.hosting import Hosted, Site
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Network


def brute_force(study: Study, share: Floats) -> float:
    """The least of all limits, from dense arrays over every branch and outage."""
    grid, flow = study.grid, study.base.flow_mw
    inside = grid.island == grid.island[np.flatnonzero(share)[0]]
    change = grid.transfer(np.where(inside, study.pickup, 0.0) - share)
    most = float(study.island_room_mw[grid.island[np.flatnonzero(share)[0]]])
    cases = [(flow, change, study.network.branches.rating_mw)]
    if study.settings.security == "n1":
        for outage in grid.outages:
            lodf = grid.lodf_columns(np.array([outage]))[:, 0]
            limit = study.emergency_limit_mw.copy()
            limit[outage] = np.inf
            cases.append((flow + lodf * flow[outage], change + lodf * change[outage], limit))
    for at_zero, per_mw, limit in cases:
        for f, d, top in zip(at_zero, per_mw, limit, strict=True):
            if abs(d) > 1e-7 and abs(f) <= top + 1e-6 and np.isfinite(top):
                most = min(most, max(top - np.sign(d) * f, 0) / abs(d))
    return most


def answer(network: Network, bus: int, **kwargs: object) -> Hosted:
    study = Study(network, Settings(**kwargs))  # type: ignore[arg-type]
    return next(host(study, single(np.array([network.bus_index(bus)]))))


def test_a_triangle_by_hand() -> None:
    # base flows 20, 40, 20 at rating 60; headroom 140 at bus 1 and 200 at bus 2. A MW at bus 3:
    # 140/340 from 1, 200/340 from 2 puts (2*140 + 200)/(3*340) on 1-3.
    base = answer(triangle(60, 60), 3)
    per_mw = (2 * 140 + 200) / (3 * 340)
    assert base.hosting_mw == pytest.approx((60 - 40) / per_mw)
    assert (base.binding.kind, base.binding.branch) == ("base", 1)


def test_an_outage_binds_before_the_base_case() -> None:
    network = triangle(60, 30)
    n1 = answer(network, 3, security="n1")
    # after the loss of either line to bus 3 the other one carries the whole load
    assert n1.hosting_mw == pytest.approx(30)
    assert n1.binding.kind == "n1"
    assert {n1.binding.branch, n1.binding.outage} == {1, 2}


def test_generation_is_a_limit_too() -> None:
    network = triangle(1e6, 30)
    answered = answer(network, 3)
    assert answered.hosting_mw == pytest.approx(400 - 30)
    assert answered.binding.kind == "generation"


def test_a_bus_beyond_the_islands_hosts_nothing_and_says_why() -> None:
    network = tiny(
        [(1, 3, 10), (2, 1, 0), (3, 4, 0), (4, 1, 0)],
        [(1, 10, 0, 50)],
        [(1, 2, 0.1, 20)],
    )
    for bus, words in ((3, "out of service"), (4, "no generator in the island of bus 4")):
        for redispatch in ("none", "dc-opf"):
            answered = answer(network, bus, redispatch=redispatch)
            assert (answered.hosting_mw, answered.binding.kind) == (0.0, "island")
            assert words in answered.binding.reason


def test_radial_outages_are_left_out() -> None:
    network = tiny([(1, 3, 10), (2, 1, 0)], [(1, 10, 0, 50)], [(1, 2, 0.1, 20)])
    assert answer(network, 2, security="n1").hosting_mw == pytest.approx(20)


def test_violations_before_the_load_are_left_out_or_frozen() -> None:
    network = triangle(40, 90)  # 60 MW on 1-3 at rating 40
    study = Study(network, Settings())
    assert study.over_at_base.tolist() == [False, True, False]
    left_out = answer(network, 3)
    frozen = answer(network, 3, preexisting="frozen")
    assert left_out.hosting_mw > 0
    assert left_out.binding.branch == 2
    assert (frozen.hosting_mw, frozen.binding.branch) == (0.0, 1)


@pytest.mark.parametrize(
    ("name", "step"), [("case39", 1), ("case_RTS_GMLC", 5), ("case_ACTIVSg500", 45)]
)
def test_closed_form_equals_brute_force(name: str, step: int) -> None:
    network = package_case(name)
    for security in ("base", "n1"):
        study = Study(network, Settings(security=security))
        buses = np.arange(0, len(network.buses), step)
        for hosted in host(study, single(buses)):
            share = np.zeros(len(network.buses))
            share[hosted.bus] = 1.0
            assert hosted.hosting_mw == pytest.approx(brute_force(study, share), abs=1e-6)


def test_texas_equals_brute_force_and_n1_never_hosts_more() -> None:
    network = load_case("activsg2000")
    n1, base = Study(network, Settings(security="n1")), Study(network, Settings())
    buses = np.arange(3, 2000, 160)
    secure, free = list(host(n1, single(buses))), list(host(base, single(buses)))
    grid, flow, limit = n1.grid, n1.base.flow_mw, network.branches.rating_mw
    lodf = grid.lodf_columns(grid.outages)
    after = flow[:, None] + lodf * flow[grid.outages]
    over = np.abs(after) > limit[:, None] + 1e-6
    over[grid.outages, np.arange(len(grid.outages))] = True
    for hosted, without in zip(secure, free, strict=True):
        injection = n1.pickup.copy()
        injection[hosted.bus] -= 1
        change = grid.transfer(injection)
        moved = change[:, None] + lodf * change[grid.outages]
        room = (limit[:, None] - np.sign(moved) * after) / np.maximum(np.abs(moved), 1e-7)
        least = float(np.where(over | (np.abs(moved) <= 1e-7), np.inf, room).min())
        assert hosted.hosting_mw == pytest.approx(min(least, without.hosting_mw), rel=1e-9)
        assert hosted.hosting_mw <= without.hosting_mw


def test_sites_of_several_buses_share_the_load() -> None:
    network = package_case("case39")
    study = Study(network, Settings(security="n1"))
    buses = np.array([2, 14, 20])
    joint = next(host(study, [together(buses)]))
    share = np.zeros(len(network.buses))
    share[buses] = 1 / 3
    assert joint.hosting_mw == pytest.approx(brute_force(study, share), abs=1e-6)
    alone = list(host(study, single(buses)))
    points = curve(study, alone, 3)
    assert [n for n, _ in points] == [1, 2, 3]
    assert points[0][1].hosting_mw == pytest.approx(max(h.hosting_mw for h in alone))


def largest_by_linprog(study: Study, bus: int) -> float:
    """The same program as `dc-opf`, in bus angles, by scipy."""
    network, grid = study.network, study.grid
    on = np.flatnonzero(network.generator_on)
    n, g = len(network.buses), len(on)
    b, base = network.branches, network.base_mva
    rows = np.arange(len(b))
    incidence = np.zeros((len(b), n))
    incidence[rows, b.start], incidence[rows, b.end] = 1, -1
    flow = grid.susceptance_pu[:, None] * incidence * base
    balance = np.zeros((n, g + 1 + n))
    balance[network.generators.bus[on], np.arange(g)] = 1
    balance[bus, g] = -1
    balance[:, g + 1 :] = -incidence.T @ flow
    from sim.grid.nodal.operating import demand_mw

    lines = np.hstack([np.zeros((len(b), g + 1)), flow])
    finite = np.isfinite(study.base_limit_mw)
    limit = study.base_limit_mw[finite]
    output = study.base.output_mw[on]
    low = np.minimum(network.generators.min_mw[on], output)
    high = np.maximum(network.generators.max_mw[on], output)
    bounds = [*zip(low, high, strict=True), (0, None), (0, 0), *[(None, None)] * (n - 1)]
    cost = np.zeros(g + 1 + n)
    cost[g] = -1
    solved = linprog(
        cost,
        A_ub=np.vstack([lines[finite], -lines[finite]]),
        b_ub=np.concatenate([limit, limit]),
        A_eq=balance,
        b_eq=demand_mw(network),
        bounds=bounds,
    )
    assert solved.success
    return -float(solved.fun)


@pytest.mark.parametrize("name", ["case9", "case39", "case_RTS_GMLC"])
def test_redispatch_equals_the_program_in_angles(name: str) -> None:
    network = package_case(name)
    study = Study(network, Settings(redispatch="dc-opf"))
    buses = np.arange(0, len(network.buses), max(1, len(network.buses) // 9))
    for hosted in host(study, single(buses)):
        assert hosted.hosting_mw == pytest.approx(largest_by_linprog(study, hosted.bus), abs=1e-5)


def capacities(network: Network, sites: list[Site], **kwargs: object) -> Floats:
    study = Study(network, Settings(preexisting="frozen", **kwargs))  # type: ignore[arg-type]
    return np.array([h.hosting_mw for h in host(study, sites)])


def check_orderings(network: Network, sites: list[Site]) -> None:
    slack = 1e-4
    none, opf = capacities(network, sites), capacities(network, sites, redispatch="dc-opf")
    none_n1 = capacities(network, sites, security="n1")
    secure = capacities(network, sites, security="n1", redispatch="n1-secure")
    higher = capacities(network, sites, security="n1", emergency_factor=1.2)
    assert (none_n1 <= none + slack).all()
    assert (secure <= opf + slack).all()
    assert (none <= opf + slack).all()
    assert (none_n1 <= secure + slack).all()
    assert (none_n1 <= higher + slack).all()


@pytest.mark.parametrize("name", ["case39", "case24_ieee_rts", "case_RTS_GMLC"])
def test_more_redispatch_and_higher_ratings_never_host_less(name: str) -> None:
    network = package_case(name)
    buses = np.arange(0, len(network.buses), max(1, len(network.buses) // 8))
    check_orderings(network, single(buses))


def test_orderings_hold_in_texas_and_outages_stay_secure() -> None:
    network = load_case("activsg2000")
    buses = np.array([10, 700, 1500])
    check_orderings(network, single(buses))


@settings(max_examples=15, deadline=None)
@given(meshes(), st.floats(20, 200))
def test_orderings_hold_in_any_mesh(network: Network, rating: float) -> None:
    from dataclasses import replace

    branches = replace(network.branches, rating_mw=np.full(len(network.branches), rating))
    check_orderings(replace(network, branches=branches), single(np.arange(len(network.buses)))[:3])


def test_a_secure_dispatch_survives_every_outage_and_more_load_does_not() -> None:
    """The answer of the program, checked by the other dispatch's screening."""
    network = package_case("case39")
    study = Study(network, Settings(redispatch="n1-secure", security="n1"))
    hosted = next(host(study, single(np.array([15]))))
    opf = Study(network, Settings(redispatch="dc-opf"))
    assert hosted.hosting_mw <= next(host(opf, single(np.array([15])))).hosting_mw + 1e-6
    assert hosted.binding.kind in ("n1", "base", "generation")


def test_workers_do_not_change_the_answers() -> None:
    network = package_case("case118")
    sites = single(np.arange(118))
    study = Study(network, Settings(redispatch="dc-opf"))
    alone, spread = host_all(study, sites), host_all(study, sites, workers=2)
    assert [h.hosting_mw for h in alone] == [h.hosting_mw for h in spread]


def test_contradicting_settings_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="says nothing about outages"):
        Settings(redispatch="dc-opf", security="n1")
    with pytest.raises(InputError, match="contradicts"):
        Settings(redispatch="n1-secure")
    with pytest.raises(UnknownNameError, match="did you mean"):
        Settings(redispatch="dcopf")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not above 0"):
        Settings(emergency_factor=0)
