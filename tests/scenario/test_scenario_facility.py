"""The facility in a run: plain sites as before, weather, supply, studies, and where files lie."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from sim.errors import InputError, LawViolation
from sim.facility.supply import SupplyOrder
from sim.facility.weather import climates
from sim.grid.us_states import us_states
from sim.record.storage_law import stored_at
from sim.report.facility_figure import draw_facility
from sim.report.facility_text import facility_lines
from sim.scenario.build import build
from sim.scenario.laws import check_battery, recorded
from sim.scenario.run import RunResult, data_used, load_scenario, run_scenario
from sim.scenario.simulate import simulate
from sim.scenario.site_building import hour_of_year
from sim.scenario.sites import is_plain, plain_plant
from sim.scenario.zone_weather import climate_of
from sim.units import J_PER_MWH

CASES = Path(__file__).resolve().parents[1] / "cases"
QUICK = ["grid={kind: zonal, case: us-states, hosting: false, samples: 8}"]


@pytest.fixture(scope="module")
def full() -> RunResult:
    _, scenario = load_scenario(CASES / "valid" / "facility-full.yaml", QUICK)
    return run_scenario(scenario, 1)


@pytest.fixture(scope="module")
def studies() -> RunResult:
    _, scenario = load_scenario(CASES / "valid" / "facility-studies.yaml", QUICK)
    return run_scenario(scenario, 1)


def test_a_plain_site_has_no_facility_part() -> None:
    _, scenario = load_scenario(CASES / "valid" / "training-least.yaml", QUICK)
    result = run_scenario(scenario, 1)
    assert "facility" not in result.summary
    assert is_plain(scenario.sites[0].facility)
    site = result.outcome.sites[0]
    assert set(site.power) == {"chip", "it", "facility"}
    assert site.run.meter.import_w.value == site.run.meter.facility_w.value


def test_the_parts_of_a_full_facility(full: RunResult) -> None:
    part = full.summary["facility"]["campus"]
    assert set(part) == {"pue", "cooling", "chain", "supply", "ride_through", "year"}
    assert 1.05 < part["pue"] < 1.6
    assert part["pue"] == pytest.approx(full.summary["sites"]["campus"]["pue"])
    levels = [level["name"] for level in part["chain"]["levels"]]
    assert levels == ["rack", "pdu", "ups", "transformer"]
    assert {b["name"] for b in part["chain"]["breakers"]} == set(levels)
    assert part["cooling"]["water_l_per_kwh_it"] >= 0
    assert part["ride_through"]["off_grid_mw"] == pytest.approx(
        part["ride_through"]["load_mw"], rel=0.2
    )


def test_the_supply_of_a_run_balances(full: RunResult) -> None:
    supply = full.summary["facility"]["campus"]["supply"]
    into = ("import_mwh", "pv_mwh", "wind_mwh", "generation_mwh", "discharged_mwh", "unserved_mwh")
    out = ("facility_mwh", "export_mwh", "charged_mwh")
    assert math.fsum(supply[k] for k in into) == pytest.approx(
        math.fsum(supply[k] for k in out), rel=1e-9
    )
    facility_mwh = full.summary["sites"]["campus"]["energy_j"]["facility"] / 3.6e9
    assert supply["facility_mwh"] == pytest.approx(facility_mwh, rel=1e-9)


def test_the_battery_of_a_run_is_recorded_and_ends_where_its_book_ends(full: RunResult) -> None:
    lines = {line.name: recorded(line) for line in full.outcome.timelines}
    stored, power = lines["campus.stored_j"], lines["campus.battery_w"]
    supply = full.summary["facility"]["campus"]["supply"]
    assert stored.values[0] == pytest.approx(supply["stored_start_mwh"] * J_PER_MWH)
    way = full.outcome.sites[0].run.meter.supply.plant.battery.one_way_frac
    end_j = stored_at(power, float(stored.values[0]), way, np.array([3600.0]))
    assert end_j == pytest.approx([supply["stored_end_mwh"] * J_PER_MWH], rel=1e-9)
    assert len(stored.times_s) > 50  # every half minute: a figure has something to draw


def test_a_battery_that_is_recorded_wrongly_is_found(full: RunResult) -> None:
    lines = {line.name: recorded(line) for line in full.outcome.timelines}
    battery = full.outcome.sites[0].run.meter.supply.plant.battery
    check_battery("campus", lines, battery)
    stored = lines["campus.stored_j"]
    lines["campus.stored_j"] = replace(stored, values=stored.values * (1 + 1e-6))
    lines["campus.stored_j"].values[0] = stored.values[0]
    with pytest.raises(LawViolation, match=r"campus.stored_j = .* the integral of its power"):
        check_battery("campus", lines, battery)


def test_a_year_adds_up(full: RunResult) -> None:
    year = full.summary["facility"]["campus"]["year"]
    pue = year["pue"]
    assert pue["min"] <= pue["mean"] <= pue["max"]
    assert year["facility_mwh"] == pytest.approx(year["it_mwh"] * pue["mean"], rel=1e-9)
    cost = year["cost"]
    assert cost["yearly_total_usd"] == pytest.approx(sum(cost["yearly_usd"].values()))
    assert cost["yearly_usd"]["electricity"] == pytest.approx(cost["bill_usd"]["total"])
    carbon = year["carbon"]
    parts = [carbon["import_t"], carbon["fuel_t"], *carbon["embodied_t_per_year"].values()]
    assert carbon["total_t"] == pytest.approx(sum(parts))
    per = year["per"]
    assert per["boundary"] == "facility"
    assert {"usd_per_million_tokens", "g_co2_per_million_tokens", "kwh_per_million_tokens"} <= set(
        per
    )
    best = year["optimal"]
    assert best["optimal_usd"] <= best["rule_usd"] + 1e-6
    assert best["gap_usd"] == pytest.approx(best["rule_usd"] - best["optimal_usd"])
    assert len(year["pue_by_month_hour"]) == 12
    assert all(len(row) == 24 for row in year["pue_by_month_hour"])


def test_years_that_are_not_the_runs_are_told(full: RunResult) -> None:
    told = "\n".join(full.summary["assumptions"])
    assert "weather of a typical year (dallas)" in told
    assert "grid mix of ERCO in 2022" in told
    assert "prices of ercot in 2023" in told


def test_studies_answer_for_each_climate(studies: RunResult) -> None:
    climates = studies.summary["facility"]["hot"]["climates"]
    assert {(r["climate"], r["cooling"]) for r in climates} == {
        (c, k) for c in ("phoenix", "seattle") for k in ("economiser", "chilled-water")
    }
    (row,) = studies.summary["facility"]["sunny"]["self_supply"]
    assert row["self_supply_frac"] == pytest.approx(0.5, abs=2e-3)
    assert row["grid_peak_mw"] > 0.5 * row["load_mw"]
    ups = studies.outcome.sites[1].run.meter.supply.plant.battery
    assert (ups.min_frac, ups.initial_frac) == (0.5, 1.0)


def test_words_and_figures(full: RunResult, studies: RunResult, tmp_path: Path) -> None:
    text = "\n".join(facility_lines(full.summary) + facility_lines(studies.summary))
    for words in (
        "power chain:",
        "supply: import",
        "a year: PUE",
        "100 billion USD buy",
        "disturbance:",
    ):
        assert words in text
    for words in ("chilled-water: PUE", "50% of"):
        assert words in text
    draw_facility(full.summary["facility"], tmp_path)
    draw_facility(studies.summary["facility"], tmp_path)
    made = {p.stem for p in tmp_path.glob("*.svg")}
    assert made == {"facility_year", "power_chain", "pue_by_climate", "self_supply"}
    first = (tmp_path / "pue_by_climate.svg").read_bytes()
    draw_facility(studies.summary["facility"], tmp_path)
    assert (tmp_path / "pue_by_climate.svg").read_bytes() == first


def test_weather_moves_the_meter_hour_by_hour() -> None:
    options = [*QUICK, "horizon_h=30", "sites.campus.facility.swing={floor_frac: 0}"]
    _, scenario = load_scenario(CASES / "valid" / "facility-full.yaml", options)
    outcome = simulate(scenario, 1)
    site = outcome.sites[0]
    assert len(site.chip_j_by_hour) == 30
    assert math.fsum(site.chip_j_by_hour) == pytest.approx(site.power["chip"].integral)
    plain = plain_plant(site.run.plant, 1.3)
    assert plain.building.hourly is None
    assert plain.parts(1e6).facility_w == pytest.approx(1.3 * plain.parts(1e6).it_w)
    hourly = site.run.plant.building.hourly
    assert hourly is not None
    shares = [hourly.cooling_share.at(3600.0 * h) for h in range(30)]
    assert len(set(shares)) > 5


def test_a_battery_trades_on_the_sites_own_market() -> None:
    """20 August 2023 in ERCOT: prices above 1,000 USD/MWh in the evening."""
    battery = "{power_mw: 1, energy_mwh: 4, dispatch: {kind: arbitrage, "
    battery += "buy_below_usd_per_mwh: 25, sell_above_usd_per_mwh: 100}}"
    options = [*QUICK, "horizon_h=30", f"sites.campus.facility.battery={battery}"]
    _, scenario = load_scenario(CASES / "valid" / "facility-full.yaml", options)
    site = simulate(scenario, 1).sites[0]
    assert site.supply is not None
    assert site.supply.charged_j > 0
    assert site.supply.discharged_j > 3.6e9
    with pytest.raises(InputError, match="start at a whole hour"):
        build(scenario.model_copy(update={"epoch": datetime(2024, 1, 1, 0, 30, tzinfo=UTC)}), 1)


def test_every_state_has_the_climate_that_stands_for_it() -> None:
    """All zones but Alaska and Hawaii; each is a shipped one, and the resolved file says which."""
    zones = [z.name for z in us_states().zones]
    found = {z: climate_of(z) for z in zones if z not in ("AK", "HI")}
    assert len(found) == 50
    assert set(found.values()) <= set(climates())
    option = "sites.campus.facility.cooling={kind: economiser, weather: by-zone}"
    _, scenario = load_scenario(CASES / "valid" / "training-least.yaml", [*QUICK, option])
    cooling = scenario.sites[0].facility.cooling
    assert cooling is not None
    assert cooling.weather == "dallas"


def test_a_pause_of_the_cooling_plant_is_a_short_store() -> None:
    """An import limit a little below the load is met for the minutes that the hall holds."""
    cooling = "{kind: chilled-water, weather: dallas, pause: true}"
    options = [*QUICK, f"sites.campus.facility.cooling={cooling}"]
    _, scenario = load_scenario(CASES / "valid" / "training-least.yaml", options)
    supply = build(scenario, 1).sites[0].meter.supply
    battery = supply.plant.battery
    assert battery.round_trip_frac == 1
    assert battery.energy_j / battery.power_w == pytest.approx(300)
    load_w = 1.0e6
    limit = SupplyOrder(import_limit_w=load_w - battery.power_w)
    steps = [supply.step(60.0 * k, 60.0, load_w, limit) for k in range(8)]
    held = [step.unserved_w < 1 for step in steps]
    assert held == [True] * 5 + [False] * 3


def write_epw(path: Path) -> None:
    """A year of the same mild hour."""
    head = [
        "LOCATION,Somewhere,ST,USA,TMY,0,40.0,-105.0,-7.0,1600.0",
        *[f"LINE {k}" for k in range(7)],
    ]
    days = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    row = "2005,{},{},{},0,x,20.0,10.0,50,84000,0,0,0,100,50,60,0,0,0,0,0,3.0"
    lines = [
        row.format(month, day, hour)
        for month, count in enumerate(days, start=1)
        for day in range(1, count + 1)
        for hour in range(1, 25)
    ]
    path.write_text("\n".join([*head, *lines]), "utf-8")


def test_a_users_weather_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    """Relative to the parent that says it; its hash enters the run's name; a fault has its line."""
    folder = tmp_path / "parent"
    folder.mkdir()
    write_epw(folder / "place.epw")
    text = (CASES / "valid" / "training-least.yaml").read_text("utf-8")
    cooling = "    facility: {cooling: {kind: economiser, weather: place.epw}}\n"
    text = text.replace("    workloads:", cooling + "    workloads:", 1)
    (folder / "parent.yaml").write_text(text, "utf-8")
    child = tmp_path / "child.yaml"
    child.write_text("extends: parent/parent.yaml\nname: child\n", "utf-8")
    _, scenario = load_scenario(child)
    assert str(folder / "place.epw") in data_used(scenario)
    assert build(scenario, 1).sites[0].plant.building.hourly is not None
    spoilt = (folder / "place.epw").read_text("utf-8").replace(",84000,", ",999999,", 1)
    (folder / "place.epw").write_text(spoilt, "utf-8")
    with pytest.raises(InputError, match=r"place.epw:9:10: .*pressure_pa is 999999 Pa"):
        build(scenario, 1)


def test_hours_of_the_year() -> None:
    assert hour_of_year(datetime(2024, 1, 1, tzinfo=UTC)) == 0
    assert hour_of_year(datetime(2024, 3, 1, tzinfo=UTC)) == 59 * 24
    assert hour_of_year(datetime(2024, 2, 29, 5, tzinfo=UTC)) == 58 * 24 + 5
    with pytest.raises(InputError, match="start at a whole hour"):
        hour_of_year(datetime(2024, 1, 1, 0, 30, tzinfo=UTC))


def test_a_doubtful_climate_is_told_where_it_is_used() -> None:
    _, scenario = load_scenario(
        CASES / "valid" / "facility-full.yaml",
        [*QUICK, "horizon_h=0.1", "sites.campus.facility.cooling.weather=new-york"],
    )
    told = run_scenario(scenario, 1).summary["assumptions"]
    assert any("the weather table new-york is doubtful: its monthly means" in t for t in told)


def test_what_is_judged_beside_the_run_says_so(full: RunResult) -> None:
    said = " ".join(facility_lines(full.summary))
    assert "judged beside the run at its mean power; the run itself goes on" in said
    assert "judged on the recorded power, a trip does not stop the run" in said
