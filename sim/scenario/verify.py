"""Verify a finished run from its own files: hashes, form, laws, and that it resolves again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim.errors import InputError, LawViolation
from sim.facility.battery import Battery
from sim.facility.meter import SitePlant
from sim.hardware.node import load_node
from sim.record.store import DONE, MANIFEST, SUMMARY, file_hashes, read_json
from sim.scenario import verify_summary as of_summary
from sim.scenario import verify_tables as of_tables
from sim.scenario.again import read_manifest, resolved_of
from sim.scenario.requests_table import REQUESTS
from sim.scenario.run import run_id
from sim.scenario.schema import Scenario, ServingSpec
from sim.scenario.site_building import site_building
from sim.scenario.site_supply import site_supply
from sim.scenario.verify_requests import check_requests
from sim.scenario.verify_services import check_services
from sim.scenario.verify_summary import readable


def verify_run(folder: Path) -> list[str]:
    """What was checked, one line each.

    Raises:
        InputError: the folder is no finished run.
        LawViolation: a file was changed, or a law does not hold; with the place and numbers.
    """
    status = _check_status(read_json(folder / MANIFEST))
    manifest, summary = read_manifest(folder / MANIFEST), read_json(folder / SUMMARY)
    done = [status, _check_files(folder, manifest), of_summary.check_form(summary)]
    with readable("summary.json"):
        done += [
            check(summary)
            for check in (of_summary.check_energy, of_summary.check_causes, of_summary.check_counts)
        ]
    with resolved_of(folder) as (_, scenario):
        plants, batteries, missing = _built(scenario)
        if not missing:
            with readable("summary.json"):
                done.append(of_summary.check_supply(summary, _one_way_frac(batteries)))
        if scenario.services:
            with readable("summary.json"):
                done.append(check_services(summary, scenario))
        done += _check_tables(folder, summary, plants, batteries, scenario)
        done += [*missing, _check_scenario(scenario, manifest)]
    return done


def _check_status(manifest: dict[str, Any]) -> str:
    if manifest.get("status") != DONE:
        raise LawViolation(f"status: the manifest says {manifest.get('status')!r}, not 'done'")
    return "status: done"


def _check_files(folder: Path, manifest: dict[str, Any]) -> str:
    found, told = file_hashes(folder), manifest["files"]
    for name in sorted(found.keys() | told.keys()):
        if name not in found:
            raise LawViolation(f"files: {name} is missing")
        if name not in told:
            raise LawViolation(f"files: {name} was added")
        if found[name] != told[name]:
            raise LawViolation(f"files: {name} was changed")
    return f"files: {len(found)} hashes agree"


def _one_way_frac(batteries: dict[str, Battery]) -> dict[str, float]:
    return {name: battery.one_way_frac for name, battery in batteries.items()}


def _check_tables(
    folder: Path,
    summary: dict[str, Any],
    plants: dict[str, SitePlant],
    batteries: dict[str, Battery],
    scenario: Scenario,
) -> list[str]:
    """The laws of the tables that are there."""
    checks: dict[str, Callable[[], str]] = {
        of_tables.SIGNALS: lambda: of_tables.check_signals(folder, summary, plants, batteries),
        REQUESTS: lambda: check_requests(folder, summary, _in_cells(scenario)),
        of_tables.GRID_HOURS: lambda: of_tables.check_grid_hours(folder, summary),
    }
    done = []
    for name, check in checks.items():
        if (folder / name).is_file():
            with readable(name):
                done.append(check())
    return done


def _in_cells(scenario: Scenario) -> frozenset[str]:
    """Fleets of which whole routing cells speak for the others."""
    return frozenset(
        f"{site.name}.{workload.name}"
        for site in scenario.sites
        for workload in site.workloads
        if isinstance(workload, ServingSpec) and workload.fidelity == "cells"
    )


def _built(scenario: Scenario) -> tuple[dict[str, SitePlant], dict[str, Battery], list[str]]:
    """Each site's chain of losses and battery, built again.

    Returns:
        by site; and a line where a file of the user is not here any more.
    """
    plants, batteries = {}, {}
    try:
        for site in scenario.sites:
            node, nodes = load_node(site.cluster.node), site.cluster.nodes or 0
            building = site_building(site.facility, nodes, node, scenario.epoch)
            plant = plants[site.name] = SitePlant(site.name, nodes, node, building)
            supply = site_supply(site.facility, plant, scenario.epoch)
            batteries[site.name] = supply.plant.battery
    except InputError as error:
        return {}, {}, [f"chain: the sites cannot be built again: {error}"]
    return plants, batteries, []


def _check_scenario(scenario: Scenario, manifest: dict[str, Any]) -> str:
    try:
        found = run_id(scenario, manifest["seed"]).hash8
    except InputError as error:
        return f"scenario: resolves; its name cannot be found again: {error}"
    if found != manifest["hash"]:
        return (
            f"scenario: resolves; this program would name it {found}, not {manifest['hash']} "
            "(other data or version)"
        )
    return f"scenario: resolves to the same run, {found}"
