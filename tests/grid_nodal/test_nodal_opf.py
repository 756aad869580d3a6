"""DC optimal power flow against hand figures, PYPOWER and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from nodal_cases import package_case, recorded, tiny, triangle

from sim.errors import InputError
from sim.grid.nodal.contingency import screen
from sim.grid.nodal.operating import demand_mw
from sim.grid.nodal.opf import DcOpf, Optimum
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Network


def solve(network: Network, **kwargs: object) -> Optimum:
    secure = bool(kwargs.get("secure"))
    settings = Settings(redispatch="n1-secure", security="n1") if secure else Settings()
    return DcOpf(Study(network, settings), **kwargs).optimum()  # type: ignore[arg-type]


def test_prices_of_a_congested_triangle_by_hand() -> None:
    # 1-3 carries (2 P1 + P2) / 3 = 60 with P1 + P2 = 120: both give 60
    best = solve(triangle(60, 120))
    assert best.output_mw == pytest.approx([60, 60])
    assert best.objective_usd_per_h == pytest.approx(10 * 60 + 30 * 60)
    # one MW more at bus 3 needs one MW less of 1 and two more of 2
    assert best.price_usd_per_mwh == pytest.approx([10, 30, 2 * 30 - 10])
    assert best.congestion_rent_usd_per_h == pytest.approx(120 * 50 - 60 * 10 - 60 * 30)
    assert [(limit.branch, price) for limit, price in best.binding] == [(1, pytest.approx(60))]


@pytest.mark.parametrize("row", recorded("pypower_dcopf.csv"), ids=lambda row: row["case"])
def test_objective_and_prices_equal_pypower(row: dict[str, str]) -> None:
    best = solve(package_case(row["case"]))
    price = best.price_usd_per_mwh
    assert best.objective_usd_per_h == pytest.approx(float(row["objective_usd_per_h"]), rel=1e-6)
    assert price.mean() == pytest.approx(float(row["price_mean"]), abs=2e-3)
    assert price.min() == pytest.approx(float(row["price_min"]), abs=2e-3)
    assert price.max() == pytest.approx(float(row["price_max"]), abs=2e-3)


@pytest.mark.parametrize("name", ["case2383wp", "case3012wp"])
def test_linear_costs_equal_the_program_in_angles(name: str) -> None:
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, csr_array, hstack, vstack

    network = package_case(name)
    study = Study(network)
    on = np.flatnonzero(network.generator_on)
    b, n, g = network.branches, len(network.buses), len(on)
    rows = np.flatnonzero(study.grid.branch_on)
    scale = study.grid.susceptance_pu[rows] * network.base_mva
    incidence = coo_array(
        (np.r_[np.ones(len(rows)), -np.ones(len(rows))],
         (np.r_[np.arange(len(rows)), np.arange(len(rows))], np.r_[b.start[rows], b.end[rows]])),
        shape=(len(rows), n),
    ).tocsr()  # fmt: skip
    flow = csr_array(incidence.multiply(scale[:, None]))
    shifted = -scale * np.radians(b.shift_deg[rows])
    at = coo_array((np.ones(g), (network.generators.bus[on], np.arange(g))), shape=(n, g))
    finite = np.isfinite(b.rating_mw[rows])
    lines = hstack([csr_array((int(finite.sum()), g)), flow[finite]])
    limit = b.rating_mw[rows][finite]
    slope = [network.generators.cost[i].polynomial[1] for i in on]
    constant = sum(network.generators.cost[i].polynomial[0] for i in on)
    low, high = network.generators.min_mw[on], network.generators.max_mw[on]
    solved = linprog(
        np.r_[slope, np.zeros(n)],
        A_ub=vstack([lines, -lines]),
        b_ub=np.r_[limit - shifted[finite], limit + shifted[finite]],
        A_eq=hstack([at, -(incidence.T @ flow)]),
        b_eq=demand_mw(network) + incidence.T @ shifted,
        bounds=[*zip(low, high, strict=True), (0, 0), *[(None, None)] * (n - 1)],
    )
    assert solved.success
    assert solve(network).objective_usd_per_h == pytest.approx(solved.fun + constant, rel=1e-7)


def test_power_balances_and_limits_hold() -> None:
    network = package_case("case_RTS_GMLC")
    best = solve(network)
    assert best.output_mw.sum() == pytest.approx(demand_mw(network).sum())
    assert (np.abs(best.flow_mw) <= network.branches.rating_mw + 1e-5).all()
    assert best.curtailed_mw.sum() >= 0


def test_a_secure_dispatch_costs_more_and_has_no_violation_after_any_outage() -> None:
    network = package_case("case24_ieee_rts")
    free, secure = solve(network), solve(network, secure=True)
    assert secure.objective_usd_per_h >= free.objective_usd_per_h - 1e-6
    moved = Network(
        **{
            **{name: getattr(network, name) for name in network.__dataclass_fields__},
            "generators": type(network.generators)(
                **{
                    name: getattr(network.generators, name)
                    for name in network.generators.__dataclass_fields__
                    if name != "output_mw"
                },
                output_mw=secure.output_mw,
            ),
        }
    )
    found = screen(Study(moved, Settings(security="n1")), generators=False)
    assert [v for v in found.violations if abs(v.flow_mw) > v.limit_mw + 1e-4] == []


def test_unserved_load_has_a_price_or_an_error() -> None:
    network = tiny(
        [(1, 3, 0), (2, 1, 90)],
        [(1, 90, 0, 200)],
        [(1, 2, 0.1, 50)],
        costs=["2 0 0 2 10 0;"],
    )
    with pytest.raises(InputError, match="no dispatch meets"):
        solve(network)
    best = solve(network, unserved_usd_per_mwh=1000.0)
    assert best.unserved_mw == pytest.approx([0, 40])
    assert best.price_usd_per_mwh == pytest.approx([10, 1000])


def test_extra_load_moves_the_prices() -> None:
    extra = np.array([0.0, 0.0, 30.0])
    assert solve(triangle(60, 90), extra_load_mw=extra).objective_usd_per_h == pytest.approx(
        solve(triangle(60, 120)).objective_usd_per_h
    )


def test_angle_limits_hold() -> None:
    network = triangle(0, 90)
    limited = np.array([30.0, 30.0, 30.0]) * 0.1 / 100 * 180 / np.pi  # 30 MW each way
    from dataclasses import replace

    branches = replace(network.branches, max_angle_deg=limited, min_angle_deg=-limited)
    best = solve(replace(network, branches=branches), unserved_usd_per_mwh=500.0)
    assert np.abs(best.flow_mw).max() <= 30 + 1e-6
    assert best.unserved_mw.sum() == pytest.approx(30)


def test_costs_that_bend_down_are_refused() -> None:
    network = tiny(
        [(1, 3, 50), (2, 1, 0)],
        [(1, 50, 0, 100)],
        [(1, 2, 0.1, 0)],
        costs=["1 0 0 3 0 0 50 1000 100 1200;"],
    )
    with pytest.raises(InputError, match="row 1 is not convex"):
        solve(network)
