"""Figure of a cascade study: what each first outage costs, with the new load and without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.report.style import SMALL, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_OUTAGES: Final = 15
"""Outages shown, those that lose most."""
WAYS: Final = {
    "lost_mw": ("with the new load", "#D55E00"),
    "lost_without_the_load_mw": ("without it", "#8C8C8C"),
    "lost_after_redispatch_mw": ("with it, after the best redispatch", "#0072B2"),
}


def draw_contingencies(study: Mapping[str, Any], path: Path) -> None:
    """Load lost after each first outage, one group of bars an outage.

    Args:
        study: the summary's study of cascades.
    """
    worst = sorted(study["cascades"], key=lambda row: (-row["lost_mw"], row["cascade"]))
    shown = worst[:MOST_OUTAGES]
    ways = {key: words for key, words in WAYS.items() if key in shown[0]}
    figure = new_figure("column", 22 + 2.7 * len(ways) * len(shown))
    axes = figure.add_subplot()
    height = 0.8 / len(ways)
    for number, (key, (label, colour)) in enumerate(ways.items()):
        places = [place - 0.4 + (number + 0.5) * height for place in range(len(shown))]
        bars = axes.barh(
            places, [row[key] for row in shown], height * 0.9, color=colour, label=label
        )
        axes.bar_label(bars, [_told(row, key) for row in shown], fontsize=SMALL, padding=2)
    axes.set_yticks(range(len(shown)), [row["cascade"] for row in shown], fontsize=SMALL)
    axes.set_ylim(len(shown) - 0.45, -0.55)
    axes.margins(x=0.22)
    axes.set_xlim(left=0)
    axes.set_title("Load lost, by the first outage")
    axes.set_xlabel("load lost when the cascade is over [MW]")
    figure.legend(loc="outside lower center", ncols=2)
    keys = ("cascade", "depth", "branches_lost", *ways)
    save(figure, path, [{key: row[key] for key in keys} for row in worst], _finding(study, worst))


def _told(row: Mapping[str, Any], key: str) -> str:
    text = f"{row[key]:,.0f}"
    return f"{text} ({row['branches_lost']} branches)" if key == "lost_mw" else text


def _finding(study: Mapping[str, Any], rows: list[dict[str, Any]]) -> str:
    losing = [row for row in rows if row["lost_mw"] > row["lost_without_the_load_mw"]]
    text = (
        f"With {study['load_mw']:,.0f} MW connected, {len(losing)} of {len(rows)} cascades lose "
        f"more load than without it; worst: {rows[0]['cascade']}, {rows[0]['lost_mw']:,.0f} MW"
    )
    if "lost_after_redispatch_mw" in rows[0]:
        most = max(row["lost_after_redispatch_mw"] for row in rows)
        text += f"; after the best redispatch at most {most:,.0f} MW"
    return f"{text}."
