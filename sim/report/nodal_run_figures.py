"""The figures of a run over buses and branches, from the tables in its folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.report.nodal_contingency_figure import draw_contingencies
from sim.report.nodal_figures import (
    draw_blackouts,
    draw_cascades,
    draw_curves,
    draw_joint,
    draw_map,
    draw_states,
    map_lines,
)
from sim.report.nodal_outage_figure import draw_outages
from sim.report.nodal_price_figure import draw_nodal_prices
from sim.report.nodal_text import WAYS, cutoffs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DRAWN = 6
"""Cascades in one figure: those that lose most."""


def draw_nodal(grid: Mapping[str, Any], folder: Path) -> Iterator[None]:
    """Draw outages, prices, and what the study of a run shows, into `folder/figures`.

    Yields after each of them, so that who shows them need not wait for all.
    """
    figures = folder / "figures"
    draw_outages(grid, figures / "wires_outages.svg")
    yield
    draw_nodal_prices(grid, figures / "wires_prices.svg")
    yield
    if study := grid.get("study"):
        _draw_study(grid, study, folder)
        yield


def _draw_study(grid: Mapping[str, Any], study: Mapping[str, Any], folder: Path) -> None:
    figures = folder / "figures"
    if study["kind"] == "hosting-every-bus":
        _draw_hosting(grid, study, folder, figures)
    elif study["kind"] == "every-state":
        rows = _rows(folder / "grid_states.parquet")
        last = cutoffs(study)[-1]
        shown = [row for row in rows if row["least_effect_frac"] == last]
        draw_states(shown, study["load_mw"], figures / "wires_states.svg", cutoff_frac=last)
    else:
        _draw_cascade(study, folder, figures)


def nodal_figure_names(folder: Path) -> list[str]:
    """Names of these figures in a run folder, in order."""
    order = (
        "outages",
        "prices",
        "map",
        "curve",
        "joint",
        "states",
        "contingency",
        "cascade",
        "blackouts",
    )
    names = [path.stem for path in (folder / "figures").glob("wires_*.svg")]
    return sorted(names, key=lambda name: (order.index(name.split("_")[1]), name))


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _draw_hosting(
    grid: Mapping[str, Any], study: Mapping[str, Any], folder: Path, figures: Path
) -> None:
    by_way: dict[str, list[dict[str, Any]]] = {way["way"]: [] for way in study["ways"]}
    for row in _rows(folder / "grid_hosting.parquet"):
        by_way[row["way"]].append(row)
    words = {way: WAYS.get(way, way) for way in by_way}
    for way, rows in by_way.items():
        if rows[0]["latitude_deg"] is not None:
            title = f"{grid['case']} (synthetic): largest new load at each bus alone\n{words[way]}"
            name = f"wires_map_{way.replace('/', '_')}"
            draw_map(rows, _lines(grid["case"]), title, figures / f"{name}.svg")
    series = {words[way]: [row["hosting_mw"] for row in rows] for way, rows in by_way.items()}
    draw_curves(series, figures / "wires_curve.svg", study["load_mw"])
    joint = {
        words[way["way"]]: [(point["sites"], point["total_mw"]) for point in way["joint"]]
        for way in study["ways"]
        if way["joint"]
    }
    if joint:
        draw_joint(joint, figures / "wires_joint.svg")


def _lines(case: str) -> list[tuple[float, float, float, float, float]]:
    from sim.grid.nodal.cases import load_case

    return map_lines(load_case(case))


def _draw_cascade(study: Mapping[str, Any], folder: Path, figures: Path) -> None:
    draw_contingencies(study, figures / "wires_contingency.svg")
    stages: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(folder / "grid_cascade_stages.parquet"):
        stages.setdefault(row["cascade"], []).append(row)
    worst = sorted(study["cascades"], key=lambda row: -row["lost_mw"])[:DRAWN]
    shown = {row["cascade"]: stages[row["cascade"]] for row in worst}
    draw_cascades(shown, figures / "wires_cascade.svg")
    if study["monte_carlo"]:
        most = sorted(study["monte_carlo"], key=lambda row: -row["lost_mean_mw"])[:DRAWN]
        lost: dict[str, list[float]] = {row["cascade"]: [] for row in most}
        for row in _rows(folder / "grid_blackouts.parquet"):
            if row["cascade"] in lost:
                lost[row["cascade"]].append(row["lost_mw"])
        draw_blackouts(lost, figures / "wires_blackouts.svg")
