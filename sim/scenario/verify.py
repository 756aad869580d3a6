"""Verify a finished run from its own files: hashes, laws, and that it can be resolved again."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

from sim.errors import InputError, LawViolation
from sim.record.store import MANIFEST, SUMMARY, file_hashes, read_json
from sim.scenario.again import resolved_of
from sim.scenario.run import run_id

RELATIVE_TOLERANCE = 1e-9
BOUNDARIES = ("chip", "it", "facility")


def verify_run(folder: Path) -> list[str]:
    """What was checked, one line each.

    Raises:
        InputError: the folder is no finished run.
        LawViolation: a file was changed, or a law does not hold; with the place and numbers.
    """
    manifest, summary = read_json(folder / MANIFEST), read_json(folder / SUMMARY)
    done = [_check_status(manifest), _check_files(folder, manifest)]
    done += [_check_energy(summary), _check_causes(summary)]
    if (folder / "signals.parquet").is_file():
        done.append(_check_signals(folder, summary))
    done.append(_check_scenario(folder, manifest))
    return done


def _check_status(manifest: dict[str, Any]) -> str:
    if manifest.get("status") != "done":
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


def _check_energy(summary: dict[str, Any]) -> str:
    """Order of the boundaries; energy = mean power x time; sites sum to the whole."""
    energy = summary["energy_j"]
    if not 0 <= energy["chip"] <= energy["it"] <= energy["facility"]:
        raise LawViolation(f"energy: boundaries out of order, {energy}")
    for boundary in BOUNDARIES:
        mean_w = summary["power_w"][boundary]["mean"]
        _equal(f"{boundary} energy", energy[boundary], mean_w * summary["horizon_s"])
        sites_j = math.fsum(s["energy_j"][boundary] for s in summary["sites"].values())
        _equal(f"{boundary} energy of the sites", sites_j, energy[boundary])
    return "energy: chip <= it <= facility, mean power x time, sum of the sites"


def _check_causes(summary: dict[str, Any]) -> str:
    for name, site in summary["sites"].items():
        total_w = math.fsum(site["causes_w"].values())
        _equal(f"causes of {name}", total_w, site["power_w"]["facility"]["mean"])
    return "causes: they sum to the meter at each site"


def _check_signals(folder: Path, summary: dict[str, Any]) -> str:
    """Integrate the recorded signals again, by other code than the run's."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "signals.parquet")
    history: dict[str, list[tuple[float, float]]] = {}
    for row in table.to_pylist():
        history.setdefault(row["signal"], []).append((row["time_s"], row["value"]))
    end_s = summary["horizon_s"]
    for name, site in summary["sites"].items():
        for boundary in BOUNDARIES:
            changes = [*history[f"{name}.{boundary}_w"], (end_s, 0.0)]
            joules = math.fsum(
                watts * (min(later, end_s) - start)
                for (start, watts), (later, _) in itertools.pairwise(changes)
                if start < end_s
            )
            # Times in the file are doubles of seconds: nanoseconds over a day.
            _equal(f"signal {name}.{boundary}_w", joules, site["energy_j"][boundary], 1e-7)
    return f"signals: {table.num_rows:,} changes integrate to the energies"


def _check_scenario(folder: Path, manifest: dict[str, Any]) -> str:
    with resolved_of(folder) as (_, scenario):
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


def _equal(what: str, found: float, wanted: float, tolerance: float = RELATIVE_TOLERANCE) -> None:
    if not math.isclose(found, wanted, rel_tol=tolerance, abs_tol=1e-9):
        raise LawViolation(f"{what}: {found!r} against {wanted!r}")
