"""Figures of a year of regions: price by zone and week, and interfaces at their limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.report.style import SMALL, TITLE, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MOST_LINES: Final = 24
"""Interfaces shown, those with most hours at their limit."""
MOST_ZONES: Final = 60
"""Zones shown; of more, those whose price moves most."""
CLIP_PERCENTILE: Final = 98.0
SEQUENTIAL: Final = "cividis"
"""Reads the same with every kind of colour vision."""


def draw_prices(grid: Mapping[str, Any], path: Path, finding: str = "") -> None:
    """Heat map of weekly mean prices, dearest zone on top."""
    weeks = grid["weeks"]["price_usd_per_mwh"]
    order = sorted(weeks, key=lambda zone: -float(np.mean(weeks[zone])))
    if len(order) > MOST_ZONES:
        moving = set(sorted(order, key=lambda zone: -float(np.std(weeks[zone])))[:MOST_ZONES])
        order = [zone for zone in order if zone in moving]
    _heat(
        {zone: weeks[zone] for zone in order},
        path,
        value="price_usd_per_mwh",
        label="mean price of the week [USD/MWh]",
        title=f"Price by zone over the weeks of {grid['year']}, dearest zone on top",
        first_day=grid["first_day"],
        finding=finding,
    )


def draw_congestion(grid: Mapping[str, Any], path: Path, finding: str = "") -> None:
    """Heat map of the share of hours in which an interface is at its limit."""
    weeks = grid["weeks"]["congested_frac"]
    order = sorted(weeks, key=lambda line: (-sum(weeks[line]), line))[:MOST_LINES]
    _heat(
        {line: weeks[line] for line in order},
        path,
        value="congested_frac",
        label="share of the week's hours at the limit [1]",
        title=f"Interfaces at their limit over the weeks of {grid['year']}, the fullest on top",
        first_day=grid["first_day"],
        finding=finding,
        most=1.0,
    )


def _heat(
    rows: Mapping[str, list[float]],
    path: Path,
    *,
    value: str,
    label: str,
    title: str,
    first_day: int,
    finding: str,
    most: float | None = None,
) -> None:
    table = np.array(list(rows.values()))
    top = float(np.percentile(table, CLIP_PERCENTILE)) if most is None else most
    low = float(table.min()) if most is None else 0.0
    figure = new_figure("page", 26 + 2.9 * len(rows))
    axes = figure.add_subplot()
    weeks = table.shape[1]
    image = axes.imshow(
        table,
        aspect="auto",
        cmap=SEQUENTIAL,
        vmin=low,
        vmax=max(top, low + 1e-9),
        interpolation="nearest",
        extent=(0.0, float(weeks), len(rows) - 0.5, -0.5),
    )
    axes.set_yticks(range(len(rows)), list(rows), fontsize=SMALL)
    axes.set_xlabel(f"week, from day {first_day} of the year")
    axes.set_title(title, fontsize=TITLE)
    clipped = most is None and table.max() > top
    figure.colorbar(image, ax=axes, label=label, extend="max" if clipped else "neither", pad=0.01)
    save(
        figure,
        path,
        [
            {"name": name, "week": k, value: round(x, 4)}
            for name, values in rows.items()
            for k, x in enumerate(values)
        ],
        finding,
    )
