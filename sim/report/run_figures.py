"""The figures of a run, from its summary alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sim.report.hosting_figure import draw_hosting
from sim.report.power_figure import draw_power

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def draw_run(summary: Mapping[str, Any], folder: Path) -> None:
    """Draw `figures/power.svg` and `figures/hosting.svg`, each with its numbers as CSV."""
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    sites = summary["sites"]
    draw_power({name: site["causes_w"] for name, site in sites.items()}, figures / "power.svg")
    asked: Counter[str] = Counter()
    for site in sites.values():
        asked[site["zone"]] += site["gpus"]
    draw_hosting(summary["grid"]["hosting"], asked, figures / "hosting.svg")
