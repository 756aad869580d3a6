"""Scatter of predicted against measured, one figure per measure, a colour per model."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Final

from sim.report.style import SERIES_COLOURS, new_figure, save

MARKS: Final = ("o", "s", "^", "D")
TITLES: Final = {
    "ttft_ms": "time to first token [ms]",
    "tpot_mean_ms": "time per output token [ms]",
    "itl_p50_ms": "median inter-token latency [ms]",
    "out_tokens_per_s": "output [token/s]",
    "power_w_per_gpu": "power per GPU [W]",
    "energy_j_per_output_token": "energy per output token [J]",
}
BAND_FRAC: Final = 0.10


def scatter_figures(found: dict[str, Any], folder: Path) -> list[Path]:
    """One SVG per measure of an answer of `compare`, with its numbers as CSV beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    models = sorted({row["model"] for row in found["rows"]})
    written = []
    for measure, title in TITLES.items():
        rows = [row for row in found["rows"] if row["measure"] == measure]
        if rows:
            path = folder / f"validate-{measure}.svg"
            _scatter(rows, models, title, path)
            written.append(path)
    return written


def _scatter(rows: list[dict[str, Any]], models: list[str], title: str, path: Path) -> None:
    figure = new_figure("page", 84)
    axes = figure.subplots()
    ends = [min(min(r["measured"], r["predicted"]) for r in rows) * 0.9,
            max(max(r["measured"], r["predicted"]) for r in rows) * 1.1]  # fmt: skip
    axes.plot(ends, ends, color="#888888", linewidth=0.8)
    low, high = ([end * (1 + side * BAND_FRAC) for end in ends] for side in (-1, 1))
    axes.fill_between(ends, low, high, color="#DDDDDD", linewidth=0, label="± 10 %")
    for index, model in enumerate(models):
        mine = [row for row in rows if row["model"] == model]
        if mine:
            axes.scatter(
                [row["measured"] for row in mine],
                [row["predicted"] for row in mine],
                s=12,
                color=SERIES_COLOURS[index % len(SERIES_COLOURS)],
                marker=MARKS[index % len(MARKS)],
                label=model.split("--")[-1],
            )
    axes.set(xscale="log", yscale="log", xlabel=f"measured {title}", ylabel=f"predicted {title}")
    figure.legend(loc="outside right center")
    errors = [abs(row["predicted"] / row["measured"] - 1) for row in rows]
    within = sum(error <= BAND_FRAC for error in errors) / len(errors)
    told = (
        f"{title}: median absolute error {statistics.median(errors):.1%} over {len(rows):,} rows, "
        f"{within:.0%} of them within {BAND_FRAC:.0%}."
    )
    save(figure, path, rows, told)
