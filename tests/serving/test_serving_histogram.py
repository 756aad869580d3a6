"""Latency histograms: within the error that is stated, and added without loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_helpers import MS
from test_serving_engine import TABLES, told

from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.histograms import histogram_quantile_s
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.state import Watch
from sim.control.serving import BatchRules, ClassRule
from sim.randomness import stream
from sim.workload.requests import RequestTable

HOW = BatchRules(max_num_seqs=64, max_num_batched_tokens=512, watermark_frac=0.0)


def bucketed(values_ps: np.ndarray) -> np.ndarray:
    """The kernels' histogram, made another way: by comparing with the edges."""
    edges = 2.0 ** (np.arange(62)[:, None]) * (1 + np.arange(128)[None, :] / 128)
    place = np.searchsorted(edges.ravel(), values_ps, side="right") - 1
    return np.bincount(np.maximum(place, 0), minlength=at.HISTOGRAM_BUCKETS)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 10**17), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_within_the_stated_error(values: list[int], level: float) -> None:
    found = histogram_quantile_s(bucketed(np.array(values, dtype=float)), level)
    rank = max(1, int(np.ceil(level * len(values))))
    true = sorted(values)[rank - 1] / 1e12
    assert found == pytest.approx(true, rel=0.004)


def test_no_values_have_no_quantile() -> None:
    assert histogram_quantile_s(np.zeros(at.HISTOGRAM_BUCKETS, dtype=np.int64), 0.5) is None


def test_the_engine_fills_the_histograms_of_its_log() -> None:
    """TTFT, TPOT and E2E of completions in the window only; sums and goodput with them."""
    rng = np.random.default_rng(5)
    gaps, tokens = rng.integers(0, 40 * MS, 400), rng.integers(1, 60, (2, 400))
    table = RequestTable(np.cumsum(gaps), tokens[0], tokens[1])
    window = (500 * MS, 5000 * MS)
    how = replace(HOW, classes=(ClassRule(None, 0.0016, 0.00105),))
    fast = CompiledReplicas(TABLES, how, 2, "power-of-two", Watch(window, log=True))
    fast.bring(table, stream(1).random((400, 2)), 100_000 * MS)
    assert len(told(fast)) == 400
    log = fast.log()
    log = log[(log[:, at.L_END] >= window[0]) & (log[:, at.L_END] < window[1])]
    assert 100 < len(log) < 400
    ttft, e2e = (log[:, c] - log[:, at.L_ARRIVAL] for c in (at.L_FIRST, at.L_END))
    later = log[:, at.L_OUTPUT] - 1
    gap = (log[:, at.L_END] - log[:, at.L_FIRST]) / np.maximum(later, 1)
    for which, values in enumerate((ttft, gap[later > 0], e2e)):
        assert fast.cell.histogram[0, which].tolist() == bucketed(values).tolist()
        assert fast.cell.sums[0, which] == pytest.approx(values.sum(), rel=1e-12)
    tally = fast.cell.tally[0]
    assert tally[at.W_COMPLETED] == len(log)
    assert tally[at.W_IN] == log[:, at.L_INPUT].sum()
    assert tally[at.W_OUT] == log[:, at.L_OUTPUT].sum()
    met = (ttft <= 1.6 * MS) & (gap <= 1.05 * MS)
    assert 0 < met.sum() < len(log)
    assert tally[at.W_MET] == met.sum()
    inside = (table.arrival_ps >= window[0]) & (table.arrival_ps < window[1])
    assert tally[at.W_ARRIVED] == inside.sum()
