"""The figures and the report of an answer, drawn after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sim.report.figure_html import finding
from sim.report.html import caption, render_report
from sim.report.page.answer import Drawing, without_folder
from sim.report.run_figures import draw_run, figure_texts

Piece = tuple[str, dict[str, str]]
"""A caption ("" for none) and the files that it stands for."""


def draw(drawn: Drawing, folder: Path) -> Iterator[Piece]:
    """The figures with their numbers when all are drawn, then the report.

    Args:
        folder: that of the answer, with its tables.
    """
    draw_run(drawn.summary, folder, drawn.tree)
    svgs = figure_texts(folder)
    for name, svg in svgs.items():
        numbers = (folder / "figures" / f"{name}.csv").read_text("utf-8")
        told = finding(svg) or caption(name, drawn.summary)
        files = {f"{name}.svg": svg, f"{name}.csv": numbers}
        yield without_folder(told, folder), _clean(files, folder)
    report = render_report(drawn.summary, drawn.manifest, svgs, drawn.influences)
    yield "", _clean({"report.html": report}, folder)


def _clean(files: dict[str, str], folder: Path) -> dict[str, str]:
    return {name: without_folder(text, folder) for name, text in files.items()}
