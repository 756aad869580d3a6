"""Figures of runs side by side: where the power goes, what changes, how much room is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.report.compare_sides import Side, tightest
from sim.report.power_figure import draw_power
from sim.report.style import LIMIT_COLOURS, SERIES_COLOURS, SMALL, new_figure, save
from sim.report.words import name_and_unit
from sim.units import MEGA, mw_text

if TYPE_CHECKING:
    from pathlib import Path

SIDE_COLOURS: Final = SERIES_COLOURS[:6]
MOST_BARS: Final = 14
WIDE: Final = 50.0
"""Margins this far apart stand on a scale that is logarithmic away from 0."""
LEAST_FRAC: Final = 1e-6
"""Smaller changes are rounding."""


def draw_sides(sides: Sequence[Side], path: Path) -> None:
    """Mean MW by cause, one bar a run; nothing if a run has no site."""
    causes = {}
    for side in sides:
        total: dict[str, float] = {}
        for site in side.summary["sites"].values():
            for cause, watts in site["causes_w"].items():
                total[cause] = total.get(cause, 0.0) + watts
        if not total:
            return
        causes[side.label] = total
    mean_mw = {label: sum(parts.values()) / MEGA for label, parts in causes.items()}
    told = ", ".join(f"{label} {mw_text(mw)} MW" for label, mw in mean_mw.items())
    draw_power(causes, path, f"Mean power at the meter by cause: {told}.")


def relative_changes(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """Changes against the first run as shares of its value, the largest first."""
    base = sides[0]
    rows = []
    for key, before in base.figures.items():
        if not isinstance(before, int | float) or not before:
            continue
        for other in sides[1:]:
            after = other.figures.get(key)
            share = 0.0 if after is None else (after - before) / abs(before)
            if abs(share) > LEAST_FRAC:
                rows.append(
                    {"figure": key, "run": other.label, "before": before, "after": after,
                     "change_frac": share}
                )  # fmt: skip
    return sorted(rows, key=lambda row: (-abs(row["change_frac"]), row["figure"], row["run"]))


def draw_changes(sides: Sequence[Side], path: Path) -> None:
    """Bars of the relative change of the figures that move most; nothing if none does."""
    rows = relative_changes(sides)
    if not rows:
        return
    keys = list(dict.fromkeys(row["figure"] for row in rows))[:MOST_BARS]
    others = [side.label for side in sides[1:]]
    figure = new_figure("column", 18 + 3.4 * len(keys) * max(1.0, 0.8 * len(others)))
    axes = figure.add_subplot()
    height = 0.76 / len(others)
    for row in rows:
        if row["figure"] not in keys:
            continue
        number = others.index(row["run"])
        place = -keys.index(row["figure"]) + 0.38 - (number + 0.5) * height
        axes.barh(place, 100 * row["change_frac"], height * 0.92, color=SIDE_COLOURS[number + 1])
        right = row["change_frac"] >= 0
        axes.annotate(
            _percent(row["change_frac"]),
            (100 * row["change_frac"], place),
            xytext=(3 if right else -3, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=SMALL,
        )  # fmt: skip
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(
        [-k for k in range(len(keys))], [name_and_unit(k)[0] for k in keys], fontsize=SMALL
    )
    sizes = [100 * abs(row["change_frac"]) for row in rows if row["figure"] in keys]
    if max(sizes) > WIDE * float(np.median(sizes)):  # one figure would leave no bar of the others
        axes.set_xscale("symlog", linthresh=10.0)
    axes.margins(x=0.5)
    beyond = ", logarithmic beyond 10" if axes.get_xscale() == "symlog" else ""
    axes.set_xlabel(f"change against {sides[0].label} [%]{beyond}")
    if len(others) > 1:
        for number, label in enumerate(others):
            axes.barh([0], [0], color=SIDE_COLOURS[number + 1], label=label)
        figure.legend(loc="outside lower center", ncols=len(others))
    save(figure, path, rows, _largest_text(sides, rows))


def _percent(frac: float) -> str:
    """A change in percent, with its sign."""
    size = abs(100 * frac)
    digits = f"{size:,.0f}" if size >= 100 else f"{size:.3g}"
    return f"{'−' if frac < 0 else '+'}{digits} %"


def _largest_text(sides: Sequence[Side], rows: list[dict[str, Any]]) -> str:
    top = rows[0]
    name, unit = name_and_unit(top["figure"])
    return (
        f"Of {len({r['figure'] for r in rows})} figures that change, {name} changes most: from "
        f"{top['before']:,.6g} in {sides[0].label} to {top['after']:,.6g} {unit}".rstrip()
        + f" in {top['run']}."
    )


def margin_rows(sides: Sequence[Side]) -> list[dict[str, Any]]:
    """The least margin of each limit in each run, with its interval."""
    rows = []
    for side in sides:
        rows += [
            {"run": side.label, "limit": limit, "zone": v["zone"], "margin_mw": v["margin_mw"],
             "low_mw": v["margin_low_mw"], "high_mw": v["margin_high_mw"]}
            for limit, v in tightest(side).items()
        ]  # fmt: skip
    return rows


def draw_margins(sides: Sequence[Side], path: Path) -> None:
    """Room left under each limit, one point a run with its interval; nothing if none is known."""
    rows = [row for row in margin_rows(sides) if row["limit"] in LIMIT_COLOURS]
    if not rows:
        return
    limits = [limit for limit in LIMIT_COLOURS if any(row["limit"] == limit for row in rows)]
    figure = new_figure("column", 20 + 3 * len(limits) * max(2, len(sides)))
    axes = figure.add_subplot()
    step = 0.7 / len(sides)
    for number, side in enumerate(sides):
        mine = [row for row in rows if row["run"] == side.label]
        places = [-limits.index(row["limit"]) + 0.35 - (number + 0.5) * step for row in mine]
        middle = [row["margin_mw"] for row in mine]
        colour = SIDE_COLOURS[number]
        axes.hlines(places, [r["low_mw"] for r in mine], [r["high_mw"] for r in mine], colour)
        axes.plot(middle, places, "osDv^P"[number], color=colour, label=side.label, markersize=5)
    axes.axvline(0, color="black", linewidth=0.8)
    sizes = [abs(row["margin_mw"]) for row in rows]
    if max(sizes) > WIDE * max(min(sizes), 1.0):
        linear_mw = max(10.0, 10.0 ** np.floor(np.log10(min(sizes) + 1)))
        axes.set_xscale("symlog", linthresh=linear_mw)
        ends = [row[key] for row in rows for key in ("low_mw", "high_mw", "margin_mw")]
        low, high = min(0.0, *ends), max(0.0, *ends)
        axes.set_xlim(2 * low if low < 0 else -linear_mw / 5, 2 * high or linear_mw)
    axes.set_yticks([-k for k in range(len(limits))], limits)
    axes.set_ylim(-len(limits) + 0.5, 0.5)
    beyond = ", logarithmic" if axes.get_xscale() == "symlog" else ""
    axes.set_xlabel(f"room left under the limit, 5th to 95th percentile [MW]{beyond}")
    figure.legend(loc="outside lower center", ncols=len(sides))
    tight = min(rows, key=lambda row: row["margin_mw"])
    told = (
        f"The least room is that of {tight['limit']} in {tight['zone']}, run {tight['run']}: "
        f"{tight['margin_mw']:,.0f} MW."
    )
    save(figure, path, rows, told)
