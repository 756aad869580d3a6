"""Classes in `requests.parquet` of a sampled fleet, against the summary."""

from __future__ import annotations

from pathlib import Path

from sim.scenario.requests_table import reference_rows, schema
from sim.scenario.run import load_scenario
from sim.scenario.simulate import simulate
from sim.scenario.summary import serving_json

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"


def test_each_row_has_its_class(tmp_path: Path) -> None:
    """Rows completed in the window, scaled, are what the summary says of the class."""
    text = (CASES / "serving-classes.yaml").read_text("utf-8")
    path = tmp_path / "s.yaml"
    path.write_text(
        text.replace("fidelity: request", "fidelity: sampled\n        representative_replicas: 4"),
        "utf-8",
    )
    _, scenario = load_scenario(path)
    outcome = simulate(scenario, 1)
    fleet = outcome.sites[0].run.fleets["serving"]
    rows = reference_rows(outcome.simulation, schema()).to_pylist()
    assert {row["class"] for row in rows} == {"chat", "batch"}
    told = serving_json(outcome, {"campus.serving": fleet})["fleets"]["campus.serving"]
    for name, found in told["classes"].items():
        done = [
            r for r in rows if r["class"] == name and r["end_s"] is not None and r["end_s"] >= 3
        ]
        assert len(done) * 4 == found["completed"]  # 16 replicas, 4 of them simulated
        assert found["met"] <= found["completed"] <= found["requests"] + 64
