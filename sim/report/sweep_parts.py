"""What all figures of a sweep share: names of columns, colours, the answer that comes back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from sim.report.style import save
from sim.report.words import UNITS

FIGURE: Final = "figure:"

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an entry of `show` came to.

    Args:
        text: the answer in a line or a few, empty where the figure says it.
        file: the figure, below `figures/`; empty where there is nothing to draw.
    """

    kind: str
    title: str
    text: str = ""
    file: str = ""
    rows: Rows = field(default_factory=list)


def plain_name(column: str) -> str:
    """A column's name without what marks it as a figure of the data."""
    return column.removeprefix(FIGURE)


def axis_label(column: str) -> str:
    """`quantity [unit]` from a column's name."""
    name = short(column)
    for suffix, unit in UNITS.items():
        if name.endswith(suffix):
            return f"{column.removesuffix(suffix)} [{unit}]"
    for suffix, unit in UNITS.items():
        if f"{suffix}." in column:
            return f"{column} [{unit}]"
    return column


def saved(figure: Figure, path: Path, kind: str, title: str, rows: Rows, text: str = "") -> Answer:
    """Write the figure and its rows; without rows there is nothing to draw."""
    if not rows:
        return Answer(kind, title, text or "no run to show")
    save(figure, path, rows, " ".join(text.splitlines()) or title)
    return Answer(kind, title, text, path.name, rows)


def extremes(value: str, points: Sequence[tuple[str, float]]) -> str:
    """Where a figure is highest and where lowest, in a sentence; empty for no numbers.

    Args:
        value: the figure's column. points: (where, mean).
    """
    known = [(where, mean) for where, mean in points if math.isfinite(mean)]
    if not known:
        return ""
    high, low = max(known, key=lambda p: p[1]), min(known, key=lambda p: p[1])
    name = axis_label(value)
    if high[1] == low[1]:
        return f"{name} is {high[1]:,.4g} everywhere."
    return f"{name}: highest {high[1]:,.4g} ({high[0]}), lowest {low[1]:,.4g} ({low[0]})."


def short(column: str) -> str:
    """The last part of a column's name; all of a figure's."""
    return (
        plain_name(column).rpartition(".")[2]
        if not column.startswith(FIGURE)
        else plain_name(column)
    )
