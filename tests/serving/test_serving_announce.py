"""A run says before it waits for the compiler, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.cli.run import progress
from sim.cluster.serving import compiled
from sim.scenario.run import load_scenario
from sim.scenario.simulate import announce_compiling

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios" / "serving-autoscaled.yaml"


@pytest.mark.parametrize("stored", [False, True])
def test_a_run_says_that_the_engine_will_be_compiled(
    stored: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiled, "is_stored", lambda _: stored)
    _, scenario = load_scenario(SCENARIO, [])
    tell = progress()
    tell("a line of a short run")
    announce_compiling(scenario, tell)
    said = capsys.readouterr().err
    assert said == ("" if stored else compiled.COMPILING + "\n")


def test_a_run_without_compiled_fleets_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "is_stored", lambda _: False)
    _, scenario = load_scenario(SCENARIO.with_name("100k-h100-one-state.yaml"), [])
    said: list[str] = []
    announce_compiling(scenario, said.append)
    assert said == []
