"""Effects, indices, curves, fronts and probabilities against answers known by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.results.analysis import (
    _rank_correlations,
    heat_map,
    main_effects,
    pareto_front,
    probabilities,
    response_curves,
    sobol_indices,
)
from sim.results.rbd_fast import first_order
from sim.results.store import Columns
from sim.sweep.samples import unit_rows
from sim.sweep.schema import Samples

A, B = 7.0, 0.1
FIRST = (0.3139, 0.4424, 0.0)
TOTAL = (0.5576, 0.4424, 0.2437)
"""Sobol indices of the Ishigami function (Ishigami and Homma 1990; Saltelli et al. 2008)."""


def ishigami(unit: np.ndarray) -> np.ndarray:
    x = (2 * unit - 1) * np.pi
    return np.sin(x[:, 0]) + A * np.sin(x[:, 1]) ** 2 + B * x[:, 2] ** 4 * np.sin(x[:, 0])


def columns(**values: object) -> Columns:
    return Columns(pa.table(values))


def sampled(method: str, count: int) -> Columns:
    unit = unit_rows(Samples(method=method, count=count, assumptions=["*"]), 3)  # type: ignore[arg-type]
    return columns(y=ishigami(unit), **{f"x{k}": unit[:, k] for k in range(3)})


def test_sobol_indices_of_the_ishigami_function() -> None:
    found = sobol_indices(sampled("saltelli", 4096), "y", ["x0", "x1", "x2"], saltelli=True)
    by_name = {index.factor: index for index in found}
    assert [index.factor for index in found] == ["x0", "x1", "x2"]
    for k in range(3):
        index = by_name[f"x{k}"]
        assert index.first == pytest.approx(FIRST[k], abs=0.02)
        assert index.total == pytest.approx(TOTAL[k], abs=0.02)
        assert index.first_range is not None
        assert 0 < index.first_range < 0.1


def test_first_order_indices_without_the_design() -> None:
    found = sobol_indices(sampled("latin-hypercube", 4000), "y", ["x0", "x1", "x2"], saltelli=False)
    by_name = {index.factor: index for index in found}
    assert all(index.total is None for index in found)
    for k in range(3):
        assert by_name[f"x{k}"].first == pytest.approx(FIRST[k], abs=0.03)


def test_the_indices_are_wrong_when_the_rows_are_shuffled() -> None:
    """The check of the design fails where the design is broken."""
    good = sampled("saltelli", 1024)
    order = np.random.default_rng(1).permutation(good.rows)
    shuffled = columns(**{name: np.array(good[name])[order] for name in good})
    found = sobol_indices(shuffled, "y", ["x0", "x1", "x2"], saltelli=True)
    assert abs({i.factor: i for i in found}["x0"].first - FIRST[0]) > 0.1


@pytest.mark.parametrize("runs", [257, 1000])
def test_first_order_indices_are_those_of_salib(runs: int) -> None:
    """Same estimator to the last digit; half-widths of 100 resamples each, so within a third."""
    from SALib.analyze import rbd_fast  # type: ignore[import-untyped]

    x = np.random.default_rng(5).random((runs, 4))
    y = ishigami(x)
    names = [f"x{k}" for k in range(4)]
    problem = {"num_vars": 4, "names": names, "bounds": [[0.0, 1.0]] * 4}
    told = rbd_fast.analyze(problem, x, y, num_resamples=100, seed=1)
    found = first_order(x, y, resamples=100, sure=0.95, seed=1)
    assert [index for index, _ in found] == pytest.approx(told["S1"], abs=1e-12)
    assert [half for _, half in found] == pytest.approx(told["S1_conf"], rel=1 / 3)


def test_the_interval_of_an_index_covers_what_other_samples_give() -> None:
    """And it would not if it were a fifth of its width: the check can fail."""
    found = []
    for seed in range(40):
        x = np.random.default_rng(seed).random((400, 3))
        found.append(first_order(x, ishigami(x), resamples=100, sure=0.95, seed=seed)[1])
    covered = [abs(index - FIRST[1]) <= half for index, half in found]
    narrow = [abs(index - FIRST[1]) <= half / 5 for index, half in found]
    assert np.mean(covered) > 0.85
    assert np.mean(narrow) < 0.75


def test_indices_of_few_runs_and_of_a_column_that_stands_still() -> None:
    for runs in (8, 20, 41):
        x = np.column_stack([np.linspace(0, 1, runs), np.ones(runs)])
        (moves, half), still = first_order(x, x[:, 0] ** 2, resamples=100, sure=0.95, seed=1)
        assert still == (0.0, 0.0)
        assert np.isfinite([moves, half]).all()
        assert moves > 0.3


def test_rank_correlations_are_those_of_scipy() -> None:
    from scipy import stats

    x = np.random.default_rng(2).integers(0, 9, (60, 5)).astype(float)  # with ties
    x[:, 4] = 3.0
    y = x[:, 0] + np.random.default_rng(3).random(60)
    found = _rank_correlations(x, y)
    for k in range(4):
        told = stats.spearmanr(x[:, k], y)
        assert found[k][0] == pytest.approx(told.statistic, abs=1e-12)
        assert found[k][1] == pytest.approx(min(1.0, 5 * told.pvalue), rel=1e-9)
    assert found[4] == (0.0, 1.0)
    assert _rank_correlations(y[:, None], y)[0] == pytest.approx((1.0, 0.0), abs=1e-12)


def test_indices_of_a_constant_and_of_too_few_runs() -> None:
    flat = columns(y=[1.0] * 20, x=np.linspace(0, 1, 20))
    assert sobol_indices(flat, "y", ["x"], saltelli=False)[0].first == 0
    with pytest.raises(InputError, match="3 runs are too few for indices"):
        sobol_indices(columns(y=[1, 2, 3], x=[1, 2, 3]), "y", ["x"], saltelli=False)


def test_main_effects() -> None:
    found = main_effects(
        columns(y=[1.0, 2, 11, 12, None], zone=["a", "b"] * 2 + ["a"], size=[1, 1, 2, 2, 2]),
        "y",
        ["zone", "size"],
    )
    assert [effect.factor for effect in found] == ["size", "zone"]
    size, zone = found
    assert (size.low, size.low_at, size.high, size.high_at) == (1.5, 1, 11.5, 2)
    assert size.share_frac == pytest.approx(100 / 101)
    assert zone.share_frac == pytest.approx(1 / 101)


def test_response_curves_have_a_t_interval_over_the_seeds() -> None:
    (curve,) = response_curves(columns(y=[1.0, 3.0, 10.0, 10.0], x=[2, 2, 1, 1]), "y", "x")
    assert curve.x == (1, 2)
    assert curve.mean == (10.0, 2.0)
    half = 12.706204736 * np.sqrt(2) / np.sqrt(2)  # t(0.975, 1) times the standard error
    assert curve.low == pytest.approx((10.0, 2.0 - half))
    assert curve.high == pytest.approx((10.0, 2.0 + half))
    assert curve.runs == (2, 2)
    two = response_curves(columns(y=[1.0, 2.0], x=[1, 1], g=["b", "a"]), "y", "x", "g")
    assert [curve.name for curve in two] == ["b", "a"]


def test_a_heat_map_has_the_mean_of_each_cell() -> None:
    across, down, cells = heat_map(
        columns(v=[1.0, 3.0, 5.0], x=[2, 2, 1], y=["b", "b", "a"]), "v", "x", "y"
    )
    assert (across, down) == ([1, 2], ["b", "a"])
    assert np.nan_to_num(cells, nan=-1).tolist() == [[-1, 2], [5, -1]]


def test_a_front_by_hand() -> None:
    front = pareto_front(
        columns(cost=[1, 2, 3, 2, None, 1], gain=[1, 3, 2, 3, 9, 1]), ["cost"], ["gain"]
    )
    assert front.tolist() == [True, True, False, True, False, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_a_front_is_what_its_definition_says(pairs: list[tuple[int, int]]) -> None:
    found = pareto_front(columns(a=[p[0] for p in pairs], b=[p[1] for p in pairs]), ["a", "b"])
    for (a, b), on_front in zip(pairs, found, strict=True):
        beaten = any(c <= a and d <= b and (c < a or d < b) for c, d in pairs)
        assert on_front == (not beaten)


def test_a_probability_and_what_decides_it() -> None:
    unit = unit_rows(Samples(count=200, assumptions=["*"]), 4)
    margin = 10 * unit[:, 2] - 3 + 0.5 * unit[:, 0]
    table = columns(margin=margin, **{f"x{k}": unit[:, k] for k in range(4)})
    (found,) = probabilities(table, "margin > 0", ["x0", "x1", "x2", "x3"], "margin")
    assert found.probability == pytest.approx((margin > 0).mean())
    assert found.low < found.probability < found.high
    assert found.decided_by == "x2"
    assert found.rank > 0.95


def test_nothing_stands_out_where_nothing_matters() -> None:
    unit = unit_rows(Samples(count=128, assumptions=["*"]), 20)
    noise = np.random.default_rng(3).normal(size=128)
    table = columns(margin=noise, **{f"x{k}": unit[:, k] for k in range(20)})
    names = [f"x{k}" for k in range(20)]
    (found,) = probabilities(table, "margin > 0", names, "margin")
    assert found.decided_by is None
    (sure,) = probabilities(table, "margin > -99", names)
    assert (sure.probability, sure.high) == (1.0, 1.0)
    assert 0.9 < sure.low < 1.0


def test_groups_are_told_apart() -> None:
    table = columns(margin=[1.0, -1.0, 1.0, 1.0], zone=["VA", "VA", "MA", "MA"])
    found = probabilities(table, "margin > 0", [], by="zone")
    assert [(one.group, one.holds, one.runs) for one in found] == [("VA", 1, 2), ("MA", 2, 2)]


def test_text_is_no_figure() -> None:
    with pytest.raises(InputError, match="column 'zone' holds text"):
        main_effects(columns(zone=["a"], x=[1]), "zone", ["x"])
