"""Predicted against measured: reading rows, the errors' definition, accuracy on published rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import InputError
from sim.validation.rows import COLUMNS, parse_rows, read_rows
from sim.validation.score import Point, compare, errors

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
