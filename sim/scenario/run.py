"""From a scenario file to a finished run folder."""

from __future__ import annotations

import hashlib
import itertools
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim import __version__, arch
from sim.control.routers import AFFINITY
from sim.datum import data, data_file, data_hash, data_names, datum
from sim.errors import InputError, Place
from sim.files import is_file
from sim.grid.hosting import Hosting
from sim.grid.nodal.cases import case_hashes
from sim.grid.verdict import GridVerdict
from sim.hardware.node import plant_figures
from sim.record.store import RunFolder, RunId
from sim.record.timeline import to_table
from sim.scenario.canonical import to_yaml
from sim.scenario.facility_view import facility_assumptions, facility_json
from sim.scenario.laws import check_outcome
from sim.scenario.load import Document, load_tree, locate, validate
from sim.scenario.naming import run_hash
from sim.scenario.paths import with_paths
from sim.scenario.replica_failures import assumed
from sim.scenario.requests_table import requests_file
from sim.scenario.resolve import resolve
from sim.scenario.round_trips import ASSUMED, TABLE
from sim.scenario.schema import (
    EmpiricalLengthsSpec,
    FileRequests,
    NodalGrid,
    Scenario,
    ServiceRequests,
    ServingSpec,
    StreamRequests,
    TrainingSpec,
)
from sim.scenario.simulate import Outcome, SiteOutcome, Tell, simulate
from sim.scenario.sites import used_data
from sim.scenario.summary import Json, summarise
from sim.scenario.training_summary import training_assumptions
from sim.scenario.uncertainty import Range, assumptions, meter_at_peak, meter_range_w
from sim.scenario.views import grid_view

if TYPE_CHECKING:
    import pyarrow as pa


DATA_FOLDERS = {
    "hardware": "",
    "hardware/engines": ".yaml",
    "facility": "",
    "serving": ".yaml",
    "training": "",
    "grid": "",
}
KIND_FOLDERS = {
    "nodal": {"grid/nodal": "", "grid/regions": ""},
    "regions": {"grid/regions": ""},
    "dynamic": {"grid/regions": ""},
}
"""Read by the views other than the zonal one, by kind."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run in memory."""

    outcome: Outcome
    verdict: GridVerdict
    hosting: tuple[Hosting, ...]
    summary: Json
    tables: Mapping[str, pa.Table] = field(default_factory=dict)


Decorate = Callable[[RunFolder, RunResult], None]
"""Adds figures and pages to a run folder before it gets its final name."""


def load_scenario(path: str | Path, overrides: Sequence[str] = ()) -> tuple[Document, Scenario]:
    """Read, merge, override, check and resolve a scenario file.

    Raises:
        InputError: with file, line, column and path of the first fault.
    """
    document = load_tree(path, overrides)
    scenario = validate(document, Scenario)
    with located(document):
        return document, resolve(with_paths(document, scenario))


@contextmanager
def located(document: Document) -> Iterator[None]:
    """Give errors that name a dotted path their place in the file."""
    try:
        yield
    except InputError as error:
        raise locate(document, error) from None


def run_scenario(
    scenario: Scenario, seed: int, tell: Tell | None = None, folder: Path | None = None
) -> RunResult:
    """Simulate a resolved scenario and hold its load against the grid.

    Args:
        folder: where `requests.parquet` is written while the run goes on, if the scenario
            asks for it.

    Raises:
        InputError: the scenario cannot be built.
        LawViolation: a law does not hold in the run.
    """
    outcome = _simulated(scenario, seed, tell, folder)
    check_outcome(outcome)
    ranges = {site.name: _load_range_w(outcome, site, seed) for site in outcome.sites}
    view = grid_view(outcome, ranges, seed, tell)
    summary = summarise(outcome, ranges, view.verdict, view.hosting, _sources(scenario))
    summary["grid"] |= view.grid
    facility = facility_json(outcome, summary)
    if facility:
        summary["facility"] = facility
    found = {*summary["assumptions"], *_assumptions(outcome), *view.assumptions}
    found |= set(facility_assumptions(outcome))
    summary["assumptions"] = sorted(found)
    return RunResult(outcome, view.verdict, view.hosting, summary, view.tables)


def _simulated(scenario: Scenario, seed: int, tell: Tell | None, folder: Path | None) -> Outcome:
    """The simulation alone, with its requests on the disk."""
    if folder is None or scenario.record.requests == "none":
        return simulate(scenario, seed, tell)
    with requests_file(folder) as requests:
        outcome = simulate(scenario, seed, tell, requests.follow)
        requests.finish(outcome.simulation)
    return outcome


def _load_range_w(outcome: Outcome, site: SiteOutcome, seed: int) -> Range:
    """Range of a site's peak at the meter."""
    plant, chip_w = meter_at_peak(outcome, site)
    peak_w = site.power["facility"].peaks[outcome.simulation.scenario.grid.peak_window_s]
    found = meter_range_w(plant, chip_w, seed)
    low_w, high_w = min(found.low, peak_w), max(found.high, peak_w)  # of the peak as measured
    taken_w = outcome.peak_w(site) - peak_w  # by what stands behind the meter
    if not taken_w:
        return Range(low_w, high_w)
    return Range(max(0.0, low_w + taken_w), max(0.0, high_w + taken_w))


def _assumptions(outcome: Outcome) -> list[str]:
    figures = [f for site in outcome.sites for f in assumptions(site.run.plant)]
    sites = outcome.simulation.scenario.sites
    jobs = [w for s in sites for w in s.workloads if isinstance(w, TrainingSpec)]
    figures += training_assumptions(jobs) if jobs else []
    served = [w for s in sites for w in s.workloads if isinstance(w, ServingSpec)]
    figures += [figure for w in served for figure in assumed(w).values()]
    figures += [datum(*AFFINITY)] if any(w.router == "prefix-affinity" for w in served) else []
    told = list(outcome.loop.assumptions) if outcome.loop else []
    told += [ASSUMED] if _published(outcome.simulation.scenario) else []
    models = {w.arch for s in outcome.simulation.scenario.sites for w in s.workloads}
    figures += [f for name in sorted(models) for f in arch.load(name).assumptions]
    return [*told, *(f.describe() for f in figures)]


def _sources(scenario: Scenario) -> list[str]:
    """Where the figures of a run come from: every data file's own sources."""
    found: set[str] = set()
    for site in scenario.sites:
        figures = (*plant_figures(site.cluster.node), *data("facility/building.yaml").values())
        found |= {f"{f.source} ({f.as_of})" for f in figures}
        for workload in site.workloads:
            found |= set(arch.load(workload.arch).sources)
    folders = ["grid", *(["network"] if _published(scenario) else [])]
    return sorted(found.union(*(_table_notes(folder, ".csv") for folder in folders)))


def _table_notes(folder: str, suffix: str) -> list[str]:
    """The head of each table: what it is, its source, licence and date."""
    notes = []
    for name in data_names(folder, suffix):
        lines = data_file(f"{folder}/{name}{suffix}").read_text("utf-8").splitlines()
        head = [line.lstrip("# ") for line in itertools.takewhile(is_note, lines)]
        notes.append(" ".join([f"{folder}/{name}{suffix}:", *head]))
    return notes


def is_note(line: str) -> bool:
    """True for the lines at the head of a table that are not rows."""
    return line.startswith("#")


def plain(scenario: Scenario) -> dict[str, Any]:
    """The resolved scenario as plain data, in schema order."""
    return scenario.model_dump(mode="json")


def run_id(scenario: Scenario, seed: int) -> RunId:
    """What names the run of a resolved scenario."""
    return RunId(scenario.name, run_hash(plain(scenario), data_used(scenario)), seed)


def data_used(scenario: Scenario) -> dict[str, str]:
    """SHA-256 of every data file that the run reads, by name."""
    folders = DATA_FOLDERS | KIND_FOLDERS.get(scenario.grid.kind, {})
    if scenario.control.coupling.kind != "none":
        folders |= KIND_FOLDERS["regions"]
    names = {
        f"{folder}/{name}{suffix}"
        for folder, suffix in folders.items()
        for name in data_names(folder, suffix)
        if data_file(f"{folder}/{name}{suffix}").is_file()
    }
    hashes = _case_hash(scenario)
    for site in scenario.sites:
        if is_file(site.cluster.node):
            hashes[site.cluster.node] = _file_hash(site.cluster.node)
        for workload in site.workloads:
            if workload.arch in arch.names():
                names.add(f"zoo/{workload.arch}.yaml")
            elif is_file(workload.arch):
                hashes[workload.arch] = _file_hash(workload.arch)
    names |= {TABLE} if _published(scenario) else set()
    for requests in _streams(scenario):
        if isinstance(requests, FileRequests):
            hashes[requests.file] = _file_hash(requests.file)
        elif isinstance(requests.lengths, EmpiricalLengthsSpec):
            names.add(f"traces/{requests.lengths.name}.csv")
    shipped, own = used_data(site.facility for site in scenario.sites)
    hashes |= {name: _file_hash(name) for name in sorted(own)}
    return hashes | {name: data_hash(name) for name in sorted(names | shipped)}


def _published(scenario: Scenario) -> bool:
    """Whether round trips are looked up."""
    return any(region.at for service in scenario.services for region in service.regions)


def _streams(scenario: Scenario) -> Iterator[StreamRequests]:
    """All streams of requests: of services, and of workloads that have one of their own."""
    yield from (service.requests for service in scenario.services)
    for site in scenario.sites:
        for workload in site.workloads:
            if isinstance(workload, ServingSpec) and not isinstance(
                workload.requests, ServiceRequests
            ):
                yield workload.requests


def _case_hash(scenario: Scenario) -> dict[str, str]:
    """SHA-256 of the case file of a nodal grid; none for the case that is built in."""
    if not isinstance(scenario.grid, NodalGrid):
        return {}
    return case_hashes(scenario.grid.case)


def _file_hash(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        what = f"a file that the run reads cannot be read: {error.strerror}"
        todo = "relative names count from the working folder in which the run was made"
        raise InputError(what, todo, place=Place(path)) from error


def run_to_folder(
    scenario: Scenario,
    seed: int,
    out: Path,
    command: Sequence[str],
    decorate: Decorate | None = None,
    tell: Tell | None = None,
) -> tuple[Path, RunResult]:
    """Run and write the folder; it gets its name only when it is complete.

    Returns:
        the folder and the result.
    """
    manifest = {
        "version": __version__,
        "python": platform.python_version(),
        "command": list(command),
        "inputs": data_used(scenario),
    }
    with RunFolder.open(run_id(scenario, seed), out, manifest) as folder:
        result = run_scenario(scenario, seed, tell, folder.path)
        folder.write_text("scenario.resolved.yaml", to_yaml(plain(scenario)))
        folder.write_json("summary.json", result.summary)
        if scenario.record.signals:
            folder.write_table("signals.parquet", to_table(result.outcome.timelines))
        for name, table in result.tables.items():
            folder.write_table(name, table)
        if decorate:
            decorate(folder, result)
    return folder.final, result
