"""Kill run, sweep and serve at random moments, and hold what is left against calm ones.

    python tools/kills.py [--kills 200] [--seed 1] [--only run|sweep|serve]

Each round starts a real command in a process of its own and ends it, or one of its workers, with
signal 9 at a random moment: while it loads, computes, writes or renames. After every kill,

- run and sweep: every folder with a final name is a whole run whose files equal those of a calm
  one; no run that was finished before is gone; no row of the index counts a run that is not
  finished. At the end all is finished with `--resume` and equals the calm folder byte for byte,
  and no draft is left.
- serve: when its worker dies the job says so, jobs that were answered before still are, and the
  same question asked again gets the calm answer; when the server dies its worker goes with it.

Prints one JSON line; exit code 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from kills_serve import Serve  # noqa: E402 - found through the path above
from stress_sweep import children, end  # noqa: E402

from sim.record.store import FinishedRun, damage, file_hashes, find_runs  # noqa: E402

SCENARIO = HERE.parent / "scenarios" / "100k-h100-one-state.yaml"
TINY = {"horizon_h": 0.1, "grid.samples": 8, "grid.hosting": "false"}
SEEDS = (1, 2, 3)
PUES = (1.2, 1.25, 1.3, 1.35, 1.4, 1.45)
WAIT_S = 120.0
WRITE_S = 1.0
"""Longest time of a run's writing, figures and all; half of the moments fall into it."""
SHARES = {"run": 2, "sweep": 2, "serve": 1}

SWEEP_TEXT = f"""name: kills
base: {SCENARIO}
set: {{horizon_h: 0.1, grid.samples: 8, grid.hosting: false}}
axes:
  sites.campus.facility.pue_design: {list(PUES)}
seeds: {list(SEEDS)}
"""


class Subject(Protocol):
    """Something that is killed."""

    def round(self) -> str:
        """Start it and kill it; what was killed, or "" where it had ended before."""

    def check(self) -> list[str]:
        """What does not hold after the kill."""

    def finish(self) -> list[str]:
        """Let it end in peace; what does not hold then."""


def command(*words: str) -> list[str]:
    """A command of this source tree."""
    return [sys.executable, "-m", "sim", *words]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    """Start a command, silent, in a session of its own."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603 - this program itself
        words, cwd=HERE.parent, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )


def call(words: list[str]) -> list[str]:
    """Run a command to its end; a fault where its exit code is not 0."""
    found = subprocess.run(  # noqa: S603 - this program itself
        words, cwd=HERE.parent, capture_output=True, text=True, check=False
    )
    return [f"{words[3:5]} ended with {found.returncode}: {found.stderr}"] * bool(found.returncode)


def wait_until(holds: Callable[[], bool], limit_s: float = WAIT_S) -> None:
    """Wait until something holds."""
    until_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > until_s:
            raise TimeoutError("the command does not get on")
        time.sleep(0.005)


class Folders:
    """What must hold of run folders, whatever was killed.

    Args:
        out: where the killed commands write. calm: a finished tree of the same runs.
    """

    def __init__(self, out: Path, calm: Path):
        self.out = out
        self.calm = {(run.id.hash8, run.id.seed): file_hashes(run.path) for run in find_runs(calm)}
        self._seen: set[tuple[str, int]] = set()

    def finished(self) -> set[tuple[str, int]]:
        """The finished runs that stand there."""
        return {(run.id.hash8, run.id.seed) for run in find_runs(self.out)}

    def check(self) -> list[str]:
        """Every final folder is a finished run like the calm one; none is gone."""
        # Names first: a worker that outlived its client may finish a run in the meantime.
        named = set(self.out.glob("*/seed-*"))
        runs = find_runs(self.out)
        faults = [f"{run.path.name} {run.id.hash8} is damaged" for run in runs if damage(run)]
        faults += [f"{run.id} differs from the calm run" for run in runs if self._differs(run)]
        half = named - {run.path for run in runs}
        faults += [f"{path} has a final name and is not finished" for path in sorted(half)]
        found = self.finished()
        faults += [f"{key} was finished and is gone" for key in sorted(self._seen - found)]
        self._seen |= found
        return faults

    def _differs(self, run: FinishedRun) -> bool:
        return file_hashes(run.path) != self.calm.get((run.id.hash8, run.id.seed))

    def drafts(self) -> list[str]:
        """What writers left."""
        return [f"{path} is left over" for path in sorted(self.out.rglob(".*"))]

    def forget(self) -> None:
        """The folder begins anew."""
        self._seen.clear()


class Run:
    """`flopgrid run`: some seeds, again and again, over finished ones too."""

    def __init__(self, folder: Path, moments: random.Random):
        self._moments, self._out = moments, folder / "run-killed"
        calm = folder / "run-calm"
        begin_s = time.monotonic()
        for seed in SEEDS:
            if faults := call(self._words(seed, calm)):
                raise RuntimeError(faults[0])
        self._whole_s = (time.monotonic() - begin_s) / len(SEEDS)
        self._folders = Folders(self._out, calm)

    @staticmethod
    def _words(seed: int, out: Path) -> list[str]:
        sets = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
        return command("run", str(SCENARIO), *sets, "--seed", str(seed), "--out", str(out))

    def round(self) -> str:
        """Kill it somewhere between its start and its end, every other time while it writes."""
        process = start(self._words(self._moments.choice(SEEDS), self._out))
        if self._moments.random() < 0.5:
            time.sleep(self._moments.uniform(0.0, self._whole_s))
        else:
            wait_until(lambda: self._is_writing() or process.poll() is not None)
            time.sleep(self._moments.uniform(0.0, WRITE_S))
        alive = process.poll() is None
        end(process.pid)
        process.wait()
        return "run" if alive else ""

    def _is_writing(self) -> bool:
        """A draft without the mark of a dead writer: one that has been changed just now."""
        now_s = time.time()
        drafts = self._out.glob("*/.seed-*")
        for draft in drafts:
            with contextlib.suppress(OSError):
                if now_s - draft.stat().st_mtime < 1.0:
                    return True
        return False

    def check(self) -> list[str]:
        """Of the folders."""
        return self._folders.check()

    def finish(self) -> list[str]:
        """All seeds, in peace."""
        faults = [f for seed in SEEDS for f in call(self._words(seed, self._out))]
        faults += [*self._folders.check(), *self._folders.drafts()]
        missing = self._folders.calm.keys() - self._folders.finished()
        return faults + [f"{key} is missing" for key in sorted(missing)]


class Sweep:
    """`flopgrid sweep --resume`: the client, a worker, or both."""

    def __init__(self, folder: Path, moments: random.Random):
        self._moments, self._folder = moments, folder
        self._file = folder / "kills.yaml"
        self._file.write_text(SWEEP_TEXT)
        self._calm = folder / "sweep-calm"
        begin_s = time.monotonic()
        if faults := call(self._words(self._calm)):
            raise RuntimeError(faults[0])
        self._whole_s = time.monotonic() - begin_s
        self._out, self._rounds = folder / "sweep-killed", 0
        self._folders = Folders(self._place / "runs", self._calm / "sweep-kills" / "runs")

    @property
    def _place(self) -> Path:
        return self._out / "sweep-kills"

    def _words(self, out: Path) -> list[str]:
        return command("sweep", str(self._file), "--workers", "2", "--resume", "--out", str(out))

    def round(self) -> str:
        """Kill one or both at any moment between the start and what a calm sweep takes."""
        if len(self._folders.finished()) == len(PUES) * len(SEEDS):
            self._begin_anew()
        process = start(self._words(self._out))
        time.sleep(self._moments.uniform(0.0, self._whole_s))
        kind = self._moments.choice(("client", "worker", "both"))
        workers = children([process.pid])
        alive = process.poll() is None
        victims = {"client": [process.pid], "worker": workers[:1], "both": [process.pid, *workers]}
        for pid in victims[kind]:
            end(pid)
        if kind == "worker":
            time.sleep(self._moments.uniform(0.0, 1.0))
            end(process.pid)
        process.wait()
        return f"sweep {kind}" if alive and victims[kind] else ""

    def _begin_anew(self) -> None:
        self._rounds += 1
        self._place.rename(self._folder / f"sweep-whole-{self._rounds}")
        self._folders.forget()

    def check(self) -> list[str]:
        """Of the folders and of the index."""
        return [*self._folders.check(), *self._check_index()]

    def _check_index(self) -> list[str]:
        """Whoever reads the index while nothing runs sees whole files and finished runs only."""
        import pyarrow.parquet as pq

        table = self._place / "results.parquet"
        if not table.is_file():
            return []
        rows = pq.read_table(table).to_pylist()
        done = [row["run"] for row in rows if row["status"] == "done"]
        return [f"{run} is counted and not there" for run in done if not self._is_there(run)]

    def _is_there(self, run: str) -> bool:
        return (self._place / run / "manifest.json").is_file()

    def finish(self) -> list[str]:
        """Resume to the end; the results are those of the calm sweep."""
        faults = [*call(self._words(self._out)), *self.check(), *self._folders.drafts()]
        for name in ("results.parquet", "results.csv", "points.jsonl"):
            ours, calm = self._place / name, self._calm / "sweep-kills" / name
            if ours.read_bytes() != calm.read_bytes():
                faults.append(f"{name} differs from the calm sweep's")
        return faults


SUBJECTS: dict[str, Callable[[Path, random.Random], Any]] = {
    "run": Run,
    "sweep": Sweep,
    "serve": Serve,
}


def turns(names: list[str]) -> Iterator[str]:
    """Whose turn it is, by their shares."""
    while True:
        for name in names:
            yield from [name] * SHARES[name]


def stress(folder: Path, kills: int, seed: int, names: list[str]) -> dict[str, Any]:
    """All rounds; kills that came too late are not counted."""
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    begin_s = time.monotonic()
    landed: Counter[str] = Counter()
    late, faults = 0, []
    subjects: dict[str, Subject] = {name: SUBJECTS[name](folder, moments) for name in names}
    for name in turns(names):
        if landed.total() >= kills or late > kills:
            break
        kind = subjects[name].round()
        landed[kind] += bool(kind)
        late += not kind
        faults += [f"after kill {landed.total()}: {fault}" for fault in subjects[name].check()]
    for subject in subjects.values():
        faults += subject.finish()
    return {
        "kills": {kind: n for kind, n in sorted(landed.items()) if n},
        "landed": landed.total(),
        "too_late": late,
        "wall_s": round(time.monotonic() - begin_s, 1),
        "faults": faults,
        "held": not faults and landed.total() >= kills,
    }


def main() -> int:
    """Run the rounds; 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(SUBJECTS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flopgrid-kills-") as folder:
        names = [args.only] if args.only else list(SUBJECTS)
        told = stress(Path(folder), args.kills, args.seed, names)
    print(json.dumps(told))
    return 0 if told["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
