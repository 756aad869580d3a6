"""Unit commitment against hand figures and against trying every commitment."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nodal_cases import package_case, tiny
from scipy.optimize import linprog

from sim.errors import InputError
from sim.grid.nodal import commands
from sim.grid.nodal.commitment import Commitment, UnitCommitment
from sim.grid.nodal.commitment_spec import Horizon, Storage, read_profile, with_fuels
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Network


def two_units(
    load: float = 100.0,
    limits: tuple[tuple[float, float], ...] = ((50, 100), (20, 60)),
    costs: tuple[str, ...] = ("2 0 0 2 10 0;", "2 500 0 2 30 0;"),
) -> Network:
    """A cheap unit A and a dear unit B at bus 1, the load at bus 2 over an unlimited branch."""
    return tiny(
        [(1, 3, 0), (2, 1, load)],
        [(1, load, *limits[0]), (1, 0, *limits[1])],
        [(1, 2, 0.1, 0)],
        costs=list(costs),
    )


def hours(*frac: float, **more: object) -> Horizon:
    return Horizon(np.array(frac), **more)  # type: ignore[arg-type]


def solve(network: Network, horizon: Horizon, **more: object) -> Commitment:
    return UnitCommitment(Study(network), horizon, gap_frac=1e-9, **more).optimum()  # type: ignore[arg-type]


def test_a_start_for_one_hour_by_hand() -> None:
    # loads 80, 130, 80: A alone (800), A 100 and B 30 with a start (1000 + 900 + 500), A (800)
    before = {"was_on": np.array([True, False])}
    best = solve(two_units(), hours(0.8, 1.3, 0.8, **before))
    assert best.output_mw == pytest.approx(np.array([[80, 0], [100, 30], [80, 0]]))
    assert best.starts.tolist() == [[False, False], [False, True], [False, False]]
    assert (best.startup_usd, best.operation_usd) == (500, pytest.approx(3500))
    assert best.objective_usd == pytest.approx(4000)
    assert best.price_usd_per_mwh[:, 0] == pytest.approx([10, 30, 10])


def test_without_a_yesterday_it_pays_to_have_run_already() -> None:
    # B at its least 20 MW from hour 1 costs 20 x (30 - 10) = 400 more and saves the start
    best = solve(two_units(), hours(0.8, 1.3, 0.8))
    assert best.is_on[:, 1].tolist() == [True, True, False]
    assert best.objective_usd == pytest.approx(1200 + 1900 + 800)


def test_least_output_makes_the_cheap_unit_stand_back() -> None:
    # 110 MW: B must give 20, so A gives 90 of its 100
    best = solve(two_units(), hours(1.1))
    assert best.output_mw[0] == pytest.approx([90, 20])


def test_ramps_leave_load_unserved_by_hand() -> None:
    # A alone may rise 20 MW an hour: 50, then 70 of 90, then 90
    network = two_units(limits=((0, 100), (0, 0.0)))
    ramp = np.array([20.0, 0.0])
    best = solve(network, hours(0.5, 0.9, 0.9, ramp_mw_per_h=ramp), unserved_usd_per_mwh=1000.0)
    assert best.output_mw[:, 0] == pytest.approx([50, 70, 90])
    assert best.unserved_mw.sum(axis=1) == pytest.approx([0, 20, 0])
    assert best.unserved_usd == pytest.approx(20_000)
    with pytest.raises(InputError, match="no commitment meets"):
        solve(network, hours(0.5, 0.9, ramp_mw_per_h=ramp))


def test_a_start_reaches_the_ramp_or_the_least_output() -> None:
    before = {"was_on": np.array([True, False]), "was_mw": np.array([100.0, 0.0])}
    slow = {"ramp_mw_per_h": np.array([0.0, 25.0])}
    best = solve(two_units(), hours(1.3, 1.6, **before, **slow), unserved_usd_per_mwh=1000.0)
    assert best.output_mw[:, 1] == pytest.approx([25, 50])  # 25 at its start, 25 more after
    assert best.unserved_mw.sum(axis=1) == pytest.approx([5, 10])


def test_what_ran_before_binds_the_first_hour() -> None:
    before = {"was_on": np.array([True, False]), "was_mw": np.array([60.0, 0.0])}
    slow = {"ramp_mw_per_h": np.array([10.0, 0.0])}
    best = solve(two_units(), hours(1.0, **before, **slow))
    assert best.output_mw[0] == pytest.approx([70, 30])


def test_minimum_times_by_hand() -> None:
    before = {"was_on": np.array([True, False])}
    up = {"least_up_h": np.array([1, 3]), "least_down_h": np.array([1, 1])}
    best = solve(two_units(), hours(0.5, 1.3, 0.8, 0.8, **before, **up))
    assert best.is_on[:, 1].tolist() == [False, True, True, True]
    # 500 + 2400, then twice A 60 and B 20
    assert best.objective_usd == pytest.approx(2900 + 2 * 1200)
    down = {"least_up_h": np.array([1, 1]), "least_down_h": np.array([1, 3])}
    off = solve(two_units(costs=("2 0 0 2 10 0;", "2 1 0 2 30 0;")),
                hours(1.3, 0.8, 1.3, was_on=np.array([True, True]), **down))  # fmt: skip
    assert off.is_on[:, 1].tolist() == [True, True, True]  # off for one hour is too short


def test_storage_moves_cheap_energy_by_hand() -> None:
    network = two_units(limits=((0, 100), (0, 60)), costs=("2 0 0 2 10 0;", "2 0 0 2 50 0;"))
    lossy = Storage(1, 30.0, 30.0, charge_frac=0.8, discharge_frac=1.0)
    best = solve(network, hours(0.6, 1.2), storages=[lossy])
    # 20 MWh are missing in hour 2: they cost 25 MWh in hour 1
    assert best.charge_mw[:, 0] == pytest.approx([25, 0])
    assert best.discharge_mw[:, 0] == pytest.approx([0, 20])
    assert best.stored_mwh[:, 0] == pytest.approx([20, 0])
    assert best.objective_usd == pytest.approx(10 * 85 + 10 * 100)
    full = Storage(1, 30.0, 30.0, least_last_mwh=10.0)
    kept = solve(network, hours(0.6, 1.2), storages=[full])
    assert kept.stored_mwh[-1, 0] == pytest.approx(10)


def test_reserve_commits_a_second_unit() -> None:
    horizon = hours(0.8, reserve_mw=np.array([30.0]))
    best = solve(two_units(), horizon)
    assert best.is_on[0].tolist() == [True, True]
    assert solve(two_units(), hours(0.8)).is_on[0].tolist() == [True, False]


def test_a_fuel_gives_what_its_hour_allows() -> None:
    network = two_units(limits=((0, 100), (0, 60)), costs=("2 0 0 2 0 0;", "2 0 0 2 30 0;"))
    network = replace(network, generators=replace(network.generators, fuel=("wind", "ng")))
    horizon = with_fuels(hours(0.5, 0.5), network, {"wind": np.array([1.0, 0.2])})
    best = solve(network, horizon)
    assert best.output_mw == pytest.approx(np.array([[50, 0], [20, 30]]))
    with pytest.raises(InputError, match="known: ng, wind"):
        with_fuels(hours(1.0), network, {"sun": np.array([1.0])})


def congested(costs: list[str]) -> Network:
    """A triangle whose branch 1-3 is full in the middle hour."""
    return tiny(
        [(1, 3, 0), (2, 2, 0), (3, 1, 100)],
        [(1, 60, 30, 120), (2, 40, 10, 80), (3, 0, 15, 50)],
        [(1, 2, 0.1, 60), (1, 3, 0.1, 45), (2, 3, 0.1, 90)],
        costs=costs,
    )


def try_all(network: Network, load: np.ndarray, was_on: np.ndarray) -> float:
    """The least cost over every commitment of three units, by scipy on dense arrays."""
    g, study = network.generators, Study(network)
    n, h = len(g), len(load)
    per_bus = study.grid.ptdf_columns(np.arange(3))
    per_unit, at_load = per_bus[:, g.bus], per_bus @ (network.buses.load_mw / 100)
    slope = np.array([c.polynomial[1] for c in g.cost])
    idle = np.array([c.polynomial[0] for c in g.cost])
    start = np.array([c.startup_usd for c in g.cost])
    limit = network.branches.rating_mw
    best = np.inf
    for bits in itertools.product((0, 1), repeat=n * h):
        on = np.array(bits).reshape(h, n)
        if ((on * g.max_mw).sum(axis=1) < load).any() or ((on * g.min_mw).sum(axis=1) > load).any():
            continue
        before = np.vstack([was_on, on[:-1]])
        fixed = (np.maximum(on - before, 0) * start).sum() + (on * idle).sum()
        cost = 0.0
        for hour in range(h):
            shift = at_load * load[hour]
            found = linprog(
                slope,
                A_ub=np.vstack([per_unit, -per_unit]),
                b_ub=np.concatenate([limit + shift, limit - shift]),
                A_eq=np.ones((1, n)),
                b_eq=[load[hour]],
                bounds=list(zip(on[hour] * g.min_mw, on[hour] * g.max_mw, strict=True)),
            )
            cost += found.fun if found.success else np.inf
        best = min(best, cost + fixed)
    return float(best)


@pytest.mark.parametrize(
    ("costs", "load"),
    [
        (["2 300 0 2 10 50;", "2 200 0 2 20 40;", "2 90 0 2 45 30;"], (70, 120)),
        (["2 0 0 2 30 0;", "2 800 0 2 10 0;", "2 50 0 2 25 90;"], (60, 130)),
        (["2 900 0 2 10 0;", "2 900 0 2 12 0;", "2 0 0 2 60 0;"], (45, 85)),
    ],
)
def test_equals_trying_every_commitment(costs: list[str], load: tuple[float, ...]) -> None:
    network, was_on = congested(costs), np.array([True, False, False])
    mw = np.array(load, dtype=float)
    best = solve(network, hours(*(mw / 100), was_on=was_on))
    assert best.objective_usd == pytest.approx(try_all(network, mw, was_on), rel=1e-7)
    assert (np.abs(best.flow_mw) <= network.branches.rating_mw + 1e-5).all()
    assert best.output_mw.sum(axis=1) == pytest.approx(mw)


def test_one_hour_with_all_units_on_is_the_optimal_power_flow() -> None:
    """Quadratic costs and congestion: objective, output and prices of `grid opf`."""
    network = package_case("case30")
    loaded = replace(network, buses=replace(network.buses, load_mw=network.buses.load_mw * 1.3))
    flow = DcOpf(Study(loaded)).optimum()
    best = UnitCommitment(Study(network), hours(1.3), gap_frac=1e-7).optimum()
    assert best.objective_usd == pytest.approx(flow.objective_usd_per_h, rel=1e-6)
    assert best.gap_frac < 1e-6
    assert best.price_usd_per_mwh[0] == pytest.approx(flow.price_usd_per_mwh, abs=0.01)
    assert best.binding


def test_a_secure_commitment_costs_no_less() -> None:
    network = package_case("case24_ieee_rts")
    free = UnitCommitment(Study(network), hours(0.5), gap_frac=1e-4).optimum()
    secure = UnitCommitment(Study(network), hours(0.5), secure=True, gap_frac=1e-4).optimum()
    assert secure.objective_usd >= free.objective_usd * (1 - 2e-4)


def test_bad_figures_are_refused() -> None:
    network = two_units()
    for horizon, words in (
        (hours(), "0 hours"),
        (hours(-1.0), "load_frac is negative"),
        (hours(1.0, reserve_mw=np.array([1.0, 2.0])), "reserve_mw has shape"),
    ):
        with pytest.raises(InputError, match=words):
            solve(network, horizon)
    with pytest.raises(InputError, match="storage at bus 2"):
        solve(network, hours(1.0), storages=[Storage(1, 0.0, 10.0)])


def test_the_command_is_plain_and_says_its_gap(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("# made\nload_frac\n0.6\n0.9\n")
    answer = commands.commit("case9", profile=file, storages=[(5, 20.0, 40.0)], reserve_frac=0.1)
    json.dumps(answer, allow_nan=False)
    assert [hour["hour"] for hour in answer["hours"]] == [0, 1]
    assert answer["gap_frac"] <= 0.01
    assert len(answer["hours"][0]) > 5
    assert commands.commit("case9", hours=1)["hours"][0]["unserved_mw"] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [("hour\n1\n", r"day\.csv:1: no column"), ("load_frac\n1\nx\n", r"day\.csv:3: load_frac 'x'")],
)
def test_a_bad_profile_names_its_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "day.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        read_profile(file)
    with pytest.raises(InputError, match="cannot read"):
        read_profile(tmp_path / "none.csv")
