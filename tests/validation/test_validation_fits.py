"""The fits of the serving engines: a model that is left out is left out of all of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.validation.rows import MeasuredRow, read_rows

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
from serving_problems import EngineChain, engine_chain

QWEN = "Qwen--Qwen3-235B-A22B"


@pytest.fixture
def chosen(facts: Path) -> list[MeasuredRow]:
    """Some rows of each model in TensorRT-LLM."""
    rows = read_rows(facts / "measured" / "serving_h100.csv")
    return [r for r in rows if r.set == "silicon" and r.engine == "trtllm"][::20]


def chain(rows: list[MeasuredRow], facts: Path) -> EngineChain:
    return engine_chain("trtllm", rows, facts / "arch" / "configs")


def slower(row: MeasuredRow, measure: str) -> MeasuredRow:
    if row.config != QWEN:
        return row
    return replace(row, measured=row.measured | {measure: 1.5 * row.measured[measure]})


@pytest.mark.parametrize("measure", ["ttft_ms", "tpot_mean_ms"])
def test_what_a_left_out_model_measured_moves_no_prediction_of_it(
    chosen: list[MeasuredRow], facts: Path, measure: str
) -> None:
    """Its first tokens set how many clients run, and so the step times: they must not enter."""
    known = chain(chosen, facts)
    told = chain([slower(row, measure) for row in chosen], facts)
    kept, moved = known.solve(QWEN), told.solve(QWEN)
    assert moved.values == kept.values
    np.testing.assert_array_equal(moved.step_s, kept.step_s)
    np.testing.assert_array_equal(moved.first_s, kept.first_s)
    assert told.solve().values != known.solve().values, "with all models it does enter"
