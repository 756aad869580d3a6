"""What every figure shares: names stay names, ticks are readable, bytes repeat."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from sim.report.figure_html import figure_html, finding, inline, within
from sim.report.steps import corners
from sim.report.style import LEAST, WIDTHS_MM, Decades, new_figure, power_axis, save

HOSTILE = "$5 \\frac{ & <script>alert(1)</script> --> 6$"


def drawn(path: Path) -> str:
    figure = new_figure("page", 80)
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


def test_no_name_of_an_axis_is_cut_where_the_layout_changes_the_ticks(tmp_path: Path) -> None:
    figure = new_figure("page", 72)
    grid = figure.add_gridspec(2, 1, height_ratios=[1.0, 0.22])
    axes, below = (figure.add_subplot(part) for part in grid)
    axes.set_ylim(-1.17, 12.86)
    axes.set_ylabel("steps kept [thousand]")
    axes.set_title("two\nlines")
    axes.set_xlabel("time [h]")
    below.set_yticks([])
    below.set_xlabel("share of the time [%]")
    below.barh(0, 1, label="steps")
    below.legend(loc="upper center", bbox_to_anchor=(0.5, -1.6))
    save(figure, tmp_path / "a.svg", [{"a": 1}])
    assert axes.yaxis.get_tightbbox().x0 >= 0


def test_a_figure_is_the_same_to_the_byte(tmp_path: Path) -> None:
    assert drawn(tmp_path / "a.svg") == drawn(tmp_path / "b.svg")


def test_ticks_of_a_logarithmic_axis_are_plain_text() -> None:
    axes = new_figure("column", 50).add_subplot()
    axes.plot([1e-5, 1e5], [1, 2])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(Decades())
    told = axes.xaxis.get_major_formatter()
    assert [told(x) for x in (1e-5, 0.1, 10000.0, 1e6)] == ["10⁻⁵", "0.1", "10,000", "10⁶"]
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


def test_power_is_told_in_the_unit_that_suits_it() -> None:
    said = {}
    for top_mw in (0.03, 30.0, 3e4):
        axis = new_figure("column", 50).add_subplot().yaxis
        power_axis(axis, "power", top_mw)
        said[top_mw] = (axis.get_label_text(), axis.get_major_formatter()(top_mw, 0))
    assert said[0.03] == ("power [kW]", "30")
    assert said[30.0][0] == "power [MW]"
    assert said[3e4] == ("power [GW]", "30")


def test_steps_keep_their_values_in_as_few_points_as_they_have_changes() -> None:
    edges = np.arange(6.0)
    x, y, z = corners(edges, np.array([1.0, 1, 2, 2, 2]), np.array([0.0, 0, 0, 0, 5]))
    assert list(x) == [0, 2, 4, 5]
    assert list(y) == [1, 2, 2, 2]
    assert list(z) == [0, 0, 5, 5]
    x, y = corners(np.arange(4.0), np.array([np.nan, np.nan, 3.0]))
    assert list(x) == [0, 2, 3]
    assert np.isnan(y[0])
    assert list(y[1:]) == [3, 3]


def test_a_figure_has_the_width_of_a_column_or_of_a_page_and_no_letter_below_six_points(
    tmp_path: Path,
) -> None:
    assert WIDTHS_MM == {"column": 85.0, "page": 170.0}
    for width, mm in WIDTHS_MM.items():
        figure = new_figure(width, 40)
        figure.add_subplot().set_xlabel("time [s]")
        save(figure, tmp_path / f"{width}.svg", [{"a": 1}])
        root = ET.fromstring((tmp_path / f"{width}.svg").read_text("utf-8"))  # noqa: S314 - ours
        points = float(root.attrib["width"].removesuffix("pt"))
        assert points == pytest.approx(mm / 25.4 * 72, abs=0.01)
    figure = new_figure("column", 40)
    figure.add_subplot().text(0, 0, "tiny", fontsize=LEAST - 0.1)
    with pytest.raises(ValueError, match="'tiny' is smaller than 6 pt"):
        save(figure, tmp_path / "b.svg", [{"a": 1}])


def test_a_title_of_a_column_takes_the_lines_that_it_needs(tmp_path: Path) -> None:
    for width, lines in (("column", 2), ("page", 1)):
        figure = new_figure(width, 40)  # type: ignore[arg-type]
        axes = figure.add_subplot()
        axes.set_title("What follows, by the first outage: load lost after each stage")
        save(figure, tmp_path / "a.svg", [{"a": 1}])
        assert len(axes.get_title(loc="left").splitlines()) == lines


def test_a_figure_for_a_column_is_told_apart_on_a_page(tmp_path: Path) -> None:
    for width in WIDTHS_MM:
        figure = new_figure(width, 40)
        figure.add_subplot()
        save(figure, tmp_path / "a.svg", [{"a": 1}])
        shown = figure_html("a", (tmp_path / "a.svg").read_text("utf-8"), "told")
        assert shown["width"] == width
