"""Runs side by side as one HTML page: what is different, by how much, and what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sim.errors import InputError
from sim.record.atomic import write_file
from sim.report.arch_figure import draw_architectures, used_architectures
from sim.report.basis_tables import warnings
from sim.report.compare_figures import draw_changes, draw_margins, draw_sides
from sim.report.compare_inputs import changed_inputs, changed_lines
from sim.report.compare_sides import Side, read_sides, tightest
from sim.report.figure_html import figure_html, finding, within
from sim.report.html import MANIFEST_KEYS
from sim.report.pages import template
from sim.report.verdict_text import answer_sentence
from sim.report.words import name_and_unit

HEADLINES: Final = (
    "peak_load_mw", "hosted_mw", "energy_mwh", "training_tokens", "output_tokens",
    "energy_j_per_output_token", "energy_cost_usd", "carbon_t",
)  # fmt: skip
"""Figures whose change is told in words, as far as both runs have them."""


def write_comparison(folders: Sequence[Path], path: Path) -> None:
    """Write the page, and its figures with their numbers beside it in `<stem>-figures/`.

    Raises:
        InputError: a folder is no finished run.
    """
    sides = read_sides(folders)
    try:
        svgs = _draw(sides, path.with_name(f"{path.stem}-figures"))
        write_file(path, render_comparison(sides, svgs).encode())
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror}"
        raise InputError(what, "name a file in a folder that can be written") from error


def _draw(sides: Sequence[Side], folder: Path) -> dict[str, str]:
    """Draw the figures; figure name -> SVG text of those that have something to show."""
    folder.mkdir(parents=True, exist_ok=True)
    draws = {
        "changes": draw_changes,
        "power": draw_sides,
        "margins": draw_margins,
        "architectures": _draw_architectures,
    }
    found = {}
    for name, draw in draws.items():
        file = folder / f"{name}.svg"
        file.unlink(missing_ok=True)  # of an earlier comparison
        draw(sides, file)
        if file.is_file():
            found[name] = file.read_text("utf-8")
    return found


def _draw_architectures(sides: Sequence[Side], path: Path) -> None:
    """What the models of the runs need, where they differ."""
    named = [used_architectures(side.summary, side.scenario) for side in sides]
    draw_architectures(list(dict.fromkeys(name for names in named for name in names)), path)


def render_comparison(sides: Sequence[Side], svgs: Mapping[str, str]) -> str:
    """The page as HTML text.

    Args:
        sides: the first is what the others are compared with. svgs: figure name -> SVG text.
    """
    questions = list(dict.fromkeys(s.summary["question"] for s in sides if s.summary["question"]))
    return template("compare.html.j2").render(
        title=" against ".join(side.name for side in sides),
        questions=questions,
        answers=[(side.name, answer_sentence(side.summary)) for side in sides],
        told=[line for other in sides[1:] for line in changes(sides[0], other)],
        warnings=_warnings(sides),
        deltas=delta_table(sides),
        readings=_readings_table(sides),
        inputs=changed_inputs({s.label: s.scenario for s in sides}),
        figures=within([figure_html(name, svg, finding(svg)) for name, svg in svgs.items()]),
        assumptions=changed_lines({s.label: s.summary["assumptions"] for s in sides}),
        shared=_shared([s.summary["assumptions"] for s in sides]),
        sources=_shared([s.summary["sources"] for s in sides]),
        manifest=_manifest_table(sides),
        data=changed_inputs({s.label: s.manifest["inputs"] for s in sides}),
    )


def changes(base: Side, other: Side) -> list[str]:
    """What is different in `other`, in sentences."""
    told = _verdict_changes(base, other)
    parts = []
    for key in HEADLINES:
        before, after = base.figures.get(key), other.figures.get(key)
        if before is None or after is None or before == after:
            continue
        name, unit = name_and_unit(key)
        parts.append(f"{name} {_signed(after - before)} {unit}{_percent(before, after)}")
    if parts:
        told.append(f"{other.label} against {base.label}: {', '.join(parts)}.")
    if not told and other.figures == base.figures:
        told.append(f"{other.label} and {base.label} have the same figures.")
    return told


def _verdict_changes(base: Side, other: Side) -> list[str]:
    before, after = tightest(base), tightest(other)
    told = []
    for limit in (limit for limit in after if limit in before):
        old, new = before[limit], after[limit]
        if old["verdict"] != new["verdict"]:
            told.append(
                f"The {limit} reading goes from {old['verdict']} in {base.label} ({_where(old)}) "
                f"to {new['verdict']} in {other.label} ({_where(new)})."
            )
    return told


def _where(reading: Mapping[str, Any]) -> str:
    return f"{reading['zone']}, margin {reading['margin_mw']:,.0f} MW"


def delta_table(sides: Sequence[Side]) -> dict[str, Any]:
    """Every figure of every run, and its change against the first."""
    base, others = sides[0], sides[1:]
    keys = list(dict.fromkeys(key for side in sides for key in side.figures))
    rows = []
    for key in keys:
        name, unit = name_and_unit(key)
        row = [name, unit, *(_number(side.figures.get(key)) for side in sides)]
        for other in others:
            row += _delta(base.figures.get(key), other.figures.get(key))
        rows.append(row)
    header = ["figure", "unit", *(side.label for side in sides)]
    for other in others:
        header += [f"{other.label} − {base.label}", "of it"]
    caption = f"Every figure, and what changes against {base.label}; – where a run has none."
    return {"title": "Figures", "caption": caption, "header": header, "rows": rows}


def _delta(before: Any, after: Any) -> list[str]:
    if before is None or after is None:
        return ["–", "–"]
    if before == after:
        return ["=", "="]
    return [_signed(after - before), _percent(before, after).strip(" ()") or "–"]


def _number(value: Any) -> str:
    if value is None:
        return "–"
    magnitude = abs(value)
    if magnitude >= 1e7:
        return f"{value:.4g}"
    return f"{value:,.0f}" if magnitude >= 1000 or value == int(value) else f"{value:.4g}"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−'}{_number(abs(value))}"


def _percent(before: float, after: float) -> str:
    """The change as a share of the first value, where that has one."""
    if not before:
        return ""
    share = (after - before) / abs(before)
    return f" ({'+' if share > 0 else '−'}{abs(share):.1%})"


def _readings_table(sides: Sequence[Side]) -> dict[str, Any]:
    """The tightest reading of each limit in each run."""
    found = {side.label: tightest(side) for side in sides}
    limits = list(dict.fromkeys(limit for readings in found.values() for limit in readings))
    rows = [[limit, *(_reading(found[s.label].get(limit)) for s in sides)] for limit in limits]
    return {
        "title": "What the grid says",
        "caption": "The tightest reading of each limit: answer, margin with its 5th to 95th "
        "percentile, probability that it binds, and where.",
        "header": ["limit", *(side.label for side in sides)],
        "rows": rows,
    }


def _reading(reading: Mapping[str, Any] | None) -> str:
    if reading is None:
        return "not assessed"
    return (
        f"{reading['verdict']}, {reading['margin_mw']:,.0f} MW ({reading['margin_low_mw']:,.0f} to "
        f"{reading['margin_high_mw']:,.0f}), P {reading['probability']:.2f}, {reading['zone']}"
    )


def _warnings(sides: Sequence[Side]) -> list[str]:
    """What makes a difference between runs hard to read, then what each run warns of."""
    told = []
    for key, words in (
        ("version", "versions of flopgrid"),
        ("seed", "seeds: a part of each difference is chance"),
    ):
        found = [str(side.manifest[key]) for side in sides]
        if len(set(found)) > 1:
            told.append(f"The runs are of different {words} ({', '.join(found)}).")
    if len({side.summary["horizon_s"] for side in sides}) > 1:
        told.append("The runs cover different times: compare means and rates, not sums.")
    if len({side.summary["grid"].get("kind", "zonal") for side in sides}) > 1:
        told.append("The runs look at the grid in different ways: margins do not compare.")
    return told + [f"{s.label}: {line}" for s in sides for line in warnings(s.summary)]


def _shared(lists: Sequence[Sequence[str]]) -> list[str]:
    """Lines that are in all of the lists."""
    return [line for line in lists[0] if all(line in other for other in lists[1:])]


def _manifest_table(sides: Sequence[Side]) -> dict[str, Any]:
    rows = [[key, *(str(side.manifest[key]) for side in sides)] for key in MANIFEST_KEYS]
    return {
        "title": "Run and inputs",
        "caption": "What makes each run again.",
        "header": ["of the run", *(side.label for side in sides)],
        "rows": rows,
    }
