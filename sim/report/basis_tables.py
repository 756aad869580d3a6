"""What a run rests on, as tables: assumptions with ranges, errors of the models, warnings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sim.datum import read_table

FEW_SAMPLES: Final = 64
"""Fewer samples than this leave a probability uncertain by more than about 0.06 (one sigma)."""
SCORES: Final = "validation/scores.csv"
_NUMBER: Final = r"-?[\d.,]+(?:e[+-]?\d+)?"
_FIGURE: Final = re.compile(
    rf"(?P<name>.+?)(?: = |: )(?P<value>{_NUMBER})(?P<unit>(?: [^,(\[]+?)?)"
    rf"(?:(?: \(assumption, |, )(?P<low>{_NUMBER}) to (?P<high>{_NUMBER})\)?)?"
    r" \[(?P<source>.*), (?P<as_of>\d{4}(?:-\d\d-\d\d)?)\]"
)
"""A line that `Datum.describe` or a grid view wrote: name, value, unit, range, source, date."""
WORDS: Final = {
    "ttft_ms": "time to first token",
    "tpot_mean_ms": "time per output token",
    "itl_p50_ms": "median time between tokens",
    "out_tokens_per_s": "output tokens per second",
    "power_w_per_gpu": "power per GPU",
    "energy_j_per_output_token": "energy per output token",
}
POWER: Final = ("power_w_per_gpu", "energy_j_per_output_token")
"""Measures that a run without serving rests on too: one power model serves both."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """One figure that a run rests on, as a row.

    Args:
        width_frac: width of the range over the value; none where the value is 0.
        by_name, by_width: its place (from 0) in either order.
    """

    name: str
    value: str
    unit: str
    low: str
    high: str
    width_frac: float | None
    source: str
    as_of: str
    by_name: int = 0
    by_width: int = 0


def assumption_rows(lines: list[str]) -> tuple[list[Assumed], list[Assumed], list[str]]:
    """Figures with a range, figures without, and what is said in words, sorted by name."""
    found, words = [], []
    for line in lines:
        match = _FIGURE.fullmatch(line)
        if match:
            found.append(_row(match))
        else:
            words.append(line)
    ranged = sorted((row for row in found if row.low), key=lambda row: row.name)
    return _placed(ranged), [row for row in found if not row.low], words


def _row(match: re.Match[str]) -> Assumed:
    text = match.groupdict(default="")
    width = None
    if text["low"] and _as_float(text["value"]):
        span = _as_float(text["high"]) - _as_float(text["low"])
        width = span / abs(_as_float(text["value"]))
    unit = text["unit"].strip()
    return Assumed(
        name=text["name"],
        value=text["value"],
        unit="" if unit == "1" else unit,
        low=text["low"],
        high=text["high"],
        width_frac=width,
        source=text["source"].removeprefix("assumption: "),
        as_of=text["as_of"],
    )


def _as_float(text: str) -> float:
    return float(text.replace(",", ""))


def _placed(rows: list[Assumed]) -> list[Assumed]:
    """Rows with their place in each order; a figure without a width comes last."""
    widest = sorted(rows, key=lambda row: (-(row.width_frac or -1.0), row.name))
    place = {id(row): k for k, row in enumerate(widest)}
    return [
        Assumed(**{**_fields(row), "by_name": k, "by_width": place[id(row)]})
        for k, row in enumerate(rows)
    ]


def _fields(row: Assumed) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Assumed.__slots__}


def model_errors(summary: Mapping[str, Any]) -> list[list[str]]:
    """Errors of the models that this run used, on models left out of the fit.

    Returns:
        rows (compared with, measure, rows, median error, 90th percentile, bias); empty for a
        run without work.
    """
    if not summary["sites"]:
        return []
    serves = bool(summary.get("serving"))
    return [
        [
            row["set"],
            WORDS.get(row["measure"], row["measure"]),
            f"{int(row['rows']):,}",
            f"{float(row['left_out']):.1%}",
            f"{float(row['left_out_p90']):.0%}",
            f"{float(row['left_out_bias']):+.1%}",
        ]
        for row in read_table(SCORES)
        if serves or row["measure"] in POWER
    ]


def warnings(summary: Mapping[str, Any]) -> list[str]:
    """What a reader should not overlook, in sentences."""
    grid = summary["grid"]
    told = [*_sampling(grid), *_unassessed(grid), *_short_before(grid)]
    told += _serving(summary.get("serving"))
    if training := summary.get("training"):
        told += [
            f"Training {name} runs without failures in this run: its goodput is an upper bound."
            for name, job in training["jobs"].items()
            if not job["failures_per_day"]
        ]
    return told


def _sampling(grid: Mapping[str, Any]) -> list[str]:
    samples = grid.get("samples")
    if not grid.get("verdicts") or samples is None or samples >= FEW_SAMPLES:
        return []
    return [
        (
            f"Only {samples} samples over the ranges: a probability near one half is uncertain by "
            f"{0.5 / samples**0.5:.2f}, one standard deviation."
        )
    ]


def _unassessed(grid: Mapping[str, Any]) -> list[str]:
    verdicts = grid.get("verdicts", [])
    limits = dict.fromkeys(v["limit"] for v in verdicts)
    dark = [
        limit
        for limit in limits
        if all(v["margin_mw"] is None for v in verdicts if v["limit"] == limit)
    ]
    return [f"Not assessed by this view: {', '.join(dark)}."] if dark else []


def _short_before(grid: Mapping[str, Any]) -> list[str]:
    short = [
        f"{v['limit']} in {v['zone']} ({v['short_before_frac']:.0%} of the samples)"
        for v in grid.get("verdicts", [])
        if v.get("short_before_frac")
    ]
    return [f"Short already without the load: {', '.join(short)}."] if short else []


def _serving(serving: Mapping[str, Any] | None) -> list[str]:
    told = []
    for name, fleet in (serving or {"fleets": {}})["fleets"].items():
        if fleet["dropped"]:
            told.append(f"{name} dropped {fleet['dropped']:,.0f} requests.")
        if fleet.get("shed"):
            told.append(f"{name} shed {fleet['shed']:,.0f} requests.")
        if fleet.get("bad_rows"):
            told.append(f"{name}: {fleet['bad_rows']:,} rows of the trace were left out as bad.")
        if fleet["ttft_s"] is None:
            told.append(f"{name} has no latencies: {fleet['basis']}.")
    return told
