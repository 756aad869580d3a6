"""Policies compared as one HTML page: what each changes, by how much, and what it assumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.record.atomic import write_file
from sim.report.figure_html import figure_html, finding, within
from sim.report.pages import template
from sim.report.policy_figures import draw_frontier, draw_tornado, plain_number, scale_of, signed
from sim.report.words import name_and_unit

FIGURES = ("tornado-*.svg", "tornado-*.csv", "frontier.svg", "frontier.csv")
Json = dict[str, Any]


def write_policies(found: Mapping[str, Any], folder: Path) -> None:
    """Draw the figures of a comparison into a folder, and write `report.html` beside them.

    Args:
        found: the answer of `sim.policy.compare.compare`, with `question` and `misses` of a study.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in [path for name in FIGURES for path in folder.glob(name)]:
            old.unlink()  # of another study, which this one need not draw over
        keys = dict.fromkeys(row["metric"] for row in found["policies"])
        paths = {key: folder / f"tornado-{key}.svg" for key in keys}
        drawn = [path for key, path in paths.items() if draw_tornado(found, key, path)]
        frontier = folder / "frontier.svg"
        drawn += [frontier] if draw_frontier(found, frontier) else []
        svgs = {path.stem: path.read_text("utf-8") for path in drawn}
        write_file(folder / "report.html", render_policies(found, svgs).encode())
    except OSError as error:
        what = f"{folder} cannot be written: {error.strerror}"
        raise InputError(what, "name a folder that can be written") from error


def render_policies(found: Mapping[str, Any], svgs: Mapping[str, str]) -> str:
    """The page as HTML text.

    Args:
        svgs: figure name -> SVG text; shown in this order.
    """
    return template("policies.html.j2").render(
        question=found.get("question") or "What do policies change?",
        told=[_told(row, found) for row in found["policies"]],
        misses=found.get("misses", []),
        seeds=found["seeds"],
        run=found["scenario"],
        changes=_table(found),
        figures=within([figure_html(name, svg, finding(svg)) for name, svg in svgs.items()]),
        assumed=[(row["label"], row["assumes"]) for row in found["policies"] if row["assumes"]],
    )


def _told(row: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What a policy does to the figure that it is for, and to the load."""
    if row["why"]:
        return f"{row['label']}: no effect: {row['why']}"
    parts = []
    for key in dict.fromkeys((row["metric"], "peak_load_mw", "training_tokens", "output_tokens")):
        change, before = row["delta"].get(key), found["baseline"].get(key)
        if change:
            name, (by, unit) = name_and_unit(key)[0], scale_of(key, found)
            share = f" ({signed(100 * change / abs(before))} %)" if before else ""
            parts.append(f"{name} {signed(change / by)} {unit}{share}".replace("  ", " "))
    return f"{row['label']}: {', '.join(parts) or 'none of the main figures changes'}."


def _table(found: Mapping[str, Any]) -> Json:
    """Every figure without a policy, and its change under each."""
    rows = []
    for key, before in found["baseline"].items():
        name, (by, unit) = name_and_unit(key)[0], scale_of(key, found)
        changes = [_change(row, key, by) for row in found["policies"]]
        rows.append([name, unit, "–" if before is None else plain_number(before / by), *changes])
    many = len(found["seeds"]) > 1
    spread = "; in brackets its 95 % interval over the seeds" if many else ""
    return {
        "title": "What changes",
        "caption": f"Every figure, and its change under each policy, with the same random "
        f"numbers{spread}; = where nothing changes.",
        "header": ["figure", "unit", "no policy", *(row["label"] for row in found["policies"])],
        "rows": rows,
    }


def _change(row: Mapping[str, Any], key: str, by: float) -> str:
    change = row["delta"].get(key)
    if change is None:
        return "–"
    if not change:
        return "="
    bounds = [signed(bound / by) for bound in row["interval"].get(key, ())]
    return f"{signed(change / by)} [{' to '.join(bounds)}]" if bounds else signed(change / by)
