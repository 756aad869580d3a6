"""Figure: what moves a result of a sweep most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from sim.report.style import SERIES_COLOURS, SMALL, new_figure
from sim.report.sweep_parts import Answer, plain_name, saved, short
from sim.results.analysis import CHANCE, Effect, Index, main_effects, sobol_indices
from sim.results.store import Columns, SweepResults
from sim.sweep.condition import full_name
from sim.sweep.schema import Effects, SweepFile

MOST_BARS: Final = 15


def draw_effects(
    shown: Effects, found: SweepResults, columns: Columns, file: SweepFile, path: Path
) -> Answer:
    """Bars: what is sampled by its indices, or the axes by their shares of the variance."""
    title = f"what moves {shown.value}"
    groups = {"": columns}
    if shown.by:
        key = full_name(shown.by, columns)
        groups = {str(v): columns.where(key, v) for v in dict.fromkeys(columns[key])}
    if found.sampled:
        saltelli = file.samples is not None and file.samples.method == "saltelli"
        indices = {
            name: sobol_indices(part, shown.value, found.sampled, saltelli=saltelli)
            for name, part in groups.items()
        }
        return _draw_indices(indices, path, title)
    axes = [name for name in found.axes if name != shown.by]
    effects = {name: main_effects(part, shown.value, axes) for name, part in groups.items()}
    return _draw_main_effects(effects, path, title)


def _draw_indices(groups: Mapping[str, Sequence[Index]], path: Path, title: str) -> Answer:
    """One panel for each group: Sobol indices with the design, else rank correlations."""
    tops = {name: list(indices)[:MOST_BARS] for name, indices in groups.items()}
    heights_mm = [16 + 3.6 * len(top) for top in tops.values()]
    figure = new_figure("column", sum(heights_mm))
    panels = figure.subplots(len(tops), 1, squeeze=False, height_ratios=heights_mm)[:, 0]
    for axes, (name, top) in zip(panels, tops.items(), strict=True):
        places = np.arange(len(top))[::-1]
        if top[0].total is not None:
            axes.barh(places, [i.total or 0 for i in top], color=SERIES_COLOURS[5], label="total")
            axes.barh(
                places,
                [max(0.0, i.first) for i in top],
                0.45,
                color=SERIES_COLOURS[0],
                label="first order",
            )
            axes.legend()
            axes.set_xlabel("Sobol index (share of variance)")
        else:
            colours = [SERIES_COLOURS[0] if i.chance < CHANCE else "#C9C9C9" for i in top]
            axes.barh(places, [i.rank for i in top], color=colours)
            axes.axvline(0, color="black", linewidth=0.6)
            axes.set_xlim(-1, 1)
            axes.set_xlabel("rank correlation (grey: may be chance)")
        axes.set_yticks(places, [plain_name(i.factor) for i in top], fontsize=SMALL)
        axes.set_title(name)
    rows = [_index_row(name, i) for name, indices in groups.items() for i in indices]
    text = "\n".join(_index_text(title, name, top[0]) for name, top in tops.items())
    return saved(figure, path, "effects", title, rows, text)


def _index_row(group: str, index: Index) -> dict[str, Any]:
    return {
        "group": group,
        "factor": plain_name(index.factor),
        "first": index.first,
        "first_range": index.first_range,
        "total": index.total,
        "total_range": index.total_range,
        "rank_correlation": index.rank,
        "chance": index.chance,
    }


def _index_text(title: str, group: str, index: Index) -> str:
    where = f"{group}: " if group else ""
    if index.total is not None:
        return f"{where}{title}: most by {plain_name(index.factor)} (total index {index.total:.2f})"
    if index.chance >= CHANCE:
        return f"{where}{title}: no single figure stands out"
    return (
        f"{where}{title}: most by {plain_name(index.factor)} (rank correlation {index.rank:+.2f})"
    )


def _draw_main_effects(groups: Mapping[str, Sequence[Effect]], path: Path, title: str) -> Answer:
    """Bars of all groups below one another."""
    named = [(name, effect) for name, effects in groups.items() for effect in effects]
    if not named:
        return Answer("effects", title, f"{title}: nothing is varied")
    figure = new_figure("column", 16 + 4.2 * len(named))
    axes = figure.add_subplot()
    places = np.arange(len(named))[::-1]
    axes.barh(places, [effect.share_frac for _, effect in named], color=SERIES_COLOURS[0])
    axes.set_yticks(places, [f"{name} {short(e.factor)}".strip() for name, e in named])
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the variance [fraction]")
    rows = [
        {
            "group": name,
            "factor": e.factor,
            "share_frac": e.share_frac,
            "low": e.low,
            "low_at": e.low_at,
            "high": e.high,
            "high_at": e.high_at,
        }
        for name, e in named
    ]
    firsts = [(f"{name}: " if name else "", e[0]) for name, e in groups.items() if e]
    text = "\n".join(
        f"{where}{title}: most by {e.factor} ({e.share_frac:.0%} of the variance)"
        for where, e in firsts
    )
    return saved(figure, path, "effects", title, rows, text)
