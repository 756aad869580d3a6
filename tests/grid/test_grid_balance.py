"""The balance against hand-solved cases, networkx's maximum flow and scipy's LP."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from grid_cases import hour, network, zone
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from sim.grid.balance import Members, Solution, copper_plate, zonal
from sim.grid.margins import Margins, PowerMargins
from sim.grid.network import Interface, Network
from sim.grid.sampling import draw


def margins(net: Network, name: str, *, plate: bool = False) -> Margins:
    power = PowerMargins(net, draw(net, 1, 1))
    members = copper_plate(net) if plate else zonal(net)
    index = net.index(name)
    return power.of(members, [index])[index]


def room(net: Network, name: str, *, plate: bool = False) -> float:
    return float(margins(net, name, plate=plate).margin_mw[0, 0])


def base(net: Network) -> tuple[Members, Solution]:
    power, members = PowerMargins(net, draw(net, 1, 1)), zonal(net)
    state = power.state(members, 0, 0, power.demand(0, 0)[0])
    return members, members.balance.least_unserved(state)


PAIR = {"A": (100.0, 150.0), "B": (100.0, 60.0)}


def test_two_zones_by_hand() -> None:
    net = network(PAIR, [("A", "B", 45.0, 20.0)])
    assert room(net, "B") == pytest.approx(5.0)  # 45 in + 60 own - 100
    assert room(net, "A") == pytest.approx(10.0)  # 150 - 100 - the 40 that B needs
    assert room(net, "A", plate=True) == room(net, "B", plate=True) == pytest.approx(10.0)


def test_cut_names_the_full_interface_or_the_generation() -> None:
    net = network(PAIR, [("A", "B", 45.0, 20.0)])
    assert margins(net, "B").cut.interfaces == ("A-B",)
    assert margins(net, "B").cut.zones == ("B",)
    assert margins(net, "A").cut.interfaces == ()
    assert "generation" in margins(net, "A").cut.describe()


def test_short_before_the_load_is_reported_apart() -> None:
    net = network({"A": (100.0, 150.0), "B": (100.0, 40.0)}, [("A", "B", 45.0, 20.0)])
    at_b, at_a = margins(net, "B"), margins(net, "A")
    assert at_b.short_mw[0, 0] == pytest.approx(15.0)
    assert at_b.margin_mw[0, 0] == pytest.approx(0.0)
    assert at_a.short_mw[0, 0] == 0.0
    assert at_a.short_total_mw[0, 0] == pytest.approx(15.0)
    assert at_a.margin_mw[0, 0] == pytest.approx(5.0)  # B may stay 15 short, not more


def test_shortfall_is_shared_by_load() -> None:
    zones = {"A": (0.0, 120.0), "B": (100.0, 0.0), "C": (50.0, 0.0)}
    _, solution = base(network(zones, [("A", "B", 500.0, 0.0), ("A", "C", 500.0, 0.0)]))
    assert solution.unserved_mw == pytest.approx([0.0, 20.0, 10.0])


def test_three_zone_chain_min_cut() -> None:
    zones = {"A": (10.0, 100.0), "B": (30.0, 20.0), "C": (40.0, 10.0)}
    net = network(zones, [("A", "B", 60.0, 60.0), ("B", "C", 50.0, 50.0)])
    assert room(net, "C") == pytest.approx(20.0)  # B-C: 50 + 10 - 40
    assert margins(net, "C").cut.interfaces == ("B-C",)
    assert room(net, "B") == pytest.approx(20.0)  # A-B: 60 + 30 own - 70 of B and C
    assert margins(net, "B").cut.zones == ("B", "C")


def test_copper_plate_keeps_the_ties_between_interconnections() -> None:
    zones = (zone("A", 100, 130), zone("B", 100, 110), zone("W", 100, 160, "west"))
    lines = (Interface("A", "B", 1.0, 1.0), Interface("B", "W", 20.0, 20.0, "dc"))
    net = network({}, zones=zones, interfaces=lines, hours=(hour(3),))
    assert room(net, "A", plate=True) == pytest.approx(60.0)  # 30 + 10 + 20 over the tie
    assert room(net, "W", plate=True) == pytest.approx(80.0)  # 60 + 20 over the tie


@st.composite
def random_networks(draw_: st.DrawFn, *, served: bool = False) -> Network:
    """Up to six zones; `served` leaves no zone short of its own capacity."""
    n = draw_(st.integers(2, 6))
    mw = st.integers(0, 200).map(float)
    names = [f"Z{i}" for i in range(n)]
    peaks = [draw_(mw) for _ in names]
    caps = [peak + draw_(mw) if served else draw_(mw) for peak in peaks]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if draw_(st.booleans())]
    lines = [(a, b, draw_(mw), draw_(mw)) for a, b in pairs]
    return network(dict(zip(names, zip(peaks, caps, strict=True), strict=True)), lines)


def flow_graph(net: Network, target: str | None) -> nx.DiGraph:
    """Generation -> zones -> loads; the target's load is unlimited."""
    graph = nx.DiGraph()
    for z in net.zones:
        graph.add_edge("source", z.name, capacity=z.total_capacity_mw)
        load = {} if z.name == target else {"capacity": z.peak_mw}
        graph.add_edge(z.name, "sink", **load)
    for u, v, edge in net.graph().edges(data=True):
        graph.add_edge(u, v, capacity=edge["capacity_mw"])
    return graph


@settings(max_examples=60, deadline=None)
@given(random_networks(served=True))
def test_largest_extra_is_the_maximum_flow(net: Network) -> None:
    target = net.zones[0].name
    whole, _ = nx.maximum_flow(flow_graph(net, target), "source", "sink")
    served = sum(z.peak_mw or 0.0 for z in net.zones)
    assert room(net, target) == pytest.approx(whole - served, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(random_networks(served=True))
def test_cut_capacity_equals_the_room(net: Network) -> None:
    """Max-flow = min-cut: what stands in the cut adds up to the extra load found."""
    found = margins(net, net.zones[0].name)
    inside = set(found.cut.zones)
    own = sum(z.total_capacity_mw - (z.peak_mw or 0.0) for z in net.zones if z.name in inside)
    into = sum(
        edge["capacity_mw"]
        for u, v, edge in net.graph().edges(data=True)
        if u not in inside and v in inside
    )
    assert found.margin_mw[0, 0] == pytest.approx(own + into, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(random_networks())
def test_least_unserved_is_the_maximum_flow(net: Network) -> None:
    _, solution = base(net)
    served, _ = nx.maximum_flow(flow_graph(net, None), "source", "sink")
    load = sum(z.peak_mw or 0.0 for z in net.zones)
    assert solution.unserved_mw.sum() == pytest.approx(load - served, abs=1e-6)


def extra_by_linprog(net: Network, target: int, allowed: np.ndarray) -> float:
    """The same program written densely: generation, unserved, two flows per line, extra."""
    n, m = len(net.zones), len(net.interfaces)
    balance = np.zeros((n, 2 * n + 2 * m + 1))
    balance[:, :n] = balance[:, n : 2 * n] = np.eye(n)
    upper = [z.total_capacity_mw for z in net.zones] + list(allowed)
    for e, line in enumerate(net.interfaces):
        a, b = net.index(line.source), net.index(line.target)
        balance[a, 2 * n + 2 * e], balance[b, 2 * n + 2 * e] = -1, 1
        balance[a, 2 * n + 2 * e + 1], balance[b, 2 * n + 2 * e + 1] = 1, -1
        upper += [line.forward_mw, line.reverse_mw]
    balance[target, -1] = -1
    cost = np.zeros(2 * n + 2 * m + 1)
    cost[-1] = -1
    load = [z.peak_mw for z in net.zones]
    answer = linprog(cost, A_eq=balance, b_eq=load, bounds=[(0, u) for u in [*upper, None]])
    assert answer.success
    return float(-answer.fun)


@settings(max_examples=60, deadline=None)
@given(random_networks())
def test_room_against_scipy_on_short_networks(net: Network) -> None:
    _, solution = base(net)
    expected = extra_by_linprog(net, 0, solution.unserved_mw + 1e-7)
    assert room(net, net.zones[0].name) == pytest.approx(expected, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(random_networks(), st.floats(1.0, 3.0))
def test_more_interface_never_lowers_the_room(net: Network, factor: float) -> None:
    """Where nobody is short; a short zone that gains supply may claim it first."""
    _, solution = base(net)
    wider = network(
        {z.name: (z.peak_mw or 0.0, z.total_capacity_mw) for z in net.zones},
        [
            (x.source, x.target, factor * x.forward_mw, factor * x.reverse_mw)
            for x in net.interfaces
        ],
    )
    if solution.unserved_mw.sum() < 1e-6:
        for z in net.zones:
            assert room(wider, z.name) >= room(net, z.name) - 1e-6


def test_answer_does_not_depend_on_what_else_is_asked() -> None:
    """Warm starts and the order of the targets leave the margins alone."""
    zones = {"A": (100.0, 90.0), "B": (80.0, 70.0), "C": (60.0, 75.0), "D": (40.0, 20.0)}
    lines = [("A", "B", 30.0, 30.0), ("B", "C", 30.0, 30.0), ("C", "D", 30.0, 30.0)]
    net = network(zones, lines)
    power = PowerMargins(net, draw(net, 1, 1))
    together = power.of(zonal(net), [0, 1, 2, 3])
    backwards = power.of(zonal(net), [3, 2, 1, 0])
    for i, z in enumerate(net.zones):
        alone = margins(net, z.name)
        assert together[i].margin_mw == pytest.approx(alone.margin_mw)
        assert backwards[i].short_mw == pytest.approx(alone.short_mw)
