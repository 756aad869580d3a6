"""Predicted against measured: reading rows, the errors' definition, accuracy on published rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import InputError
from sim.validation.rows import COLUMNS, parse_rows, read_rows, shipped_rows
from sim.validation.score import Point, compare, errors, left_out

TOLERANCE = {  # committed score (median of the model medians, 2026-11-24) + 10 %
    ("ml.energy", "tpot_mean_ms"): 0.036,
    ("ml.energy", "out_tokens_per_s"): 0.035,
    ("ml.energy", "power_w_per_gpu"): 0.062,
    ("ml.energy", "energy_j_per_output_token"): 0.051,
    ("silicon", "tpot_mean_ms"): 0.094,
    ("silicon", "ttft_ms"): 0.197,
    ("trtllm", "out_tokens_per_s"): 0.117,
}


def test_published_rows_within_the_committed_score(facts: Path) -> None:
    rows = read_rows(facts / "measured" / "serving_h100.csv")
    found = compare(rows, facts / "arch" / "configs")
    scores = {key: found["summary"][key[0]][key[1]]["median_of_model_medians"] for key in TOLERANCE}
    assert {key: s for key, s in scores.items() if s > TOLERANCE[key]} == {}
    assert all(m["coverage_frac"] >= 0.95 for m in found["summary"]["all"].values())


def test_shifted_predictions_do_not_pass() -> None:
    points = [Point("a", "s", "m", "tpot_mean_ms", 10.0, 13.0)]
    found = errors(points, 2)
    assert found["median_of_model_medians"] == pytest.approx(0.3)
    assert found["bias_frac"] == pytest.approx(0.3)
    assert found["coverage_frac"] == 0.5


def test_bad_number_names_file_and_line() -> None:
    line = ",".join("x" if name == "osl" else "1" for name in COLUMNS)
    with pytest.raises(InputError, match="osl") as caught:
        parse_rows([",".join(COLUMNS), line], "rows.csv")
    assert "rows.csv:2" in str(caught.value)


def test_missing_columns_are_named() -> None:
    with pytest.raises(InputError, match="weight_dtype"):
        parse_rows(["id,set"], "rows.csv")


def test_the_shipped_sample_needs_no_other_file() -> None:
    found = compare(shipped_rows())
    everything = found["summary"]["all"]
    assert set(found["summary"]) == {"silicon", "trtllm", "all"}
    assert everything["tpot_mean_ms"]["n"] >= 35
    assert everything["tpot_mean_ms"]["median_abs_error_frac"] < 0.12
    assert all(measure["coverage_frac"] >= 0.95 for measure in everything.values())


def test_models_left_out_are_reported_beside_the_aims() -> None:
    rows = {(row["set"], row["measure"]): row for row in left_out()}
    step = rows["ml.energy", "tpot_mean_ms"]
    assert step["in_sample"] <= step["left_out"] <= step["aim"]
    assert rows["ml.energy", "power_w_per_gpu"]["left_out"] < 0.10


def test_a_shift_of_fifteen_percent_fails_the_gate(facts: Path) -> None:
    rows = read_rows(facts / "measured" / "serving_h100.csv")
    for row in rows:
        for name in row.measured:
            row.measured[name] *= 1.15
    found = compare(rows, facts / "arch" / "configs")["summary"]
    missed = [
        key for key, limit in TOLERANCE.items()
        if found[key[0]][key[1]]["median_of_model_medians"] > limit
    ]  # fmt: skip
    assert len(missed) >= 5
