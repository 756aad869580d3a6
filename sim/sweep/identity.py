"""What a sweep asks of the thing that it runs; light, so that workers start fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sim.sweep.point import Point


@dataclass(frozen=True, slots=True)
class Identity:
    """What a point would run as.

    Args:
        scenario: its name.
        hash8: names its folder.
        parts: hashes of what decides the numbers, by name: scenario, data, figures, version.
        files: hash of each data file, by name; `data` is the hash over them.
    """

    scenario: str
    hash8: str
    parts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class Work(Protocol):
    """What a sweep runs at each point. It is sent to workers, so it must pickle."""

    def identify(self, point: Point) -> Identity:
        """What the point would run as; InputError where it does not resolve."""

    def run(self, point: Point, out: Path) -> Path:
        """Run the point below a folder; the finished run's own folder."""
