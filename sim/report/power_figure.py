"""Figure: power at the meter, by site, boundary and cause."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from sim.report.power_rows import IT_CAUSES, LABELS, in_order, power_rows
from sim.report.style import CAUSE_COLOURS, SMALL, new_figure, power_axis, power_unit, save
from sim.units import MEGA, mw_text

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

LABEL_FRAC = 0.25
"""Width that a label needs, of the longest bar."""


def draw_power(causes_w: dict[str, dict[str, float]], path: Path, finding: str = "") -> None:
    """Stacked bars of mean MW by cause, one bar a site, with the three boundaries marked.

    Args:
        causes_w: site -> cause -> mean power [W]. finding: what the figure shows.
    """
    figure = new_figure("column", 28 + 9 * len(causes_w))
    axes = figure.add_subplot()
    most_mw = max(sum(parts.values()) for parts in causes_w.values()) / MEGA
    for place, parts in enumerate(causes_w.values()):
        left_mw = 0.0
        for cause, watts in in_order(parts):
            label = LABELS[cause] if place == 0 else None
            width_mw, colour = watts / MEGA, CAUSE_COLOURS[cause]
            axes.barh(place, width_mw, 0.6, left=left_mw, color=colour, label=label)
            left_mw += width_mw
        _mark_boundaries(axes, place, parts, most_mw)
    axes.set_xlim(0, most_mw * 1.4 or 1.0)
    axes.set_yticks(range(len(causes_w)), list(causes_w))
    axes.set_ylim(len(causes_w) - 0.5, -0.7)
    power_axis(axes.xaxis, "mean power", most_mw)
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path, power_rows(causes_w), finding)


def _mark_boundaries(axes: Axes, place: int, parts: dict[str, float], most_mw: float) -> None:
    """The power at each boundary, over its end in the bar; left out where there is no room."""
    reached_mw = list(itertools.accumulate(w / MEGA for _, w in in_order(parts)))
    unit, factor = power_unit(most_mw)
    ends = {"chip": reached_mw[0], "IT": reached_mw[IT_CAUSES - 1]}
    free_from_mw = 0.0
    for name, end_mw in ends.items():
        if end_mw - free_from_mw > LABEL_FRAC * most_mw:
            text = f"{name} {mw_text(factor * end_mw)}"
            axes.text(end_mw, place - 0.33, text, ha="right", va="bottom", fontsize=SMALL)
            free_from_mw = end_mw
    text = f" meter {mw_text(factor * reached_mw[-1])} {unit}"
    axes.text(reached_mw[-1], place, text, ha="left", va="center", fontsize=SMALL)
