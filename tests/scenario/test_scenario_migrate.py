"""Older forms of files: read as today's, every change said, newer ones refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from sim.cli.main import main
from sim.errors import InputError
from sim.scenario import migrate as room
from sim.scenario.load import load_tree
from sim.scenario.migrate import Change, OldFormWarning, migrate
from sim.scenario.schema import Scenario
from sim.scenario.yamlfile import read_yaml

UNTIL = date(2027, 12, 31)
CHANGES = (
    Change(2, ("sites", "*", "power"), "power_w", UNTIL),
    Change(3, ("grid", "floor"), "", UNTIL, "the grid has none"),
    Change(3, ("sites", "*", "power_w"), "limit_w", UNTIL),
)


def read(tmp_path: Path, text: str):
    file = tmp_path / "s.yaml"
    file.write_text(text)
    return read_yaml(file)[0]


def test_a_file_without_a_version_or_with_todays_is_left_alone(tmp_path: Path):
    for head in ("", "schema_version: 3\n"):
        root = read(tmp_path, head + "grid: {floor: 1}\n")
        assert migrate(root, CHANGES, 3) is root


def test_every_change_since_its_version_is_made_in_order_and_said(tmp_path: Path):
    root = read(
        tmp_path, "schema_version: 1\nsites: [{power: 5, at: x}, {at: y}]\ngrid: {floor: 1}\n"
    )
    with pytest.warns(OldFormWarning) as said:
        found = migrate(root, CHANGES, 3)
    assert found.plain() == {
        "schema_version": 3,
        "sites": [{"limit_w": 5, "at": "x"}, {"at": "y"}],
        "grid": {},
    }
    texts = [str(w.message) for w in said]
    assert len(texts) == 3
    assert "sites[].power is now called 'power_w'; read until 2027-12-31" in texts[0]
    assert "grid.floor is gone and left out (the grid has none)" in texts[1]
    assert all(f"{tmp_path}/s.yaml:1:17: " in text for text in texts)


def test_a_later_version_skips_the_changes_before_it(tmp_path: Path):
    root = read(tmp_path, "schema_version: 2\nsites: [{power: 5}]\n")
    with pytest.warns(OldFormWarning, match="version 2 of the form"):
        assert migrate(root, CHANGES, 3).plain()["sites"] == [{"power": 5}]


def test_a_renamed_key_keeps_its_place_in_the_file(tmp_path: Path):
    root = read(tmp_path, "schema_version: 2\nsites:\n  - at: x\n    power_w: 5\n")
    with pytest.warns(OldFormWarning):
        site = migrate(root, CHANGES, 3).value["sites"].value[0]
    assert (site.keys["limit_w"].line, site.keys["limit_w"].column) == (4, 5)
    assert list(site.value) == ["at", "limit_w"]


def test_both_names_at_once_contradict(tmp_path: Path):
    root = read(tmp_path, "schema_version: 1\nsites: [{power: 5, power_w: 6}]\n")
    with pytest.raises(InputError, match="both given"):
        migrate(root, CHANGES, 3)


@pytest.mark.parametrize("value", ["0", "-1", "true", "one", "1.5", "null", "[1]"])
def test_what_is_no_version_is_refused_with_its_place(tmp_path: Path, value: str):
    file = tmp_path / "s.yaml"
    file.write_text(f"name: x\nschema_version: {value}\n")
    with pytest.raises(InputError, match="not a version") as found:
        load_tree(file)
    assert (found.value.place.line, found.value.place.column) == (2, 17)
    assert found.value.excerpt


def test_a_newer_file_is_refused_before_anything_runs(tmp_path: Path, capsys):
    file = tmp_path / "s.yaml"
    file.write_text("schema_version: 2\nname: x\n")
    assert main(["run", str(file), "--out", str(tmp_path / "o")]) == 2
    assert "made for a newer flopgrid: this one reads up to 1" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_an_old_parent_under_a_new_child_is_migrated_by_itself(tmp_path: Path, monkeypatch):
    (tmp_path / "p.yaml").write_text("schema_version: 1\nname: x\ngrid: {floor: 1, kind: zonal}\n")
    child = tmp_path / "c.yaml"
    child.write_text("schema_version: 3\nextends: p.yaml\ngrid: {floor: 2}\n")
    monkeypatch.setattr("sim.scenario.load.migrate", lambda root: migrate(root, CHANGES, 3))
    with pytest.warns(OldFormWarning, match="floor is gone"):
        tree = load_tree(child).tree
    assert tree["grid"] == {"kind": "zonal", "floor": 2}
    assert tree["schema_version"] == 3


def test_changes_are_in_order_and_belong_to_a_version_that_exists():
    versions = [change.version for change in room.CHANGES]
    assert versions == sorted(versions)
    assert all(2 <= version <= room.SCHEMA_VERSION for version in versions)


def test_the_schema_knows_the_version_of_the_reader():
    assert Scenario.model_fields["schema_version"].default == room.SCHEMA_VERSION
    with pytest.raises(ValidationError):
        Scenario.model_validate({"schema_version": room.SCHEMA_VERSION + 1})
