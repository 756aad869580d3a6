"""One look for all figures: fonts, a colour-blind-safe colour per cause and limit, and files.

Colours are those of Okabe and Ito (2008), "Color Universal Design". SVG is byte-identical
for the same numbers: fixed ids, no date.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogFormatter, LogFormatterMathtext

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
RC: Final[Any] = {
    "svg.hashsalt": "flopgrid",
    "svg.fonttype": "path",
    "text.parse_math": False,  # names come from files: a dollar sign in one is a dollar sign
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
mpl.rcParams.update(RC)
TIGHT: Final = 0.85
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


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure in the house style.

    Args:
        width_in, height_in: of the page on which it is laid out; it comes smaller by `TIGHT`, so
            that its letters stay readable when it is printed in a column.
    """
    size_in = (TIGHT * width_in, TIGHT * height_in)
    figure = Figure(figsize=size_in, dpi=SVG_DPI, layout="constrained")
    FigureCanvasSVG(figure)  # so that places are found with the letters that will be written
    return figure


def power_axis(axis: Axis, what: str, top_mw: float) -> None:
    """Label an axis whose values are MW, in kW or GW where the largest asks for it."""
    unit, factor = ("kW", 1e3) if top_mw < 1 else ("GW", 1e-3) if top_mw >= 1e4 else ("MW", 1.0)
    axis.set_label_text(f"{what} [{unit}]")
    if factor != 1.0:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * factor:,.6g}"))


def _lay_out(figure: Figure) -> None:
    """Place everything once; an engine that is still there when the file is written draws twice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def save(figure: Figure, path: Path, rows: Sequence[dict[str, Any]], finding: str = "") -> None:
    """Write `path` (.svg) and, beside it, the numbers it shows (.csv).

    Args:
        finding: a sentence that says what the figure shows; it travels inside the SVG.
    """
    _plain_ticks(figure)
    _lay_out(figure)
    told = {"Description": finding} if finding else {}
    about = {"Date": None, "Creator": "flopgrid", **told}
    figure.savefig(path, format="svg", dpi=RASTER_DPI, metadata=about)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.with_suffix(".csv").write_text(text.getvalue(), encoding="utf-8")
