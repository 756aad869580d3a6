"""The figures and the report of an answer, drawn after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sim.report.arch_figure import draw_architectures
from sim.report.figure_html import finding
from sim.report.html import caption, render_report
from sim.report.page.answer import Drawing, without_folder
from sim.report.run_figures import drawing_run, figure_texts

Piece = tuple[str, dict[str, str]]
"""A caption ("" for none) and the files that it stands for."""


def draw(drawn: Drawing, folder: Path) -> Iterator[Piece]:
    """Each figure with its numbers as soon as it is drawn, then the report.

    Args:
        folder: that of the answer, with its tables.
    """
    told: set[str] = set()
    for _ in _drawing(drawn, folder):
        found = sorted((folder / "figures").glob("*.svg"))
        for path in (path for path in found if path.stem not in told):
            told.add(path.stem)
            svg = path.read_text("utf-8")
            files = {
                path.name: svg,
                f"{path.stem}.csv": path.with_suffix(".csv").read_text("utf-8"),
            }
            words = finding(svg) or caption(path.stem, drawn.summary)
            yield without_folder(words, folder), _clean(files, folder)
    svgs = figure_texts(folder)
    report = render_report(drawn.summary, drawn.manifest, svgs, drawn.influences)
    yield "", _clean({"report.html": report}, folder)


def _drawing(drawn: Drawing, folder: Path) -> Iterator[None]:
    yield from drawing_run(drawn.summary, folder, drawn.tree)
    draw_architectures(drawn.beside, folder / "figures" / "architectures.svg")
    yield


def _clean(files: dict[str, str], folder: Path) -> dict[str, str]:
    return {name: without_folder(text, folder) for name, text in files.items()}
