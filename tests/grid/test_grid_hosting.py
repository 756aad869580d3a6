"""Hosting capacity: it is where the margin ends, for every zone."""

from __future__ import annotations

import pytest
from grid_cases import area, figures, hour, network, spread, zone
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.grid.hosting import Hosting, hosting_by_zone
from sim.grid.network import Interface, Network
from sim.grid.readings import Limit
from sim.grid.us_states import us_states
from sim.grid.verdict import assess


@pytest.fixture(scope="module")
def states() -> dict[str, Hosting]:
    return {row.zone: row for row in hosting_by_zone(us_states(), swing_frac=0.3, samples=8)}


def test_by_hand() -> None:
    zones = (zone("A", 1000, 1300, nerc_areas=("AREA",)), zone("B", 500, 450))
    lines = (Interface("A", "B", 120.0, 50.0),)
    net = network(
        {}, zones=zones, interfaces=lines, hours=(hour(2),), areas=(area(),), frequency=(figures(),)
    )
    a, b = hosting_by_zone(net, swing_frac=0.5, samples=1)
    assert {r.limit: r.hosting_mw for r in a.rooms} == pytest.approx(
        {"energy": 250.0, "reserve": 200.0, "interface": 250.0, "frequency": 100.0, "swing": 200.0}
    )
    assert (a.first, a.hosting_mw) == ("frequency", 100.0)
    assert (b.first, b.hosting_mw) == ("interface", 70.0)
    assert b.not_assessed == ("reserve", "branch", "voltage")
    assert b.room("reserve") is None


def test_hosting_is_where_the_margin_ends(states: dict[str, Hosting]) -> None:
    net = us_states()
    limits: tuple[Limit, ...] = ("energy", "interface", "reserve", "frequency")
    for name in ("RI", "VA", "TX-ERCOT"):
        for limit in limits:
            room = states[name].room(limit)
            assert room
            verdict = assess(net, {name: room.hosting_mw}, samples=1)
            found = next(x for x in verdict.of(name) if x.limit == limit)
            assert found.margin_mw == pytest.approx(0.0, abs=1e-3)


def test_every_zone_has_an_answer_or_says_why(states: dict[str, Hosting]) -> None:
    assert len(states) == 52
    for name, row in states.items():
        if name in ("AK", "HI"):
            assert row.first is row.hosting_mw is None
            continue
        assert row.hosting_mw == min(room.hosting_mw for room in row.rooms)
        assert row.low_mw is not None
        assert row.high_mw is not None
        assert 0.0 <= row.low_mw <= row.high_mw
        assert sum(share for _, share in row.first_share) == pytest.approx(1.0)
        assert {"branch", "voltage"} <= set(row.not_assessed)
        energy, interface = row.room("energy"), row.room("interface")
        if energy and interface:
            assert interface.hosting_mw <= energy.hosting_mw + 1e-6
    assert states["DC"].room("energy") is None


def test_ercot_can_take_no_more_than_its_own_supply_and_820_mw(states: dict[str, Hosting]) -> None:
    energy, interface = states["TX-ERCOT"].room("energy"), states["TX-ERCOT"].room("interface")
    assert energy
    assert interface
    assert energy.hosting_mw == pytest.approx(interface.hosting_mw)
    assert "OK-TX-ERCOT (dc)" in interface.at


def test_same_seed_same_table(states: dict[str, Hosting]) -> None:
    again = hosting_by_zone(us_states(), swing_frac=0.3, samples=8)
    assert again == tuple(states.values())


def test_swing_is_left_out_unless_its_share_is_given() -> None:
    net = network({"A": (10.0, 20.0)}, frequency=(figures(),))
    assert hosting_by_zone(net, samples=1)[0].room("swing") is None
    for bad in (-0.1, 1.5):
        with pytest.raises(InputError, match="outside 0 to 1"):
            hosting_by_zone(net, swing_frac=bad)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 300.0), st.floats(0.0, 300.0))
def test_more_interface_never_lowers_hosting(first: float, second: float) -> None:
    def at_b(limit_mw: float) -> Hosting:
        zones = {"A": (1000.0, 1300.0), "B": (500.0, 600.0)}
        net: Network = network(
            zones, [("A", "B", limit_mw, limit_mw)], hours=(hour(2, gas=spread(1.0, 0.9, 1.1)),)
        )
        return hosting_by_zone(net, samples=4)[1]

    less, more = (at_b(limit) for limit in sorted((first, second)))
    assert more.hosting_mw is not None
    assert less.hosting_mw is not None
    assert more.hosting_mw >= less.hosting_mw - 1e-6
