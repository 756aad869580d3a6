"""Stands for the simulator: a scenario of two fields, and a summary computed from them.

In a module of its own so that worker processes can import it.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from sim.errors import InputError
from sim.record.store import RunFolder, RunId
from sim.scenario.canonical import digest, hash8
from sim.sweep.identity import Identity
from sim.sweep.point import Point

POINTS = tuple(
    Point(2 * n + s, (("size", size), ("zone", "VA")), s + 1)
    for n, size in enumerate((10, 20, 30))
    for s in range(2)
)


@dataclass(frozen=True)
class Fake:
    """A `Work`.

    Args:
        version, files: parts of the identity.
        faults: what goes wrong at (size, seed): an exception, or a word for the worker.
        log: a file that gets a line for each run that starts.
        pause_s: time that a run takes.
    """

    version: str = "1"
    files: tuple[tuple[str, str], ...] = (("grid/zones.csv", "a"),)
    faults: dict[tuple[int, int], object] = field(default_factory=dict)
    log: Path | None = None
    pause_s: float = 0.0

    def identify(self, point: Point) -> Identity:
        values = self._values(point)
        files = dict(self.files)
        name = hash8(values, files, self.version)
        parts = {"scenario": digest(values), "data": digest(files), "version": self.version}
        return Identity("fake", name, parts, files)

    def run(self, point: Point, out: Path) -> Path:
        values = self._values(point)
        at = (int(values["size"]), point.seed)
        if self.log:
            with self.log.open("a") as lines:
                lines.write(f"{at[0]} {at[1]}\n")
        with RunFolder.open(RunId("fake", self.identify(point).hash8, point.seed), out, {}) as run:
            run.write_text("half.txt", "x")
            time.sleep(self.pause_s)
            self._fault(self.faults.get(at))
            run.write_json("summary.json", {"power_w": {"chip": at[0] * point.seed / 3}})
        return run.final

    def ran(self) -> list[tuple[int, int]]:
        """(size, seed) of all runs that were started, in order."""
        if self.log is None or not self.log.exists():
            return []
        lines = (line.split() for line in self.log.read_text().splitlines())
        return [(int(size), int(seed)) for size, seed in lines]

    def _values(self, point: Point) -> dict[str, object]:
        values = dict(point.values)
        if values.get("size") == 666:
            raise InputError("666 is above the largest value 100", path="size")
        return values

    def _fault(self, fault: object) -> None:
        if isinstance(fault, BaseException):
            raise fault
        if fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "hang":
            time.sleep(600)
        if fault == "eat":
            bytearray(2**40)
        if isinstance(fault, Path) and not fault.exists():
            fault.touch()
            os.kill(os.getpid(), signal.SIGKILL)
