"""The figures of a run, from its summary and, where they were recorded, its tables."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sim.errors import InputError
from sim.report.arch_figure import draw_architectures, used_architectures
from sim.report.battery_figure import draw_battery
from sim.report.cause_figure import draw_causes
from sim.report.compare_sides import RESOLVED
from sim.report.facility_figure import draw_facility
from sim.report.frequency_figure import draw_frequency
from sim.report.hosting_figure import draw_hosting
from sim.report.html import caption
from sim.report.latency_figure import (
    draw_latency,
    objective_words,
    objectives_s,
    read_latencies,
    told_latencies,
)
from sim.report.loop_figure import draw_loop
from sim.report.nodal_run_figures import draw_nodal, nodal_figure_names
from sim.report.power_figure import draw_power
from sim.report.regions_figure import draw_congestion, draw_prices
from sim.report.series import read_series
from sim.report.serving_split import serving_splits
from sim.report.slo_figure import draw_attainment
from sim.report.time_figure import draw_load_duration, draw_power_time
from sim.report.training_figure import draw_training
from sim.scenario.load import load_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


OVER_TIME = {"load_duration": draw_load_duration, "battery": draw_battery, "loop": draw_loop}


def draw_run(
    summary: Mapping[str, Any], folder: Path, tree: Mapping[str, Any] | None = None
) -> None:
    """Draw the figures that the run has the numbers for, each with its CSV, in `figures/`.

    Args:
        summary: `summary.json`. folder: the run folder; of its tables, `signals.parquet` and
            `requests.parquet` are read if they are there.
        tree: the resolved scenario as plain data; None: that of the folder, if it is there.
    """
    for _ in drawing_run(summary, folder, tree):
        pass


def drawing_run(
    summary: Mapping[str, Any], folder: Path, tree: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """The same, one figure or a few at a time; yields when they are in `figures/`."""
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    grid = summary["grid"]
    if tree is None and summary.get("serving"):  # reading it takes a tenth of a second
        tree = _resolved(folder)
    if summary["sites"]:
        causes_w = {name: site["causes_w"] for name, site in summary["sites"].items()}
        draw_power(causes_w, figures / "power.svg", caption("power", summary))
        yield
    yield from _draw_tables(summary, folder, figures, tree)
    yield from _draw_serving(summary.get("serving"), folder, figures, tree)
    draw_architectures(used_architectures(summary, tree), figures / "architectures.svg")
    yield
    draw_training(summary.get("training", {}), figures)
    yield
    draw_facility(summary.get("facility", {}), figures)
    yield
    if grid["hosting"]:
        asked: Counter[str] = Counter()
        for site in summary["sites"].values():
            asked[site["zone"]] += site["gpus"]
        draw_hosting(grid["hosting"], asked, figures / "hosting.svg", caption("hosting", summary))
        yield
    yield from _draw_view(summary, figures)
    if grid.get("kind") == "nodal":
        yield from draw_nodal(grid, folder)


def _resolved(folder: Path) -> Mapping[str, Any] | None:
    """The resolved scenario of a run folder, if it is there."""
    path = folder / RESOLVED
    found = load_tree(path).tree if path.is_file() else None
    return found if isinstance(found, dict) else None


def _draw_tables(
    summary: Mapping[str, Any], folder: Path, figures: Path, tree: Mapping[str, Any] | None
) -> Iterator[None]:
    """Figures over time, of what the run recorded."""
    series, horizon_s = read_series(folder), summary["horizon_s"]
    try:
        splits = serving_splits(tree, summary) if tree and series else {}
    except (InputError, ValidationError):  # a model's file is elsewhere by now, or of another form
        splits = {}
    draw_power_time(series, horizon_s, figures / "power_time.svg")
    yield
    draw_causes(summary, series, horizon_s, figures / "power_causes.svg", splits)
    yield
    for name, draw in OVER_TIME.items():
        draw(series, horizon_s, figures / f"{name}.svg")
        yield


def _draw_serving(
    serving: Mapping[str, Any] | None,
    folder: Path,
    figures: Path,
    tree: Mapping[str, Any] | None,
) -> Iterator[None]:
    """Latencies and attainment, of single requests or of the summary's quantiles."""
    objectives = objectives_s(tree)
    latencies = read_latencies(folder)
    told = not latencies
    shown = told_latencies(serving) if told else latencies
    draw_latency(shown, figures / "latency.svg", objectives, told=told)
    yield
    draw_attainment(serving, objective_words(objectives), figures / "attainment.svg")
    yield


def _draw_view(summary: Mapping[str, Any], figures: Path) -> Iterator[None]:
    """Figures of a view over a year, or over seconds."""
    draws = {
        "regions": {"prices": draw_prices, "congestion": draw_congestion},
        "dynamic": {"frequency": draw_frequency},
    }
    for name, draw in draws.get(summary["grid"].get("kind", ""), {}).items():
        draw(summary["grid"], figures / f"{name}.svg", caption(name, summary))
        yield


FIGURES = (
    "power",
    "power_time",
    "power_causes",
    "load_duration",
    "battery",
    "loop",
    "latency",
    "attainment",
    "architectures",
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
