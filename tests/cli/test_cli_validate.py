"""`flopgrid validate`: the shipped sample, given rows, and bad ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.cli.main import main
from sim.datum import data_file

Capture = pytest.CaptureFixture[str]
SHIPPED = "validation/serving_h100.csv"


def test_the_shipped_rows_have_the_contract_keys(capsys: Capture) -> None:
    assert main(["validate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"][0].keys() >= {
        "id", "set", "measure", "measured", "predicted", "error_frac",
    }  # fmt: skip
    row = found["rows"][0]
    assert row["error_frac"] == pytest.approx(row["predicted"] / row["measured"] - 1)
    assert "all" in found["summary"]
    assert found["summary"]["all"]["out_tokens_per_s"].keys() >= {
        "n", "models", "coverage_frac", "median_abs_error_frac", "median_of_model_medians",
        "p90_abs_error_frac", "bias_frac",
    }  # fmt: skip


def test_the_table_shows_the_errors_on_models_left_out(capsys: Capture) -> None:
    assert main(["validate"]) == 0
    assert "left out of the fit" in capsys.readouterr().out


def test_given_rows_are_compared_and_bad_ones_name_their_line(
    tmp_path: Path, capsys: Capture
) -> None:
    lines = [x for x in data_file(SHIPPED).read_text("utf-8").splitlines() if x[0] != "#"]
    rows = tmp_path / "rows.csv"
    rows.write_text("\n".join(lines[:4]) + "\n")
    assert main(["validate", "--rows", str(rows), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]
    column = lines[0].split(",").index("n_gpus")
    cells = lines[1].split(",")
    cells[column] = "many"
    rows.write_text("\n".join([lines[0], ",".join(cells)]) + "\n")
    assert main(["validate", "--rows", str(rows)]) == 2
    assert "rows.csv:2" in capsys.readouterr().err
    assert main(["validate", "--rows", str(tmp_path / "nowhere.csv")]) == 2
