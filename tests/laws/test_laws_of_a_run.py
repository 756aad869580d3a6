"""Laws between the parts of a run: they hold in real runs, and each fails when tampered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.errors import LawViolation
from sim.record.laws import Recorded, check_order, check_sum, check_times
from sim.scenario.laws import check_outcome, fleet_energy_j
from sim.scenario.run import load_scenario
from sim.scenario.simulate import Outcome, simulate

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"
ROOT = Path(__file__).resolve().parents[2]


def outcome_of(name: str, *overrides: str) -> Outcome:
    _, scenario = load_scenario(CASES / name, overrides)
    return simulate(scenario, 1)


@pytest.fixture(scope="module")
def training() -> Outcome:
    _, scenario = load_scenario(
        ROOT / "scenarios" / "100k-h100-one-state.yaml", ["horizon_h=0.1", "grid.samples=8"]
    )
    return simulate(scenario, 1)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("facility-full.yaml", []),  # weather, battery, generators
        ("training-and-serving.yaml", ["horizon_h=0.01"]),
        ("training-failures.yaml", []),
        ("serving-every-request.yaml", ["horizon_h=0.02"]),
        ("two-sites.yaml", ["horizon_h=0.05"]),
    ],
)
def test_the_laws_hold(name: str, overrides: list[str]) -> None:
    check_outcome(outcome_of(name, *overrides))


def changed(outcome: Outcome, boundary: str, change: Callable[[Recorded], None]) -> Outcome:
    """The same outcome with one recorded signal tampered with."""
    lines = []
    for line in outcome.timelines:
        if line.name != f"campus.{boundary}_w":
            lines.append(line)
            continue
        copy = type(line)(line.name)
        recorded = Recorded(line.name, line.times_ps.astype(float), line.values)
        change(recorded)
        for time_ps, value in zip(recorded.times_s, recorded.values, strict=True):
            copy(int(time_ps), float(value))
        lines.append(copy)
    return replace(outcome, timelines=tuple(lines))


def set_value(row: int, factor: float) -> Callable[[Recorded], None]:
    def change(signal: Recorded) -> None:
        signal.values[row] *= factor

    return change


def run_backwards(signal: Recorded) -> None:
    signal.times_s[3] = signal.times_s[1] - 1


@pytest.mark.parametrize(
    ("boundary", "change", "message"),
    [
        ("chip", set_value(2, 9.0), r"campus\.it_w = .* W at .* s, below campus\.chip_w = "),
        ("it", set_value(2, 0.999), r"campus\.it_w = .* but from campus\.chip_w = .* follow"),
        ("facility", set_value(2, 1.001), r"campus\.facility_w = .* but from campus\.it_w = "),
        ("facility", set_value(2, float("nan")), r"campus\.facility_w, row 2: nan is no number"),
        ("chip", run_backwards, r"campus\.chip_w, row 3: time runs from .* s to "),
    ],
)
def test_a_tampered_signal_is_found(
    training: Outcome, boundary: str, change: Callable[[Recorded], None], message: str
) -> None:
    check_outcome(training)
    with pytest.raises(LawViolation, match=message):
        check_outcome(changed(training, boundary, change))


def test_energy_that_nobody_recorded_is_found(training: Outcome) -> None:
    (site,) = training.sites
    chip = site.power["chip"]
    more = {**site.power, "chip": replace(chip, integral=chip.integral * 1.000001)}
    tampered = replace(training, sites=(replace(site, power=more),))
    with pytest.raises(LawViolation, match=r"energy of campus\.chip_w: .* against "):
        check_outcome(tampered)


def test_work_that_nobody_metered_is_found(
    training: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = training.sites
    monkeypatch.setattr(site.run.meter, "idle_w", site.run.meter.idle_w + 700.0)
    with pytest.raises(LawViolation, match="chip energy of campus and of its workloads and idle"):
        check_outcome(training)


def test_an_unknown_kind_of_fleet_has_no_book() -> None:
    with pytest.raises(TypeError, match="no book of energy is known for a int"):
        fleet_energy_j(3, 1)  # type: ignore[arg-type]


def signal(name: str, *changes: tuple[float, float]) -> Recorded:
    times_s, values = zip(*changes, strict=True)
    return Recorded(name, np.array(times_s), np.array(values))


def test_order_is_held_between_changes_of_different_signals() -> None:
    inner = signal("a_w", (0, 1.0), (5, 3.0))
    outer = signal("b_w", (0, 2.0), (6, 4.0))  # too small from 5 s to 6 s
    with pytest.raises(LawViolation, match=r"b_w = 2\.0 W at 5\.0 s, below a_w = 3\.0 W"):
        check_order([inner, outer])
    check_order([inner, signal("b_w", (0, 2.0), (4, 4.0))])


def test_a_signal_must_begin_at_zero() -> None:
    with pytest.raises(LawViolation, match="a_w begins at 1 s"):
        check_times(signal("a_w", (1, 1.0)))
    with pytest.raises(LawViolation, match="a_w begins at never"):
        check_times(Recorded("a_w", np.empty(0), np.empty(0)))


def test_energy_is_clipped_at_the_end() -> None:
    assert signal("a_w", (0, 2.0), (3, 4.0)).energy_j(5) == 14
    assert signal("a_w", (0, 2.0), (30, 4.0)).energy_j(5) == 10


def test_a_sum_that_is_off_is_found() -> None:
    check_sum("x", 3.0, [1.0, 2.0], 1e-9)
    with pytest.raises(LawViolation, match=r"x: 3\.1 against 3\.0"):
        check_sum("x", 3.1, [1.0, 2.0], 1e-9)
