"""Sets of buses and regions: selection, shares, and free placement against other programs."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from nodal_cases import package_case, tiny, triangle

from sim.errors import InputError, UnknownNameError
from sim.grid.nodal import commands
from sim.grid.nodal.batch import host, single, together
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.joint import FreePlacement
from sim.grid.nodal.selection import Selection, chosen, named_sets, regions
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study

WAYS = [
    Settings(),
    Settings(security="n1"),
    Settings(redispatch="dc-opf"),
    Settings(redispatch="n1-secure", security="n1"),
]


def test_placement_in_a_triangle_by_hand() -> None:
    # ratings 30, generators of 200 MW at 1 and 2 free to move: bus 3 takes 60 over its two
    # branches. With bus 2 as well, bus 1 sends 30 each way and nothing flows between 2 and 3.
    study = Study(triangle(30, 0.001), Settings(redispatch="dc-opf"))
    alone = FreePlacement(study, np.array([2])).answer()
    assert alone.hosting_mw == pytest.approx(60, abs=0.01)
    both = FreePlacement(study, np.array([1, 2])).answer()
    assert both.load_mw == pytest.approx([230, 30], abs=0.01)
    assert both.hosting_mw == pytest.approx(260, abs=0.01)


@pytest.mark.parametrize("way", WAYS, ids=lambda s: f"{s.redispatch}-{s.security}")
def test_one_bus_is_the_hosting_of_that_bus(way: Settings) -> None:
    study = Study(package_case("case39"), way)
    buses = np.arange(0, 39, 6)
    for bus, alone in zip(buses, host(study, single(buses)), strict=True):
        placed = FreePlacement(study, np.array([bus])).answer()
        assert placed.hosting_mw == pytest.approx(alone.hosting_mw, abs=1e-4)


@pytest.mark.parametrize("way", WAYS, ids=lambda s: f"{s.redispatch}-{s.security}")
def test_free_shares_never_host_less_than_equal_ones(way: Settings) -> None:
    study = Study(package_case("case24_ieee_rts"), way)
    buses = np.array([2, 5, 9, 14])
    equal = next(iter(host(study, [together(buses)])))
    free = FreePlacement(study, buses).answer()
    best = max(h.hosting_mw for h in host(study, single(buses)))
    assert free.hosting_mw >= max(equal.hosting_mw, best) - 1e-4
    assert free.load_mw.sum() == pytest.approx(free.hosting_mw)
    small = FreePlacement(study, buses, most_mw=25.0).answer()
    assert small.hosting_mw <= min(100.0, free.hosting_mw) + 1e-6


def test_a_placement_survives_every_outage_and_a_little_more_does_not() -> None:
    """Checked by solving anew without each branch."""
    from sim.grid.nodal.dcflow import DcGrid

    network = package_case("case24_ieee_rts")
    study = Study(network, Settings(security="n1"))
    buses = np.array([2, 5, 9])
    placed = FreePlacement(study, buses).answer()
    for factor, holds in ((1 - 1e-6, True), (1.02, False)):
        load = network.at_bus(buses, placed.load_mw) * factor
        injection = study.base.injection_mw - load + study.pickup * load.sum()
        worst = 0.0
        for outage in study.grid.outages:
            on = study.grid.branch_on.copy()
            on[outage] = False
            flow = np.abs(DcGrid(network, on).flows(injection))
            before = {int(b) for b, k in zip(study.over_after_outage.branch,
                                             study.over_after_outage.outage, strict=True)
                      if k == outage}  # fmt: skip
            limit = network.branches.rating_mw.copy()
            limit[list(before)] = np.inf
            worst = max(worst, float((flow - limit).max()))
        assert (worst <= 1e-3) == holds


def test_buses_out_of_service_take_nothing() -> None:
    network = tiny([(1, 3, 10), (2, 1, 0), (3, 4, 0)], [(1, 10, 0, 50)], [(1, 2, 0.1, 20)])
    for way in WAYS[:3]:
        placed = FreePlacement(Study(network, way), np.array([2])).answer()
        assert (placed.hosting_mw, placed.binding.kind) == (0.0, "island")


def test_selection_by_area_state_zone_and_voltage() -> None:
    network = load_case("activsg2000")
    assert len(chosen(network, Selection(area=[7], least_kv=500))) == 30
    assert len(chosen(network, Selection(state=["Texas"]))) == 2000
    assert chosen(network, Selection(bus=[5049, 1001])).tolist() == [
        network.bus_index(5049), network.bus_index(1001),
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"no bus in area 7, 99 at 900 kV"):
        chosen(network, Selection(area=[7, 99], least_kv=900))
    with pytest.raises(UnknownNameError, match="Texas"):
        chosen(network, Selection(state=["Texs"]))


def test_regions_hold_every_bus_once() -> None:
    network = load_case("activsg2000")
    every = np.arange(2000)
    for by, count in (("area", 8), ("kv", 10), ("state", 1)):
        groups = regions(network, every, by)  # type: ignore[arg-type]
        assert len(groups) == count
        assert sorted(np.concatenate(list(groups.values())).tolist()) == every.tolist()
    with pytest.raises(UnknownNameError, match="kind of region"):
        regions(network, every, "county")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="areas of case case39 are not those"):
        regions(package_case("case39"), np.arange(39), "state")


def test_sets_are_named_buses_each_once() -> None:
    network = package_case("case39")
    assert named_sets(network, {"two": [4, 8]})["two"].tolist() == [3, 7]
    for bad in ([], [4, 4]):
        with pytest.raises(InputError, match="empty or names a bus twice"):
            named_sets(network, {"bad": bad})


def test_joint_answers_of_the_command() -> None:
    answer = commands.hosting(
        "activsg2000", sets={"west": [1001, 1004], "north": [5049]}, security="n1"
    )
    json.dumps(answer, allow_nan=False)
    assert [row["set"] for row in answer["sets"]] == ["west", "north"]
    alone = commands.hosting("activsg2000", bus=[5049], security="n1")["buses"][0]
    assert answer["sets"][1]["hosting_mw"] == pytest.approx(alone["hosting_mw"])
    areas = commands.hosting("activsg2000", by="area", least_kv=230, joint="free", site_mw=200.0)
    assert [row["set"] for row in areas["sets"]] == [str(n) for n in range(1, 9)]
    assert all(max(row["load_mw"]) <= 200 + 1e-6 for row in areas["sets"])
    by_load = commands.hosting("activsg2000", area=1, joint="load")["joint"]
    assert sum(by_load["load_mw"]) == pytest.approx(by_load["hosting_mw"])


def test_contradicting_shares_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="way to share"):
        commands.hosting("activsg2000", joint="fair")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="site_mw 100 with shares 'equal'"):
        commands.hosting("activsg2000", bus=[5049], joint=True, site_mw=100.0)
    with pytest.raises(InputError, match="no load at buses 5049"):
        commands.hosting("activsg2000", bus=[5049], joint="load")
    with pytest.raises(InputError, match="least_effect_frac with free shares"):
        commands.hosting("activsg2000", bus=[5049], joint="free", least_effect_frac=0.03)


def test_a_cutoff_on_the_effect_never_hosts_less() -> None:
    network = package_case("case_ACTIVSg500")
    buses = np.arange(0, 500, 41)
    hosted = [
        [h.hosting_mw for h in host(Study(network, Settings(security="n1", least_effect_frac=f)),
                                    single(buses))]
        for f in (0.0, 0.01, 0.05, 0.2)
    ]  # fmt: skip
    for less, more in pairwise(hosted):
        assert all(a <= b + 1e-9 for a, b in zip(less, more, strict=True))
    assert hosted[0] != hosted[-1]
    with pytest.raises(InputError, match="free generators can move any flow"):
        Settings(redispatch="dc-opf", least_effect_frac=0.05)
    with pytest.raises(InputError, match="not in 0 to 1"):
        Settings(least_effect_frac=1.5)
