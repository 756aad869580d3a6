"""Predicted against measured: rows, what was skipped and why, and the errors of each set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sim.datum import read_table
from sim.validation.predict import predict
from sim.validation.rows import MEASURES, CannotPredictError, MeasuredRow

SCORES: Final = "validation/scores.csv"


@dataclass(frozen=True, slots=True)
class Point:
    """One measure of one row. `error_frac` is predicted / measured - 1."""

    id: str
    set: str
    model: str
    measure: str
    measured: float
    predicted: float

    @property
    def error_frac(self) -> float:
        """Relative error."""
        return self.predicted / self.measured - 1


def compare(rows: list[MeasuredRow], configs: Path | None = None) -> dict[str, Any]:
    """Rows, skipped and summary, in the form that `flopgrid validate --json` prints."""
    points: list[Point] = []
    skipped: list[dict[str, str]] = []
    for row in rows:
        found, why = _predicted(row, configs)
        for measure, measured in row.measured.items():
            if measure in found and measured > 0:
                points.append(Point(row.id, row.set, row.config, measure, measured, found[measure]))
            else:
                reason = why or "the load does not define this measure"
                skipped.append({"id": row.id, "measure": measure, "why": reason})
    return {
        "rows": [_shown(point) for point in points],
        "skipped": skipped,
        "summary": summary(points, rows),
        "left_out": left_out(),
    }


def left_out() -> list[dict[str, Any]]:
    """Errors on models left out of the fits, as committed with them (tools/fit_serving.py)."""
    numbers = ("rows", "models", "in_sample", "left_out", "aim")
    return [
        {key: float(value) if key in numbers else value for key, value in row.items()}
        for row in read_table(SCORES)
    ]


def _predicted(row: MeasuredRow, configs: Path | None) -> tuple[dict[str, float], str]:
    try:
        return predict(row, configs), ""
    except CannotPredictError as error:
        return {}, str(error)


def _shown(point: Point) -> dict[str, Any]:
    return {
        "id": point.id,
        "set": point.set,
        "measure": point.measure,
        "measured": point.measured,
        "predicted": point.predicted,
        "error_frac": point.error_frac,
    }


def summary(points: list[Point], rows: list[MeasuredRow]) -> dict[str, dict[str, Any]]:
    """Errors per set and measure, and over all sets."""
    found: dict[str, dict[str, Any]] = {}
    for name in [*sorted({row.set for row in rows}), "all"]:
        mine = [p for p in points if name in {p.set, "all"}]
        wanted = [row for row in rows if name in {row.set, "all"}]
        found[name] = {
            measure: errors([p for p in mine if p.measure == measure], count)
            for measure in MEASURES
            if (count := sum(measure in row.measured for row in wanted))
        }
    return found


def errors(points: list[Point], wanted: int) -> dict[str, Any]:
    """Quantiles of the errors; None where nothing could be predicted."""
    by_model: dict[str, list[float]] = {}
    for point in points:
        by_model.setdefault(point.model, []).append(point.error_frac)
    signed = np.array([point.error_frac for point in points])
    result: dict[str, Any] = {
        "n": len(points), "models": len(by_model), "coverage_frac": len(points) / wanted,
    }  # fmt: skip
    names = (
        "median_abs_error_frac", "median_of_model_medians", "p90_abs_error_frac", "bias_frac",
    )  # fmt: skip
    if not points:
        return {**result, **dict.fromkeys(names)}
    medians = [float(np.median(np.abs(each))) for each in by_model.values()]
    values = (
        np.median(np.abs(signed)), np.median(medians), np.quantile(np.abs(signed), 0.9),
        np.median(signed),
    )  # fmt: skip
    return {**result, **{k: float(v) for k, v in zip(names, values, strict=True)}}
