"""Screening of branches, generators, radial parts and towers, against solving anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from nodal_cases import package_case, tiny, triangle

from sim.grid.nodal.cases import load_case
from sim.grid.nodal.contingency import over_before, screen, tower_pairs
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Network


def brute_branches(study: Study) -> set[tuple[int, int]]:
    """Pairs over their limit, each outage solved anew."""
    found = set()
    for outage in study.grid.outages:
        on = study.grid.branch_on.copy()
        on[outage] = False
        flow = DcGrid(study.network, on).flows(study.base.injection_mw)
        over = (np.abs(flow) > study.emergency_limit_mw + 1e-6) & ~over_before(study)
        found |= {(int(outage), int(row)) for row in np.flatnonzero(over)}
    return found


@pytest.mark.parametrize("name", ["case39", "case_RTS_GMLC", "case_ACTIVSg200"])
def test_branch_outages_equal_solving_anew(name: str) -> None:
    study = Study(package_case(name), Settings(security="n1", emergency_factor=0.4))
    found = {(v.outage[0], v.branch) for v in screen(study).violations if v.kind == "branch"}
    assert found == brute_branches(study)
    assert found


def test_texas_has_three_overloads_before_any_load() -> None:
    found = screen(Study(load_case("activsg2000")), generators=False)
    assert [(v.outage[0] + 1, v.branch + 1) for v in found.violations] == [
        (464, 461), (952, 3193), (68, 18),
    ]  # fmt: skip
    assert found.preexisting == ()
    assert found.outages == {"branch": 2756, "radial": 450}
    assert len(found.radial) == 450


def test_base_violations_are_kept_apart() -> None:
    found = screen(Study(triangle(40, 90)))
    assert found.preexisting == (1,)
    assert all(v.branch != 1 for v in found.violations)


def test_a_generator_outage_is_picked_up_by_headroom() -> None:
    # bus 2 runs alone for 30 MW at bus 3; without it bus 1 sends 20 over 1-3 and 10 over 1-2-3
    network = triangle(15, 30)
    output = np.array([0.0, 30.0])
    network = replace(network, generators=replace(network.generators, output_mw=output))
    loose = replace(network, branches=replace(network.branches, rating_mw=np.full(3, 20.0)))
    tight = replace(network, branches=replace(network.branches, rating_mw=np.array([99, 19, 99.0])))
    assert [v for v in screen(Study(loose)).violations if v.kind == "generator"] == []
    (one,) = [v for v in screen(Study(tight)).violations if v.kind == "generator"]
    assert (one.outage, one.branch, one.flow_mw) == ((1,), 1, pytest.approx(20))


def radial_network() -> Network:
    """Generation at 1 and at 4, which hangs on bus 3 by one branch."""
    return tiny(
        [(1, 3, 0), (2, 1, 0), (3, 1, 90), (4, 1, 6)],
        [(1, 36, 0, 200), (4, 60, 0, 60)],
        [(1, 2, 0.1, 30), (1, 3, 0.1, 50), (2, 3, 0.1, 30), (3, 4, 0.1, 0)],
    )


def test_a_radial_outage_is_the_loss_of_what_hangs_on_it() -> None:
    study = Study(radial_network())
    found = screen(study)
    (part,) = found.radial
    assert (part.branch, part.load_mw, part.generation_mw, part.buses) == (
        3, pytest.approx(6), pytest.approx(60), 1,
    )  # fmt: skip
    # 54 MW no longer come from bus 4: bus 1 sends 90, two thirds over 1-3
    worst = [v for v in found.violations if v.kind == "radial"]
    assert [(v.branch, v.flow_mw) for v in worst] == [(1, pytest.approx(60))]
    # losing the generator alone leaves its 6 MW of load to be fed: 96 - 6 / ... over 1-3
    lost = [v for v in found.violations if v.kind == "generator" and v.outage == (1,)]
    assert [(v.branch, v.flow_mw) for v in lost] == [
        (1, pytest.approx(64)), (0, pytest.approx(32)), (2, pytest.approx(32)),
    ]  # fmt: skip


def test_towers_are_pairs_between_the_same_buses() -> None:
    study = Study(package_case("case24_ieee_rts"))
    pairs = tower_pairs(study)
    assert len(pairs) == 4
    found = [v for v in screen(study, towers=True).violations if v.kind == "tower"]
    for violation in found:
        on = study.grid.branch_on.copy()
        on[list(violation.outage)] = False
        flow = DcGrid(study.network, on).flows(study.base.injection_mw)
        assert flow[violation.branch] == pytest.approx(violation.flow_mw)
    assert found


def test_a_higher_emergency_factor_never_finds_more() -> None:
    network = package_case("case39")
    counts = [
        len(screen(Study(network, Settings(security="n1", emergency_factor=f))).violations)
        for f in (0.9, 1.0, 1.2, 2.0)
    ]
    assert counts == sorted(counts, reverse=True)
    rated = replace(
        network, branches=replace(network.branches, rating_c_mw=network.branches.rating_mw * 2)
    )
    by_c = screen(Study(rated, Settings(security="n1", emergency_rating="c")))
    assert len(by_c.violations) == counts[-1]
