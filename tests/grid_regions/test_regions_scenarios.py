"""Scenarios over a year of regions and over seconds, from the file to the report."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.cli.main import main
from sim.errors import InputError
from sim.grid.dynamic.interconnections import interconnection
from sim.grid.dynamic.model import Step
from sim.grid.dynamic.swing import simulate
from sim.grid.regions.case import region_case
from sim.grid.regions.claim import flexibility_rows
from sim.grid.regions.event_study import Events, margins, trip_steps
from sim.grid.us_states import us_states
from sim.report.regions_text import view_tables
from sim.report.verdict_text import answer_sentence, verdict_lines
from sim.scenario.regions_view import hourly_mw, site_hours
from sim.scenario.run import load_scenario, run_scenario
from sim.scenario.schema.regions import RegionsGrid
from sim.scenario.simulate import simulate as simulate_sites
from sim.scenario.verify import verify_run
from sim.units import three_digits

ROOT = Path(__file__).resolve().parents[2]
VALID = ROOT / "tests" / "cases" / "valid"
SCENARIOS = (
    "us-2024-year",
    "every-state-plus-100k-h100",
    "virginia-trip",
    "training-pulse-on-ercot",
    "stargate-5gw",
)


def run(name: str, tmp_path: Path, *overrides: str) -> tuple[Path, dict[str, Any]]:
    sets = [word for one in overrides for word in ("--set", one)]
    assert main(["run", str(VALID / f"{name}.yaml"), "--out", str(tmp_path), *sets]) == 0
    folder = next(tmp_path.glob("*/seed-1"))
    return folder, json.loads((folder / "summary.json").read_text("utf-8"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_five_scenarios_resolve_and_ask_something(name: str) -> None:
    _, scenario = load_scenario(ROOT / "scenarios" / f"{name}.yaml")
    assert scenario.name == name
    assert scenario.question.endswith("?")
    assert scenario.grid.kind in ("regions", "dynamic")


def test_a_year_without_a_site_from_the_file_to_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, summary = run("grid-regions-year", tmp_path)
    said = capsys.readouterr().out
    assert "of the load is not served" in said
    assert "no new load is in it, and it is the model's, not history" in said
    assert "24 h of 2024" in said
    grid = summary["grid"]
    assert (grid["kind"], grid["hours"], grid["first_day"]) == ("regions", 24, 200)
    assert grid["verdicts"] == []
    assert grid["unserved_mwh"] >= 0
    assert any("mixed years" in text for text in summary["assumptions"])
    assert grid["unserved_note"] in summary["assumptions"]
    assert grid["unserved_before_mwh"] == grid["unserved_mwh"]
    assert grid["not_primary"]
    hours = pq.read_table(folder / "grid_hours.parquet").to_pandas()
    assert len(hours) == 24 * 49
    assert hours["load_mw"].sum() == pytest.approx(
        sum(row["load_mwh"] for row in grid["zones"]), rel=1e-5
    )
    balance = hours["output_mw"] + hours["unserved_mw"]
    assert balance.sum() == pytest.approx(hours["load_mw"].sum(), rel=1e-4)
    for figure in ("prices", "congestion"):
        assert (folder / "figures" / f"{figure}.svg").stat().st_size > 1000
        assert (folder / "figures" / f"{figure}.csv").is_file()
    assert "Figures without a primary source" in (folder / "report.html").read_text("utf-8")
    assert all(verify_run(folder))


def test_a_site_in_an_area_is_carried_over_the_year_and_may_give_way(tmp_path: Path) -> None:
    _, summary = run("grid-regions-areas", tmp_path)
    grid, site = summary["grid"], summary["sites"]["campus"]
    assert grid["change"]["added_mwh"] == pytest.approx(
        48 * site["power_w"]["facility"]["mean"] / 1e6, rel=1e-6
    )
    assert [row["verdict"] for row in grid["adequacy"]] == ["holds"]
    assert {v["limit"] for v in grid["verdicts"]} >= {"energy", "interface", "frequency"}
    assert {v["zone"] for v in grid["verdicts"]} == {"p99"}
    assert grid["flexibility"][0]["zones"] == ["p99"]
    assert any("repeated end to end" in text for text in summary["assumptions"])
    said = " ".join(verdict_lines(summary))
    assert "p99" in said
    assert "MWh without the sites; the model's, not history" in said


def test_each_zone_gets_a_site_of_its_own() -> None:
    _, scenario = load_scenario(VALID / "grid-each-zone.yaml")
    zones = [zone.name for zone in region_case("us-states", mixed_years=True).zones]
    assert [site.at.zone for site in scenario.sites] == zones
    assert [site.name for site in scenario.sites[:2]] == ["campus-al", "campus-ar"]
    assert len({site.name for site in scenario.sites}) == 49
    rows = flexibility_rows(us_states(), dict.fromkeys(zones, 10.0))
    assert sum(row["load_mw"] for row in rows) == pytest.approx(490.0)
    assert len({row["region"] for row in rows}) == len(rows) == 13


def test_hours_of_the_run_are_repeated_from_its_epoch_on() -> None:
    _, scenario = load_scenario(VALID / "grid-regions-areas.yaml", ["horizon_h=3"])
    outcome = simulate_sites(scenario, 1)
    case = region_case("us-balancing-areas", mixed_years=True)
    assert isinstance(scenario.grid, RegionsGrid)
    hours = site_hours(outcome, scenario.grid, case)["p99"]
    pattern = hourly_mw(outcome, outcome.sites[0])
    first = (31 + 29 + 31 + 30 + 31 + 30 + 31 + 19) * 24  # 20 August 2024
    assert len(pattern) == 3
    assert list(hours[first : first + 6]) == pytest.approx([*pattern, *pattern])
    assert pattern.mean() == pytest.approx(outcome.sites[0].power["facility"].mean / 1e6)
    one = scenario.grid.model_copy(update={"site_load": "peak"})
    assert set(site_hours(outcome, one, case)["p99"]) == {outcome.peak_w(outcome.sites[0]) / 1e6}


def test_seconds_from_the_file_to_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, summary = run("grid-dynamic-events", tmp_path)
    grid = summary["grid"]
    assert (grid["inertia_gws"], grid["load_mw"]) == (400.0, 80000.0)
    assert grid["zenith_hz"] > 60 > grid["nadir_hz"]
    assert len(grid["steps"]) == 7
    assert sum(step["mw"] for step in grid["steps"]) == pytest.approx(500.0)
    assert grid["oscillation"][0]["tie_mw"] > 0
    assert grid["trace"]["time_s"][-1] == pytest.approx(70.0)
    limits = {v["limit"]: v for v in grid["verdicts"]}
    assert limits["frequency"]["verdict"] == "holds"
    assert limits["swing"]["margin_mw"] is not None
    assert limits["energy"]["verdict"] == "not-assessed"
    assert "within its limits" in answer_sentence(summary)
    assert "first load shedding 59.1" in capsys.readouterr().out
    assert (folder / "figures" / "frequency.svg").stat().st_size > 1000
    assert view_tables(summary)[-1]["rows"]
    assert all(verify_run(folder))


def test_the_pulse_and_the_trip_are_those_of_the_site() -> None:
    _, scenario = load_scenario(VALID / "grid-dynamic-site.yaml", ["grid.samples=8"])
    result = run_scenario(scenario, 1)
    grid, site = result.summary["grid"], result.summary["sites"]["campus"]
    assert grid["pulses"][0]["mw"] == pytest.approx(site["swing_mw"])
    assert len(grid["pulses"]) == 1  # one site named: not all of them
    step_s = result.summary["training"]["jobs"]["campus.training"]["step_time_s"]
    assert grid["pulses"][0]["hz"] == pytest.approx(1 / step_s)
    assert grid["steps"] == [{"at_s": 20.0, "mw": pytest.approx(-site["peak_load_mw"])}]
    assert any("dispatch of 2024-07-10 23:00" in text for text in result.summary["assumptions"])


def test_a_site_that_is_off_does_not_pulse() -> None:
    events = "[{kind: pulse}, {kind: trip, at_s: 20, returns_after_s: 10}]"
    _, scenario = load_scenario(VALID / "grid-dynamic-site.yaml", [f"grid.events={events}"])
    result = run_scenario(scenario, 1)
    grid, site = result.summary["grid"], result.summary["sites"]["campus"]
    assert [pulse["start_s"] for pulse in grid["pulses"]] == [1.0, 30.0]
    assert len(grid["oscillation"]) == 1
    swing = next(v for v in grid["verdicts"] if v["limit"] == "swing")
    assert f"{three_digits(site['swing_mw'])} MW peak to peak" in swing["detail"]
    trip = grid["steps"][0]["mw"], grid["steps"][1]["mw"]
    assert trip == (pytest.approx(-site["peak_load_mw"]), pytest.approx(site["peak_load_mw"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("grid.case=eastern", "TX-ERCOT is in the ercot interconnection, not eastern"),
        ("grid.events[1].sites=[nobody]", "no site 'nobody'"),
    ],
)
def test_events_that_do_not_fit_the_sites_are_refused(change: str, message: str) -> None:
    _, scenario = load_scenario(VALID / "grid-dynamic-site.yaml", [change])
    with pytest.raises(InputError, match=re.escape(message)):
        run_scenario(scenario, 1)


@pytest.mark.parametrize("event", ["{kind: trip}", "{kind: pulse, mw: 5}"])
def test_an_event_without_a_size_needs_a_site(event: str) -> None:
    path = VALID / "grid-dynamic-events.yaml"
    _, scenario = load_scenario(path, [f"grid.events=[{event}]"])
    with pytest.raises(InputError, match="without mw"):
        run_scenario(scenario, 1)


def test_the_margin_of_a_trip_reaches_the_limit_when_it_is_added() -> None:
    events = Events("ercot", (Step(1.0, -1000.0),))
    found = margins(events, 8)
    assert found.margin_mw[0] == pytest.approx(1600.0, rel=0.01)
    assert found.highest_is_published
    bigger = simulate(interconnection("ercot"), [Step(1.0, -1000.0 - found.margin_mw[0])])
    assert bigger.zenith_hz == pytest.approx(60.4, abs=0.002)
    down = margins(Events("ercot", (Step(1.0, 3000.0),)), 8)
    assert down.lowest_hz == 59.3
    assert (np.diff(np.sort(down.nadir_hz)) >= 0).all()


def test_blocks_leave_and_return_evenly() -> None:
    steps = trip_steps(600.0, 1.0, 3, 4.0, 10.0, 2.0)
    assert [(s.at_s, s.mw) for s in steps] == [
        (1.0, -200.0),
        (3.0, -200.0),
        (5.0, -200.0),
        (15.0, 200.0),
        (16.0, 200.0),
        (17.0, 200.0),
    ]
