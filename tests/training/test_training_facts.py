"""Published figures that the training tables carry, against the reference facts they came from."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from sim.datum import data, read_table
from sim.validation.training_runs import SCORED_ROWS, score_runs

pytestmark = [pytest.mark.facts, pytest.mark.xdist_group("published runs")]


def reference(facts: Path) -> dict[tuple[str, str], str]:
    with (facts / "measured" / "reference_results.csv").open(encoding="utf-8") as file:
        return {(r["id"], r["quantity"]): r["value"] for r in csv.DictReader(file)}


def test_published_runs_are_those_of_the_facts(facts: Path) -> None:
    rows, scores = reference(facts), {(s.run, s.measure): s for s in score_runs()}
    for key, wanted in SCORED_ROWS.items():
        assert scores[key].published.value == pytest.approx(float(rows[wanted])), key


def test_counts_of_interruptions_are_those_of_the_facts(facts: Path) -> None:
    rows, figures = reference(facts), data("training/failures.yaml")
    counts = {k: f.value for k, f in figures.items() if k.startswith("count.")}
    assert sum(counts.values()) == float(rows["llama3-405b", "unexpected interruptions in 54 days"])
    faulty = float(rows["llama3-405b", "faulty GPU interruptions"])
    memory = float(rows["llama3-405b", "HBM3 interruptions"])
    assert counts["count.gpu"] > faulty + memory
    cables = float(rows["llama3-405b", "network switch/cable interruptions"])
    assert counts["count.network"] == cables + 7  # and NICs
    assert figures["published.gpus"].value == float(rows["llama3-405b", "GPUs"])
    planned = float(rows["llama3-405b", "planned interruptions"])
    assert figures["planned.interval_h"].value == pytest.approx(54 * 24 / planned, rel=0.01)


def test_carbon_and_prices_of_states_are_those_of_the_facts(facts: Path) -> None:
    with (facts / "grid" / "us_states.csv").open(encoding="utf-8") as file:
        states: dict[str, Any] = {r["state"]: r for r in csv.DictReader(file)}
    table = {r["zone"]: r for r in read_table("training/states.csv")}
    assert table.keys() == (states.keys() - {"TX"}) | {"TX-ERCOT", "TX-other"}
    for zone, row in table.items():
        state = states[zone.partition("-")[0]]
        assert float(row["co2e_kg_per_mwh"]) == pytest.approx(
            float(state["egrid2023_co2e_kg_per_mwh"]), rel=1e-4
        )
        if row["industrial_usd_per_mwh"]:
            assert float(row["industrial_usd_per_mwh"]) == pytest.approx(
                10 * float(state["price_industrial_2023_cents_kwh"])
            )
