"""The page of a sweep: what it asked, what it found, where its runs stand."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError
from sim.record.atomic import write_file
from sim.report.figure_html import figure_html, within
from sim.report.pages import template
from sim.report.sweep_figures import draw_shown
from sim.report.sweep_parts import Answer, Rows
from sim.report.sweep_tables import (
    manifest_rows,
    result_table,
    runs_rest_on,
    sampled_table,
    sweep_warnings,
    varied_table,
)
from sim.results.store import SweepResults
from sim.sweep.run import BOUNDARIES

if TYPE_CHECKING:
    from sim.sweep.expand import Sweep

PAGE: Final = "report.html"
MOST_ROWS: Final = 200
MOST_NAMES: Final = 8
TOLD: Final = ("verdict", "boundary")
"""Kinds of answers that are a verdict in words."""


def write_sweep_page(sweep: Sweep, folder: Path) -> list[dict[str, Any]]:
    """Draw what the sweep file asks to show, and write `report.html`.

    Returns:
        `{kind, title, text}` of each entry; an entry that cannot be drawn says why.
    """
    found = SweepResults(folder)
    answers = _answers(sweep, found)
    columns = found.columns()
    page = template("sweep.html.j2").render(
        name=sweep.name,
        question=sweep.file.question if sweep.file else "",
        counts=Counter(found.index["status"].to_pylist()).most_common(),
        verdicts=[line for a in answers if a.kind in TOLD for line in a.text.splitlines()],
        warnings=sweep_warnings(found, answers),
        results=result_table(sweep, found, columns),
        answers=_shown(folder, answers),
        varied=varied_table(sweep, found),
        sampled=sampled_table(found),
        basis=runs_rest_on(found),
        manifest=manifest_rows(sweep, found),
        failures=_failures(found),
        names=found.varied[:MOST_NAMES],
        rows=_rows(found),
        more=max(0, found.index.num_rows - MOST_ROWS),
    )
    write_file(folder / PAGE, page.encode())
    return [{"kind": a.kind, "title": a.title, "text": a.text} for a in answers]


def _answers(sweep: Sweep, found: SweepResults) -> list[Answer]:
    """All entries of `show`; where one cannot be answered, it says so and the others stand."""
    if sweep.file is None:
        return []
    if not any(status == "done" for status in found.index["status"].to_pylist()):
        return [Answer("none", "no run is finished", "no run is finished: nothing to show")]
    boundaries = _boundaries(found.folder)
    answers = []
    for number in range(len(sweep.file.show)):
        shown = sweep.file.show[number]
        one = sweep.file.model_copy(update={"show": [shown]})
        try:
            (answer,) = draw_shown(one, found, boundaries, number + 1)
        except InputError as error:
            answer = Answer(shown.kind, shown.kind, f"{shown.kind}: {error}")
        answers.append(answer)
    return answers


def _boundaries(folder: Path) -> Rows:
    """What the searches found, as numbers where they are numbers."""
    path = folder / BOUNDARIES
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(file)]


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text or None


def _shown(folder: Path, answers: list[Answer]) -> list[tuple[Answer, dict[str, str]]]:
    """Answers with their figures; an answer without a figure has an empty one."""
    figures = []
    for answer in answers:
        told = f"{answer.title}. {' '.join(answer.text.splitlines())}".strip()
        svg = (folder / "figures" / answer.file).read_text("utf-8") if answer.file else ""
        name = f"figure-{Path(answer.file).stem}" if svg else ""
        figures.append(
            figure_html(name, svg, told) if svg else {"name": "", "svg": "", "caption": told}
        )
    return list(zip(answers, within(figures), strict=True))


def _failures(found: SweepResults) -> list[tuple[str, int]]:
    """Errors with the number of runs that met them."""
    errors = [error for error in found.index["error"].to_pylist() if error]
    return Counter(errors).most_common(20)


def _rows(found: SweepResults) -> list[list[str]]:
    names = [*found.varied[:MOST_NAMES], "seed", "status", "run"]
    table = found.index.slice(0, MOST_ROWS).select(names)
    columns = [table.column(k).to_pylist() for k in range(table.num_columns)]
    return [["" if v is None else str(v) for v in row] for row in zip(*columns, strict=True)]
