"""Policies compared, as figures: a tornado of one figure, and the frontier of two."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from sim.report.style import SMALL, TITLE, new_figure, save
from sim.report.words import label_of, name_and_unit
from sim.units import mw_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

LESS, MORE, FRONT = "#0072B2", "#D55E00", "#009E73"
MINUS = "\u2212"
PREFIXES = ((1e12, "T "), (1e9, "G "), (1e6, "M "))


def scale_of(key: str, found: Mapping[str, Any]) -> tuple[float, str]:
    """What a figure is divided by to be told, and its unit then: 1e9 and "G tokens".

    Only tokens are told so: their counts have no unit that grows with them.
    """
    unit = name_and_unit(key)[1]
    values = [found["baseline"].get(key), *(row["delta"].get(key) for row in found["policies"])]
    most = max((abs(value) for value in values if value is not None), default=0.0)
    if unit != "tokens":
        return 1.0, unit
    return next(((by, prefix + unit) for by, prefix in PREFIXES if most >= by), (1.0, unit))


def signed(value: float) -> str:
    """A change with its sign; large ones whole."""
    return f"{MINUS if value < 0 else '+'}{plain_number(abs(value))}"


def plain_number(value: float) -> str:
    """Four digits; large counts whole."""
    large = 1000 <= abs(value) < 1e7
    return f"{value:,.0f}" if large else f"{value:.4g}".replace("-", MINUS)


def lost_work_frac(row: Mapping[str, Any], baseline: Mapping[str, Any]) -> float | None:
    """Share of the work that a policy loses: of tokens in the run, or of a year's energy.

    The larger of the two: a run of some days need not see the hours in which a load that
    uses its full hosting is curtailed.
    """
    over_a_year = float(row["figures"].get("hosted_curtailed_frac") or 0.0)
    for key in ("training_tokens", "output_tokens"):
        if baseline.get(key):
            in_the_run = -float(row["delta"].get(key, 0.0)) / float(baseline[key])
            return max(in_the_run, over_a_year)
    return None


def _wrapped(label: str) -> str:
    """A long policy on several lines."""
    return "\n".join(textwrap.wrap(label.replace(",", ", "), 36))


def _bars(axes: Axes, rows: Sequence[Mapping[str, Any]], by: float) -> None:
    """Bars with intervals and words, over `by`."""
    for place, row in enumerate(rows):
        change = row["delta"] / by
        axes.barh(place, change, color=LESS if change < 0 else MORE, height=0.62)
        if row["high"] > row["low"]:
            bounds = [row["low"] / by, row["high"] / by]
            axes.plot(bounds, [place, place], color="black", linewidth=1)
        axes.annotate(
            signed(change),
            (change, place),
            xytext=(4 if change >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if change >= 0 else "right",
            va="center",
            fontsize=SMALL,
        )
    axes.axvline(0, color="black", linewidth=0.8)


def draw_tornado(found: Mapping[str, Any], key: str, path: Path) -> bool:
    """Bars of a figure's change under each policy, the largest on top, with intervals.

    Returns:
        False, and draws nothing, if no policy has the figure.
    """
    rows = [
        {
            "policy": row["label"],
            "delta": row["delta"][key],
            "low": row["interval"].get(key, [row["delta"][key]] * 2)[0],
            "high": row["interval"].get(key, [row["delta"][key]] * 2)[1],
        }
        for row in found["policies"]
        if key in row["delta"]
    ]
    if not rows:
        return False
    rows.sort(key=lambda r: (abs(r["delta"]), r["policy"]))
    by, unit = scale_of(key, found)
    labels = [_wrapped(r["policy"]) for r in rows]
    lines = sum(1 + label.count("\n") for label in labels)
    figure = new_figure("column", 18 + 3.1 * max(lines, 1.5 * len(rows)))
    axes = figure.add_subplot()
    _bars(axes, rows, by)
    axes.set_yticks(range(len(rows)), labels, fontsize=SMALL)
    axes.margins(x=0.7)
    name = name_and_unit(key)[0]
    axes.set_xlabel(f"change of {name} [{unit}]" if unit else f"change of {name}")
    base = found["baseline"].get(key)
    if base is not None:
        words = f"{plain_number(base / by)} {unit} without a policy".replace("  ", " ")
        figure.suptitle(words, x=0.01, ha="left", fontsize=TITLE)
    save(figure, path, rows, _told(rows, name, unit, by, base))
    return True


def _told(
    rows: Sequence[Mapping[str, Any]], name: str, unit: str, by: float, base: float | None
) -> str:
    """Which policy changes a figure most, and by how much."""
    most = rows[-1]
    if not most["delta"]:
        return f"{name}: no policy changes it."
    how = "changes it most, by" if len(rows) > 1 else "changes it by"
    text = f"{name}: {most['policy']} {how} {signed(most['delta'] / by)}"
    text += "" if base is None else f" from {plain_number(base / by)}"
    return f"{text} {unit}".rstrip() + "."


def draw_frontier(found: Mapping[str, Any], path: Path) -> bool:
    """Hosted MW against lost work; those that no other policy beats on both are joined.

    Returns:
        False, and draws nothing, if hosted MW or the work is not known.
    """
    points = [{"policy": "no policy", "hosted_mw": found["baseline"].get("hosted_mw"), "lost": 0.0}]
    points += [
        {
            "policy": row["label"],
            "hosted_mw": row["figures"].get("hosted_mw"),
            "lost": lost_work_frac(row, found["baseline"]),
        }
        for row in found["policies"]
    ]
    if any(p["hosted_mw"] is None or p["lost"] is None for p in points):
        return False
    for point in points:
        point["on_frontier"] = not any(_beats(other, point) for other in points)
    figure = new_figure("page", 84)
    axes = figure.add_subplot()
    front = sorted((p for p in points if p["on_frontier"]), key=lambda p: p["hosted_mw"])
    axes.plot(
        [p["hosted_mw"] for p in front], [100 * p["lost"] for p in front], color=FRONT, zorder=1
    )
    for point in points:
        place = (point["hosted_mw"], 100 * point["lost"])
        axes.scatter(*place, color=FRONT if point["on_frontier"] else "#8C8C8C", zorder=2)
        text = _wrapped(point["policy"])
        axes.annotate(text, place, xytext=(5, 4), textcoords="offset points", fontsize=SMALL)
    axes.margins(x=0.2, y=0.15)
    axes.set_xlabel(label_of("hosted_mw"))
    axes.set_ylabel("work lost [% of the work without a policy]")
    most = front[-1]
    lost = f"{round(most['lost'], 4) + 0.0:.2%}"  # no -0.00 %
    told = (
        f"{len(front)} of {len(points)} points are beaten by no other on both; most is hosted with "
        f"{most['policy']}, {mw_text(most['hosted_mw'])} MW, for {lost} of the work."
    )
    save(figure, path, points, told)
    return True


def _beats(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """True if `a` hosts at least as much and loses no more, and is better in one of them."""
    no_worse = a["hosted_mw"] >= b["hosted_mw"] and a["lost"] <= b["lost"]
    better = a["hosted_mw"] > b["hosted_mw"] or a["lost"] < b["lost"]
    return bool(no_worse and better)
