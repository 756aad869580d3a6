"""AC power flow: a dense solution as the oracle, reactive limits, hosting by voltage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from nodal_cases import need_extra, package_case, pypower_case, recorded
from scipy.optimize import root

from sim.errors import InputError
from sim.grid.nodal.build import build
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.tables import Network
from sim.grid.nodal.voltage import HIGH_PU, LOW_PU, SCREENED, AcGrid, VoltageCheck


@pytest.fixture(autouse=True, scope="module")
def ac_library() -> None:
    need_extra("lightsim2grid", "ac")


# Two buses, a lossless line of x = 0.5 pu: V2 follows from one quadratic.
TWO = """function mpc = two
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
 1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
 2 1 0 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [ 1 0 0 9999 -9999 1 100 1 1000 0; ];
mpc.branch = [
 1 2 0 0.5 0 0 0 0 0 0 1;
];
"""
X = 0.5


def two() -> Network:
    return build(parse(TWO, "two.m"), source="test")


def voltage_by_hand(p: float, factor: float) -> float:
    """V^4 + V^2 (2 q x - 1) + x^2 (p^2 + q^2) = 0, the upper root, in pu."""
    q = p * np.tan(np.arccos(factor))
    b = 2 * q * X - 1
    return float(np.sqrt((-b + np.sqrt(b * b - 4 * X * X * (p * p + q * q))) / 2))


@pytest.mark.parametrize("load_mw", [10.0, 40.0, 70.0])
@pytest.mark.parametrize("factor", [0.98, 1.0])
def test_two_buses_by_hand(load_mw: float, factor: float) -> None:
    point = AcGrid(two()).solve(extra_mw=np.array([0.0, load_mw]), power_factor=factor)
    assert point.voltage_pu[1] == pytest.approx(voltage_by_hand(load_mw / 100, factor), abs=1e-6)


def test_hosting_stops_where_the_formula_leaves_the_range() -> None:
    found = VoltageCheck(two()).hosting(1, most_mw=90, step_mw=0.1)
    assert found.reason == "voltage"
    assert voltage_by_hand(found.hosting_mw / 100, 0.98) >= LOW_PU
    assert voltage_by_hand((found.hosting_mw + 0.1) / 100, 0.98) < LOW_PU


def test_beyond_the_nose_no_operating_point_is_found() -> None:
    point = AcGrid(two()).solve(extra_mw=np.array([0.0, 300.0]))
    assert not point.found
    assert np.isnan(point.voltage_pu).all()


@pytest.mark.parametrize("factor", [0.0, 1.1])
def test_a_power_factor_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(InputError, match="power_factor"):
        AcGrid(two()).solve(extra_mw=np.array([0.0, 1.0]), power_factor=factor)


CASES = ["case9", "case14", "case30", "case57", "case118"]


def dense_voltages(case: dict[str, Any]) -> np.ndarray[Any, Any]:
    """An AC power flow written from the branch model of MATPOWER's manual, by scipy's root."""
    bus, gen, mva = case["bus"], case["gen"], case["baseMVA"]
    index = {int(number): i for i, number in enumerate(bus[:, 0])}
    y = np.diag((bus[:, 4] + 1j * bus[:, 5]) / mva)
    for row in case["branch"][case["branch"][:, 10] > 0]:
        f, t = index[int(row[0])], index[int(row[1])]
        series = 1 / (row[2] + 1j * row[3])
        tap = (row[8] or 1) * np.exp(1j * np.radians(row[9]))
        own = series + 0.5j * row[4]
        y[f, f] += own / abs(tap) ** 2
        y[t, t] += own
        y[f, t] -= series / np.conj(tap)
        y[t, f] -= series / tap
    power, size = -(bus[:, 2] + 1j * bus[:, 3]), np.ones(len(bus))
    for row in gen[gen[:, 7] > 0]:
        power[index[int(row[0])]] += row[1]
        size[index[int(row[0])]] = row[5]
    turn, load = np.flatnonzero(bus[:, 1] != 3), np.flatnonzero(bus[:, 1] == 1)
    reference = np.radians(bus[bus[:, 1] == 3, 8][0])

    def mismatch(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        angle = np.full(len(bus), reference)
        angle[turn], size[load] = x[: len(turn)], x[len(turn) :]
        u = size * np.exp(1j * angle)
        gap = u * np.conj(y @ u) - power / mva
        return np.concatenate([gap.real[turn], gap.imag[load]])

    start = np.concatenate([np.full(len(turn), reference), np.ones(len(load))])
    found = root(mismatch, start, tol=1e-12)
    assert np.abs(found.fun).max() < 1e-9
    size[load] = found.x[len(turn) :]
    return size


@pytest.mark.parametrize("name", CASES)
def test_voltages_as_a_dense_solution_finds_them(name: str) -> None:
    point = AcGrid(package_case(name)).solve(reactive_limits=False)
    np.testing.assert_allclose(point.voltage_pu, dense_voltages(pypower_case(name)), atol=1e-8)


def test_reactive_limits_hold_in_ieee_118() -> None:
    grid = AcGrid(package_case("case118"))
    held, free = grid.solve(), grid.solve(reactive_limits=False)
    assert held.found
    assert held.pinned
    assert not free.pinned
    assert np.abs(held.voltage_pu - free.voltage_pu).max() > 1e-4
    assert HIGH_PU > LOW_PU


# pandapower's converter cannot take over the kV 0 of case14 and case57 (those: `dense_voltages`),
# nor the transformers of case300 that have a charging susceptance
@pytest.mark.parametrize("name", ["case9", "case30", "case39", "case118"])
def test_voltages_and_angles_equal_pandapower(name: str) -> None:
    """Without reactive limits, to 1e-6 pu; angles against the reference bus."""
    network = package_case(name)
    point = AcGrid(network).solve(reactive_limits=False)
    rows = [row for row in recorded("pandapower_flows.csv") if row["case"] == name]
    assert len(rows) == len(network.buses)
    theirs = np.array([float(row["voltage_pu"]) for row in rows])
    np.testing.assert_allclose(point.voltage_pu, theirs, atol=1e-6)
    slack = int(np.flatnonzero(network.buses.kind == 3)[0])
    angle = np.radians([float(row["angle_deg"]) for row in rows])
    np.testing.assert_allclose(
        point.angle_rad - point.angle_rad[slack], angle - angle[slack], atol=1e-6
    )


def test_low_voltages_alone_never_host_less() -> None:
    check = VoltageCheck(package_case("case118"), worst=3)
    both = check.hosting(20, most_mw=400, step_mw=10)
    low = check.hosting(20, most_mw=400, step_mw=10, low_only=True)
    assert low.hosting_mw >= both.hosting_mw
    if low.voltage_pu is not None:
        assert low.voltage_pu < LOW_PU


def test_the_outages_kept_are_the_worst_of_those_compared() -> None:
    network = package_case("case118")
    check = VoltageCheck(network, worst=2)
    kept = check.outages(20).tolist()
    by_transfer = VoltageCheck(network, worst=1000).outages(20).tolist()  # all, unranked
    compared = by_transfer[: SCREENED * 2]
    assert len(kept) == 2
    assert set(kept) <= set(compared)
    severity = {outage: check._severity(20, outage) for outage in compared}
    rest = [severity[outage] for outage in compared if outage not in kept]
    assert severity[kept[0]] >= severity[kept[1]] >= max(rest)
