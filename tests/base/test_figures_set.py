"""Figures that a study sets: everything that follows from them follows, and the hash tells."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import sim
from sim import datum
from sim.datum import data, data_hash, figure_at, figures_set, ranged
from sim.errors import InputError
from sim.grid.us_states import us_states
from sim.hardware.device import load_device

FILE = "grid/assumptions.yaml"
KEY = f"{FILE}:peak_derived_factor"


def test_a_figure_is_set_and_then_as_before() -> None:
    before, was_hash = figure_at(KEY), data_hash(FILE)
    network = us_states()
    with figures_set({KEY: 1.01}):
        found = figure_at(KEY)
        assert found.value == 1.01
        assert found.is_assumption
        assert found.quantile(0.0) == pytest.approx(1.01, rel=1e-8)
        assert found.quantile(1.0) == pytest.approx(1.01, rel=1e-8)
        assert data_hash(FILE) != was_hash
        assert data_hash("grid/availability.yaml") == data_hash("grid/availability.yaml")
        virginia = us_states().zone("VA")
        assert virginia.peak_factor == found
    assert figure_at(KEY) == before
    assert data_hash(FILE) == was_hash
    assert us_states() == network


def test_the_hash_depends_on_name_and_value_only() -> None:
    hashes = []
    for values in ({KEY: 1.01}, {KEY: 1.02}, {f"{FILE}:area_peak_factor": 1.01}):
        with figures_set(values):
            hashes.append(data_hash(FILE))
    assert len({*hashes, data_hash(FILE)}) == 4
    with figures_set({KEY: 1.01}):
        assert data_hash(FILE) == hashes[0]


def test_blocks_nest_and_an_error_puts_back() -> None:
    was = figure_at(KEY).value
    with figures_set({KEY: 1.01}):
        with pytest.raises(ZeroDivisionError), figures_set({KEY: 1.02}):
            raise ZeroDivisionError
        assert figure_at(KEY).value == 1.01
    assert figure_at(KEY).value == was


def test_a_figure_without_a_range_may_be_set() -> None:
    fixed = next(n for n, f in data("hardware/h100-sxm.yaml").items() if not f.is_assumption)
    key = f"hardware/h100-sxm.yaml:{fixed}"
    value = figure_at(key).value * 1.5
    with figures_set({key: value}):
        assert figure_at(key).value == value
        assert not figure_at(key).is_assumption


def test_memos_of_the_whole_package_are_emptied() -> None:
    name = "power.model_error_frac"
    before = load_device("h100-sxm")
    with figures_set({f"hardware/h100-sxm.yaml:{name}": 0.05}):
        assert load_device("h100-sxm").model_error_frac == 0.05
    assert load_device("h100-sxm") == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"grid/assumptions.yaml": 1.0}, "names no figure; write FILE.yaml:NAME"),
        ({"grid/nowhere.yaml:x": 1.0}, r"there is no data file 'grid/nowhere\.yaml'"),
        ({f"{FILE}:peak_derived_facto": 1.0}, "did you mean 'peak_derived_factor'"),
        ({KEY: float("nan")}, "is set to nan; give a finite number"),
    ],
)
def test_wrong_figures_are_refused(values: dict[str, float], message: str) -> None:
    was = figure_at(KEY).value
    with pytest.raises(InputError, match=message), figures_set(values):
        pass
    assert figure_at(KEY).value == was


SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from sim.datum import figures_set
from sim.scenario.run import load_scenario, run_scenario
values = json.loads(sys.argv[2])
sizes = ["horizon_h=0.1", "grid.samples=8", "grid.hosting=false"]
found = []
for given in ({}, values) if values else ({},):  # first fill every memo with the old figures
    with figures_set(given):
        summary = run_scenario(load_scenario(sys.argv[3], sizes)[1], 1).summary
    del summary["assumptions"]
    found.append(summary)
print(json.dumps(found, sort_keys=True))
"""


def test_a_set_figure_acts_as_if_its_file_said_so(tmp_path: Path) -> None:
    """A third of the ranged figures of each file moved: by `figures_set`, and in a copy."""
    package = Path(sim.__file__).parent
    copy = tmp_path / "copy" / "sim"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
    values: dict[str, float] = {}
    for file in ("hardware/h100-sxm.yaml", "hardware/dgx-h100.yaml", "grid/assumptions.yaml",
                 "grid/availability.yaml", "facility/building.yaml"):  # fmt: skip
        yaml = YAML()
        tree = yaml.load(copy / "data" / file)
        for name in ranged(data(file))[::3]:
            figure = data(file)[name]
            moved = float(f"{figure.quantile(0.8):.6g}")
            values[f"{file}:{name}"] = moved
            entry = tree
            for step in name.split("."):
                entry = entry[step]
            hair = datum.HAIR_FRAC * abs(moved)
            entry |= {"value": moved, "low": moved - hair, "high": moved + hair}
        yaml.dump(tree, copy / "data" / file)
    assert len(values) >= 15
    scenario = str(package.parent / "scenarios" / "100k-h100-one-state.yaml")

    def summaries(root: Path, given: dict[str, float]) -> list[dict[str, object]]:
        command = [sys.executable, "-c", SCRIPT, str(root), json.dumps(given), scenario]
        found: list[dict[str, object]] = json.loads(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
        return found

    before, as_set = summaries(package.parent, values)
    (as_filed,) = summaries(copy.parent, {})
    assert as_set == as_filed
    assert as_set != before


def test_nested_settings_keep_what_the_outer_one_set():
    other = "hardware/h100-sxm.yaml:power.model_error_frac"
    plain = figure_at(KEY).value
    with figures_set({other: 0.05}):
        with figures_set({KEY: 1.03}):
            assert (figure_at(KEY).value, figure_at(other).value) == (1.03, 0.05)
        assert (figure_at(KEY).value, figure_at(other).value) == (plain, 0.05)
