"""Policies compared, as figures: a tornado of one figure, and the frontier of two."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from sim.report.style import SMALL, TITLE, new_figure, save
from sim.report.words import label_of, name_and_unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LESS, MORE, FRONT = "#0072B2", "#D55E00", "#009E73"


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
    labels = [_wrapped(r["policy"]) for r in rows]
    lines = sum(1 + label.count("\n") for label in labels)
    figure = new_figure("column", 18 + 3.1 * max(lines, 1.5 * len(rows)))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        axes.barh(place, row["delta"], color=LESS if row["delta"] < 0 else MORE, height=0.62)
        if row["high"] > row["low"]:
            axes.plot([row["low"], row["high"]], [place, place], color="black", linewidth=1)
        axes.annotate(
            f"{row['delta']:+,.4g}".replace("-", "−"),
            (row["delta"], place),
            xytext=(4 if row["delta"] >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if row["delta"] >= 0 else "right",
            va="center",
            fontsize=SMALL,
        )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), labels, fontsize=SMALL)
    axes.margins(x=0.7)
    axes.set_xlabel(f"change of {label_of(key)}")
    base = found["baseline"].get(key)
    if base is not None:
        unit = name_and_unit(key)[1]
        figure.suptitle(f"{base:,.4g} {unit} without a policy", x=0.01, ha="left", fontsize=TITLE)
    most = rows[-1]
    told = f"{label_of(key)}: {most['policy']} changes it most, by {most['delta']:+,.4g}"
    if base is not None:
        told += f" from {base:,.4g}"
    save(figure, path, rows, f"{told}.")
    return True


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
    told = (
        f"{len(front)} of {len(points)} points are beaten by no other on both; most is hosted with "
        f"{most['policy']}, {most['hosted_mw']:,.0f} MW, for {most['lost']:.2%} of the work."
    )
    save(figure, path, points, told)
    return True


def _beats(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """True if `a` hosts at least as much and loses no more, and is better in one of them."""
    no_worse = a["hosted_mw"] >= b["hosted_mw"] and a["lost"] <= b["lost"]
    better = a["hosted_mw"] > b["hosted_mw"] or a["lost"] < b["lost"]
    return bool(no_worse and better)
