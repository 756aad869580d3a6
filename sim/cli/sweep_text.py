"""What a sweep says on the terminal when it is over."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cli.text import number, table
from sim.units import MEGA

if TYPE_CHECKING:
    from sim.sweep.refine import Found

KEY_FIGURES = ("GPUs", "mean MW", "J/output token", "TTFT p50 s", "MFU", "binding limits")
MOST_ROWS = 60
MOST_COLUMNS = 6


def overview(folder: Path) -> str:
    """A table of what was varied and the few figures that people ask for first."""
    from sim.results.store import SweepResults

    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) > MOST_ROWS:
        return f"{len(rows)} runs: too many for a table here"
    varied = SweepResults(folder).varied[:MOST_COLUMNS]
    header = [*(path.rpartition(".")[2] for path in varied), *KEY_FIGURES, "status"]
    return table(header, [[*(r[p] for p in varied), *_key_cells(r), r["status"]] for r in rows])


def boundary_lines(found: Sequence[Found]) -> list[str]:
    """A row for each search: the largest value that holds, the least that does not."""
    every = [dict(one.anchor.values) for one in found]
    paths = [path for path in every[0] if any(v[path] != every[0][path] for v in every)]
    header = [*(path.rpartition(".")[2] for path in paths), "seed", "holds at", "fails at", ""]
    rows = []
    for one in found:
        values = dict(one.anchor.values)
        edge = [number(one.holds_at), number(one.fails_at)]
        shown = [str(values.get(p, "")) for p in paths]
        rows.append([*shown, str(one.anchor.seed), *edge, one.error])
    return [table(header, rows)]


def answer_lines(answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The verdicts of a study, one line each."""
    return [str(answer["text"]) for answer in answers if answer.get("text")]


def _key_cells(row: dict[str, str]) -> list[str]:
    gpus = [row[c] for c in row if re.fullmatch(r"sites\.[^.]+\.gpus", c) and row[c]]
    binding = [c for c in row if c.endswith(".binds") and row[c] == "true"]
    meter = row.get("power_w.facility.mean") or ""

    def figure(column: str) -> str:
        value = row.get(column) or ""
        return f"{float(value):.4g}" if value else "-"

    return [
        f"{sum(int(float(g)) for g in gpus):,}" if gpus else "-",
        f"{float(meter) / MEGA:.4g}" if meter else "-",
        figure("serving.energy_j_per_output_token.facility"),
        figure("serving.ttft_s.p50"),
        figure("training.mfu"),
        str(len(binding)) if meter else "-",
    ]
