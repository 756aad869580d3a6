"""The corpus of scenario files: valid ones resolve, invalid ones name their fault and place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.scenario.build import build
from sim.scenario.load import locate
from sim.scenario.resolve import resolve
from sim.scenario.run import load_scenario, plain
from sim.scenario.schema import Scenario
from sim.sweep.expand import load_sweep

CASES = Path(__file__).resolve().parents[1] / "cases"
VALID = sorted((CASES / "valid").glob("*.yaml"))
INVALID = sorted((CASES / "invalid").glob("s*.yaml"))
"""Of scenarios and sweeps; those of YAML itself are in `test_yamlfile.py`."""
EXPECT = "# expect: "


@pytest.mark.parametrize("path", VALID, ids=lambda p: p.stem)
def test_a_valid_file_resolves_once_and_for_all(path: Path) -> None:
    _, scenario = load_scenario(path)
    assert resolve(scenario) == scenario
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    build(scenario, seed=1)


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_an_invalid_file_is_refused_with_the_expected_line(path: Path) -> None:
    expected = path.read_text("utf-8").splitlines()[0]
    assert expected.startswith(EXPECT)
    with pytest.raises(InputError) as caught:
        _read_and_build(path)
    message = str(caught.value)
    assert message.startswith(str(path)), message
    assert re.search(expected.removeprefix(EXPECT), message), message
    assert "\n" not in message


def _read_and_build(path: Path) -> None:
    if path.name.startswith("sweep-"):
        load_sweep(path)
        return
    document, scenario = load_scenario(path)
    try:
        build(scenario, seed=1)
    except InputError as error:
        raise locate(document, error) from None


def test_the_corpus_is_there() -> None:
    assert len(VALID) + len(list((CASES / "sweeps").glob("*.yaml"))) >= 120
    faults = {path.read_bytes().split(b"\n")[0] for path in (CASES / "invalid").glob("*.yaml")}
    assert len(faults) >= 300


def test_resolved_sizes_are_filled_in() -> None:
    _, scenario = load_scenario(CASES / "valid" / "training-least.yaml")
    site = plain(scenario)["sites"][0]
    assert (site["cluster"]["nodes"], site["cluster"]["gpus"]) == (128, 1024)
    assert site["workloads"][0]["layout"]["dp"] == 128
    assert site["workloads"][0]["gpus"] == 1024
