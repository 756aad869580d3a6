"""What the stress test and the benchmark of sweeps run: a real run folder, a made-up simulation.

A module of its own, so that worker processes can import it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.randomness import stream
from sim.record.store import RunFolder, RunId
from sim.scenario.canonical import digest, hash8
from sim.sweep.identity import Identity
from sim.sweep.point import Point

VERSION = "stress"


@dataclass(frozen=True)
class StressWork:
    """Walks at random, with as many figures as asked.

    Args:
        log: gets a line for each run that starts though it stands finished.
        busy_s: processor time of a run. pause_s: time that it sleeps while it writes.
        figures: numbers in its summary.
    """

    log: Path | None = None
    busy_s: float = 0.0
    pause_s: float = 0.0
    figures: int = 20

    def identify(self, point: Point) -> Identity:
        """From the point's values."""
        values = dict(point.values)
        parts = {"scenario": digest(values), "data": "0" * 64, "version": VERSION}
        return Identity("stress", hash8(values, {}, VERSION), parts, {})

    def run(self, point: Point, out: Path) -> Path:
        """Write a run folder as a simulation does, some files with pauses between."""
        run_id = RunId("stress", self.identify(point).hash8, point.seed)
        walk = stream(point.seed, "stress", *map(str, point.values)).normal(size=256).cumsum()
        self._work()
        if self.log and run_id.folder(out).exists():
            with self.log.open("a") as lines:
                lines.write(f"{point.key}\n")
        with RunFolder.open(run_id, out, {"version": VERSION}) as run:
            run.write_text("scenario.resolved.yaml", f"seed: {point.seed}\n")
            time.sleep(self.pause_s / 2)
            run.write_bytes("walk.bin", walk.tobytes())
            time.sleep(self.pause_s / 2)
            run.write_json("summary.json", {f"f{k}": walk[k] for k in range(self.figures)})
        return run.final

    def _work(self) -> None:
        """Keep the processor busy."""
        end_s = time.process_time() + self.busy_s
        while time.process_time() < end_s:
            np.linalg.norm(np.ones(1000))
