"""What each assumed figure moves in one run: held against the figures really set, and by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.cli.main import main
from sim.datum import Datum, figures_set
from sim.policy.figures import figures
from sim.report.basis_tables import assumption_rows
from sim.report.influence import Influence, OneAtATime, influences, read_influences
from sim.scenario.run import load_scenario, run_scenario

CASE = Path(__file__).resolve().parents[1] / "cases" / "valid" / "training-least.yaml"
SET = ["grid.samples=8", "horizon_h=0.1", "sites.campus.at.zone=VA"]
GAS = Datum("gas", 0.9, "1", "s", "2026-11-24", 0.8, 0.95, "triangular")


@pytest.fixture(scope="module")
def nominal():
    _, scenario = load_scenario(CASE, SET)
    return scenario, run_scenario(scenario, 1)


@pytest.fixture(scope="module")
def found(nominal) -> dict[str, Influence]:
    return {one.name: one for one in influences(nominal[1].outcome)}


@pytest.mark.parametrize(
    ("name", "file"),
    [("node.host_w", "hardware/dgx-h100.yaml"), ("storage.server_w", "hardware/dgx-h100.yaml")],
)
def test_the_load_moves_as_in_a_run_with_the_figure_set(nominal, found, name, file):
    scenario, result = nominal
    before = figures(result.summary)["peak_load_mw"]
    one = found[name]
    for end, told in ((one.low, one.load_low_mw), (one.high, one.load_high_mw)):
        with figures_set({f"{file}:{name}": end}):
            after = figures(run_scenario(scenario, 1).summary)["peak_load_mw"]
        assert told == pytest.approx(after - before, rel=1e-6)
    assert one.hosted_low_mw is None


def test_hosting_moves_as_in_a_run_with_the_figure_set(nominal, found):
    scenario, result = nominal
    before = figures(result.summary)["hosted_mw"]
    one = found["frequency response"]
    key = next(
        f"{file}:{name}"
        for file, name in _grid_figures()
        if (one.value, one.low, one.high) == _range(file, name)
    )
    with figures_set({key: one.low}):
        after = figures(run_scenario(scenario, 1).summary)["hosted_mw"]
    assert one.hosted_low_mw == pytest.approx(after - before, rel=1e-6, abs=1e-6)
    assert one.load_low_mw is None


def _grid_figures() -> list[tuple[str, str]]:
    from sim.datum import data

    file = "grid/frequency.yaml"
    return [(file, name) for name in data(file)]


def _range(file: str, name: str) -> tuple[float, float | None, float | None]:
    from sim.datum import datum

    figure = datum(file, name)
    return figure.value, figure.low, figure.high


def test_one_figure_moves_at_a_time():
    draws = OneAtATime.over(["fuel.gas.X", "peak.Y"])
    assert list(draws.of("fuel.gas.X", GAS)) == [0.9, 0.8, 0.95, 0.9, 0.9]
    assert list(draws.of("peak.Y", GAS)) == [0.9, 0.9, 0.9, 0.8, 0.95]
    assert list(draws.of("else", GAS)) == [0.9] * 5
    assert list(draws.of("else", None)) == [1.0] * 5


def test_rows_are_sorted_by_influence_and_unknown_figures_get_a_row():
    lines = [
        "a = 2 MW (assumption, 1 to 3) [s, 2026-11-24]",
        "b = 4 MW (assumption, 3 to 5) [s, 2026-11-24]",
        "c = 4 MW (assumption, 0 to 9) [s, 2026-11-24]",
    ]
    moved = [
        Influence("b", 4.0, "MW", 3.0, 5.0, "s", "2026-11-24", -5.0, 0.25, None, None),
        Influence("a", 2.0, "MW", 1.0, 3.0, "s", "2026-11-24", -0.5, 0.0, 0.0, 0.0),
        Influence("new", 1.0, "1", 0.5, 2.0, "assumption: t", "2026-11-24", None, None, 0.0, -1234),
        Influence("idle", 1.0, "1", 0.5, 2.0, "t", "2026-11-24", 0.0, 0.0, 0.0, 0.0),
    ]
    ranged, _, _ = assumption_rows(lines, moved)
    assert [row.name for row in ranged] == ["a", "b", "c", "new"]
    by_name = {row.name: row for row in ranged}
    assert [by_name[n].load for n in "abc"] == ["−0.5 / 0", "−5 / +0.25", ""]
    assert (by_name["a"].hosted, by_name["new"].hosted) == ("0", "0 / −1,234")
    order = sorted(ranged, key=lambda row: row.by_load)
    assert [row.name for row in order] == ["b", "a", "c", "new"]
    assert min(ranged, key=lambda row: row.by_hosted).name == "new"
    assert sorted(row.by_hosted for row in ranged) == [0, 1, 2, 3]


def test_the_report_of_a_run_has_the_column(tmp_path: Path) -> None:
    args = [word for item in SET for word in ("--set", item)]
    assert main(["run", str(CASE), *args, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.glob("*/seed-1")
    page = (folder / "report.html").read_text("utf-8")
    assert 'id="by-load"' in page
    assert "load [MW]</th>" in page
    assert {one.name for one in read_influences(folder)} >= {"node.host_w", "dead band"}
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").read_text("utf-8") == page
    assert main(["check", str(folder)]) == 0
    (folder / "influence.parquet").unlink()
    assert main(["report", str(folder)]) == 0
    assert 'id="by-load"' not in (folder / "report.html").read_text("utf-8")


def test_a_training_figure_moves_load_and_speed_as_in_a_run_with_it_set(nominal, found):
    """Without failures a job is in steps all the time, so load and tokens follow the step."""
    scenario, result = nominal
    key = "overlap.gradient_frac"
    one = found[key]
    before = figures(result.summary)["peak_load_mw"]
    job = next(iter(result.summary["training"]["jobs"].values()))
    with figures_set({f"training/assumptions.yaml:{key}": one.low}):
        after = run_scenario(scenario, 1).summary
    moved = next(iter(after["training"]["jobs"].values()))
    speed = job["step_time_s"] / moved["step_time_s"] - 1
    assert one.speed_low_frac == pytest.approx(speed, rel=1e-9)
    assert one.load_low_mw == pytest.approx(figures(after)["peak_load_mw"] - before, rel=0.05)
    assert one.speed_low_frac < 0 <= one.speed_high_frac
