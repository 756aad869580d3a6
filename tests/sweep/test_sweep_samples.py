"""Samples: designs that fill their ranges, the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sim.datum import Datum
from sim.errors import InputError
from sim.sweep.samples import chosen, sample_rows, unit_rows
from sim.sweep.schema import Range, Samples


def assumed(name: str, low: float, high: float) -> Datum:
    return Datum(name, (low + high) / 2, "W", "s", "d", low, high, "triangular")


ASSUMED = {
    "a.yaml:x": assumed("x", 0, 10),
    "a.yaml:y": assumed("y", 5, 6),
    "b.yaml:x": assumed("x", 1, 2),
}


def rows(samples: Samples) -> list[dict[str, object]]:
    return [dict(row) for row in sample_rows(samples, lambda: ASSUMED)]


def test_a_latin_hypercube_has_one_point_in_each_slice() -> None:
    samples = Samples(method="latin-hypercube", count=50, over={"a.b": Range(low=0, high=50)})
    values = sorted(float(row["a.b"]) for row in rows(samples))  # type: ignore[arg-type]
    assert [int(value) for value in values] == list(range(50))


def test_sobol_means_are_near_the_middle() -> None:
    grid = unit_rows(Samples(method="sobol", count=256, assumptions=["*"]), 10)
    assert grid.shape == (256, 10)
    assert np.abs(grid.mean(axis=0) - 0.5).max() < 0.01


def test_saltelli_rows_are_the_design_that_the_indices_need() -> None:
    grid = unit_rows(Samples(method="saltelli", count=8, assumptions=["*"]), 3).reshape(8, 5, 3)
    a, b = grid[:, 0], grid[:, -1]
    for k in range(3):
        mixed = grid[:, k + 1]
        assert (mixed[:, k] == b[:, k]).all()
        others = [j for j in range(3) if j != k]
        assert (mixed[:, others] == a[:, others]).all()


def test_the_same_seed_gives_the_same_rows_and_another_others() -> None:
    def of(seed: int) -> list[dict[str, object]]:
        return rows(Samples(count=16, seed=seed, assumptions=["*"]))

    assert of(1) == of(1)
    assert of(1) != of(2)


def test_assumptions_are_drawn_within_their_ranges_by_name() -> None:
    found = rows(Samples(count=64, assumptions=["a.yaml:*"]))
    assert list(found[0]) == ["figure:a.yaml:x", "figure:a.yaml:y"]
    drawn = np.array([list(row.values()) for row in found], dtype=float)
    assert (drawn.min(axis=0) >= [0, 5]).all()
    assert (drawn.max(axis=0) <= [10, 6]).all()
    assert drawn.mean(axis=0) == pytest.approx([5, 5.5], rel=0.05)


def test_patterns_choose_and_leave_out() -> None:
    assert list(chosen(ASSUMED, ["*:x"])) == ["a.yaml:x", "b.yaml:x"]
    assert list(chosen(ASSUMED, ["*", "!b.yaml:*"])) == ["a.yaml:x", "a.yaml:y"]
    with pytest.raises(InputError, match=r"no assumption that the scenario reads matches 'c\*'"):
        chosen(ASSUMED, ["c*"])
    with pytest.raises(InputError, match="matches '!c'"):
        chosen(ASSUMED, ["*", "!c"])


def test_distributions_and_steps() -> None:
    over = {
        "log": Range(low=1, high=10_000, distribution="log-uniform"),
        "tri": Range(low=0, high=1, mode=0.9, distribution="triangular"),
        "gpus": Range(low=100, high=1000, step=8),
    }
    found = rows(Samples(count=256, over=over))
    logs, tri, gpus = (np.array([row[name] for row in found], dtype=float) for name in over)
    assert np.log10(logs).mean() == pytest.approx(2, abs=0.05)
    assert tri.mean() == pytest.approx((0 + 1 + 0.9) / 3, abs=0.01)
    assert set(gpus % 8) == {0}
    assert gpus.min() >= 104
    assert gpus.max() <= 1000
    assert all(isinstance(row["gpus"], int) for row in found)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(0, 9))
def test_values_stay_within_their_range(low: float, width: float, seed: int) -> None:
    over = {"v": Range(low=low, high=low + width)}
    for row in rows(Samples(count=4, seed=seed, over=over)):
        assert low - 1e-9 * abs(low) <= float(row["v"]) <= low + width + 1e-9 * abs(low + width)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 2, "high": 1}, "low 2 is above high 1; swap them"),
        ({"low": 0, "high": 1, "distribution": "log-uniform"}, "low 0 has no logarithm"),
        ({"low": 0, "high": 1, "mode": 3}, "mode 3 is outside 0 to 1"),
    ],
)
def test_wrong_ranges(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Range.model_validate(arguments)


def test_samples_over_nothing() -> None:
    with pytest.raises(ValidationError, match="samples over nothing; give `over` or `assumptions`"):
        Samples()
