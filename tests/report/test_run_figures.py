"""Figures over time and over requests, and what the report makes of a run: analytic cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report import basis_tables, figure_html, html, latency_figure, loop_figure, time_figure
from sim.report.series import Series, added, bin_extremes, bin_means, held_s

MW = 1e6


def steps(*pairs: tuple[float, float]) -> Series:
    return Series(np.array([t for t, _ in pairs]), np.array([v for _, v in pairs]))


def site(meter: Series) -> dict[str, Series]:
    """A site whose chips and IT draw a half and four fifths of the meter."""
    share = {"chip": 0.5, "it": 0.8, "facility": 1.0}
    return {f"a.{b}_w": Series(meter.time_s, meter.value * f) for b, f in share.items()}


def test_bin_means_are_exact_integrals_of_a_step() -> None:
    series = steps((0, 10.0), (1, 30.0), (3, 0.0))
    np.testing.assert_allclose(bin_means(series, np.array([0.0, 2.0, 4.0])), [20.0, 15.0])
    low, high = bin_extremes(series, np.array([0.0, 2.0, 4.0]))
    assert (list(low), list(high)) == ([10.0, 0.0], [30.0, 30.0])


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=30), st.integers(1, 40))
def test_bins_keep_the_energy_of_a_signal(values: list[float], bins: int) -> None:
    series = Series(np.arange(len(values), dtype=float), np.array(values))
    end_s = len(values) + 0.5
    edges_s = np.linspace(0.0, end_s, bins + 1)
    energy_j = float(np.dot(series.value, held_s(series, end_s)))
    assert np.dot(bin_means(series, edges_s), np.diff(edges_s)) == pytest.approx(energy_j)


def test_sums_change_wherever_a_part_changes() -> None:
    total = added({"a": steps((0, 1.0), (2, 2.0)), "b": steps((0, 10.0), (1, 20.0))})
    assert list(total.time_s) == [0, 1, 2]
    assert list(total.value) == [11.0, 21.0, 22.0]


def test_a_load_duration_curve_falls_from_the_peak_and_keeps_the_shares() -> None:
    curve = time_figure.duration_curve(
        steps((0, 5.0), (1, 20.0), (4, 10.0)), 10.0, np.array([0.0, 0.29, 0.5, 0.95, 1.0])
    )
    assert list(curve) == [20.0, 20.0, 10.0, 5.0, 5.0]


def test_figures_are_the_same_to_the_byte_and_carry_their_finding(tmp_path: Path) -> None:
    series = site(steps((0, 10 * MW), (1800, 20 * MW))) | {
        "a.price_usd_per_mwh": steps((0, 20.0), (900, 90.0)),
        "a.limit_w": steps((0, -1.0), (1800, 20 * MW)),
    }
    latencies = {"a.serve": {m: np.linspace(0.01, 1.0, 100) for m in latency_figure.MEASURES}}
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        time_figure.draw_power_time(series, 3600, folder / "power_time.svg")
        time_figure.draw_load_duration(series, 3600, folder / "load_duration.svg")
        loop_figure.draw_loop(series, 3600, folder / "loop.svg")
        latency_figure.draw_latency(latencies, folder / "latency.svg", {})
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 8
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    told = {n: html.finding((tmp_path / "one" / n).read_text()) for n in files if n[-3:] == "svg"}
    assert "between 10.0 and 20.0 MW" in told["power_time.svg"]
    assert told["load_duration.svg"].startswith("Load factor 75%")
    assert "20 to 90 USD/MWh" in told["loop.svg"]
    assert "the grid limits a 0.5 h" in told["loop.svg"]
    assert "45.0% have TTFT within 0.45 s (interactive)" in told["latency.svg"]


def test_nothing_is_drawn_of_what_was_not_recorded(tmp_path: Path) -> None:
    time_figure.draw_power_time({}, 60, tmp_path / "a.svg")
    loop_figure.draw_loop({"a.facility_w": steps((0, 1.0))}, 60, tmp_path / "b.svg")
    latency_figure.draw_latency(latency_figure.read_latencies(tmp_path), tmp_path / "c.svg", {})
    assert list(tmp_path.iterdir()) == []


def test_attainment_counts_the_requests_at_the_target() -> None:
    assert latency_figure.attainment_frac(np.array([0.1, 0.2, 0.3, 0.4]), 0.3) == 0.75


def test_assumptions_are_told_apart_and_ordered_by_width() -> None:
    lines = [
        "b.wide = 2 W (assumption, 1 to 5) [assumption: a guess, 2026-11-24]",
        "a.narrow = 1,000 MW/0.1Hz (assumption, 900 to 1,100) [measured, 2024]",
        "peak of VA: 1 1, 0.9 to 1.2 [assumption: derived, 2026-11-24]",
        "co2.gas = 53.5 kg/MMBtu [RTS-GMLC gen.csv, 2019]",
        "prices are marginal costs",
    ]
    ranged, measured, words = basis_tables.assumption_rows(lines)
    assert [row.name for row in ranged] == ["a.narrow", "b.wide", "peak of VA"]
    assert [row.by_width for row in ranged] == [2, 0, 1]
    assert ranged[1].width_frac == 2.0
    assert ([row.name for row in measured], words) == (["co2.gas"], [lines[-1]])


def verdict(limit: str, probability: float, margin_mw: float) -> dict[str, object]:
    spread = {"margin_low_mw": margin_mw - 1, "margin_high_mw": margin_mw + 1}
    return {"limit": limit, "zone": "VA", "probability": probability, "margin_mw": margin_mw} | (
        spread
    )


def test_the_likelihood_bounds_what_dependent_limits_allow() -> None:
    grid = {"samples": 100, "verdicts": [verdict("energy", 0.2, 5), verdict("swing", 0.1, 3)]}
    told = html.likelihood({"grid": grid})
    assert "20% to 30%" in told
    assert "swing in VA, leaves 3 MW" in told
    grid["verdicts"] = [verdict("energy", 0.0, 5)]
    assert "below 3.0% with 95 % confidence" in html.likelihood({"grid": grid})
    assert html.likelihood({"grid": {"verdicts": []}}) == ""


def test_a_caption_from_a_file_is_escaped_in_the_alternative_text() -> None:
    figure = figure_html.figure_html("power", '<?xml?><svg width="1"></svg>', 'x" onload="<b>')
    assert 'aria-label="Figure power. x&quot; onload=&quot;&lt;b&gt;"' in figure["svg"]
    assert figure["svg"].count('role="img"') == 1
