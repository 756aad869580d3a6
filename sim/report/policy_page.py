"""Policies compared as one HTML page: what each changes, by how much, and what it assumes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.record.atomic import write_file
from sim.report.figure_html import figure_html, finding, within
from sim.report.pages import template
from sim.report.policy_figures import draw_frontier, draw_tornado
from sim.report.words import name_and_unit

MINUS = "\u2212"
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
        names = [f"tornado-{key}" for key in dict.fromkeys(r["metric"] for r in found["policies"])]
        for name in names:
            draw_tornado(found, name.removeprefix("tornado-"), folder / f"{name}.svg")
        draw_frontier(found, folder / "frontier.svg")
        paths = [folder / f"{name}.svg" for name in (*names, "frontier")]
        svgs = {path.stem: path.read_text("utf-8") for path in paths if path.is_file()}
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
        told=[_told(row, found["baseline"]) for row in found["policies"]],
        misses=found.get("misses", []),
        seeds=found["seeds"],
        changes=_table(found),
        figures=within([figure_html(name, svg, finding(svg)) for name, svg in svgs.items()]),
        assumed=[(row["label"], row["assumes"]) for row in found["policies"] if row["assumes"]],
    )


def _told(row: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    """What a policy does to the figure that it is for, and to the load."""
    if row["why"]:
        return f"{row['label']}: no effect: {row['why']}"
    parts = []
    for key in dict.fromkeys((row["metric"], "peak_load_mw", "training_tokens", "output_tokens")):
        change = row["delta"].get(key)
        if change:
            name, unit = name_and_unit(key)
            share = f" ({_signed(100 * change / abs(baseline[key]))} %)" if baseline[key] else ""
            parts.append(f"{name} {_signed(change)} {unit}{share}".replace("  ", " "))
    return f"{row['label']}: {', '.join(parts) or 'none of the main figures changes'}."


def _table(found: Mapping[str, Any]) -> Json:
    """Every figure without a policy, and its change under each."""
    rows = []
    for key, before in found["baseline"].items():
        name, unit = name_and_unit(key)
        changes = [_change(row, key) for row in found["policies"]]
        rows.append([name, unit, "–" if before is None else _number(before), *changes])
    many = len(found["seeds"]) > 1
    spread = "; in brackets its 95 % interval over the seeds" if many else ""
    return {
        "title": "What changes",
        "caption": f"Every figure, and its change under each policy, with the same random "
        f"numbers{spread}; = where nothing changes.",
        "header": ["figure", "unit", "no policy", *(row["label"] for row in found["policies"])],
        "rows": rows,
    }


def _change(row: Mapping[str, Any], key: str) -> str:
    change = row["delta"].get(key)
    if change is None:
        return "–"
    if not change:
        return "="
    bounds = row["interval"].get(key)
    spread = f" [{_signed(bounds[0])} to {_signed(bounds[1])}]" if bounds else ""
    return f"{_signed(change)}{spread}"


def _signed(value: float) -> str:
    return f"{MINUS if value < 0 else '+'}{_number(abs(value))}"


def _number(value: float) -> str:
    """Four digits; large counts whole."""
    large = 1000 <= abs(value) < 1e7
    return f"{value:,.0f}" if large else f"{value:.4g}".replace("-", MINUS)
