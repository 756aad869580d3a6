"""`flopgrid grid dispatch | adequacy | headroom | frequency` from the command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from sim.cli import grid_regions
from sim.cli.main import main
from sim.errors import InputError


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main(["grid", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def files(folder: Path) -> list[str]:
    units, load = folder / "units.csv", folder / "load.csv"
    units.write_text("name,capacity_mw,forced_outage_rate\na,100,0.1\nb,100,0.1\n")
    load.write_text("load_mw\n" + "150\n" * 24)
    return ["--units", str(units), "--load", str(load)]


def test_adequacy_of_two_units_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "adequacy", *files(tmp_path))
    # Short by 50 MW with one out (0.18) and by 150 MW with both (0.01), 24 hours of one day.
    assert found["lole_d_per_y"] == pytest.approx(0.19)
    assert found["lolh_h_per_y"] == pytest.approx(24 * 0.19)
    assert found["eue_mwh"] == pytest.approx(24 * (0.18 * 50 + 0.01 * 150))


def test_load_uncertainty_is_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["adequacy", *files(tmp_path)]
    sure = answer(capsys, *words)
    unsure = answer(capsys, *words, "--load-uncertainty", "0.2")
    assert unsure["eue_mwh"] != sure["eue_mwh"]


def test_headroom_of_an_area(capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, "headroom", "ERCOT", "--rate", "0.005")
    areas = found["areas"]
    assert isinstance(areas, list)
    assert areas[0]["load_mw"] == pytest.approx(10_000, rel=0.01)


def test_frequency_of_an_event_and_of_a_site(capsys: pytest.CaptureFixture[str]) -> None:
    odessa = answer(capsys, "frequency", "--event", "odessa-2022")
    assert abs(float(str(odessa["deviation_error_frac"]))) < 0.2
    site = answer(capsys, "frequency", "ercot", "--load-loss", "3000", "--returns-after", "20")
    assert float(str(site["zenith_hz"])) > 60 > float(str(site["nadir_hz"]))


def test_dispatch_of_a_day_with_a_site(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dispatch", "us-states", "--days", "1", "--mixed-years", "--site", "VA=150"]
    found = answer(capsys, *words)
    change = found["change"]
    assert isinstance(change, dict)
    assert change["added_mwh"] == pytest.approx(150 * 24)


@pytest.mark.parametrize("words", [["headroom", "TVA"], ["frequency", "eastern", "--pulse", "150"]])
def test_tables_for_people(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid", *words]) == 0
    assert "---" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["adequacy"],
        ["dispatch", "us-states", "--days", "1"],
        ["frequency", "ercot"],
        ["frequency", "ercot", "--pulse", "10", "--pulse-hz", "0"],
        ["headroom", "atlantis"],
    ],
)
def test_bad_input_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grid", *words]) == 2
    assert capsys.readouterr().err


def test_pairs_need_a_number() -> None:
    with pytest.raises(InputError, match="--site"):
        grid_regions._pairs("--site", ["VA"])
    assert grid_regions._pairs("--site", ["VA=150"]) == {"VA": 150.0}


def test_verbs_are_registered() -> None:
    verbs = argparse.ArgumentParser().add_subparsers()
    grid_regions.add_verbs(verbs)
    assert set(verbs.choices) == {"dispatch", "adequacy", "headroom", "frequency"}
