"""What every figure shares: names stay names, ticks are readable, bytes repeat."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from sim.report.figure_html import figure_html, finding, inline, within
from sim.report.style import Decades, new_figure, save

HOSTILE = "$5 \\frac{ & <script>alert(1)</script> --> 6$"


def drawn(path: Path) -> str:
    figure = new_figure(5, 3)
    axes = figure.add_subplot()
    axes.plot([1e-6, 2e7], [3, 20])
    axes.set_xscale("log")
    axes.set_title(HOSTILE)
    axes.set_xlabel(HOSTILE)
    save(figure, path, [{"a": 1}], HOSTILE)
    return path.read_text("utf-8")


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    svg = drawn(tmp_path / "a.svg")
    ET.fromstring(svg)  # noqa: S314 - ours
    assert finding(svg) == HOSTILE
    shown = figure_html("a", svg, finding(svg))
    assert "<script" not in shown["svg"]
    ET.fromstring(shown["svg"].replace("<svg ", '<svg xmlns:x="x" ', 1))  # noqa: S314 - ours


def test_a_figure_is_the_same_to_the_byte(tmp_path: Path) -> None:
    assert drawn(tmp_path / "a.svg") == drawn(tmp_path / "b.svg")


def test_ticks_of_a_logarithmic_axis_are_plain_text() -> None:
    axes = new_figure(3, 2).add_subplot()
    axes.plot([1e-5, 1e5], [1, 2])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(Decades())
    told = axes.xaxis.get_major_formatter()
    assert [told(x) for x in (1e-5, 0.1, 1000.0, 1e6)] == ["10⁻⁵", "0.1", "1,000", "10⁶"]
    assert [told(x) for x in (0.0, -100.0, -1e6, 3e5)] == ["0", "−100", "−10⁶", "3×10⁵"]


def test_ids_are_told_apart_and_coordinates_are_short(tmp_path: Path) -> None:
    svg = drawn(tmp_path / "a.svg")
    one, other = inline(svg, "one"), inline(svg, "other")
    assert 'id="one-figure_1"' in one
    assert 'id="other-figure_1"' in other
    assert len(one) < len(svg)
    assert "scale(0.015625)" in one, "the scale of glyphs is no coordinate"


def test_the_largest_figures_are_left_out_of_a_page_that_would_be_too_large() -> None:
    figures = [{"name": n, "svg": "x" * size, "caption": n} for n, size in (("a", 9), ("b", 5))]
    assert within(figures, 20) == figures
    kept = within(figures, 8)
    assert [bool(f["svg"]) for f in kept] == [False, True]
    assert "Too large" in kept[0]["caption"]
