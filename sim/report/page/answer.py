"""The answer to a question: what the page shows first, and what its figures are drawn from."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import __version__
from sim.policy.figures import figures
from sim.record.store import parquet_bytes
from sim.record.timeline import to_table
from sim.report.answer_tables import architectures_table, likelihood, made_up, work_tables
from sim.report.basis_tables import warnings
from sim.report.key_figures import key_figures
from sim.report.page.question import CONFIG, Question, to_scenario
from sim.report.regions_text import view_where
from sim.report.verdict_text import answer_sentence
from sim.scenario.canonical import to_yaml
from sim.scenario.run import RunResult, data_used, plain, run_id, run_scenario
from sim.scenario.simulate import Tell

if TYPE_CHECKING:
    from sim.report.influence import Influence
    from sim.scenario.schema import Scenario

SEED = 1
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the figures and the report of an answer are made of, for another process.

    Args:
        tree: the resolved scenario. influences: what each assumed figure moves.
        beside: architectures to be drawn side by side; none, or two and more.
    """

    summary: dict[str, Any]
    tree: dict[str, Any]
    manifest: dict[str, Any]
    influences: list[Influence]
    beside: list[str]


@dataclass(frozen=True, slots=True)
class Answered:
    """A run, and what the page shows of it."""

    scenario: Scenario
    result: RunResult
    manifest: dict[str, Any]
    shown: Answer
    beside: list[str]


def answer(question: Question, folder: Path, tell: Tell) -> Answered:
    """Run the scenario of a question.

    Args:
        folder: an empty folder of this answer.

    Raises:
        WrongField: the question cannot be asked.
    """
    tell("reading the question")
    scenario = to_scenario(question, folder)
    result = run_scenario(scenario, SEED, tell, folder)
    summary = result.summary
    tree: dict[str, Any] = _without(plain(scenario), folder)
    inputs: dict[str, str] = _without(data_used(scenario), folder)
    digest = run_id(scenario, SEED).hash8
    manifest = {
        "scenario": scenario.name,
        "hash": digest,
        "seed": SEED,
        "version": __version__,
        "inputs": inputs,
    }
    told = figures(summary, scenario)
    names = _side_by_side(question, scenario)
    found = {
        "hash": digest,
        "asked": {"place": question.place, "gpus": question.gpus, "work": question.work}
        | {"arch": "the uploaded config" if question.config else question.arch}
        | {"policies": question.policies},
        "answer": answer_sentence(summary),
        "lines": [likelihood(summary), view_where(summary) or ""],
        "warnings": warnings(summary),
        "key_figures": key_figures(summary),
        "tables": [table for table in _tables(summary, names) if table["rows"]],
        "figures": told,
        "readings": summary["grid"]["verdicts"],
        "assumptions": summary["assumptions"],
        "files": {"scenario.yaml": to_yaml(tree), "figures.csv": _csv(told), **_uploaded(folder)},
    }
    return Answered(scenario, result, manifest, _without(found, folder), names)


def drawing(answered: Answered, folder: Path) -> Drawing:
    """What is to be drawn; the tables that figures over time need are written into the folder."""
    from sim.report.influence import influences

    result = answered.result
    tables = {"signals.parquet": to_table(result.outcome.timelines), **result.tables}
    for name, table in tables.items():
        (folder / name).write_bytes(parquet_bytes(table))
    moved = influences(result.outcome)
    tree = plain(answered.scenario)
    return Drawing(result.summary, tree, answered.manifest, moved, answered.beside)


def _side_by_side(question: Question, scenario: Scenario) -> list[str]:
    """The architecture of the question and the one beside it; empty without one."""
    asked = scenario.sites[0].workloads[0].arch
    return [asked, question.beside] if question.beside not in ("", asked) else []


def _tables(summary: dict[str, Any], names: list[str]) -> list[dict[str, Any]]:
    """How the MW is made up, what the work does, and architectures side by side."""
    found = [made_up(summary["sites"]), *work_tables(summary)]
    return [*found, architectures_table(names)] if names else found


def _uploaded(folder: Path) -> dict[str, str]:
    """The config that was uploaded, under the name that the scenario has for it."""
    return {path.name: path.read_text("utf-8") for path in folder.glob(f"{CONFIG}*.json")}


def without_folder(text: str, folder: Path) -> str:
    """An uploaded config lies in a folder of this machine: nobody needs to know which."""
    return text.replace(f"{folder}/", "")


def _without(tree: Any, folder: Path) -> Any:
    return json.loads(without_folder(json.dumps(tree), folder))


def _csv(found: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["figure", "value"])
    writer.writerows(found.items())
    return text.getvalue()
