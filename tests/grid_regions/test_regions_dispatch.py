"""Dispatch: hand-solved cases, another formulation as oracle, duals as prices, the laws."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from sim.errors import InputError, LawViolation, UnknownNameError
from sim.grid.regions.case import balancing_areas, region_case
from sim.grid.regions.dispatch import check_balance, run_year
from sim.grid.regions.hourly import REGION_TABLE, read_hours
from sim.grid.regions.lp import Block, Dispatcher, Line, StorageUnit, System, Window, WindowResult
from sim.grid.regions.profiles import fit_hours, profiles
from sim.grid.regions.summary import group_rows, line_rows, zone_rows
from sim.grid.regions.supply import build_supply, figures

TWO = System(
    zones=("a", "b"),
    blocks=(Block(0, "coal", 20.0), Block(1, "gas", 50.0)),
    lines=(Line(0, 1, 30.0, 30.0),),
)


def window(system: System, load: list[list[float]], most: list[float], **changes: object) -> Window:
    n, hours = len(system.blocks), len(load)
    empty = np.zeros(len(system.storage))
    base = Window(
        load_mw=np.array(load, dtype=float),
        least_mw=np.zeros((hours, n)),
        most_mw=np.tile(np.array(most, dtype=float), (hours, 1)),
        budget_mwh=np.full(sum(b.budgeted for b in system.blocks), 1e9),
        reserve_mw=np.zeros((hours, max(system.reserve_group, default=-1) + 1)),
        stored_mwh=empty,
        end_mwh=empty,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def solve(system: System, asked: Window) -> WindowResult:
    return Dispatcher(system, len(asked.load_mw)).solve(asked)


def test_an_open_line_gives_one_price_and_a_full_line_two() -> None:
    result = solve(TWO, window(TWO, [[10, 20], [10, 60]], [100, 100]))
    assert result.price_usd_per_mwh[0] == pytest.approx([20, 20])
    assert result.price_usd_per_mwh[1] == pytest.approx([20, 50])
    assert result.flow_mw[:, 0] == pytest.approx([20, 30])
    assert result.generation_mw[1] == pytest.approx([40, 30])
    assert result.cost_usd == pytest.approx(30 * 20 + 40 * 20 + 30 * 50)


def test_what_no_one_can_serve_is_unserved_at_its_price() -> None:
    result = solve(TWO, window(TWO, [[10, 200]], [100, 100]))
    assert result.unserved_mw[0] == pytest.approx([0, 70])
    assert result.price_usd_per_mwh[0] == pytest.approx([20, 5000])


def test_the_carbon_of_one_more_mwh_is_that_of_the_block_that_gives_it() -> None:
    asked = window(TWO, [[10, 20], [10, 60]], [100, 100])
    result = Dispatcher(TWO, 2, np.array([900.0, 400.0])).solve(asked)
    assert result.co2_kg_per_mwh[0] == pytest.approx([900, 900])
    assert result.co2_kg_per_mwh[1] == pytest.approx([900, 400])
    assert not solve(TWO, asked).co2_kg_per_mwh.any()


def test_one_more_mwh_emits_what_its_carbon_says() -> None:
    case = region_case("us-states", mixed_years=True)
    supply = build_supply(case)
    solver = Dispatcher(supply.system, 24, supply.co2_kg_per_mwh)
    hours = slice(200 * 24, 201 * 24)
    level = np.array([unit.energy_mwh / 2 for unit in supply.system.storage])
    asked = Window(
        case.load_mw[hours],
        supply.least_mw[hours],
        supply.most_mw[hours],
        supply.budget_mw[hours].sum(axis=0),
        supply.reserve_mw[hours],
        level,
        level,
    )
    before = solver.solve(asked)
    for hour, zone in ((3, "VA"), (18, "TX-ERCOT"), (12, "CA")):
        load = asked.load_mw.copy()
        load[hour, case.index(zone)] += 0.01
        after = solver.solve(replace(asked, load_mw=load))
        burnt = ((after.generation_mw - before.generation_mw) @ supply.co2_kg_per_mwh).sum()
        carbon = before.co2_kg_per_mwh[hour, case.index(zone)]
        assert burnt / 0.01 == pytest.approx(carbon, rel=1e-4, abs=0.1)
        solver.solve(asked)


def test_storage_moves_cheap_energy_and_loses_some() -> None:
    system = System(
        ("a",),
        (Block(0, "wind", 0.0), Block(0, "gas", 60.0)),
        (StorageUnit(0, 10.0, 40.0, 0.8, 0.0),),
    )
    result = solve(
        system,
        replace(
            window(system, [[0], [20]], [20, 100]), most_mw=np.array([[20.0, 100], [0.0, 100]])
        ),
    )
    assert result.charge_mw[0, 0] == pytest.approx(10)
    assert result.discharge_mw[1, 0] == pytest.approx(8)
    assert result.generation_mw[1, 1] == pytest.approx(12)


def test_hydro_goes_to_the_dear_hour() -> None:
    system = System(("a",), (Block(0, "hydro", 1.0, budgeted=True), Block(0, "oil", 90.0)))
    asked = window(system, [[10], [50]], [30, 100], budget_mwh=np.array([30.0]))
    asked = replace(asked, most_mw=np.array([[30.0, 10.0], [30.0, 100.0]]))
    result = solve(system, asked)
    assert result.generation_mw[:, 0].sum() == pytest.approx(30)
    assert result.cost_usd == pytest.approx(30 * 1 + 30 * 90)


def test_a_ramp_holds_within_the_window_and_from_the_hour_before() -> None:
    system = System(("a",), (Block(0, "coal", 10.0, 5.0), Block(0, "gas", 50.0)))
    asked = window(system, [[20], [40]], [100, 100], before_mw=np.array([10.0, 0.0]))
    result = solve(system, asked)
    assert result.generation_mw[:, 0] == pytest.approx([15, 20])
    free = solve(system, replace(asked, before_mw=None))
    assert free.generation_mw[:, 0] == pytest.approx([20, 25])


def test_reserve_keeps_capacity_spare_and_says_what_is_missing() -> None:
    system = replace(TWO, reserve_group=(0, 0), reserve_usd_per_mwh=200.0)
    asked = window(system, [[50, 100]], [100, 100], reserve_mw=np.array([[60.0]]))
    result = solve(system, asked)
    assert result.reserve_short_mw[0, 0] == pytest.approx(10)
    assert result.unserved_mw.sum() == pytest.approx(0)
    assert result.price_usd_per_mwh[0] == pytest.approx([220, 250])


def test_flexible_load_is_served_until_it_costs_more_than_it_is_paid() -> None:
    system = replace(TWO, flexible_mw=(0.0, 40.0), flexible_usd_per_mwh=45.0)
    result = solve(system, window(system, [[0, 20]], [100, 100]))
    assert result.curtailed_mw[0] == pytest.approx([0, 30])
    dear = replace(system, flexible_usd_per_mwh=500.0)
    assert solve(dear, window(dear, [[0, 20]], [100, 100])).curtailed_mw.sum() == pytest.approx(0)


def oracle_cost(system: System, asked: Window) -> float:
    """Another formulation: dense, flows signed, only inequalities for the energy in store."""
    hours, n = asked.load_mw.shape
    b, s, m = len(system.blocks), len(system.storage), len(system.lines)
    width = b + n + 2 * s + m
    cost = np.zeros((hours, width))
    cost[:, :b] = [x.cost_usd_per_mwh for x in system.blocks]
    cost[:, b : b + n] = system.lost_load_usd_per_mwh
    cost[:, b + n : b + n + s] = [u.cost_usd_per_mwh for u in system.storage]
    bounds: list[tuple[float, float]] = []
    for h in range(hours):
        bounds += list(zip(asked.least_mw[h], asked.most_mw[h], strict=True))
        bounds += [(0, x) for x in asked.load_mw[h]]
        bounds += [(0, u.power_mw) for u in system.storage] * 2
        bounds += [(-x.reverse_mw, x.forward_mw) for x in system.lines]
    rows, limits = oracle_energy(system, asked, width)
    found = linprog(
        cost.ravel(),
        A_eq=oracle_balance(system, hours, n, width),
        b_eq=asked.load_mw.ravel(),
        A_ub=np.array(rows) if rows else None,
        b_ub=np.array(limits) if rows else None,
        bounds=bounds,
    )
    assert found.status == 0
    return float(found.fun)


def oracle_balance(system: System, hours: int, n: int, width: int) -> np.ndarray:
    """What each variable brings to each zone in each hour, shape (hours x n, hours x width)."""
    b, s = len(system.blocks), len(system.storage)
    equal = np.zeros((hours * n, hours * width))
    for h in range(hours):
        for k, block in enumerate(system.blocks):
            equal[h * n + block.zone, h * width + k] = 1
        for z in range(n):
            equal[h * n + z, h * width + b + z] = 1
        for k, unit in enumerate(system.storage):
            equal[h * n + unit.zone, h * width + b + n + k] = 1
            equal[h * n + unit.zone, h * width + b + n + s + k] = -1
        for k, line in enumerate(system.lines):
            equal[h * n + line.source, h * width + b + n + 2 * s + k] = -1
            equal[h * n + line.target, h * width + b + n + 2 * s + k] = 1
    return equal


def oracle_energy(
    system: System, asked: Window, width: int
) -> tuple[list[np.ndarray], list[float]]:
    """Rows and limits of what is in store, and of budgets."""
    hours, n = asked.load_mw.shape
    b, s = len(system.blocks), len(system.storage)
    rows: list[np.ndarray] = []
    limits: list[float] = []
    for k, unit in enumerate(system.storage):
        for h in range(hours):
            level = np.zeros((hours, width))
            level[: h + 1, b + n + k] = -1
            level[: h + 1, b + n + s + k] = unit.efficiency_frac
            rows += [level.ravel(), -level.ravel()]
            floor = asked.end_mwh[k] if h == hours - 1 else 0.0
            limits += [unit.energy_mwh - asked.stored_mwh[k], asked.stored_mwh[k] - floor]
    at = 0
    for k, block in enumerate(system.blocks):
        if block.budgeted:
            used = np.zeros((hours, width))
            used[:, k] = 1
            rows.append(used.ravel())
            limits.append(asked.budget_mwh[at])
            at += 1
    return rows, limits


@st.composite
def systems(draw: st.DrawFn) -> tuple[System, Window]:
    n, hours = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    number = st.integers(0, 60).map(float)
    zone = st.integers(0, n - 1)
    blocks = tuple(
        Block(draw(zone), "x", draw(number), budgeted=draw(st.booleans()))
        for _ in range(draw(st.integers(1, 4)))
    )
    lines = tuple(
        Line(k, k + 1, draw(number), draw(number)) for k in range(n - 1) if draw(st.booleans())
    )
    storage = tuple(
        StorageUnit(draw(zone), draw(number), draw(number), 0.8)
        for _ in range(draw(st.integers(0, 1)))
    )
    system = System(tuple(f"z{k}" for k in range(n)), blocks, storage, lines)
    half = np.array([u.energy_mwh / 2 for u in storage])
    asked = window(
        system,
        [[draw(number) for _ in range(n)] for _ in range(hours)],
        [draw(number) for _ in blocks],
        budget_mwh=np.array([draw(number) for x in blocks if x.budgeted]),
        stored_mwh=half,
        end_mwh=half,
    )
    return system, asked


@settings(max_examples=60, deadline=None)
@given(systems())
def test_cost_equals_another_formulation_and_prices_are_slopes(
    case: tuple[System, Window],
) -> None:
    system, asked = case
    solver = Dispatcher(system, len(asked.load_mw))
    result = solver.solve(asked)
    assert result.cost_usd == pytest.approx(oracle_cost(system, asked), abs=1e-5)
    # A price lies between the slopes to either side, and warm solves give the same cost.
    step = 1e-3
    up, down = asked.load_mw.copy(), asked.load_mw.copy()
    up[0, 0] += step
    down[0, 0] = max(0.0, down[0, 0] - step)
    above = solver.solve(replace(asked, load_mw=up)).cost_usd - result.cost_usd
    below = result.cost_usd - solver.solve(replace(asked, load_mw=down)).cost_usd
    price = result.price_usd_per_mwh[0, 0]
    assert price <= above / step + 0.1
    if asked.load_mw[0, 0] > step:
        assert price >= below / step - 0.1
    assert solver.solve(asked).cost_usd == pytest.approx(result.cost_usd, abs=1e-5)


# -- the country


def test_regional_hours_are_reproduced_exactly_and_with_them_the_peaks() -> None:
    measured = read_hours(REGION_TABLE).year(2024)
    for name in ("us-states", "us-balancing-areas"):
        case = region_case(name, mixed_years=True)
        total = sum(measured.columns.values())
        assert case.load_mw.sum(axis=1) == pytest.approx(total, rel=1e-9)
    areas = balancing_areas()
    case = region_case("us-balancing-areas", mixed_years=True)
    for region, hours in measured.columns.items():
        inside = [k for k, area in enumerate(areas) if area.region == region]
        assert case.load_mw[:, inside].sum(axis=1).max() == pytest.approx(hours.max(), rel=1e-12)
    states = region_case("us-states", mixed_years=True)
    assert states.load_mw[:, states.index("TX-ERCOT")].max() == 85559
    assert len(states.zones) == 49
    assert len(case.zones) == 134


def test_mixed_years_and_unknown_years_are_refused() -> None:
    with pytest.raises(InputError, match="load of 2024 with wind and sun of 2022"):
        region_case("us-states")
    with pytest.raises(InputError, match="no wind and solar hours of 2024"):
        profiles(2024, 2024)
    with pytest.raises(InputError, match="hourly demand of all regions is not known for 2022"):
        region_case("us-states", 2022)
    with pytest.raises(UnknownNameError, match="us-states"):
        region_case("us-state", mixed_years=True)
    listed = profiles(2024, 2022, mixed=True).assumptions
    assert any("mixed years" in text for text in listed)
    assert not any("mixed years" in text for text in profiles(2022, 2022).assumptions)


def test_a_leap_day_repeats_the_day_before() -> None:
    hours = np.arange(8760.0)
    longer = fit_hours(hours, 8784)
    assert len(longer) == 8784
    assert list(longer[59 * 24 : 60 * 24]) == list(hours[58 * 24 : 59 * 24])
    assert list(fit_hours(longer, 8760)) == list(hours)


def test_three_days_of_the_country_balance_and_repeat_with_any_threads() -> None:
    case = region_case("us-states", mixed_years=True)
    one = run_year(case, {"VA": 500.0}, days=3, threads=1)
    two = run_year(case, {"va": 500.0}, days=3, threads=2)
    assert np.array_equal(one.price_usd_per_mwh, two.price_usd_per_mwh)
    assert check_balance(one) < 1e-3
    base = run_year(case, days=3)
    assert one.load_mw.sum() == pytest.approx(base.load_mw.sum() + 72 * 500)
    assert one.cost_usd > base.cost_usd
    rows = {row["zone"]: row for row in zone_rows(one, one)}
    assert rows["VA"]["site_mw"] == 500
    assert sum(r["net_import_mwh"] for r in rows.values()) == pytest.approx(0, abs=1)
    for row in group_rows(one):
        assert sum(row["share_frac"].values()) == pytest.approx(1)
    assert all(0 <= row["full_h"] <= 72 for row in line_rows(one))
    assert one.marginal_kg_per_mwh.shape == one.load_mw.shape


def test_an_unbalanced_answer_is_caught() -> None:
    case = region_case("us-states", mixed_years=True)
    year = run_year(case, days=1)
    year.generation_mw[5, 3] += 50.0
    with pytest.raises(LawViolation, match="power balance of"):
        check_balance(year)


def test_changes_and_bad_input() -> None:
    case = region_case("us-states", mixed_years=True)
    dear = build_supply(case, {"fuel_price_usd_per_mmbtu.gas.2024": 10.0})
    base = build_supply(case)
    gas = [k for k, block in enumerate(base.system.blocks) if block.fuel == "gas_cc.low"]
    assert all(
        dear.system.blocks[k].cost_usd_per_mwh > base.system.blocks[k].cost_usd_per_mwh for k in gas
    )
    with pytest.raises(InputError, match="unknown figure 'x'"):
        figures({"x": 1.0})
    with pytest.raises(InputError, match="days: 400 from day 0"):
        run_year(case, days=400)
    with pytest.raises(InputError, match="load in VA: -1 MW"):
        run_year(case, {"VA": -1.0}, days=1)
    with pytest.raises(UnknownNameError, match="zone 'XX'"):
        run_year(case, {"XX": 1.0}, days=1)
    with pytest.raises(InputError, match="names a zone that is not there"):
        Dispatcher(System(("a",), (Block(3, "x", 1.0),)), 2)


def test_the_solver_prints_nothing() -> None:
    code = "from sim.grid.regions.lp import *; Dispatcher(System(('a',), (Block(0, 'x', 1.0),)), 1)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == ""
