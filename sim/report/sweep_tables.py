"""Tables of a sweep's page: what was varied, what came out with its change, what it rests on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sim.datum import Datum, figure_at
from sim.record.store import read_json
from sim.report.basis_tables import FEW_SAMPLES
from sim.report.compare_inputs import shown_value
from sim.report.sweep_parts import FIGURE, Answer, axis_label, plain_name, short
from sim.results.store import Columns, SweepResults
from sim.sweep.journal import read_journal
from sim.sweep.schema import SweepFile

if TYPE_CHECKING:
    from sim.sweep.expand import Sweep

KEY_COLUMNS: Final = {
    "power_w.facility.mean": ("mean power at the meter", "MW", 1e-6),
    "energy_j.facility": ("energy at the meter", "MWh", 1 / 3.6e9),
    "training.mfu": ("MFU of training", "", 1.0),
    "training.tokens": ("tokens trained", "", 1.0),
    "serving.tokens_out": ("output tokens", "", 1.0),
    "serving.energy_j_per_output_token.facility": ("energy per output token", "J/token", 1.0),
    "serving.ttft_s.p50": ("time to first token, median", "s", 1.0),
}
"""Column of the results -> words, unit and factor to it; shown as far as a sweep has them."""
MOST_FIGURES: Final = 6
MOST_ROWS: Final = 60
MOST_LEVELS: Final = 12
MOST_AXES: Final = 4
Table = dict[str, Any]


def varied_table(sweep: Sweep, found: SweepResults) -> Table:
    """What differs in the inputs of the runs: each axis with its values."""
    rows = [[name, _levels(found, name), "axis"] for name in found.axes]
    file = sweep.file
    if file is not None:
        rows += [[path, shown_value(value), "fixed"] for path, value in file.fixed.items()]
        rows += _sampled_rows(file, found)
        if file.refine:
            r = file.refine
            text = f"{r.low:g} to {r.high:g}: the largest for which {r.holds}"
            rows.append([r.path, text, "searched"])
        rows += [[condition, "", "kept only if"] for condition in file.where]
        rows.append(["seed", ", ".join(map(str, file.seeds[:MOST_LEVELS])), "axis"])
    return {
        "caption": "Fields of the base scenario that the sweep sets, and to what.",
        "header": ["field", "values", "how"],
        "rows": rows,
    }


def _sampled_rows(file: SweepFile, found: SweepResults) -> list[list[str]]:
    if file.samples is None:
        return []
    rows = [
        [path, f"{over.low:g} to {over.high:g}, {over.distribution}", "sampled"]
        for path, over in file.samples.over.items()
    ]
    drawn = sum(name.startswith(FIGURE) for name in found.sampled)
    if drawn:
        how = f"{drawn} over their ranges, {file.samples.count} samples, {file.samples.method}"
        rows.append(["assumed figures", how, "sampled"])
    return rows


def _levels(found: SweepResults, name: str) -> str:
    levels = list(dict.fromkeys(shown_value(v) for v in found.index[name].to_pylist()))
    more = f" and {len(levels) - MOST_LEVELS} more" if len(levels) > MOST_LEVELS else ""
    return ", ".join(levels[:MOST_LEVELS]) + more


def result_table(sweep: Sweep, found: SweepResults, columns: Columns) -> Table:
    """A row for each combination of the axes: means of key figures, and changes to the first.

    Means are over seeds and samples.
    """
    axes = found.axes[:MOST_AXES]
    names = _figures(sweep, columns)
    groups = _groups(columns, axes)
    rows: list[list[str]] = []
    first: dict[str, float] = {}
    for levels, places in list(groups.items())[:MOST_ROWS]:
        row = [*levels, str(len(places))]
        for name in names:
            mean = _mean(columns[name], places) * KEY_COLUMNS.get(name, ("", "", 1.0))[2]
            before = first.setdefault(name, mean)
            row += [_number(mean), _change(before, mean)]
        rows.append(row)
    header = [*map(short, axes), "runs"]
    for name in names:
        words, unit, _ = KEY_COLUMNS.get(name, (axis_label(name), "", 1.0))
        header += [f"{words} [{unit}]" if unit else words, "change"]
    caption = "Means over seeds and samples; change: against the first row."
    if len(groups) > MOST_ROWS:
        caption += f" The first {MOST_ROWS} of {len(groups)} rows: all runs are in results.csv."
    return {"caption": caption, "header": header, "rows": rows if names else []}


def _figures(sweep: Sweep, columns: Columns) -> list[str]:
    """Columns worth a place: those that the file asks to show, then the usual ones."""
    asked: list[str] = []
    for shown in sweep.file.show if sweep.file else []:
        told = shown.model_dump()
        asked += [v for v in (told.get("value"), *told.get("minimise", []),
                              *told.get("maximise", [])) if v]  # fmt: skip
    known = [name for name in dict.fromkeys([*asked, *KEY_COLUMNS]) if name in columns]
    return [name for name in known if _is_numeric(columns[name])][:MOST_FIGURES]


def _is_numeric(values: Sequence[Any]) -> bool:
    found = [v for v in values if v is not None]
    return bool(found) and all(isinstance(v, int | float) for v in found)


def _groups(columns: Columns, axes: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
    """Rows of the columns by what their axes say, in the order in which they come."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place in range(len(columns["seed"])):
        levels = tuple(shown_value(columns[axis][place]) for axis in axes)
        groups.setdefault(levels, []).append(place)
    return groups


def _mean(values: Sequence[Any], places: Sequence[int]) -> float:
    found = [float(values[k]) for k in places if values[k] is not None]
    return math.fsum(found) / len(found) if found else math.nan


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def _change(before: float, after: float) -> str:
    if not (math.isfinite(before) and math.isfinite(after)) or not before:
        return "–"
    share = (after - before) / abs(before)
    if abs(share) < 1e-9:
        return "="
    return f"{'+' if share > 0 else '−'}{abs(share):.1%}"


def sampled_table(found: SweepResults) -> Table:
    """The assumed figures that were drawn, with their ranges."""
    rows = [_figure_row(plain_name(n)) for n in found.sampled if n.startswith(FIGURE)]
    return {
        "caption": f"{len(rows)} assumed figures, drawn over their ranges.",
        "header": ["figure", "value", "low to high", "unit", "basis"],
        "rows": rows,
    }


def _figure_row(key: str) -> list[str]:
    figure: Datum = figure_at(key)
    basis = f"{figure.source} ({figure.as_of})"
    low, high = figure.low or figure.value, figure.high or figure.value
    return [key, f"{figure.value:g}", f"{low:g} to {high:g}", figure.unit, basis]


def runs_rest_on(found: SweepResults) -> dict[str, list[str]]:
    """Assumptions and sources of the first finished run; empty where none can be read.

    Runs of a sweep read the same files: what they were drawn to stands in `sampled_table`.
    """
    for line in found.lines:
        path = found.folder / line.run / "summary.json"
        if line.run and path.is_file():
            told = read_json(path)
            return {key: list(told.get(key, [])) for key in ("assumptions", "sources")}
    return {"assumptions": [], "sources": []}


def sweep_warnings(found: SweepResults, answers: Sequence[Answer]) -> list[str]:
    """What a reader should not overlook."""
    statuses = Counter(found.index["status"].to_pylist())
    told = [
        f"{count} of {found.index.num_rows} runs {status}: they are missing in every figure."
        for status, count in sorted(statuses.items())
        if status != "done"
    ]
    samples = {line.sample for line in found.lines if line.sample is not None}
    if 0 < len(samples) < FEW_SAMPLES:
        told.append(
            f"Only {len(samples)} samples: a probability near one half is uncertain by "
            f"{0.5 / len(samples) ** 0.5:.2f}, one standard deviation."
        )
    told += [f"Not drawn: {a.text}" for a in answers if not a.file and a.kind != "none"]
    data = _hashes(found)
    if len(data) > 1:
        told.append(f"The runs read {len(data)} different states of the data files.")
    return told


def _hashes(found: SweepResults) -> Mapping[str, Mapping[str, str]]:
    """Hash of each data file, by the state of the data that finished runs read."""
    journal = read_journal(found.folder)
    keys = {line.key for line in found.lines if line.run}
    states = {e.parts.get("data", "") for k, e in journal.last.items() if k in keys and e.path}
    return {state: journal.files.get(state, {}) for state in sorted(states)}


def manifest_rows(sweep: Sweep, found: SweepResults) -> list[tuple[str, str]]:
    """What makes the sweep again: its base, versions, seeds, and the hash of each data file."""
    versions: set[str] = set()
    for line in found.lines:
        path = found.folder / line.run / "manifest.json"
        if line.run and path.is_file():
            versions.add(str(read_json(path).get("version", "")))
            break
    rows = [("sweep", sweep.name), ("base scenario", sweep.base.name)]
    rows += [("version", version) for version in sorted(versions) if version]
    rows.append(("points", f"{found.index.num_rows:,}"))
    for files in _hashes(found).values():
        rows += [(f"sha256 {name}", digest) for name, digest in sorted(files.items())]
    return rows
