"""Figures of a sweep, one for each entry of `show` in its file; numbers beside each as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from sim.errors import InputError
from sim.report.style import DASHES, SERIES_COLOURS, SMALL, new_figure
from sim.report.sweep_effects import draw_effects
from sim.report.sweep_parts import (
    Answer,
    Rows,
    axis_label,
    extremes,
    plain_name,
    saved,
    short,
)
from sim.results.analysis import (
    Curve,
    Probability,
    heat_map,
    numbers,
    pareto_front,
    probabilities,
    response_curves,
)
from sim.results.store import Columns, SweepResults
from sim.sweep.condition import full_name
from sim.sweep.schema import (
    Boundary,
    HeatMap,
    Pareto,
    Response,
    SweepFile,
    Verdict,
)

MOST_LABELS: Final = 12
FEW_CELLS: Final = 6
"""Columns of a heat map that fit in a column of a paper."""
SHORT_LABEL: Final = 6
"""Letters of a label that fits below a cell without being turned."""


def draw_shown(
    file: SweepFile, found: SweepResults, boundaries: Rows, first: int = 1
) -> list[Answer]:
    """Draw every entry of `show`.

    Args:
        boundaries: what the searches found. first: number of the first figure.

    Raises:
        InputError: an entry names a column that is not there, or is not what it needs.
    """
    folder = found.folder / "figures"
    folder.mkdir(exist_ok=True)
    columns = found.columns()
    draws: dict[str, Callable[[Any, Path], Answer]] = {
        "response": lambda shown, path: draw_response(shown, columns, path),
        "heat-map": lambda shown, path: draw_heat_map(shown, columns, path),
        "pareto": lambda shown, path: draw_pareto(shown, columns, found.varied, path),
        "effects": lambda shown, path: draw_effects(shown, found, columns, file, path),
        "verdict": lambda shown, path: draw_verdict(shown, found, columns, path),
        "boundary": lambda shown, path: draw_boundary(shown, boundaries, file, path),
    }
    return [
        draws[shown.kind](shown, folder / f"{number:02d}-{shown.kind}.svg")
        for number, shown in enumerate(file.show, first)
    ]


def draw_response(shown: Response, columns: Columns, path: Path) -> Answer:
    """Curves with a band: the 95 % interval over seeds and samples."""
    curves = response_curves(columns, shown.value, shown.x, shown.by)
    figure = new_figure("column", 62)
    axes = figure.add_subplot()
    for number, (curve, colour) in enumerate(zip(curves, _colours(len(curves)), strict=True)):
        places, labels = _places(curve.x)
        if labels:  # names have no order that a line could follow
            ends = np.abs(np.array([curve.low, curve.high]) - np.array(curve.mean))
            axes.errorbar(
                places, curve.mean, ends, fmt="o", capsize=3, color=colour, label=curve.name
            )
            axes.set_xticks(places, labels)
            axes.margins(x=0.15)
            continue
        dash = DASHES[number % len(DASHES)]
        axes.plot(
            places, curve.mean, dash, marker="o", markersize=3.5, color=colour, label=curve.name
        )
        axes.fill_between(places, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    if _wide([x for curve in curves for x in curve.x]):
        axes.set_xscale("log")
    means = [y for curve in curves for y in curve.mean]
    if _wide(means):  # an interval may reach below 0, where a logarithm has no place for it
        axes.set_yscale("log")
        axes.set_ylim(min(means) / 2, max(means) * 4)
    axes.set_xlabel(axis_label(shown.x))
    axes.set_ylabel(axis_label(shown.value), fontsize=SMALL)
    if shown.by:
        axes.legend(title=short(shown.by))
    rows = [row for curve in curves for row in _curve_rows(curve, shown)]
    points = [
        (f"{_where(shown.by, curve.name)}{short(shown.x)} {_level(x)}", mean)
        for curve in curves
        for x, mean in zip(curve.x, curve.mean, strict=True)
    ]
    title, told = f"{short(shown.value)} over {short(shown.x)}", extremes(shown.value, points)
    return saved(figure, path, "response", title, rows, told)


def draw_heat_map(shown: HeatMap, columns: Columns, path: Path) -> Answer:
    """Cells coloured by their mean, with the number in each while there is room."""
    across, down, cells = heat_map(columns, shown.value, shown.x, shown.y)
    figure = new_figure(
        "column" if len(across) <= FEW_CELLS else "page", max(45, 30 + 7 * len(down))
    )
    axes = figure.add_subplot()
    image = axes.imshow(cells, cmap="cividis", aspect="auto")
    labels = [_level(x) for x in across]
    turned = max(len(label) for label in labels) > SHORT_LABEL
    look: dict[str, Any] = {"rotation": 30, "ha": "right"} if turned else {}
    axes.set_xticks(range(len(across)), labels, **look)
    axes.set_yticks(range(len(down)), [_level(y) for y in down])
    if len(across) <= MOST_LABELS and np.isfinite(cells).any():
        middle = float(np.nanmin(cells) + np.nanmax(cells)) / 2
        for (j, i), value in np.ndenumerate(cells):
            if np.isfinite(value):
                colour = "white" if value < middle else "black"
                axes.text(
                    i, j, f"{value:.3g}", ha="center", va="center", fontsize=SMALL, color=colour
                )
    figure.colorbar(image).set_label(axis_label(shown.value), fontsize=SMALL)
    axes.set_xlabel(axis_label(shown.x))
    axes.set_ylabel(axis_label(shown.y))
    rows = [
        {shown.x: x, shown.y: y, shown.value: None if np.isnan(cells[j, i]) else cells[j, i]}
        for j, y in enumerate(down)
        for i, x in enumerate(across)
    ]
    points = [
        (f"{short(shown.x)} {_level(x)}, {short(shown.y)} {_level(y)}", float(cells[j, i]))
        for j, y in enumerate(down)
        for i, x in enumerate(across)
    ]
    told = extremes(shown.value, points)
    return saved(figure, path, "heat-map", short(shown.value), rows, told)


def draw_pareto(shown: Pareto, columns: Columns, varied: Sequence[str], path: Path) -> Answer:
    """All runs over the first two figures, those of the front joined."""
    names = [*shown.minimise, *shown.maximise]
    front = pareto_front(columns, shown.minimise, shown.maximise)
    x, y = numbers(columns, names[0]), numbers(columns, names[1])
    figure = new_figure("column", 68)
    axes = figure.add_subplot()
    groups = [str(v) for v in columns[full_name(shown.by, columns)]] if shown.by else [""] * len(x)
    kinds = list(dict.fromkeys(groups))
    for kind, colour in zip(kinds, _colours(len(kinds)), strict=True):
        mine = np.array([group == kind for group in groups])
        axes.scatter(x[mine], y[mine], s=16, color=colour, alpha=0.7, label=kind or None)
    order = np.flatnonzero(front)[np.argsort(x[front], kind="stable")]
    axes.plot(x[order], y[order], color="black", linewidth=1.0, label="front")
    axes.set_xlabel(axis_label(names[0]))
    axes.set_ylabel(axis_label(names[1]))
    axes.legend(title=short(shown.by) if shown.by else None)
    rows = [
        {
            **{n: columns[n][k] for n in varied},
            **_named(names, columns, k),
            "on front": int(front[k]),
        }
        for k in np.argsort(x, kind="stable")
        if np.isfinite(x[k]) and np.isfinite(y[k])
    ]
    text = f"{int(front.sum())} of {len(front)} runs are on the front"
    return saved(figure, path, "pareto", " against ".join(map(short, names)), rows, text)


def draw_verdict(shown: Verdict, found: SweepResults, columns: Columns, path: Path) -> Answer:
    """Probability that a condition holds, group by group, and what decides it."""
    told = probabilities(columns, shown.holds, found.sampled, shown.margin, shown.by)
    says = shown.says or shown.holds
    figure = new_figure("column", 16 + 5 * len(told))
    axes = figure.add_subplot()
    places = np.arange(len(told))[::-1]
    chance = np.array([one.probability for one in told])
    ends = np.array([[one.probability - one.low, one.high - one.probability] for one in told]).T
    axes.barh(places, chance, color=SERIES_COLOURS[0], alpha=0.75)
    axes.errorbar(chance, places, xerr=np.clip(ends, 0, None), fmt="none", color="black", capsize=2)
    axes.set_yticks(places, [one.group or "all" for one in told])
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"probability that it holds: {says}", fontsize=SMALL)
    rows = [_probability_row(one) for one in told]
    text = "\n".join(verdict_text(says, one) for one in told)
    return saved(figure, path, "verdict", says, rows, text)


def draw_boundary(shown: Boundary, boundaries: Rows, file: SweepFile, path: Path) -> Answer:
    """The largest value that holds, for each value of a column."""
    if not boundaries:
        raise InputError("there is no search to show", "give `refine`, or leave `boundary` out")
    key = full_name(shown.by, boundaries[0])
    rows = sorted(boundaries, key=lambda row: -(row["holds_at"] or 0))
    figure = new_figure("column", 14 + 3.2 * len(rows))
    axes = figure.add_subplot()
    places = np.arange(len(rows))[::-1]
    axes.barh(places, [row["holds_at"] or 0 for row in rows], color=SERIES_COLOURS[0])
    axes.set_yticks(places, [_level(row[key]) for row in rows], fontsize=SMALL)
    axes.set_ylim(-0.8, len(rows) - 0.2)
    if _wide([row["holds_at"] for row in rows]):
        axes.set_xscale("log")
    path_name = file.refine.path if file.refine else ""
    axes.set_xlabel(f"largest {short(path_name)} for which it holds")
    open_end = sum(row["fails_at"] is None and row["holds_at"] is not None for row in rows)
    none = sum(row["holds_at"] is None for row in rows)
    text = f"{len(rows)} edges found" + (f", {open_end} beyond the range" if open_end else "")
    text += f", {none} hold nowhere in it" if none else ""
    return saved(
        figure, path, "boundary", f"where {file.refine.holds if file.refine else ''}", rows, text
    )


def verdict_text(says: str, one: Probability) -> str:
    """A verdict in words: its probability, and what decides it."""
    where = f"{one.group}: " if one.group else ""
    text = (
        f"{where}{says}: probability {one.probability:.2f} "
        f"({one.low:.2f} to {one.high:.2f}; {one.holds} of {one.runs} runs)"
    )
    if one.decided_by is None:
        return f"{text}; no single assumption stands out"
    others = ", ".join(f"{plain_name(name)} ({rank:+.2f})" for name, rank in one.next_by)
    rest = f", then {others}" if others else ""
    return (
        f"{text}; decided by {plain_name(one.decided_by)} (rank correlation {one.rank:+.2f}){rest}"
    )


def _curve_rows(curve: Curve, shown: Response) -> Rows:
    group = {shown.by: curve.name} if shown.by else {}
    return [
        {**group, shown.x: x, "mean": m, "low": low, "high": high, "runs": n}
        for x, m, low, high, n in zip(
            curve.x, curve.mean, curve.low, curve.high, curve.runs, strict=True
        )
    ]


def _probability_row(one: Probability) -> dict[str, Any]:
    return {
        "group": one.group,
        "probability": one.probability,
        "low": one.low,
        "high": one.high,
        "runs": one.runs,
        "decided_by": plain_name(one.decided_by or ""),
        "rank_correlation": one.rank,
    }


def _named(names: Sequence[str], columns: Columns, k: int) -> Mapping[str, Any]:
    return {name: columns[full_name(name, columns)][k] for name in names}


def _places(x: Sequence[Any]) -> tuple[list[float], list[str]]:
    """Where points stand: at their numbers, or side by side with their names."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in x):
        return [float(value) for value in x], []
    return [float(n) for n in range(len(x))], [_level(value) for value in x]


def _wide(values: Sequence[Any]) -> bool:
    """True for positive numbers over more than a factor of 20."""
    found = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return (
        len(found) == len(values)
        and bool(found)
        and min(found) > 0
        and max(found) > 20 * min(found)
    )


def _where(by: str | None, name: str) -> str:
    return f"{short(by)} {name}, " if by else ""


def _level(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _colours(count: int) -> list[str]:
    return [SERIES_COLOURS[k % len(SERIES_COLOURS)] for k in range(count)]
