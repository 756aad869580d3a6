"""Cascades: three stages by hand, balance at each, shedding, reproducible chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from nodal_cases import package_case, tiny

from sim.errors import LawViolation
from sim.grid.nodal.cascade import Cascade, Cascader, monte_carlo
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.island_balance import read_rules, settled_deviation
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study

RULES = replace(read_rules(), trip_threshold_frac=1.0, load_damping=0.0, overshoot_frac=1.0)


def three_lines() -> Study:
    """100 MW from bus 1 to bus 2 over three equal lines rated 60, 40 and 55; 20 MW at bus 3."""
    return Study(
        tiny(
            [(1, 3, 0), (2, 1, 100), (3, 1, 20)],
            [(1, 100, 0, 400), (3, 20, 0, 30)],
            [(1, 2, 0.1, 60), (1, 2, 0.1, 40), (1, 2, 0.1, 55), (2, 3, 0.1, 0)],
        )
    )


def check_balance(result: Cascade) -> None:
    for stage in result.stages:
        assert stage.generation_mw == pytest.approx(stage.load_mw, abs=1e-6)
        gone = stage.shed_mw + stage.dark_mw
        # above nominal frequency what is left takes a little more
        assert stage.load_mw <= (result.first_load_mw - gone) * 1.02 + 1e-6


def test_three_stages_by_hand() -> None:
    result = Cascader(three_lines(), rules=RULES).run([0])
    # 1: line 1 out, 50 MW on each of the other two: 40 is too little
    # 2: line 2 out, 100 MW on the last: 55 is too little
    # 3: line 3 out: buses 2 and 3 have 20 MW (30 at most) for 120 MW: dark, sheds on the way
    assert [stage.tripped for stage in result.stages] == [(0,), (1,), (2,)]
    assert [stage.islands for stage in result.stages] == [1, 1, 0]
    assert result.depth == 3
    assert result.lost_mw == pytest.approx(120)
    last = result.stages[-1]
    assert last.shed_mw == pytest.approx(0.25 * 120)  # all three stages act before it goes dark
    assert last.dark_mw == pytest.approx(0.75 * 120)
    # bus 1 keeps 100 MW and no load: over-frequency trips its only generator
    assert last.generation_mw == pytest.approx(0, abs=1e-9)
    check_balance(result)


def test_a_threshold_above_the_rating_lets_it_stop() -> None:
    tolerant = replace(RULES, trip_threshold_frac=1.25)
    result = Cascader(three_lines(), rules=tolerant).run([0])
    assert [stage.tripped for stage in result.stages] == [(0,)]
    assert result.lost_mw == 0


def test_an_island_that_is_short_sheds_just_enough_stages() -> None:
    # 20 MW (max 23) for 24 MW: headroom 3 of 4 MW missing; one stage (5 % = 1.2 MW) is enough
    study = Study(
        tiny(
            [(1, 3, 0), (2, 1, 24)],
            [(1, 4, 0, 100), (2, 20, 0, 23)],
            [(1, 2, 0.1, 0)],
        )
    )
    result = Cascader(study, rules=replace(RULES, governor_share_frac=1.0)).run([0])
    assert result.stages[-1].shed_mw == pytest.approx(1.2)
    assert result.lost_mw == pytest.approx(1.2)
    assert 58.9 < result.stages[-1].lowest_hz < 60
    check_balance(result)


def test_frequency_state_carries_over_to_the_parts() -> None:
    """What a relay has shed stays shed, and the swing starts from the parent's frequency."""
    study = three_lines()
    cascader = Cascader(study, rules=RULES)
    state = cascader._first_state()
    whole = np.ones(3, dtype=bool)
    state.setpoint_mw[0] -= 30  # a unit is 30 MW short: frequency settles below nominal
    from sim.grid.nodal.island_balance import settle

    settle(state, whole, RULES)
    settled = state.deviation_hz.copy()
    assert (settled < 0).all()
    part = np.array([False, True, True])
    settle(state, part, replace(RULES, collapse_hz=0.0, shed_hz=(10.0, 9.0, 8.0)))
    assert state.deviation_hz[0] == settled[0]


def test_response_covers_a_deficit_piece_by_piece() -> None:
    room, slope = np.array([5.0, 20.0]), np.array([10.0, 10.0])
    assert settled_deviation(8.0, room, slope, 0.0) == pytest.approx(0.4)
    assert settled_deviation(12.0, room, slope, 0.0) == pytest.approx(0.7)
    assert settled_deviation(26.0, room, slope, 0.0) == np.inf
    assert settled_deviation(26.0, room, slope, 2.0) == pytest.approx(1.75)


def test_texas_overloads_seed_shallow_cascades_and_all_balance() -> None:
    study = Study(load_case("activsg2000"), Settings(security="n1"))
    seeds = sorted(set(study.over_after_outage.outage.tolist()))
    assert len(seeds) == 3
    for seed in seeds:
        result = Cascader(study, rules=replace(read_rules(), trip_threshold_frac=1.0)).run([seed])
        assert result.stages[0].tripped == (seed,)
        assert result.depth >= 2
        check_balance(result)


def test_a_gigawatt_at_a_weak_bus_of_texas_cascades() -> None:
    study = Study(load_case("activsg2000"))
    extra = np.zeros(2000)
    extra[study.network.bus_index(1082)] = 1000.0
    result = Cascader(study, extra_load_mw=extra).run([])
    assert result.depth >= 1
    assert result.lost_mw > 500
    check_balance(result)


def test_hidden_failures_are_reproducible_and_only_add() -> None:
    study = Study(package_case("case118"))
    likely = replace(read_rules(), hidden_failure_frac=0.3)
    cascader = Cascader(study, rules=likely)
    first, again = monte_carlo(cascader, [7], 5, 1), monte_carlo(cascader, [7], 5, 1)
    assert first == again
    assert len({run.branches_lost for run in first}) > 1
    assert all(run.branches_lost >= cascader.run([7]).branches_lost for run in first)
    never = Cascader(study, rules=replace(likely, hidden_failure_frac=0.0))
    assert monte_carlo(never, [7], 2, 1) == [never.run([7])] * 2


def test_a_state_that_does_not_balance_is_a_law_violation() -> None:
    cascader = Cascader(three_lines(), rules=RULES)
    state = cascader._first_state()
    state.output_mw[0] += 1.0
    with pytest.raises(LawViolation, match="out of balance"):
        cascader._injection(cascader.study.grid, state)
