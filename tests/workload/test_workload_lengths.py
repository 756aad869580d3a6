"""Length distributions; the summaries that ship against the traces they came from."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.datum import data, data_file
from sim.errors import InputError, UnknownNameError
from sim.randomness import stream
from sim.workload.lengths import (
    ConstantLengths,
    EmpiricalLengths,
    LengthColumns,
    LognormalLengths,
    length_histogram,
    trace_lengths,
)
from sim.workload.traces import read_trace

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
Z = float(stats.norm.ppf(0.9995))
"""All gates are 99.9 % intervals for the difference of two samples."""


def misfits(drawn: LengthColumns, truth: LengthColumns) -> list[str]:
    """Which of quantiles, means and rank correlation differ by more than chance allows."""
    found = []
    size = 1 / len(drawn[0]) + 1 / len(truth[0])
    for name, ours, theirs in zip(("input", "output"), drawn, truth, strict=True):
        spread = np.sqrt(ours.var() / len(ours) + theirs.var() / len(theirs))
        if abs(ours.mean() - theirs.mean()) > Z * spread:
            found.append(f"{name} mean")
        for level in LEVELS:
            value = np.quantile(ours, level, method="inverted_cdf")
            slack = Z * np.sqrt(level * (1 - level) * size)
            below, upto = np.mean(theirs < value), np.mean(theirs <= value)
            if not (below - slack <= level <= upto + slack):
                found.append(f"{name} q{level}")
    gap = stats.spearmanr(*drawn).statistic - stats.spearmanr(*truth).statistic
    if abs(gap) > Z * np.sqrt(size):
        found.append("rank correlation")
    return found


@pytest.mark.parametrize("kind", ["conv", "code"])
def test_the_sampler_reproduces_the_trace(facts: Path, kind: str) -> None:
    trace = read_trace(facts / "traces" / f"AzureLLMInferenceTrace_{kind}_2023.csv").requests
    truth = (trace.input_tokens, trace.output_tokens)
    drawn = trace_lengths(f"azure-{kind}-2023").sample(len(trace), stream(1, "lengths", kind))
    assert misfits(drawn, truth) == []


def correlated(size: int, rho: float, seed: int) -> LengthColumns:
    return LognormalLengths(800, 150, 1.0, 0.8, rho).sample(size, stream(seed, "truth"))


def test_a_histogram_reproduces_what_it_summarises() -> None:
    truth = correlated(20_000, 0.7, 1)
    drawn = length_histogram(*truth, bins=40).sample(20_000, stream(2, "drawn"))
    assert misfits(drawn, truth) == []


def test_the_comparison_can_fail() -> None:
    """Without correlation, with another median, or with a cut tail it does."""
    truth = correlated(20_000, 0.7, 1)
    drawn = length_histogram(*truth, bins=40).sample(20_000, stream(2, "drawn"))
    shuffled = stream(3, "shuffle").permutation(drawn[1])
    assert misfits((drawn[0], shuffled), truth) == ["rank correlation"]
    assert "input q0.5" in misfits((drawn[0] + 30, drawn[1]), truth)
    cut = np.minimum(drawn[0], np.quantile(drawn[0], 0.98)).astype(np.int64)
    assert "input q0.99" in misfits((cut, drawn[1]), truth)


def test_the_shipped_tables_are_what_the_tool_builds(facts: Path) -> None:
    path = Path(__file__).resolve().parents[2] / "tools" / "build_trace_summaries.py"
    spec = importlib.util.spec_from_file_location("build_trace_summaries", path)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    for name, text in tool.build(facts / "traces").items():
        assert data_file(f"traces/{name}").read_text("utf-8") == text, name


@pytest.mark.parametrize("name", ["azure-conv-2023", "azure-code-2023"])
def test_the_shipped_tables_carry_their_source(name: str) -> None:
    text = data_file(f"traces/{name}.csv").read_text("utf-8")
    assert "CC-BY-4.0" in text
    assert "AzurePublicDataset" in text
    assert len(text) < 40_000
    kind = name.split("-")[1]
    figures = data("traces/azure-2023.yaml")
    assert trace_lengths(name).count.sum() == figures[f"{kind}.requests"].value
    assert 2 < figures[f"{kind}.rate_per_s"].value < 6


def test_an_unknown_trace_answers_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'azure-conv-2023'"):
        trace_lengths("azure-con-2023")


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(1, 5000)), min_size=1, max_size=200),
    st.integers(2, 12),
)
def test_cells_hold_every_request_once(pairs: list[tuple[int, int]], bins: int) -> None:
    tokens_in, tokens_out = np.array(pairs, dtype=np.int64).T
    cells = length_histogram(tokens_in, tokens_out, bins)
    assert cells.count.sum() == len(pairs)
    inside = (
        (cells.input_low[:, None] <= tokens_in)
        & (tokens_in <= cells.input_high[:, None])
        & (cells.output_low[:, None] <= tokens_out)
        & (tokens_out <= cells.output_high[:, None])
    )
    assert inside.any(axis=0).all()
    drawn = cells.sample(100, stream(1, "x"))
    assert tokens_in.min() <= drawn[0].min() <= drawn[0].max() <= tokens_in.max()
    assert tokens_out.min() <= drawn[1].min() <= drawn[1].max() <= tokens_out.max()


def test_the_mean_of_a_histogram_is_the_mean_of_its_draws() -> None:
    cells = trace_lengths("azure-code-2023")
    drawn = cells.sample(50_000, stream(9, "mean"))
    for mean, tokens in zip(cells.mean_tokens, drawn, strict=True):
        assert abs(tokens.mean() - mean) < Z * tokens.std() / np.sqrt(len(tokens))


def test_constant_lengths() -> None:
    tokens_in, tokens_out = ConstantLengths(10, 3).sample(4, stream(1, "x"))
    assert tokens_in.tolist() == [10] * 4
    assert tokens_out.tolist() == [3] * 4
    assert ConstantLengths(10, 3).mean_tokens == (10.0, 3.0)


def test_lognormal_lengths_have_their_medians_and_correlation() -> None:
    tokens_in, tokens_out = correlated(40_000, 0.5, 4)
    for tokens, median in ((tokens_in, 800), (tokens_out, 150)):
        below = np.mean(tokens <= median)
        assert abs(below - 0.5) < Z * 0.5 / np.sqrt(len(tokens)) + 0.005  # rounding up
    rho = np.corrcoef(np.log(tokens_in), np.log(tokens_out))[0, 1]
    assert abs(np.arctanh(rho) - np.arctanh(0.5)) < Z / np.sqrt(len(tokens_in)) + 0.005


def test_lognormal_lengths_are_cut_and_at_least_one() -> None:
    lengths = LognormalLengths(1, 1, 3.0, 3.0, max_tokens=50)
    tokens_in, tokens_out = lengths.sample(2000, stream(1, "x"))
    assert tokens_in.min() == tokens_out.min() == 1
    assert tokens_in.max() == tokens_out.max() == 50


@pytest.mark.parametrize(
    "build",
    [
        lambda: ConstantLengths(0, 1),
        lambda: ConstantLengths(1, -1),
        lambda: LognormalLengths(0.5, 1, 1, 1),
        lambda: LognormalLengths(1, 1, -1, 1),
        lambda: LognormalLengths(1, 1, 1, float("nan")),
        lambda: LognormalLengths(1, 1, 1, 1, 1.5),
        lambda: EmpiricalLengths(*(np.array([], dtype=np.int64),) * 5),
        lambda: EmpiricalLengths(*(np.array([v]) for v in (5, 4, 1, 1, 1))),
        lambda: EmpiricalLengths(*(np.array([v]) for v in (1, 4, 1, 1, 0))),
    ],
)
def test_impossible_lengths_are_refused(build) -> None:
    with pytest.raises(InputError):
        build()
