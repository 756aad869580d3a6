"""How far measured runs lie apart: equal runs, and sweeps of one model."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sim.validation.score import _misses, left_out

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

from serving_floor import HALF_OF_NORMAL, levels, repeats  # noqa: E402


def test_of_equal_runs_one_is_missed_by_half_of_their_difference() -> None:
    sweeps = np.array(["a", "a", "a", "b"])
    running = np.array([256.0, 256.4, 8.0, 256.0])
    found = repeats(sweeps, running, np.array([477.0, 547.0, 100.0, 999.0]))
    assert found == pytest.approx([70 / 1024])


def test_no_equal_runs_no_floor() -> None:
    assert repeats(np.array(["a", "a"]), np.array([8.0, 16.0]), np.array([1.0, 2.0])).size == 0


def test_sweeps_of_one_model_around_its_mean() -> None:
    """Two sweeps a factor exp(0.2) apart: variance 2 x 0.1^2 over one degree of freedom."""
    sweeps = np.array(["a", "a", "b", "b", "c"])
    groups = np.array(["m", "m", "m", "m", "n"])
    ratio = np.exp([0.2, 0.2, 0.0, 0.0, 5.0])  # a model with one sweep says nothing
    assert levels(sweeps, groups, ratio) == pytest.approx(HALF_OF_NORMAL * np.sqrt(0.02))


def test_a_prediction_wrong_by_one_factor_has_no_spread() -> None:
    sweeps = np.array(["a", "b", "c"])
    assert levels(sweeps, np.array(["m"] * 3), np.full(3, 1.3)) == pytest.approx(0, abs=1e-12)


def test_what_an_aim_asks_and_is_not_kept_is_named() -> None:
    row = {"aim": 0.05, "left_out": 0.05, "left_out_p90": 0.15, "left_out_bias": -0.025}
    assert _misses(row) == []
    assert _misses(row | {"left_out": 0.051}) == ["median"]
    assert _misses(row | {"left_out_p90": 0.151, "left_out_bias": -0.026}) == ["p90", "bias"]
    rows = left_out()
    assert any(row["misses"] == "none" for row in rows)
    assert any(row["misses"] != "none" for row in rows)


def test_floors_stand_beside_the_errors_of_the_rows_that_repeat() -> None:
    rows = {(row["set"], row["measure"]): row for row in left_out()}
    power = rows["ml.energy", "power_w_per_gpu"]
    assert 0.06 < power["floor_repeats"] < 0.08  # 477 and 547 W, 477 and 550 W
    assert power["floor_levels"] > power["left_out"]
    assert rows["silicon-trtllm", "ttft_ms"]["floor_repeats"] is None
