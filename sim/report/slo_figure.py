"""Figure: what became of the requests of each class, and how many met the class's objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.report.style import SMALL, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

Json = dict[str, Any]
OUTCOMES: Final = {
    "in time": "#009E73",
    "late": "#E69F00",
    "not finished": "#C9C9C9",
    "shed": "#CC79A7",
    "dropped": "#000000",
}
LABEL_FRAC: Final = 0.12
"""Share of a bar that has room for its number."""


def class_rows(serving: Mapping[str, Any]) -> list[Json]:
    """Rows (fleet, class, requests, and the share of each outcome, 0 to 1)."""
    rows = []
    for fleet, found in serving["fleets"].items():
        for name, one in found.get("classes", {}).items():
            if one["requests"] > 0:
                rows.append({"fleet": fleet, "class": name} | _shares(one))
    return rows


def _shares(one: Mapping[str, Any]) -> Json:
    asked = one["requests"]
    counts = {
        "in time": one["met"],
        "late": one["completed"] - one["met"],
        "not finished": asked - one["completed"] - one["shed"] - one["dropped"],
        "shed": one["shed"],
        "dropped": one["dropped"],
    }
    return {"requests": asked} | {name: max(0.0, n / asked) for name, n in counts.items()}


def draw_attainment(
    serving: Mapping[str, Any] | None, objectives: Mapping[tuple[str, str], str], path: Path
) -> None:
    """One bar a class, split by what became of its requests; nothing without classes.

    Args:
        serving: the summary's `serving`. objectives: (fleet, class) -> its
            objectives in words.
    """
    rows = class_rows(serving or {"fleets": {}})
    if not rows:
        return
    figure = new_figure("column", 22 + 9 * len(rows))
    axes = figure.add_subplot()
    several = len({row["fleet"] for row in rows}) > 1
    for place, row in enumerate(rows):
        _bar(axes, place, row)
    labels = [_label(row, objectives, several=several) for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=SMALL)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the requests that arrived [%]")
    figure.legend(loc="outside lower center", ncols=3)
    save(figure, path, rows, _finding(rows))


def _bar(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    left = 0.0
    for name, colour in OUTCOMES.items():
        share = row[name]
        axes.barh(place, 100 * share, 0.62, 100 * left, color=colour, label=None if place else name)
        if share >= LABEL_FRAC:
            ink = "white" if name in ("in time", "dropped") else "black"
            middle = 100 * (left + share / 2)
            text = f"{share:.1%}"
            axes.text(middle, place, text, ha="center", va="center", fontsize=SMALL, color=ink)
        left += share


def _label(
    row: Mapping[str, Any], objectives: Mapping[tuple[str, str], str], *, several: bool
) -> str:
    name = f"{row['fleet']}, {row['class']}" if several else row["class"]
    told = objectives.get((row["fleet"], row["class"]), "")
    return f"{name}\n{told}" if told else name


def _finding(rows: list[Json]) -> str:
    worst = min(rows, key=lambda row: row["in time"])
    best = max(rows, key=lambda row: row["in time"])
    text = (
        f"Of the {worst['requests']:,.0f} requests of class {worst['class']} "
        f"{worst['in time']:.1%} are served within their objectives"
    )
    if best is worst:
        return f"{text}."
    return f"{text}, of class {best['class']} {best['in time']:.1%}."
