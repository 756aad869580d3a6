"""A finished run made again from its own folder, figures that were set included.

A resolved scenario names the user's files (traces, weather, cases) as the run found them: by
their path from the working folder. So it is read without looking beside the file that it is in.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sim import __version__
from sim.datum import figure_at, figures_set
from sim.errors import InputError, Place
from sim.record.store import RunFolder, file_hashes, read_json
from sim.scenario.load import Document, load_tree, validate
from sim.scenario.resolve import resolve
from sim.scenario.run import (
    Decorate,
    RunResult,
    data_used,
    located,
    run_id,
    run_to_folder,
)
from sim.scenario.schema import Scenario
from sim.scenario.simulate import Tell

RESOLVED: Final = "scenario.resolved.yaml"
FIGURES_FILE: Final = "figures_set.json"
_MANIFEST_TYPES: Final = {"seed": int, "files": dict, "hash": str, "inputs": dict, "version": str}


@dataclass(frozen=True, slots=True)
class Again:
    """What came of it.

    Attributes:
        folder: where the new run stands, or the first one where it was the same folder.
        n_files: how many files were compared.
        changed: names of the files that differ.
        reasons: what is not as it was then: version, data, program.
    """

    folder: Path
    n_files: int
    changed: tuple[str, ...]
    reasons: tuple[str, ...]


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a run.

    Raises:
        InputError: it is missing, damaged, or no run's.
    """
    told = read_json(path)
    for key, kind in _MANIFEST_TYPES.items():
        if not isinstance(told.get(key), kind):
            raise InputError(
                f"is no manifest of a run: {key} is {told.get(key)!r}",
                "name the manifest.json of a run folder",
                place=Place(str(path)),
            )
    return told


def figures_of(folder: Path) -> dict[str, float]:
    """The figures that a run set, by `FILE:NAME`; none where it set none.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / FIGURES_FILE
    if not path.is_file():
        return {}
    found = {}
    for key, row in read_json(path).items():
        value = row.get("value") if isinstance(row, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"is damaged: {key} has no value", "run it again", place=_at(path))
        try:
            found[key] = float(value)
        except OverflowError as error:
            what = f"is damaged: {key} is no finite number"
            raise InputError(what, "run it again", place=_at(path)) from error
    return found


def with_figures(figures: Mapping[str, float], decorate: Decorate | None) -> Decorate | None:
    """Writes down which figures are set, then draws."""
    if not figures:
        return decorate

    def finish(folder: RunFolder, result: RunResult) -> None:
        rows = {k: {"value": v, "unit": figure_at(k).unit} for k, v in figures.items()}
        folder.write_json(FIGURES_FILE, rows)
        if decorate:
            decorate(folder, result)

    return finish


@contextmanager
def resolved_of(folder: Path) -> Iterator[tuple[Document, Scenario]]:
    """The scenario of a finished run, under the figures that it set.

    Raises:
        InputError: with file, line, column and path of the first fault.
    """
    with figures_set(figures_of(folder)):
        document = load_tree(folder / RESOLVED)
        checked = validate(document, Scenario)
        with located(document):
            yield document, resolve(checked)


def run_again(
    manifest: Path, out: Path, decorate: Decorate | None = None, tell: Tell | None = None
) -> Again:
    """Make a run again and compare it file by file; what stands there is never replaced.

    Args:
        manifest: `manifest.json` of the run.
        out: where the new run goes; nothing is written where the first one stands there.
        decorate: draws, where the first run had figures.

    Raises:
        InputError: the folder is no finished run's, or a file of the user is gone.
    """
    told, first = read_manifest(manifest), manifest.parent
    drawn = decorate if "report.html" in told["files"] else None
    with resolved_of(first) as (_, scenario):
        seed, command = told["seed"], ["run", "--from", str(manifest)]
        finish = with_figures(figures_of(first), drawn)
        own = run_id(scenario, seed).folder(out).resolve() == first.resolve()
        with _scratch(own, out) as place:
            folder, _ = run_to_folder(scenario, seed, place, command, finish, tell)
            found = file_hashes(folder)
        reasons = _reasons(told, data_used(scenario))
    names = sorted(found.keys() | told["files"].keys())
    changed = tuple(name for name in names if found.get(name) != told["files"].get(name))
    return Again(first if own else folder, len(found), changed, reasons)


@contextmanager
def _scratch(wanted: bool, out: Path) -> Iterator[Path]:
    """A folder that is thrown away, where one is wanted; else the one that is given."""
    if not wanted:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="flopgrid-") as folder:
        yield Path(folder)


def _reasons(told: Mapping[str, Any], inputs: Mapping[str, str]) -> tuple[str, ...]:
    """Why a run may come out otherwise."""
    found = []
    if told["version"] != __version__:
        found.append(f"flopgrid {told['version']} then, {__version__} now")
    before = told["inputs"]
    names = sorted(before.keys() | inputs.keys())
    found += [f"{name} has changed" for name in names if before.get(name) != inputs.get(name)]
    return tuple(found)


def _at(path: Path) -> Place:
    return Place(str(path))
