"""The runs of a comparison, as they stand in their folders."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sim.errors import InputError
from sim.policy.figures import figures
from sim.record.store import read_json
from sim.scenario.load import load_tree

MOST_RUNS: Final = 6
RESOLVED: Final = "scenario.resolved.yaml"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the runs.

    Args:
        label: A, B, ... in the order in which they were named.
        scenario: the resolved scenario as plain data.
        figures: what runs are compared by.
    """

    label: str
    folder: Path
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]
    scenario: Mapping[str, Any]
    figures: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Label and name."""
        return f"{self.label}: {self.summary['name']}"


def read_sides(folders: Sequence[Path]) -> list[Side]:
    """The runs from their folders.

    Raises:
        InputError: fewer than two or too many are named, or one is no finished run.
    """
    if not 2 <= len(folders) <= MOST_RUNS:
        raise InputError(
            f"{len(folders)} runs for a comparison", f"name 2 to {MOST_RUNS} run folders"
        )
    return [
        _side(label, folder) for label, folder in zip(string.ascii_uppercase, folders, strict=False)
    ]


def _side(label: str, folder: Path) -> Side:
    summary = read_json(folder / "summary.json")
    scenario = load_tree(folder / RESOLVED).tree
    if not isinstance(scenario, Mapping):
        raise InputError(f"{folder / RESOLVED} is no scenario", "make the run again")
    manifest = read_json(folder / "manifest.json")
    return Side(label, folder, summary, manifest, scenario, figures(summary))


def tightest(side: Side) -> dict[str, Mapping[str, Any]]:
    """The reading with the least margin of each limit that was assessed."""
    least: dict[str, Mapping[str, Any]] = {}
    for reading in side.summary["grid"]["verdicts"]:
        if reading["margin_mw"] is None:
            continue
        known = least.get(reading["limit"])
        if known is None or reading["margin_mw"] < known["margin_mw"]:
            least[reading["limit"]] = reading
    return least
