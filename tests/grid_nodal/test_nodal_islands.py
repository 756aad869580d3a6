"""Frequency of the islands that a cascade leaves: two islands by hand, and what carries over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from nodal_cases import tiny

from sim.datum import data
from sim.grid.dynamic.interconnections import DYNAMICS
from sim.grid.dynamic.model import NOMINAL_HZ, Governor, Island, Step
from sim.grid.dynamic.swing import simulate
from sim.grid.nodal.cascade import Cascade, Cascader
from sim.grid.nodal.cascade_command import _cascade
from sim.grid.nodal.island_balance import read_rules
from sim.grid.nodal.island_swing import Split, fuels_of, island_of, separated, swing, swing_row
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study

DEAD_BAND_HZ = 0.017
TIE_MW = 60.0


def two_areas(tie_mw: float = TIE_MW) -> Study:
    """400 MW of gas and 200 MW of coal; so much of the first goes over the tie to the second."""
    network = tiny(
        [(1, 3, 400 - tie_mw), (2, 1, 200 + tie_mw)],
        [(1, 400, 0, 900), (2, 200, 0, 500)],
        [(1, 2, 0.1, 0)],
    )
    return Study(replace(network, generators=replace(network.generators, fuel=("ng", "coal"))))


def torn() -> Cascade:
    return Cascader(two_areas()).run([0])


def inertia_mws(fuel: str, output_mw: float) -> float:
    table = data(DYNAMICS)
    rating_mva = output_mw / table["loading_frac"].value / table["power_factor"].value
    return rating_mva * table[f"inertia_constant_s.{fuel}"].value


def test_two_islands_each_get_the_machines_and_the_load_of_their_side() -> None:
    rich, poor = torn().stages[0].splits
    assert (rich.bus, rich.buses, poor.bus, poor.buses) == (0, 1, 1, 1)
    assert dict(rich.output_mw) == {"gas": pytest.approx(400)}
    assert dict(poor.output_mw) == {"coal": pytest.approx(200)}
    assert rich.imbalance_mw == pytest.approx(-TIE_MW)
    assert poor.imbalance_mw == pytest.approx(TIE_MW)
    for split, fuel, output in ((rich, "gas", 400.0), (poor, "coal", 200.0)):
        found = island_of(split)
        assert found is not None
        assert found[0].inertia_mws == pytest.approx(inertia_mws(fuel, output))


def test_until_the_dead_band_both_islands_follow_the_closed_form() -> None:
    """D f' ... = -P: f = -P / D (1 - exp(-f0 D t / 2 E)), each with its own E, D and sign."""
    damping = data(DYNAMICS)["load_damping"].value
    splits = Cascader(two_areas(2.0)).run([0]).stages[0].splits
    for split, fuel, output, load in zip(
        splits, ("gas", "coal"), (400.0, 200.0), (398.0, 202.0), strict=True
    ):
        run = swing(split)
        assert run is not None
        per_hz = damping * load / NOMINAL_HZ
        rate = NOMINAL_HZ * per_hz / (2 * inertia_mws(fuel, output))
        wanted = -split.imbalance_mw / per_hz * (1 - np.exp(-rate * run.time_s))
        early = np.abs(wanted) < DEAD_BAND_HZ
        assert early.sum() > 2
        assert run.frequency_hz[early] - NOMINAL_HZ == pytest.approx(wanted[early], abs=1e-12)
        assert np.sign(run.settled_hz - NOMINAL_HZ) == -np.sign(split.imbalance_mw)


def test_an_island_settles_where_its_governors_and_its_load_make_up_for_the_gap() -> None:
    """10 MW over the tie: no relay acts, so the closed form of the steady state holds."""
    for split in Cascader(two_areas(10.0)).run([0]).stages[0].splits:
        found, run = island_of(split), swing(split)
        assert found is not None
        assert run is not None
        assert run.trips == ()
        expected = found[0].settled_hz(split.imbalance_mw)
        assert abs(run.frequency_hz[-1] - NOMINAL_HZ) == pytest.approx(expected, rel=0.01)


def test_an_island_far_too_small_sheds_by_its_own_stages_and_is_told_beside_the_rule() -> None:
    study = two_areas()
    result = Cascader(study).run([0])
    row = swing_row(study.network, result.stages[0].splits[1])
    assert row["bus"] == 2
    assert row["nadir_hz"] < 59.3
    assert row["ufls_mw"] > 0
    assert row["ufls_mw"] <= 0.25 * 260 + 1e-9
    assert row["rule_settled_hz"] == pytest.approx(result.stages[0].lowest_hz)
    told = _cascade(study.network, [0], result)["stages"][0]["separated"]
    assert [one["bus"] for one in told] == [1, 2]


def test_stages_that_have_acted_do_not_act_again_and_the_parents_frequency_is_the_start() -> None:
    split = Split(0, 3, {"gas": 180.0}, 190.0, 200.0, 10.0, 59.9, stages_shed=1)
    found, run = island_of(split), swing(split)
    assert found is not None
    assert run is not None
    assert [relay.name for relay in found[0].relays] == ["UFLS stage 2", "UFLS stage 3"]
    assert found[0].relays[0].mw == pytest.approx(0.1 * 200)  # a share of the first load
    assert run.frequency_hz[0] == 59.9


def test_a_start_below_nominal_stays_there_where_governors_are_at_rest_for_it() -> None:
    """The steady state is one: started in it, nothing moves."""
    governor = Governor("g", 2000.0, dead_band_hz=0.017, headroom_mw=1e9)
    island = Island("x", 10e3, 3000.0, 1.5, (governor,))
    low = NOMINAL_HZ - island.settled_hz(80.0)
    run = simulate(island, [Step(0.0, 80.0)], duration_s=20.0, start_hz=low)
    assert run.frequency_hz == pytest.approx(np.full_like(run.frequency_hz, low), abs=1e-7)


@pytest.mark.parametrize("output", [{}, {"wind": 50.0}])
def test_an_island_without_a_machine_that_turns_has_no_frequency(output: dict[str, float]) -> None:
    split = Split(0, 1, output, 50.0, 50.0, 50.0 - sum(output.values()), 60.0, 0)
    assert swing(split) is None
    row = swing_row(two_areas().network, split)
    assert row["nadir_hz"] is None
    assert row["rule_goes_dark"]


def test_only_what_separates_counts_as_an_island_of_its_own() -> None:
    before = np.array([0, 0, 0, 1, 1])
    alive = np.array([True, True, True, True, True])
    same, parts = before, np.array([0, 0, 1, 2, 2])
    assert separated(same, before, alive) == []
    assert [np.flatnonzero(b).tolist() for b in separated(parts, before, alive)] == [[0, 1], [2]]
    dead = np.array([True, True, False, True, True])
    assert separated(parts, before, dead) == []  # what was dark already does not separate


def test_a_case_without_fuels_takes_the_least_inertia() -> None:
    network = two_areas().network
    unnamed = replace(network, generators=replace(network.generators, fuel=()))
    assert fuels_of(unnamed) == ("other", "other")
    assert fuels_of(network) == ("gas", "coal")
    table = data(DYNAMICS)
    fuels = [name for name in table if name.startswith("inertia_constant_s.")]
    assert table["inertia_constant_s.other"].value == min(table[name].value for name in fuels)


def test_no_separation_no_trajectory() -> None:
    study = Study(
        tiny([(1, 3, 0), (2, 1, 50)], [(1, 50, 0, 90)], [(1, 2, 0.1, 0), (1, 2, 0.1, 0)]),
        Settings(),
    )
    result = Cascader(study, rules=read_rules()).run([0])
    assert [stage.splits for stage in result.stages] == [()]
