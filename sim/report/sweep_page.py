"""The page of a sweep: what it asked, what it found, where its runs stand."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError
from sim.record.atomic import write_file
from sim.report.pages import template
from sim.report.sweep_figures import draw_shown
from sim.report.sweep_parts import Answer, Rows
from sim.results.store import SweepResults
from sim.sweep.run import BOUNDARIES

if TYPE_CHECKING:
    from sim.sweep.expand import Sweep

PAGE: Final = "report.html"
MOST_ROWS: Final = 200


def write_sweep_page(sweep: Sweep, folder: Path) -> list[dict[str, Any]]:
    """Draw what the sweep file asks to show, and write `report.html`.

    Returns:
        `{kind, title, text}` of each entry; an entry that cannot be drawn says why.
    """
    found = SweepResults(folder)
    answers = _answers(sweep, found)
    page = template("sweep.html.j2").render(
        name=sweep.name,
        question=sweep.file.question if sweep.file else "",
        counts=Counter(found.index["status"].to_pylist()).most_common(),
        answers=[(answer, _svg(folder, answer)) for answer in answers],
        failures=_failures(found),
        varied=found.varied[:8],
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


def _svg(folder: Path, answer: Answer) -> str:
    """The figure's own text, from its `<svg` on."""
    if not answer.file:
        return ""
    text = (folder / "figures" / answer.file).read_text("utf-8")
    return text[text.index("<svg") :]


def _failures(found: SweepResults) -> list[tuple[str, int]]:
    """Errors with the number of runs that met them."""
    errors = [error for error in found.index["error"].to_pylist() if error]
    return Counter(errors).most_common(20)


def _rows(found: SweepResults) -> list[list[str]]:
    names = [*found.varied[:8], "seed", "status", "run"]
    table = found.index.slice(0, MOST_ROWS).select(names)
    columns = [table.column(k).to_pylist() for k in range(table.num_columns)]
    return [["" if v is None else str(v) for v in row] for row in zip(*columns, strict=True)]
