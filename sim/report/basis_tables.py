"""What a run rests on, as tables: assumptions with ranges, errors of the models, warnings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sim.datum import read_table
from sim.units import three_digits

if TYPE_CHECKING:
    from sim.report.influence import Influence

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
        load, hosted, speed: what it alone at its low and its high adds to the load at the meter
            and to what the place hosts, in MW, and to the speed of training, in percent, as
            text; empty where that was not computed.
        load_mw, hosted_mw, speed_frac: the larger of the two changes.
        by_name, by_width, by_load, by_hosted, by_speed: its place (from 0) in either order.
    """

    name: str
    value: str
    unit: str
    low: str
    high: str
    width_frac: float | None
    source: str
    as_of: str
    load: str = ""
    hosted: str = ""
    speed: str = ""
    load_mw: float = 0.0
    hosted_mw: float = 0.0
    speed_frac: float = 0.0
    by_name: int = 0
    by_width: int = 0
    by_load: int = 0
    by_hosted: int = 0
    by_speed: int = 0


def assumption_rows(
    lines: list[str], influences: Sequence[Influence] = ()
) -> tuple[list[Assumed], list[Assumed], list[str]]:
    """Figures with a range, figures without, and what is said in words, sorted by name.

    Args:
        influences: of ranged figures; one that moves the answer and stands in no line gets a row.
    """
    found, words = [], []
    for line in lines:
        match = _FIGURE.fullmatch(line)
        if match:
            found.append(_row(match))
        else:
            words.append(line)
    ranged = _with_influence([row for row in found if row.low], influences)
    ranged.sort(key=lambda row: row.name)
    return _placed(ranged), [row for row in found if not row.low], words


def _with_influence(rows: list[Assumed], influences: Sequence[Influence]) -> list[Assumed]:
    """Rows with what they move; a figure is known by its name and value."""
    found = {(one.name, f"{one.value:g}"): one for one in influences}
    told = [_moved(row, found.pop((row.name, row.value), None)) for row in rows]
    return told + [_moved(_own_row(one), one) for one in found.values() if _moves(one)]


def _moves(one: Influence) -> bool:
    ends = (one.load_low_mw, one.load_high_mw, one.hosted_low_mw, one.hosted_high_mw)
    return any((*ends, one.speed_low_frac, one.speed_high_frac))


def _own_row(one: Influence) -> Assumed:
    """The row of a figure that no line tells."""
    width = (one.high - one.low) / abs(one.value) if one.value else None
    return Assumed(
        name=one.name,
        value=f"{one.value:g}",
        unit="" if one.unit == "1" else one.unit,
        low=f"{one.low:g}",
        high=f"{one.high:g}",
        width_frac=width,
        source=one.source.removeprefix("assumption: "),
        as_of=one.as_of,
    )


def _moved(row: Assumed, one: Influence | None) -> Assumed:
    if one is None:
        return row
    load, load_mw = _change(one.load_low_mw, one.load_high_mw)
    hosted, hosted_mw = _change(one.hosted_low_mw, one.hosted_high_mw)
    speed, speed_percent = _change(_percent(one.speed_low_frac), _percent(one.speed_high_frac))
    return replace(
        row,
        load=load,
        load_mw=load_mw,
        hosted=hosted,
        hosted_mw=hosted_mw,
        speed=speed,
        speed_frac=speed_percent / 100,
    )


def _percent(frac: float | None) -> float | None:
    return None if frac is None else 100 * frac


def _change(low: float | None, high: float | None) -> tuple[str, float]:
    """A change at the low and at the high as text, and the larger of the two."""
    if low is None or high is None:
        return "", 0.0
    if not low and not high:
        return "0", 0.0
    return f"{_signed(low)} / {_signed(high)}", max(abs(low), abs(high))


def _signed(change: float) -> str:
    if not change:
        return "0"
    digits = f"{abs(change):,.0f}" if abs(change) >= 100 else f"{abs(change):.3g}"
    return f"{'+' if change > 0 else '−'}{digits}"


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
    orders = {
        "by_name": list(rows),
        "by_width": sorted(rows, key=lambda row: (-(row.width_frac or -1.0), row.name)),
        "by_load": sorted(rows, key=lambda row: (not row.load, -row.load_mw, row.name)),
        "by_hosted": sorted(rows, key=lambda row: (not row.hosted, -row.hosted_mw, row.name)),
        "by_speed": sorted(rows, key=lambda row: (not row.speed, -row.speed_frac, row.name)),
    }
    places = {name: {id(r): k for k, r in enumerate(order)} for name, order in orders.items()}
    return [_at(row, {name: place[id(row)] for name, place in places.items()}) for row in rows]


def _at(row: Assumed, places: Mapping[str, Any]) -> Assumed:
    return replace(row, **places)


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
            f"{three_digits(100 * float(row['left_out']))}%",
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
