"""Fits of whole traces: lengths, the held-out half, model files, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sim.cli.main import main
from sim.errors import InputError
from sim.randomness import stream
from sim.workload.copula import Margin, fit_copula, fit_margin, spearman
from sim.workload.dispersion import dispersion_index
from sim.workload.fit import Row, fit_trace, judge
from sim.workload.fitted import FittedArrivals
from sim.workload.lengths import LognormalLengths
from sim.workload.model_file import fitted_traffic, load_model, save_model, write_trace
from sim.workload.requests import RequestTable, draw_requests
from sim.workload.traces import read_trace

MADE = FittedArrivals(4.0, (10.0,), (1.0,), 0.5)
LENGTHS = LognormalLengths(800.0, 150.0, 1.0, 0.8, 0.6, 100_000)


def made(horizon_s: float = 2000.0, seed: int = 1) -> RequestTable:
    return draw_requests(MADE, LENGTHS, horizon_s, seed, "made")


def test_a_copula_keeps_margins_and_correlation() -> None:
    tokens = LENGTHS.sample(50_000, stream(1, "l"))
    drawn = fit_copula(*tokens).sample(50_000, stream(2, "l"))
    for was, now in zip(tokens, drawn, strict=True):
        levels = [0.1, 0.5, 0.9, 0.99]
        assert np.quantile(now, levels) == pytest.approx(np.quantile(was, levels), rel=0.06)
        assert now.min() >= 1
    assert spearman(*drawn) == pytest.approx(spearman(*tokens), abs=0.02)


def test_a_pareto_tail_is_found() -> None:
    """P(X > x) = (50 / x)^2.5: Hill's index of the top hundredth, and quantiles beyond it."""
    tokens = np.rint(50 * stream(1, "pareto").random(200_000) ** (-1 / 2.5)).astype(np.int64)
    margin = fit_margin(tokens)
    assert margin.tail_index == pytest.approx(2.5, rel=0.06)
    far = np.array([0.999, 0.9999])
    assert margin.quantile(far) == pytest.approx(50 * (1 - far) ** (-1 / 2.5), rel=0.1)
    assert float(margin.quantile(np.array(1.0))) <= margin.most == 2 * tokens.max()


def test_a_constant_length_stays_constant() -> None:
    model = fit_copula(np.full(300, 7), np.full(300, 3))
    assert model.correlation == 0
    assert [set(part.tolist()) for part in model.sample(50, stream(1, "c"))] == [{7}, {3}]
    assert model.mean_tokens == (7.0, 3.0)


def test_bad_margins_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 token"):
        fit_margin(np.array([0, 1]))
    with pytest.raises(InputError, match="rising"):
        Margin(np.array([0.0, 0.0]), np.array([1.0, 2.0]), 1.0, 2.0)


def test_a_judged_fit_is_near_on_a_steady_trace() -> None:
    """Both halves are of one law, so the errors are those of sampling."""
    model, rows = judge(made(8000.0))
    assert model.requests < len(made(8000.0))
    found = {row.measure: row for row in rows}
    assert abs(found["rate [1/s]"].error_frac) < 0.1
    assert abs(found["gap p90 [s]"].error_frac) < 0.1
    for way in ("pairs", "copula"):
        assert abs(found[f"{way}: input p50"].error_frac) < 0.06
        assert abs(found[f"{way}: output p99"].error_frac) < 0.15
        assert abs(found[f"{way}: rank correlation"].error_frac) < 0.12
    long_scale = [row for row in rows if row.measure.startswith("IDC at")][-1]
    assert abs(long_scale.error_frac) < 0.4
    assert long_scale.fitted > 5


def test_a_trace_that_changes_shows_as_drift() -> None:
    """The rate halves in the second half: model and first half are off alike."""
    calm = draw_requests(MADE.thinned(0.5), LENGTHS, 2000.0, 2, "calm")
    one = made()
    both = RequestTable(
        np.concatenate([one.arrival_ps, calm.arrival_ps + 2000 * 10**12]),
        np.concatenate([one.input_tokens, calm.input_tokens]),
        np.concatenate([one.output_tokens, calm.output_tokens]),
    )
    rate = next(row for row in judge(both)[1] if row.measure.startswith("rate"))
    assert rate.error_frac > 0.5
    assert rate.drift_frac == pytest.approx(rate.error_frac, abs=0.2)


def test_errors_of_a_row() -> None:
    row = Row("x", 3.0, 2.0, 4.0)
    assert (row.error_frac, row.drift_frac) == (-0.5, -0.25)
    assert np.isnan(Row("x", 1.0, 1.0, 0.0).error_frac)


def test_too_few_requests_are_refused() -> None:
    table = made(20.0)
    with pytest.raises(InputError, match="too few to fit"):
        fit_trace(table)
    with pytest.raises(InputError, match="too few to judge"):
        judge(made(75.0))
    same = RequestTable(np.zeros(300, dtype=np.int64), np.ones(300, int), np.ones(300, int))
    with pytest.raises(InputError, match="one instant"):
        fit_trace(same)


@pytest.mark.facts
def test_the_published_traces(facts: Path) -> None:
    """Burstiness of the fit is that of the trace, within a third, at every scale."""
    for name in ("conv", "code"):
        trace = read_trace(facts / "traces" / f"AzureLLMInferenceTrace_{name}_2023.csv")
        model = fit_trace(trace.requests)
        times_s = trace.requests.arrival_ps / 1e12
        for window_s in (0.1, 1.0, 10.0, 60.0):
            own = dispersion_index(times_s, window_s, model.span_s)
            assert float(model.arrivals.dispersion(window_s)) == pytest.approx(own, rel=0.34)
    moon = fit_trace(read_trace(facts / "traces" / "mooncake_conversation_trace.jsonl").requests)
    assert moon.tick_s == pytest.approx(3.0, abs=0.01)


def test_a_trace_is_fitted_once_until_it_changes(tmp_path: Path) -> None:
    trace = tmp_path / "t.csv"
    write_trace(made(), trace)
    first = fitted_traffic(trace)
    assert fitted_traffic(str(trace))[1] is first[1]
    write_trace(made(1000.0, 2), trace)
    again = fitted_traffic(trace)
    assert again[1] is not first[1]
    assert again[0] != first[0]
    trace.unlink()
    with pytest.raises(InputError, match=r"t\.csv"):
        fitted_traffic(trace)


def test_a_model_file_is_what_was_fitted(tmp_path: Path) -> None:
    model = fit_trace(made())
    save_model(model, "made", tmp_path / "m.json")
    arrivals, lengths = load_model(tmp_path / "m.json")
    assert arrivals == model.arrivals
    assert np.array_equal(lengths.count, model.lengths.count)
    again, _, bad = fitted_traffic(tmp_path / "m.json")
    assert (again, bad) == (arrivals, 0)


HEAD = '{"form": "flopgrid-traffic", "version": 1, "lengths": {}, "arrivals": '


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "cannot read"),
        ("[]", "no traffic model"),
        ('{"form": "flopgrid-traffic", "version": 9}', "version 9"),
        ('{"form": "flopgrid-traffic", "version": 1}', "malformed"),
        (HEAD + '{"rate_per_s": -1, "course": {}}}', "rate_per_s"),
        (HEAD + '{"rate_per_s": 1, "weights": ["x"], "course": {}}}', "malformed"),
        (HEAD + '{"rate_per_s": 1, "course": {}}}', "malformed"),
    ],
)
def test_bad_model_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        load_model(path)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_written_trace_is_read_again(tmp_path: Path, ending: str) -> None:
    table = made(50.0)
    path = tmp_path / f"t.{ending}"
    write_trace(table, path)
    again = read_trace(path).requests
    assert np.array_equal(again.input_tokens, table.input_tokens)
    assert np.abs(again.arrival_ps - table.arrival_ps).max() < 1_000_000
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        write_trace(table, tmp_path / "t.txt")
    with pytest.raises(InputError, match="cannot write"):
        write_trace(table, tmp_path / "none" / "t.csv")


def test_the_command_fits_and_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, model, out = tmp_path / "t.csv", tmp_path / "m.json", tmp_path / "o.csv"
    write_trace(made(), trace)
    assert main(["trace", "fit", str(trace), "--out", str(model)]) == 0
    text = capsys.readouterr().out
    assert "drift" in text
    assert "copula: rank correlation" in text
    assert main(["trace", "fit", str(trace), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["measure"] for row in told["held_out"]} >= {"rate [1/s]", "pairs: input p99.9"}
    hour = ["--hours", "0.1", "--out", str(out)]
    assert main(["trace", "make", str(model), "--rate", "20", *hour]) == 0
    assert len(read_trace(out).requests) == pytest.approx(7200, rel=0.15)
    assert main(["trace", "make", str(model), "--rate", "0", *hour]) == 2
    assert main(["trace", "make", str(model), "--copies", "0", *hour]) == 2
    assert main(["trace", "make", str(model), "--seed", "-1", *hour]) == 2
    assert main(["trace", "make", str(model), "--hours", "0", "--out", str(out)]) == 2
    assert main(["trace", "fit", str(tmp_path / "none.csv")]) == 2
