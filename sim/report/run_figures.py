"""The figures of a run, from its summary and, where they were recorded, its tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from sim.report.battery_figure import draw_battery
from sim.report.cause_figure import draw_causes
from sim.report.facility_figure import draw_facility
from sim.report.frequency_figure import draw_frequency
from sim.report.hosting_figure import draw_hosting
from sim.report.latency_figure import draw_latency, read_latencies
from sim.report.loop_figure import draw_loop
from sim.report.nodal_run_figures import draw_nodal, nodal_figure_names
from sim.report.power_figure import draw_power
from sim.report.regions_figure import draw_congestion, draw_prices
from sim.report.series import read_series
from sim.report.time_figure import draw_load_duration, draw_power_time
from sim.report.training_figure import draw_training

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def draw_run(summary: Mapping[str, Any], folder: Path) -> None:
    """Draw the figures that the run has the numbers for, each with its CSV, in `figures/`.

    Args:
        summary: `summary.json`. folder: the run folder; of its tables, `signals.parquet` and
            `requests.parquet` are read if they are there.
    """
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    sites = summary["sites"]
    if sites:
        draw_power({name: site["causes_w"] for name, site in sites.items()}, figures / "power.svg")
    asked: Counter[str] = Counter()
    for site in sites.values():
        asked[site["zone"]] += site["gpus"]
    if summary["grid"]["hosting"]:
        draw_hosting(summary["grid"]["hosting"], asked, figures / "hosting.svg")
    _draw_view(summary["grid"], figures)
    if summary["grid"].get("kind") == "nodal":
        draw_nodal(summary["grid"], folder)
    draw_facility(summary.get("facility", {}), figures)
    draw_training(summary.get("training", {}), figures)
    _draw_tables(summary, folder, figures)


def _draw_tables(summary: Mapping[str, Any], folder: Path, figures: Path) -> None:
    """Figures over time and over requests, of what the run recorded."""
    series, horizon_s = read_series(folder), summary["horizon_s"]
    draw_causes(summary, series, horizon_s, figures / "power_causes.svg")
    draw_battery(series, horizon_s, figures / "battery.svg")
    draw_power_time(series, horizon_s, figures / "power_time.svg")
    draw_load_duration(series, horizon_s, figures / "load_duration.svg")
    draw_loop(series, horizon_s, figures / "loop.svg")
    draw_latency(read_latencies(folder), figures / "latency.svg")


def _draw_view(grid: Mapping[str, Any], figures: Path) -> None:
    """Figures of a view over a year, or over seconds."""
    if grid.get("kind") == "regions":
        draw_prices(grid, figures / "prices.svg")
        draw_congestion(grid, figures / "congestion.svg")
    elif grid.get("kind") == "dynamic":
        draw_frequency(grid, figures / "frequency.svg")


FIGURES = (
    "power",
    "power_time",
    "power_causes",
    "load_duration",
    "battery",
    "loop",
    "latency",
    "training",
    "training_power",
    "facility_year",
    "pue_by_climate",
    "self_supply",
    "power_chain",
    "hosting",
    "prices",
    "congestion",
    "frequency",
)
"""Figures of a run, in the order in which the report shows them."""


def figure_texts(folder: Path) -> dict[str, str]:
    """The SVG text of each figure of a run folder."""
    names = [*FIGURES, *nodal_figure_names(folder)]
    paths = {name: folder / "figures" / f"{name}.svg" for name in names}
    return {name: path.read_text("utf-8") for name, path in paths.items() if path.is_file()}
