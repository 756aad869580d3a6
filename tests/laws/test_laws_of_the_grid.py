"""Laws of the grid's views: balances, limits, stores; each fails when it is tampered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sim.errors import FlopgridError, LawViolation
from sim.grid.law import Dispatch, Flow, check_flows
from sim.grid.nodal import law, opf
from sim.grid.nodal.build import build
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.operating import base_point
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.study import Study
from sim.grid.regions.case import region_case
from sim.grid.regions.dispatch import HALF_FULL, WINDOW_H, DispatchYear, check_balance, run_year
from sim.grid.regions.law import check_limits
from sim.grid.us_states import us_states
from sim.grid.verdict import assess

TRIANGLE = """function mpc = triangle
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
  1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
  2 2 0 0 0 0 1 1 0 230 1 1.1 0.9;
  3 1 90 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [
  1 60 0 99 -99 1 100 1 200 0;
  2 30 0 99 -99 1 100 1 200 0;
];
mpc.branch = [
  1 2 0 0.1 0 60 0 0 0 0 1;
  1 3 0 0.1 0 60 0 0 0 0 1;
  2 3 0 0.1 0 60 0 0 0 0 1;
];
mpc.gencost = [
  2 0 0 2 10 0;
  2 0 0 2 30 0;
];
"""


@pytest.fixture(scope="module")
def triangle() -> Study:
    return Study(build(parse(TRIANGLE, "triangle.m")))


def test_flows_leave_every_bus(triangle: Study) -> None:
    point = base_point(triangle.grid)
    law.check_buses(triangle.grid, point.injection_mw, point.flow_mw)
    flow = point.flow_mw + np.array([0.0, 0.01, 0.0])
    with pytest.raises(LawViolation, match=r"case triangle, bus [13]: injection .* MW, flows out"):
        law.check_buses(triangle.grid, point.injection_mw, flow)


def test_a_wrong_solve_stops_every_operating_point(
    triangle: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows = type(triangle.grid).flows
    monkeypatch.setattr(type(triangle.grid), "flows", lambda s, p: flows(s, p) * 1.001)
    with pytest.raises(LawViolation, match="flows out"):
        base_point(triangle.grid)


def test_an_optimum_holds_and_a_tampered_one_does_not(triangle: Study) -> None:
    best = DcOpf(triangle).optimum()
    upper = triangle.network.branches.rating_mw
    law.check_flows(triangle.network, best.flow_mw, -upper, upper)
    law.check_outputs(triangle.network, best.output_mw)
    with pytest.raises(
        LawViolation, match=r"branch 2 from 1 to 3: flow 80\.0 MW, limits -60\.0 to 60\.0 MW"
    ):
        law.check_flows(triangle.network, best.flow_mw + 20, -upper, upper)
    with pytest.raises(LawViolation, match=r"generator 2: output -0\.01 MW, limits 0\.0 to 200"):
        law.check_outputs(triangle.network, np.array([60.0, -0.01]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: np.where(np.arange(len(s.value)) == 0, s.value + 1.0, s.value), "flows out|bus"),
        (lambda s: s.value - 500.0, "generator 2: output"),
    ],
)
def test_a_solver_that_answers_wrongly_is_found_out(
    triangle: Study, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], message: str
) -> None:
    solve = opf.GrowingLp.solve

    def lie(self: opf.GrowingLp) -> opf.Solution:
        found = solve(self)
        return replace(found, value=change(found))

    program = DcOpf(triangle)
    monkeypatch.setattr(opf.GrowingLp, "solve", lie)
    monkeypatch.setattr(opf.Limits, "broken", lambda *_: [])
    with pytest.raises(LawViolation, match=message):
        program.optimum()


def test_a_dispatch_that_does_not_converge_says_so(
    triangle: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opf, "ROUNDS", 3)
    monkeypatch.setattr(DcOpf, "_refine", lambda *_: True)
    with pytest.raises(FlopgridError, match="did not converge in 3 rounds; let load go unserved"):
        DcOpf(triangle).optimum()


def test_interfaces_carry_no_more_than_they_can() -> None:
    verdict = assess(us_states(), {"VA": 500.0}, {"VA": 50.0}, samples=4, seed=1)
    for dispatch in verdict.dispatches:
        check_flows(dispatch)
        assert all(np.isfinite([f.forward_mw, f.reverse_mw]).all() for f in dispatch.flows)


@pytest.mark.parametrize("flow_mw", [100.2, -50.1, float("nan")])
def test_an_interface_beyond_its_limit_is_found(flow_mw: float) -> None:
    bad = Dispatch("peak", "all", (), (Flow("A-B", "A", "B", flow_mw, 100.0, 50.0),))
    with pytest.raises(LawViolation, match=r"flow on A-B at peak \(seen from all\): .* MW, limit "):
        check_flows(bad)


@pytest.fixture(scope="module")
def year() -> DispatchYear:
    case = region_case("us-states", 2024, 2022, mixed_years=True)
    return run_year(case, {"VA": 500.0}, days=2, first_day=200)


def with_change(year: DispatchYear, name: str, mw: float) -> DispatchYear:
    values = getattr(year, name).copy()
    values[30, -1] += mw
    return replace(year, **{name: values})


@pytest.mark.parametrize(
    ("name", "mw", "message"),
    [
        ("generation_mw", 1e6, "output of .* at hour 30: .*, allowed "),
        ("flow_mw", -1e6, "flow on .* at hour 30: -"),
        ("charge_mw", 1e5, "charging of .* storage at hour 30"),
        ("discharge_mw", -1e5, "discharging of .* storage at hour 30"),
        ("stored_mwh", 1e6, "energy in .* storage at hour 30"),
        ("stored_mwh", 0.01, "balance of .* storage at hour 3[01]|energy in"),
        ("flow_mw", float("nan"), "flow on .* at hour 30: nan"),
    ],
)
def test_a_year_beyond_its_limits_is_found(
    year: DispatchYear, name: str, mw: float, message: str
) -> None:
    check_limits(year, WINDOW_H, HALF_FULL)
    with pytest.raises(LawViolation, match=message):
        check_limits(with_change(year, name, mw), WINDOW_H, HALF_FULL)


def test_a_zone_out_of_balance_is_found(year: DispatchYear) -> None:
    check_balance(year)
    with pytest.raises(LawViolation, match=r"power balance of .* at hour 30"):
        check_balance(with_change(year, "unserved_mw", 50.0))


def test_an_unsolved_balance_says_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    import highspy

    from sim.grid import balance

    monkeypatch.setattr(
        balance.QuietHighs, "getModelStatus", lambda _: highspy.HighsModelStatus.kIterationLimit
    )
    with pytest.raises(FlopgridError, match=r"not solved: the solver ended with .*report"):
        assess(us_states(), {"VA": 500.0}, {"VA": 50.0}, samples=4, seed=1)


def test_a_dispatch_that_is_not_solved_says_how_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    import highspy

    from sim.grid.regions import lp

    monkeypatch.setattr(
        lp.QuietHighs, "getModelStatus", lambda _: highspy.HighsModelStatus.kTimeLimit
    )
    case = region_case("us-states", 2024, 2022, mixed_years=True)
    with pytest.raises(FlopgridError, match=r"dispatch of 24 hours not solved: .*, twice; report"):
        run_year(case, days=1)
