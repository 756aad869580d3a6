"""The four commands: their keys, their figures, their errors; and the year of a claim."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adequacy_cases import rts79_load, rts79_units

from sim.errors import FlopgridError, InputError, UnknownNameError
from sim.grid import show
from sim.grid.network import Network
from sim.grid.regions import commands
from sim.grid.regions.area_network import us_balancing_areas
from sim.grid.regions.case import RegionCase, region_case
from sim.grid.regions.claim import (
    _adequacy_verdict,
    flexibility_rows,
    peak_rows,
    swing_row,
    trip_row,
    year_of_claim,
)
from sim.grid.regions.fleet import (
    elcc_of,
    is_winter,
    net_load_mw,
    pool_adequacy,
    sampled_areas,
    zone_units,
)
from sim.grid.regions.supply import figures
from sim.grid.us_states import us_states
from sim.grid.verdict import assess


@pytest.fixture(scope="module")
def case() -> RegionCase:
    return region_case("us-states", mixed_years=True)


@pytest.fixture(scope="module")
def states() -> Network:
    return us_states()


def rts_files(facts: Path, folder: Path) -> tuple[Path, Path]:
    units, load = folder / "units.csv", folder / "load.csv"
    rows = [f"{u.name},{u.capacity_mw},{u.forced_outage_rate}" for u in rts79_units(facts)]
    units.write_text("name,capacity_mw,forced_outage_rate\n" + "\n".join(rows))
    load.write_text("load_mw\n" + "\n".join(f"{mw}" for mw in rts79_load(facts)))
    return units, load


def test_adequacy_of_files_gives_the_published_figures(facts: Path, tmp_path: Path) -> None:
    units, load = rts_files(facts, tmp_path)
    found = commands.adequacy(units, load)
    assert round(found["lole_d_per_y"], 5) == 1.36886
    assert round(found["lolh_h_per_y"], 5) == 9.39418
    assert round(found["eue_mwh"]) == 1176
    assert found["room_mw"] == 0.0
    more = commands.adequacy(str(units), str(load), load_uncertainty=0.05, years=20)
    assert round(more["lole_d_per_y"], 3) == 1.911
    assert more["sampled"]["years"] == 20
    json.dumps(more)


def test_adequacy_of_a_zone_alone_and_with_its_imports() -> None:
    found = commands.adequacy(case="us-states", zone="va", mixed_years=True, sites_mw={"VA": 500})
    alone, helped = found["regions"]
    assert alone["lole_d_per_y"] > 1 > helped["lole_d_per_y"]
    assert alone["lole_d_per_y"] > alone["lole_before_d_per_y"]
    assert helped["import_limit_mw"] == pytest.approx(us_states().import_limit_mw("VA"))
    assert any("synthetic" in text for text in found["assumptions"])
    assert {row["zone"] for row in found["planning"]} >= {"VA", "TX-ERCOT"}
    json.dumps(found)


def test_headroom_command() -> None:
    found = commands.headroom("ERCOT", rates=(0.005,))
    assert round(found["areas"][0]["load_mw"] / 1e3, 1) == 10.0
    whole = commands.headroom(rates=(0.005,))
    assert whole["country"][0]["published_gw"] == (98.0, 100.0)
    assert len(whole["areas"]) == 19
    json.dumps(whole)


def test_an_island_after_a_cascade_sheds_what_it_lacks_or_dies() -> None:
    short = commands.frequency("island", output_mw={"gas": 600, "wind": 200}, load_mw=1000)
    assert short["imbalance_mw"] == 200
    assert short["ufls_mw"] == pytest.approx(150)  # 5 % and 10 % of its load
    assert short["nadir_hz"] < 58.9 < short["settled_hz"]
    assert any("as in ERCOT" in text for text in short["assumptions"])
    rich = commands.frequency("island", output_mw={"hydro": 500}, load_mw=450)
    assert rich["zenith_hz"] > 60
    gone = commands.frequency("island", output_mw={"coal": 100}, load_mw=1000)
    assert gone["collapsed"]
    with pytest.raises(UnknownNameError, match="fuel 'goal'"):
        commands.frequency("island", output_mw={"goal": 5}, load_mw=5)
    with pytest.raises(InputError, match="no machine that turns"):
        commands.frequency("island", output_mw={"wind": 5}, load_mw=5)
    with pytest.raises(InputError, match="without generation or load"):
        commands.frequency("island")


def test_data_centres_that_leave_fast_hold_the_frequency() -> None:
    bare = commands.frequency("ercot", generation_loss_mw=2555)
    helped = commands.frequency("ercot", generation_loss_mw=2555, response_mw=800)
    assert helped["nadir_hz"] > bare["nadir_hz"] + 0.05
    assert any("data_centre.response_hz" in text for text in helped["assumptions"])
    with pytest.raises(InputError, match="response of -1 MW"):
        commands.frequency("ercot", generation_loss_mw=2555, response_mw=-1)


def test_elcc_from_files_and_of_a_case(facts: Path, tmp_path: Path) -> None:
    units, load = rts_files(facts, tmp_path)
    found = commands.adequacy(str(units), str(load), elcc={"battery": 100, "flexible": 100})
    carried = {row["kind"]: row["frac"] for row in found["elcc"]}
    assert 0.3 < carried["battery"] <= 1
    assert 0.2 < carried["flexible"] <= 1
    with pytest.raises(InputError, match="solar and wind need a CASE"):
        commands.adequacy(str(units), str(load), elcc={"solar": 100})


def test_frequency_command_events_and_returns() -> None:
    odessa = commands.frequency(event="odessa-2022")
    assert odessa["interconnection"] == "ercot"
    assert abs(odessa["deviation_error_frac"]) < 0.2
    assert odessa["not_primary"]
    trip = commands.frequency("TX-ERCOT", load_loss_mw=3000, returns_after_s=30, series=True)
    assert trip["limits"]["passes_over_frequency"]
    assert trip["nadir_s"] > 31 > trip["zenith_s"]
    assert len(trip["time_s"]) == len(trip["frequency_hz"])
    small = commands.frequency("ercot", load_loss_mw=150)
    assert not small["limits"]["passes_over_frequency"]
    json.dumps(trip)


def test_frequency_command_pulse_and_hour() -> None:
    slow = commands.frequency("ercot", pulse_mw=100, pulse_hz=0.05, duration_s=90)
    fast = commands.frequency("ercot", pulse_mw=100, pulse_hz=2.0, duration_s=30)
    assert slow["peak_to_peak_hz"] > fast["peak_to_peak_hz"]
    assert slow["oscillation"]["tie_at_resonance_mw"] > slow["oscillation"]["tie_mw"]
    hour = commands.frequency("ercot", generation_loss_mw=1000, hour="2024-08-20T22:00")
    assert hour["load_mw"] > 80000
    assert any("from the dispatch of 2024-08-20 22:00 UTC" in t for t in hour["assumptions"])


def test_dispatch_command_with_a_site_and_its_change() -> None:
    found = commands.dispatch(mixed_years=True, days=1, first_day=200, sites_mw={"VA": 1000.0})
    assert found["hours"] == 24
    change = found["change"]
    assert change["added_mwh"] == pytest.approx(24000)
    served = sum(v for n, v in change["energy_mwh"].items() if n != "curtailed")
    assert served + change["unserved_mwh"] == pytest.approx(24000, rel=0.02)
    assert set(change["price_usd_per_mwh"]) == {"VA"}
    assert len(found["zones"]) == 49
    assert any("mixed years" in text for text in found["assumptions"])
    assert found["unserved_note"] in found["assumptions"]
    assert "not history: load of 2024 with wind, sun and water of 2022" in found["unserved_note"]
    assert found["unserved_before_mwh"] == pytest.approx(
        sum(row["unserved_before_mwh"] for row in found["zones"])
    )
    assert found["unserved_mwh"] - found["unserved_before_mwh"] == pytest.approx(
        change["unserved_mwh"]
    )
    json.dumps(found)


def test_without_a_baseline_the_shortage_before_is_unknown_not_zero() -> None:
    found = commands.dispatch(mixed_years=True, days=1, sites_mw={"VA": 100.0}, baseline=False)
    assert "change" not in found
    assert found["unserved_before_mwh"] is None
    assert {row["unserved_before_mwh"] for row in found["zones"]} == {None}


def test_dispatch_backcast_command() -> None:
    found = commands.dispatch("backcast-2022")
    assert abs(found["worst_frac"]) < 0.06
    assert all(area["within_target"] for area in found["areas"])
    json.dumps(found)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (commands.adequacy, "no units or no load"),
        (lambda: commands.adequacy("x", case="us-states"), "a case and files"),
        (lambda: commands.adequacy("none.csv", "none.csv"), "cannot read"),
        (commands.dispatch, "load of 2024 with wind and sun of 2022"),
        (lambda: commands.backcast_2022("some"), "weeks 'some'"),
        (lambda: commands.frequency("ercot"), "nothing happens"),
        (lambda: commands.frequency("ercot", load_loss_mw=-1), "losses of -1"),
        (lambda: commands.frequency(event="x"), "unknown event 'x'"),
        (lambda: commands.frequency(load_loss_mw=1, hour="noon"), "'noon' is no time"),
        (lambda: commands.frequency(load_loss_mw=1, hour="2022-01-01"), "hour of 2022"),
        (lambda: commands.headroom("nowhere"), "unknown area"),
    ],
)
def test_errors(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(FlopgridError, match=match):
        call()


# -- the fleet


def test_units_keep_the_capacity_of_the_zone_and_winter_adds(case: RegionCase) -> None:
    zone = case.zones[case.index("TX-ERCOT")]
    units = zone_units([zone], figures())
    gas = [u for u in units if u.name.endswith("gas")]
    assert sum(u.capacity_mw for u in gas) == pytest.approx(zone.capacity("gas"))
    winter = zone_units([zone], figures(), "winter")
    assert sum(u.capacity_mw for u in winter) > sum(u.capacity_mw for u in units)
    assert is_winter(case).sum() == (31 + 29 + 31 + 30 + 30 + 31) * 24


def test_more_load_more_risk_and_the_room_is_used_up(case: RegionCase) -> None:
    k = case.index("TX-ERCOT")
    before, after = pool_adequacy(case, [k], "x", "alone", extra_mw=4000.0)
    assert after.lole_d_per_y > before.lole_d_per_y
    assert after.room_mw == pytest.approx(before.room_mw - 4000, abs=2)
    _, full = pool_adequacy(case, [k], "x", "alone", extra_mw=before.room_mw + 300)
    assert full.lole_d_per_y > 0.1
    assert net_load_mw(case, [k], figures()).max() < case.load_mw[:, k].max()


def test_elcc_of_what_can_be_added_to_ercot(case: RegionCase) -> None:
    found = {kind: elcc_of(case, "ercot", 1000.0, kind) for kind in ("solar", "battery")}
    assert 0 < found["solar"] < 1000
    assert 0 < found["battery"] <= 1000.1
    assert elcc_of(case, "ercot", 1000.0, "flexible", 200) > 300
    with pytest.raises(InputError, match="unknown resource 'tide'"):
        elcc_of(case, "ercot", 1.0, "tide")
    with pytest.raises(InputError, match="no zone in the 'quebec'"):
        elcc_of(case, "quebec", 1.0, "solar")


def test_all_zones_sampled_with_their_limits_for_two_days(case: RegionCase) -> None:
    found = sampled_areas(case, {"VA": 1000.0}, years=1, hours=48)
    assert len(found) == 49
    assert all(np.isfinite(row.eue_mwh) for row in found.values())


# -- the claim


def test_peaks_stand_apart_and_the_worst_is_the_verdicts(states: Network) -> None:
    rows = peak_rows(states, {"VA": 150.0}, samples=8)
    assert {row["hour"] for row in rows} == {"gross_peak", "net_peak", "winter_peak"}
    worst = min(row["margin_mw"] for row in rows if row["reading"] == "energy")
    verdict = next(
        r for r in assess(states, {"VA": 150.0}, samples=8).of("VA") if r.limit == "energy"
    )
    assert worst == pytest.approx(verdict.margin_mw, rel=1e-9)
    heavy = peak_rows(states, {"RI": 50000.0}, samples=8)
    assert all(r["verdict"] == "binds" for r in heavy if r["reading"] == "interface")


def test_a_trip_of_150_mw_holds_everywhere_and_of_6000_mw_binds_in_texas(states: Network) -> None:
    for name in ("VA", "CA", "TX-ERCOT"):
        row = trip_row(states, states.zone(name), 150.0, samples=8)
        assert (row["verdict"], row["probability"]) == ("holds", 0.0)
    big = trip_row(states, states.zone("TX-ERCOT"), 6000.0, samples=8)
    assert big["verdict"] == "binds"
    assert big["limit_is_published"]
    assert trip_row(states, states.zone("HI"), 150.0)["verdict"] == "not-assessed"


def test_the_year_of_a_claim_has_all_parts(states: Network, case: RegionCase) -> None:
    found = year_of_claim(
        states, case, {"Texas (ERCOT)": 150.0, "AK": 5.0}, {"TX-ERCOT": 60.0}, samples=8
    )
    assert [row["interconnection"] for row in found["adequacy"]] == ["ercot"]
    assert found["adequacy"][0]["verdict"] == "holds"
    assert found["no_hours"] == ["AK"]
    assert len(found["trip"]) == 2
    assert found["swing"][0]["tie_at_resonance_mw"] > 60
    assert found["flexibility"][1]["curtailment_frac"] < 0.001
    json.dumps(found)
    with pytest.raises(InputError, match="no load is placed"):
        year_of_claim(states, case, {})
    with pytest.raises(UnknownNameError):
        year_of_claim(states, case, {"Atlantis": 1.0})


def test_adequacy_verdict_holds_only_with_room_to_spare() -> None:
    def verdict(before: tuple[float, float], after: tuple[float, float], room_mw: float) -> str:
        ends = ("_low", "_high")
        row = {f"lole_before{e}_d_per_y": x for e, x in zip(ends, before, strict=True)}
        row |= {f"lole_after{e}_d_per_y": x for e, x in zip(ends, after, strict=True)}
        return _adequacy_verdict(row | {"load_mw": 100.0, "room_before_high_mw": room_mw})

    assert verdict((0.01, 0.05), (0.2, 0.4), 0.0) == "binds"
    assert verdict((0.01, 0.05), (0.02, 0.4), 50.0) == "indeterminate"
    assert verdict((0.01, 0.02), (0.02, 0.03), 1500.0) == "holds"
    assert verdict((0.01, 0.02), (0.02, 0.03), 900.0) == "indeterminate"
    assert verdict((0.2, 0.3), (0.3, 0.5), 0.0) == "indeterminate"


def test_flexibility_and_swing_say_what_they_lack(states: Network) -> None:
    assert flexibility_rows(states, {"AK": 5.0})[0]["verdict"] == "not-assessed"
    assert swing_row(states, states.zone("HI"), 5.0, 0.5)["verdict"] == "not-assessed"
    large = flexibility_rows(states, {"NY": 4000.0})[0]
    assert large["curtailment_frac"] == pytest.approx(0.005, rel=0.06)


def test_balancing_areas_in_the_peak_hour_view() -> None:
    areas = us_balancing_areas()
    assert len(areas.zones) == 134
    states = us_states()
    for fuel in range(len(states.zones[0].capacity_mw)):
        ours = sum(zone.capacity_mw[fuel] for zone in areas.zones)
        left_out = sum(states.zone(n).capacity_mw[fuel] for n in ("AK", "HI", "DC"))
        assert ours + left_out == pytest.approx(sum(z.capacity_mw[fuel] for z in states.zones))
    found = assess(areas, {"p99": 150.0}, samples=2).of("p99")
    assert {reading.limit for reading in found if reading.margin_mw is not None} >= {"energy"}
    gaps = [str(row["gap"]) for row in show.gap_rows(show.network("us-balancing-areas"))]
    assert any("by share of load" in gap for gap in gaps)
    assert any(gap.startswith("hours: mixed years") for gap in gaps)


def test_the_four_commands_print_and_star_what_was_not_read(
    capsys: pytest.CaptureFixture[str], facts: Path, tmp_path: Path
) -> None:
    from sim.cli.main import main

    units, load = rts_files(facts, tmp_path)
    files = ["--units", str(units), "--load", str(load)]
    assert main(["grid", "frequency", "ercot", "--generation-loss", "1000"]) == 0
    said = capsys.readouterr().out
    assert "* governor.droop_frac" in said
    assert "\nnot_primary" not in said
    assert main(["grid", "adequacy", *files, "--load-uncertainty", "0.02"]) == 0
    assert "1.451" in capsys.readouterr().out
    assert main(["grid", "headroom", "TVA", "--rate", "0.005", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["areas"][0]["area"] == "TVA"
    dispatch = ["grid", "dispatch", "us-states", "--mixed-years", "--days", "1", "--site", "VA=100"]
    assert main(dispatch) == 0
    said = capsys.readouterr().out
    assert "interfaces" in said
    assert "* availability.coal" in said
    assert main(["grid", "dispatch", "us-states"]) == 2
    assert "mixed_years" in capsys.readouterr().err
