"""Flows after outages and under hosted load, solved anew; each law fails when tampered with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import LawViolation
from sim.grid.nodal.batch import host_all, single
from sim.grid.nodal.build import build
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.contingency import screen
from sim.grid.nodal.fresh import check_hosted, check_screening, check_some_hosted, fresh_flows
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study

SQUARE = """function mpc = square
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
  1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
  2 2 0 0 0 0 1 1 0 230 1 1.1 0.9;
  3 1 120 0 0 0 1 1 0 230 1 1.1 0.9;
  4 1 20 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [
  1 100 0 99 -99 1 100 1 300 0;
  2 40 0 99 -99 1 100 1 200 0;
];
mpc.branch = [
  1 2 0 0.1 0 80 0 0 0 0 1;
  1 3 0 0.1 0 80 0 0 0 0 1;
  2 3 0 0.1 0 80 0 0 0 0 1;
  3 4 0 0.1 0 80 0 0 0 0 1;
  2 4 0 0.2 0 80 0 0 0 5 1;
  2 4 0 0.2 0 80 0 0 0 0 1;
];
"""
WAYS = (
    Settings(),
    Settings(security="n1"),
    Settings(security="n1", preexisting="frozen"),
    Settings(security="n1", least_effect_frac=0.05),
)


@pytest.fixture(scope="module")
def square() -> Study:
    return Study(build(parse(SQUARE, "square.m")), Settings(security="n1"))


@pytest.fixture(scope="module")
def texas() -> Study:
    return Study(load_case("activsg2000"), Settings(security="n1"))


def test_flows_solved_anew_are_those_of_the_base_point(square: Study, texas: Study) -> None:
    for study in (square, texas):
        found = fresh_flows(study, study.base.injection_mw)
        assert found == pytest.approx(study.base.flow_mw, abs=1e-6)


def test_the_worst_outages_of_texas_hold(texas: Study) -> None:
    found = screen(texas, generators=False)
    assert found.violations
    check_screening(texas, found)


@pytest.mark.parametrize("kind", ["branch", "generator", "tower"])
def test_a_flow_after_an_outage_that_is_off_is_found(kind: str) -> None:
    network = build(parse(SQUARE.replace(" 80 ", " 55 "), "square.m"))
    study = Study(network, Settings(security="n1"))
    found = screen(study, towers=True)
    check_screening(study, found)
    first = next(v for v in found.violations if v.kind == kind)
    wrong = tuple(
        replace(v, flow_mw=v.flow_mw + 0.1) if v is first else v for v in found.violations
    )
    with pytest.raises(LawViolation, match=r"outage of .*: branch \d+ is told to carry"):
        check_screening(study, replace(found, violations=wrong))


def test_a_violation_that_was_left_out_is_found(square: Study) -> None:
    found = screen(square)
    check_screening(square, found)
    with pytest.raises(LawViolation, match=r"branch \d+ carries .* MW, limit .* MW, not told"):
        check_screening(square, replace(found, violations=()))


@pytest.mark.parametrize("way", WAYS)
def test_hosted_load_reaches_its_limit_and_no_further(way: Settings) -> None:
    network = load_case("activsg2000")
    study = Study(network, way)
    buses = np.flatnonzero(network.buses.base_kv >= 200)[:6]
    answers = host_all(study, single(buses))
    for answer in answers:
        check_hosted(study, answer)


def test_hosted_load_that_is_off_is_found(texas: Study) -> None:
    bus = np.flatnonzero(texas.network.buses.base_kv >= 200)[:6]
    some = next(a for a in host_all(texas, single(bus)) if a.hosting_mw > 1)
    check_some_hosted(texas, [some])
    wrong = replace(some.binding, branch=(some.binding.branch or 0) + 1)
    for changed in (
        replace(some, hosting_mw=0.99 * some.hosting_mw),
        replace(some, hosting_mw=1.01 * some.hosting_mw),
        replace(some, binding=wrong),
    ):
        with pytest.raises(LawViolation, match=r"MW hosted at bus \d+: branch \d+ .*carries"):
            check_some_hosted(texas, [changed])


@settings(max_examples=40)
@given(loads=st.lists(st.floats(0, 60), min_size=4, max_size=4), security=st.booleans())
def test_hosting_holds_whatever_the_load(loads: list[float], security: bool) -> None:
    network = build(parse(SQUARE, "square.m"))
    buses = replace(network.buses, load_mw=np.array(loads) + 1.0)
    study = Study(replace(network, buses=buses), Settings(security="n1" if security else "base"))
    for answer in host_all(study, single(np.arange(4))):
        check_hosted(study, answer)
    check_screening(study, screen(study, towers=True))
