"""The answer to a question: what the page shows and what can be taken away from it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from sim import __version__
from sim.policy.figures import figures
from sim.record.store import parquet_bytes
from sim.record.timeline import to_table
from sim.report.figure_html import finding
from sim.report.html import caption, key_figures, render_report
from sim.report.influence import influences
from sim.report.page.question import Question, to_scenario
from sim.report.run_figures import draw_run, figure_texts
from sim.report.verdict_text import answer_sentence, verdict_lines
from sim.scenario.canonical import hash8, to_yaml
from sim.scenario.run import RunResult, data_used, plain, run_scenario
from sim.scenario.simulate import Tell

SEED = 1
Answer = dict[str, Any]


def answer(question: Question, folder: Path, tell: Tell) -> Answer:
    """Run the scenario of a question.

    Args:
        folder: an empty folder of this answer, for its figures.

    Raises:
        WrongField: the question cannot be asked.
    """
    tell("reading the question")
    scenario = to_scenario(question, folder)
    result = run_scenario(scenario, SEED, tell, folder)
    tell("drawing")
    summary = result.summary
    _write_tables(result, folder)
    draw_run(summary, folder)
    svgs = figure_texts(folder)
    moved = influences(result.outcome)
    inputs = data_used(scenario)
    digest = hash8(plain(scenario), inputs, __version__)
    manifest = {
        "scenario": scenario.name,
        "hash": digest,
        "seed": SEED,
        "version": __version__,
        "inputs": {name: value for name, value in inputs.items() if "/config-" not in name},
    }
    found = {
        "hash": digest,
        "answer": answer_sentence(summary),
        "lines": verdict_lines(summary),
        "key_figures": key_figures(summary),
        "figures": figures(summary, scenario),
        "readings": summary["grid"]["verdicts"],
        "assumptions": summary["assumptions"],
        "captions": {name: finding(svg) or caption(name, summary) for name, svg in svgs.items()},
        "files": {
            "scenario.yaml": to_yaml(plain(scenario)),
            "figures.csv": _csv(figures(summary, scenario)),
            "report.html": render_report(summary, manifest, svgs, moved),
            **{f"{name}.svg": svg for name, svg in svgs.items()},
            **{f"{name}.csv": _numbers(folder, name) for name in svgs},
        },
    }
    # An uploaded config lies in a folder of this machine: nobody needs to know which.
    shown: Answer = json.loads(json.dumps(found).replace(f"{folder}/", ""))
    return shown


def _write_tables(result: RunResult, folder: Path) -> None:
    """The tables that figures over time are drawn from."""
    tables = {"signals.parquet": to_table(result.outcome.timelines), **result.tables}
    for name, table in tables.items():
        (folder / name).write_bytes(parquet_bytes(table))


def _numbers(folder: Path, name: str) -> str:
    """What a figure shows, as it stands beside it."""
    return (folder / "figures" / f"{name}.csv").read_text("utf-8")


def _csv(found: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["figure", "value"])
    writer.writerows(found.items())
    return text.getvalue()
