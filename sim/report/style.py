"""One look for all figures: fonts, a colour-blind-safe colour per cause and limit, and files.

Colours are those of Okabe and Ito (2008), "Color Universal Design". SVG is byte-identical
for the same numbers: fixed ids, no date.
"""

from __future__ import annotations

import csv
import io
import textwrap
from typing import TYPE_CHECKING, Any, Final, Literal

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatter, LogFormatterMathtext

from sim.report.figure_html import COLUMN_MOST_PT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axis import Axis

CAUSE_COLOURS: Final = {
    "chip": "#0072B2",
    "host": "#56B4E9",
    "fans": "#9AD0EE",
    "psu_loss": "#C9C9C9",
    "network": "#009E73",
    "storage": "#7FCDB6",
    "power_train_loss": "#8C8C8C",
    "cooling": "#E69F00",
}
SERIES_COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
DASHES: Final = ("-", "--", "-.", ":")
"""Lines of a figure by number; dashes tell them apart where colours cannot."""
LIMIT_COLOURS: Final = {
    "energy": "#D55E00",
    "reserve": "#E69F00",
    "interface": "#0072B2",
    "branch": "#56B4E9",
    "voltage": "#CC79A7",
    "frequency": "#009E73",
    "swing": "#F0E442",
    "none": "#DDDDDD",
}
Width = Literal["column", "page"]
WIDTHS_MM: Final[dict[Width, float]] = {"column": 85.0, "page": 170.0}
"""Widths at which figures are printed: one column of a paper, or two."""
TEXT, TITLE, SMALL, LEAST = 7.0, 7.5, 6.5, 6.0
"""Letters at that width [pt]; none is smaller than the last."""
MM_PER_IN: Final = 25.4
ROOM_FRAC, LETTER_FRAC = 0.84, 0.52
"""Share of the width that words have, and the mean width of a letter as a share of its size."""
RC: Final[Any] = {
    "svg.hashsalt": "flopgrid",
    "svg.fonttype": "path",
    "text.parse_math": False,  # names come from files: a dollar sign in one is a dollar sign
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": TITLE,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "legend.fontsize": SMALL,
    "legend.title_fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
}
mpl.rcParams.update(RC)
SVG_DPI: Final = 72
"""What an SVG is written with: a pixel is a point."""
RASTER_DPI: Final = 150
"""Of the parts that are images, such as thousands of points."""
SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Decades(LogFormatter):
    """Ticks of a logarithmic axis as plain text: 0.1, 10,000, 10⁵."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The text of one tick; empty where it is not labelled."""
        if not super().__call__(x, pos):
            return ""
        if x == 0 or 1e-3 <= abs(x) < 1e5:
            return f"{x:,g}".replace("-", "−")
        factor, _, power = f"{x:.0e}".partition("e")
        sign = {"1": "", "-1": "−"}.get(factor, f"{factor}×")
        return f"{sign}10{str(int(power)).translate(SUPERSCRIPTS)}"


def _plain_ticks(figure: Figure) -> None:
    """Labels of logarithmic axes without the notation of formulas."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                axis.set_major_formatter(Decades())
            if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
                axis.set_minor_formatter(Decades())


def new_figure(width: Width, height_mm: float) -> Figure:
    """An empty figure in the house style, in the size in which it is printed.

    Args:
        width: of what it is printed in; see `WIDTHS_MM`.
    """
    size_in = (WIDTHS_MM[width] / MM_PER_IN, height_mm / MM_PER_IN)
    figure = Figure(figsize=size_in, dpi=SVG_DPI, layout="constrained")
    FigureCanvasSVG(figure)  # so that places are found with the letters that will be written
    return figure


def power_unit(top_mw: float) -> tuple[str, float]:
    """The unit that suits powers up to this one, and how many of it are a MW."""
    return ("kW", 1e3) if top_mw < 1 else ("GW", 1e-3) if top_mw >= 1e4 else ("MW", 1.0)


def power_axis(axis: Axis, what: str, top_mw: float) -> None:
    """Label an axis whose values are MW, in kW or GW where the largest asks for it."""
    unit, factor = power_unit(top_mw)
    axis.set_label_text(f"{what} [{unit}]")
    if factor != 1.0:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * factor:,.6g}"))


def _wrap_words(figure: Figure) -> None:
    """Titles and names of axes on as many lines as a column of a paper asks for."""
    width_pt, height_pt = (side_in * SVG_DPI for side_in in figure.get_size_inches())
    if width_pt > COLUMN_MOST_PT:
        return
    for axes in figure.axes:
        axes.set_title(_wrapped(axes.get_title(loc="left"), width_pt, TITLE))
        axes.set_xlabel(_wrapped(axes.get_xlabel(), width_pt, TEXT))
        axes.set_ylabel(_wrapped(axes.get_ylabel(), height_pt, TEXT))


def _wrapped(text: str, room_pt: float, size_pt: float) -> str:
    """Each line of a text on lines that fit."""
    letters = max(12, int(ROOM_FRAC * room_pt / (LETTER_FRAC * size_pt)))
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def _lay_out(figure: Figure) -> None:
    """Place everything before the file is written: an engine that is left would draw it twice.

    The second pass is for axes that get other ticks, and wider ones, by the first.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        engine.execute(figure)
        figure.set_layout_engine(None)


def _check_letters(figure: Figure) -> None:
    """A figure with letters too small for paper is a fault of the program."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and text.get_text() and float(text.get_fontsize()) < LEAST:
            raise ValueError(f"{text.get_text()!r} is smaller than {LEAST:g} pt")


def save(figure: Figure, path: Path, rows: Sequence[dict[str, Any]], finding: str = "") -> None:
    """Write `path` (.svg) and, beside it, the numbers it shows (.csv).

    Args:
        finding: a sentence that says what the figure shows; it travels inside the SVG.
    """
    _plain_ticks(figure)
    _wrap_words(figure)
    _lay_out(figure)
    _check_letters(figure)
    told = {"Description": finding} if finding else {}
    about = {"Date": None, "Creator": "flopgrid", **told}
    figure.savefig(path, format="svg", dpi=RASTER_DPI, metadata=about)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.with_suffix(".csv").write_text(text.getvalue(), encoding="utf-8")
