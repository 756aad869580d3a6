"""A unit commitment recomputed from its schedule; each law fails when the schedule is changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import LawViolation
from sim.grid.nodal.build import build
from sim.grid.nodal.commitment import Commitment, UnitCommitment
from sim.grid.nodal.commitment_law import check_commitment
from sim.grid.nodal.commitment_spec import Horizon, Storage
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.study import Study

CASE = """function mpc = pair
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
  1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
  2 1 100 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [
  1 100 0 99 -99 1 100 1 100 50;
  1 0 0 99 -99 1 100 1 60 20;
];
mpc.branch = [
  1 2 0 0.1 0 150 0 0 0 0 1;
];
mpc.gencost = [
  2 0 0 3 0.01 10 0;
  2 500 0 3 0 30 0;
];
"""
VOLL = 5000.0
STORE = Storage(bus=1, power_mw=10.0, energy_mwh=20.0, first_mwh=5.0)


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(build(parse(CASE, "pair.m")))


@pytest.fixture(scope="module")
def horizon() -> Horizon:
    return Horizon(
        np.array([0.8, 1.2, 1.3, 1.3, 0.9, 0.8]),
        reserve_mw=np.full(6, 5.0),
        ramp_mw_per_h=np.array([30.0, 40.0]),
        least_up_h=np.array([1, 3]),
        least_down_h=np.array([1, 2]),
        was_on=np.array([True, False]),
        was_mw=np.array([80.0, 0.0]),
    )


@pytest.fixture(scope="module")
def best(study: Study, horizon: Horizon) -> Commitment:
    return UnitCommitment(
        study, horizon, storages=[STORE], unserved_usd_per_mwh=VOLL, gap_frac=1e-6
    ).optimum()


def check(study: Study, horizon: Horizon, found: Commitment) -> None:
    check_commitment(study, horizon, found, [STORE], VOLL)


def test_the_cheapest_schedule_keeps_the_laws(
    study: Study, horizon: Horizon, best: Commitment
) -> None:
    check(study, horizon, best)
    assert best.starts.any()
    assert best.discharge_mw.any()


def changed(best: Commitment, name: str, hour: int, place: int, by: float) -> Commitment:
    values = getattr(best, name).copy()
    values[hour, place] = (
        not values[hour, place] if values.dtype == bool else by + values[hour, place]
    )
    return replace(best, **{name: values})


@pytest.mark.parametrize(
    ("name", "hour", "place", "by", "message"),
    [
        ("output_mw", 1, 0, 1.0, r"hour 1: MW left over in island 0 .*, must be 0"),
        ("unserved_mw", 2, 1, 1.0, "hour 2: MW left over"),
        ("is_on", 0, 1, 0.0, "hour 0: output of generator 2 0.0, must be its least at least"),
        ("starts", 2, 0, 0.0, "starts of generator 1"),
        ("stored_mwh", 3, 0, 1.0, "hour 3: stored MWh"),
        ("flow_mw", 4, 0, 1.0, "hour 4: flow of branch 1 .*, must be as told"),
    ],
)
def test_a_changed_schedule_is_found(
    study: Study,
    horizon: Horizon,
    best: Commitment,
    name: str,
    hour: int,
    place: int,
    by: float,
    message: str,
) -> None:
    with pytest.raises(LawViolation, match=message):
        check(study, horizon, changed(best, name, hour, place, by))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ramp_mw_per_h", np.array([5.0, 40.0]), "move of generator 1 .*, must be within its ramp"),
        ("least_up_h", np.array([1, 6]), "hours on of generator 2 .*, must be at least 6"),
        ("reserve_mw", np.full(6, 90.0), "MW of reserve .*, must be at least"),
        ("available_frac", np.full((6, 2), 0.5), "output of generator . .*, must be its most"),
        ("was_on", np.array([True, True]), "hours off of generator 2"),
    ],
)
def test_a_schedule_made_for_something_else_is_found(
    study: Study,
    horizon: Horizon,
    best: Commitment,
    name: str,
    value: np.ndarray,
    message: str,
) -> None:
    with pytest.raises(LawViolation, match=message):
        check(study, replace(horizon, **{name: value}), best)


def test_a_stop_that_is_too_short_is_found(study: Study) -> None:
    """Off for one hour between two, where two hours are the least."""
    on = np.array([[True, True], [True, False], [True, True]])
    output = np.array([[60.0, 40.0], [100.0, 0.0], [60.0, 40.0]])
    none = np.zeros((3, 0))
    found = Commitment(
        0.0, 0.0, on, np.array([[0, 0], [0, 0], [0, 1]], bool), output,
        np.full((3, 1), 100.0), none, none, none, np.zeros((3, 2)), np.zeros((3, 2)),
        500.0, 0.0, 0.0, (),
    )  # fmt: skip
    fuel = sum(0.01 * mw**2 + 10 * mw for mw in output[:, 0]) + 30 * 80.0
    found = replace(found, operation_usd=fuel, objective_usd=fuel + 500)
    free = Horizon(np.ones(3))
    check_commitment(study, free, found)
    with pytest.raises(LawViolation, match="hours off of generator 2 1, must be at least 2"):
        check_commitment(study, replace(free, least_down_h=np.array([1, 2])), found)


@pytest.mark.parametrize("name", ["startup_usd", "operation_usd", "unserved_usd", "objective_usd"])
def test_a_cost_that_is_off_is_found(
    study: Study, horizon: Horizon, best: Commitment, name: str
) -> None:
    with pytest.raises(LawViolation, match="USD of"):
        check(study, horizon, replace(best, **{name: getattr(best, name) + 1.0}))


def test_a_flow_beyond_its_rating_is_found(horizon: Horizon, best: Commitment) -> None:
    narrow = Study(build(parse(CASE.replace("0.1 0 150", "0.1 0 110"), "pair.m")))
    with pytest.raises(LawViolation, match=r"flow of branch 1 .*, must be within its rating"):
        check(narrow, horizon, best)
