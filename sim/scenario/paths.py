"""Where the user's own files are: names in a scenario count from the file that says them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sim import arch
from sim.errors import InputError
from sim.files import is_file, is_folder
from sim.scenario.load import Document
from sim.scenario.override import Step, format_path
from sim.scenario.resolve import within
from sim.scenario.schema import FileRequests, NodalGrid, Scenario, ServingSpec, Workload
from sim.scenario.sites import with_file_paths

R = TypeVar("R")


def with_paths(document: Document, scenario: Scenario) -> Scenario:
    """Files of the user relative to the file that names them, not to the working folder.

    Raises:
        InputError: there is no such trace or weather.
    """
    return _with_case_path(document, _with_site_paths(document, scenario))


def _with_case_path(document: Document, scenario: Scenario) -> Scenario:
    """A case file relative to the file that names it, if there is one; else as it is."""
    if not isinstance(scenario.grid, NodalGrid):
        return scenario
    file, at, snapshot = scenario.grid.case.partition("@")
    found = _beside(document, ("grid", "case"), file, is_folder)
    grid = scenario.grid.model_copy(update={"case": f"{found}{at}{snapshot}"})
    return scenario.model_copy(update={"grid": grid})


def _with_site_paths(document: Document, scenario: Scenario) -> Scenario:
    services = [
        service.model_copy(
            update={"requests": _with_trace_path(document, ("services", s), service.requests)}
        )
        for s, service in enumerate(scenario.services)
    ]
    sites = []
    for s, site in enumerate(scenario.sites):
        at = ("sites", s)
        workloads = [
            _with_workload_paths(document, (*at, "workloads", w), workload)
            for w, workload in enumerate(site.workloads)
        ]
        node = _beside(document, (*at, "cluster", "node"), site.cluster.node)
        with within(f"sites[{s}].facility"):
            here = partial(_folder, document, (*at, "facility"))
            facility = with_file_paths(site.facility, here)
        cluster = site.cluster.model_copy(update={"node": node})
        update = {"workloads": workloads, "facility": facility, "cluster": cluster}
        sites.append(site.model_copy(update=update))
    return scenario.model_copy(update={"sites": sites, "services": services})


def _with_workload_paths(document: Document, at: Sequence[Step], workload: Workload) -> Workload:
    update: dict[str, Any] = {}
    if workload.arch not in arch.names():
        update["arch"] = _config(document, (*at, "arch"), workload.arch)
    if isinstance(workload, ServingSpec):
        update["requests"] = _with_trace_path(document, at, workload.requests)
    return workload.model_copy(update=update)


def _config(document: Document, at: Sequence[Step], name: str) -> str:
    """A model's config beside the file that names it, or in the working folder."""
    found = _beside(document, at, name, is_folder)
    if is_file(f"{found}/config.json"):
        return f"{found}/config.json"
    if Path(found).suffix == ".json" and not is_file(found):
        raise InputError(
            f"no such file {name!r}",
            "name a config.json beside the file that says it, or in the working folder",
            path=format_path(at),
        )
    return found


def _beside(document: Document, at: Sequence[Step], name: str, *also: Callable[[str], bool]) -> str:
    """A file beside the file that names it, if there is one; else the name as it is.

    Args:
        also: what else may be named.
    """
    found = os.path.normpath(_folder(document, at, ()) / name)
    return found if any(is_there(found) for is_there in (is_file, *also)) else name


def _with_trace_path(document: Document, at: Sequence[Step], requests: R) -> R:
    """Requests whose file, if they have one, counts from the file that names it.

    Args:
        at: path of what has the requests.
    """
    if not isinstance(requests, FileRequests):
        return requests
    file = os.path.normpath(_folder(document, at, ("requests", "file")) / requests.file)
    if not is_file(file):
        raise InputError(
            f"no such trace file {file!r}",
            "give a CSV or Parquet file, relative to the file that names it",
            path=format_path([*at, "requests", "file"]),
        )
    return requests.model_copy(update={"file": file})


def _folder(document: Document, base: Sequence[Step], steps: Sequence[Step]) -> Path:
    """Folder of the file that says a value; the working folder for an option."""
    named_in = document.place([*base, *steps]).file
    return Path(named_in).parent if is_file(named_in) else Path()
