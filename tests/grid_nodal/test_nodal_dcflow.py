"""DC flow, PTDF and LODF against hand figures, other tools and re-solved outages."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nodal_cases import foreign, package_case, pypower_case, recorded, tiny, triangle

from sim.errors import InputError
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.dcflow import SUSCEPTANCES, DcGrid, susceptance
from sim.grid.nodal.operating import at_point, base_point, demand_mw
from sim.grid.nodal.tables import Floats, Network

CASES = ["case9", "case14", "case30", "case39", "case118", "case300", "case89pegase"]


def residual_mw(network: Network, grid: DcGrid) -> float:
    """Largest error of Kirchhoff's current law over all buses."""
    point = base_point(grid)
    out = network.at_bus(network.branches.start, point.flow_mw)
    into = network.at_bus(network.branches.end, point.flow_mw)
    return float(np.abs(point.injection_mw - out + into).max())


def test_a_triangle_by_hand() -> None:
    grid = DcGrid(triangle())
    assert base_point(grid).flow_mw == pytest.approx([30, 60, 30])
    assert grid.own_share == pytest.approx([2 / 3] * 3)


def slack_takes_all(network: Network) -> Floats:
    """The case's dispatch, balanced by the first generator of the reference bus."""
    output = np.where(network.generator_on, network.generators.output_mw, 0.0)
    at_reference = network.buses.kind[network.generators.bus] == 3
    first = np.flatnonzero(at_reference & network.generator_on)[0]
    output[first] += demand_mw(network).sum() - output.sum()
    return output


@pytest.mark.parametrize("name", [*CASES, "case_ACTIVSg2000"])
def test_flows_equal_pypower(name: str) -> None:
    network = package_case(name)
    ours = at_point(DcGrid(network), slack_takes_all(network)).flow_mw
    rows = [row for row in recorded("pypower_dcflow.csv") if row["case"] == name]
    assert len(rows) >= 9
    for row in rows:
        theirs = float(row["flow_mw"])
        assert abs(ours[int(row["row"]) - 1] - theirs) / network.base_mva < 1e-9


@pytest.mark.parametrize("name", CASES)
def test_angles_equal_lightsim2grid(name: str) -> None:
    with foreign():
        from lightsim2grid.network import init_from_matpower

        grid = init_from_matpower(pypower_case(name))
        network = package_case(name)
        theirs = np.angle(grid.dc_pf(np.ones(len(network.buses), dtype=complex), 10, 1e-8))
    ours = DcGrid(network)
    angle = ours.angles(at_point(ours, slack_takes_all(network)).injection_mw)
    slack = int(np.flatnonzero(network.buses.kind == 3)[0])
    assert angle - angle[slack] == pytest.approx(theirs - theirs[slack], abs=1e-9)


@pytest.mark.parametrize("name", [*CASES, "case16ci", "case_RTS_GMLC", "case2383wp"])
def test_power_is_conserved_at_every_bus(name: str) -> None:
    network = package_case(name)
    assert residual_mw(network, DcGrid(network)) < 1e-7


def test_texas_is_conserved_and_balanced_by_one_factor() -> None:
    network = load_case("activsg2000")
    grid = DcGrid(network)
    point = base_point(grid)
    assert residual_mw(network, grid) < 1e-7
    assert point.scale == pytest.approx(
        network.buses.load_mw.sum() / network.generators.output_mw[network.generator_on].sum()
    )


def test_dc_lines_carry_what_is_scheduled() -> None:
    line = "mpc.dcline = [1 3 1 40 38 0 0 1 1 0 50 -9 9 -9 9 2 0];\n"
    network = tiny(
        [(1, 3, 0), (2, 1, 60), (3, 3, 90)],
        [(1, 90, 0, 200), (3, 40, 0, 200)],
        [(1, 2, 0.1, 0)],
        more=line,
    )
    grid = DcGrid(network)
    assert grid.n_islands == 2
    assert demand_mw(network) == pytest.approx([40, 60, 52])
    assert base_point(grid).output_mw == pytest.approx([100, 52])


def test_phase_shifters_drive_a_loop_flow() -> None:
    network = package_case("case2383wp")
    assert (network.branches.shift_deg != 0).sum() == 6
    grid = DcGrid(network)
    idle = grid.flows(np.zeros(len(network.buses)))
    assert np.abs(idle).max() > 1  # MW, with no injection at all


def test_conventions_differ_where_taps_or_resistances_do() -> None:
    network = package_case("case30")
    first = [susceptance(network, convention) for convention in SUSCEPTANCES]
    assert np.all(first[2] <= first[0] + 1e-12)
    assert not np.allclose(first[0], first[2])
    with pytest.raises(InputError, match="convention"):
        susceptance(network, "x")  # type: ignore[arg-type]


def test_an_island_without_generation_is_an_error_with_its_bus() -> None:
    network = tiny([(1, 3, 0), (2, 1, 5)], [(1, 0, 0, 0)], [(1, 2, 0.1, 0)])
    with pytest.raises(InputError, match=r"island of bus 1 wants 5 MW"):
        base_point(DcGrid(network))


def test_an_island_that_stands_still_starts_by_capacity() -> None:
    network = tiny([(1, 3, 30), (2, 1, 0)], [(1, 0, 0, 20), (2, 0, 0, 40)], [(1, 2, 0.1, 0)])
    assert base_point(DcGrid(network)).output_mw == pytest.approx([10, 20])


@pytest.mark.parametrize("name", ["case39", "case118", "case300", "case_ACTIVSg200"])
def test_lodf_equals_solving_again(name: str) -> None:
    network = package_case(name)
    grid = DcGrid(network)
    point = base_point(grid)
    columns = grid.lodf_columns(grid.outages)
    for i in range(0, len(grid.outages), max(1, len(grid.outages) // 25)):
        outage = grid.outages[i]
        on = grid.branch_on.copy()
        on[outage] = False
        again = DcGrid(network, on).flows(point.injection_mw)
        ours = point.flow_mw + columns[:, i] * point.flow_mw[outage]
        assert np.abs(ours - again).max() <= 1e-9 * np.abs(again).max()
        assert columns[outage, i] == -1.0


@pytest.mark.parametrize("name", ["case118", "case300", "case_ACTIVSg500"])
def test_rows_columns_and_shares_agree(name: str) -> None:
    grid = DcGrid(package_case(name))
    columns = grid.lodf_columns(grid.outages)
    some = np.arange(0, len(grid.network.branches), 7)
    assert grid.lodf_rows(some)[:, grid.outages] == pytest.approx(columns[some], abs=1e-8)
    rows = grid.ptdf_rows(some)
    buses = np.arange(0, len(grid.network.buses), 5)
    assert rows[:, buses] == pytest.approx(grid.ptdf_columns(buses)[some], abs=1e-9)
    own = grid.between_ends(grid.outages)[grid.outages, np.arange(len(grid.outages))]
    assert grid.own_share[grid.outages] == pytest.approx(own, abs=1e-9)


@pytest.mark.parametrize("name", ["case39", "case118", "case300", "case_ACTIVSg500", "case16ci"])
def test_radial_branches_are_the_bridges_of_the_graph(name: str) -> None:
    network = package_case(name)
    graph = network.graph()
    simple = nx.Graph(graph)
    found = {
        key
        for a, b in nx.bridges(simple)
        if graph.number_of_edges(a, b) == 1
        for key in graph[a][b]
    }
    assert set((np.flatnonzero(DcGrid(network).radial) + 1).tolist()) == found


def test_two_outages_at_once_equal_solving_again() -> None:
    network = package_case("case118")
    grid = DcGrid(network)
    flow = base_point(grid).flow_mw
    pair = grid.outages[[3, 40]]
    on = grid.branch_on.copy()
    on[pair] = False
    again = DcGrid(network, on).flows(base_point(grid).injection_mw)
    assert grid.after_outages(flow, pair) == pytest.approx(again, abs=1e-8)


def test_outages_that_split_an_island_are_refused() -> None:
    grid = DcGrid(triangle())
    with pytest.raises(InputError, match="rows 1, 2 splits"):
        grid.after_outages(base_point(grid).flow_mw, np.array([0, 1]))


@st.composite
def meshes(draw: st.DrawFn) -> Network:
    """A ring with chords; every bus may have load."""
    n = draw(st.integers(4, 9))
    x = st.floats(0.01, 1.0)
    ring = [(i + 1, (i + 1) % n + 1, draw(x), 0.0) for i in range(n)]
    chords = draw(st.lists(st.tuples(st.integers(1, n), st.integers(1, n)), max_size=5))
    more = [(a, b, draw(x), 0.0) for a, b in chords if a != b]
    loads = [(i + 1, 1, draw(st.floats(0, 50))) for i in range(n)]
    return tiny(loads, [(1, 100.0, 0.0, 500.0)], ring + more)


@settings(max_examples=40, deadline=None)
@given(meshes())
def test_any_mesh_conserves_and_its_outages_solve(network: Network) -> None:
    grid = DcGrid(network)
    point = base_point(grid)
    assert residual_mw(network, grid) < 1e-8
    columns = grid.lodf_columns(grid.outages)
    for i, outage in enumerate(grid.outages):
        on = grid.branch_on.copy()
        on[outage] = False
        again = DcGrid(network, on).flows(point.injection_mw)
        ours = point.flow_mw + columns[:, i] * point.flow_mw[outage]
        assert ours == pytest.approx(again, abs=1e-7)


PANDAPOWER = ["case9", "case30", "case39", "case118", "case300"]


@pytest.mark.parametrize("name", PANDAPOWER)
def test_angles_equal_pandapower(name: str) -> None:
    network = package_case(name)
    rows = [row for row in recorded("pandapower_flows.csv") if row["case"] == name]
    grid = DcGrid(network)
    ours = np.degrees(grid.angles(at_point(grid, slack_takes_all(network)).injection_mw))
    theirs = np.array([float(row["dc_angle_deg"]) for row in rows])
    slack = int(np.flatnonzero(network.buses.kind == 3)[0])
    assert ours - ours[slack] == pytest.approx(theirs - theirs[slack], abs=1e-6)
