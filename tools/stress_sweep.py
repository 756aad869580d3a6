"""Kill a sweep at random moments, again and again, and hold the end against a calm one.

    python tools/stress_sweep.py [--kills 50] [--seed 1] [--cluster]

Each round starts the same sweep with `--resume` in a process of its own and, at a random
moment, kills with signal 9 one of its workers, the whole sweep (the client), or the client
and its workers together; with `--cluster` also Dask workers, the client of the scheduler, and
the scheduler itself. After the last round the sweep is finished, and it must hold that

- results.parquet, results.csv and points.jsonl equal those of a sweep that nobody disturbed,
  byte for byte, and so does every file of every run but the manifest;
- no finished run was computed twice; no draft is left; every folder is whole.

Prints one JSON line; exit code 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Self

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from stress_work import StressWork  # noqa: E402 - found through the path above

from sim.record.store import damage, find_runs  # noqa: E402
from sim.sweep.expand import Sweep  # noqa: E402
from sim.sweep.point import Point  # noqa: E402
from sim.sweep.run import MakeExecutor, cluster, local, run_sweep  # noqa: E402

WORKERS = 2
POINTS = tuple(Point(n, (("size", n // 2),), n % 2) for n in range(120))
SWEEP = Sweep("stress", Path("stress.yaml"), POINTS)
PAUSE_S = 0.05
COUNTED = ("manifest.json", "journal.jsonl")


def main() -> int:
    """Run the rounds; 0 if everything held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cluster", action="store_true", help="on a Dask cluster")
    parser.add_argument("--child", nargs=3, metavar=("OUT", "LOG", "SCHEDULER"))
    args = parser.parse_args()
    if args.child:
        return child(Path(args.child[0]), Path(args.child[1]), args.child[2])
    with tempfile.TemporaryDirectory(prefix="flopgrid-stress-") as folder:
        told = stress(Path(folder), args.kills, args.seed, args.cluster)
    print(json.dumps(told))
    return 0 if told["held"] else 1


def child(out: Path, log: Path, address: str) -> int:
    """The sweep that is killed: resumed wherever it stands."""
    work = StressWork(log, pause_s=PAUSE_S)
    return run_sweep(SWEEP, out, work, executor(address), resume=True).exit_code


def executor(address: str) -> MakeExecutor:
    """Local processes, or the cluster at an address."""
    return cluster(address) if address else local(WORKERS)


def stress(folder: Path, kills: int, seed: int, on_cluster: bool) -> dict[str, object]:
    """All rounds, then the comparison."""
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    killed, calm, log = folder / "killed", folder / "calm", folder / "log"
    start_s = time.monotonic()
    done: Counter[str] = Counter()
    faults: list[str] = []
    with contextlib.ExitStack() as stack:
        dask = stack.enter_context(Dask(folder)) if on_cluster else None
        while sum(done.values()) < kills:
            done[one_round(killed, log, moments, dask)] += 1
            if finished(killed) == len(POINTS):  # begin again: there is nothing left to disturb
                faults += check_twice(killed, log)
                (killed / "sweep-stress").rename(folder / f"whole-{sum(done.values())}")
        last = start(killed, log, dask)
        code = last.wait(300)
    run_sweep(SWEEP, calm, StressWork(pause_s=0.0))
    faults += [] if code == 0 else [f"the last resume ended with {code}"]
    wholes = [killed / "sweep-stress", *sorted(folder.glob("whole-*"))]
    for whole in wholes:
        faults += compare(whole, calm / "sweep-stress", results=whole.parent == killed)
    faults += check_twice(killed, log)
    return {
        "kills": dict(done),
        "sweeps": len(wholes),
        "runs": len(POINTS) * len(wholes),
        "wall_s": round(time.monotonic() - start_s, 1),
        "faults": faults,
        "held": not faults,
    }


def start(out: Path, log: Path, dask: Dask | None) -> subprocess.Popen[bytes]:
    """Start the sweep in a process of its own."""
    address = dask.address if dask else ""
    command = [sys.executable, __file__, "--child", str(out), str(log), address]
    return subprocess.Popen(  # noqa: S603 - this very script
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def one_round(out: Path, log: Path, moments: random.Random, dask: Dask | None) -> str:
    """Start, wait until runs come, wait a random moment more, kill; what was killed."""
    before = finished(out)
    sweep = start(out, log, dask)
    try:
        wait_for(lambda: finished(out) > before or sweep.poll() is not None)
        time.sleep(moments.uniform(0.0, 0.4))
        kinds = ["client", "worker", "both"] + (["dask worker", "scheduler"] if dask else [])
        kind = moments.choice(kinds)
        kill(kind, sweep, moments, dask)
        if kind in ("worker", "dask worker"):
            time.sleep(moments.uniform(0.0, 0.4))  # the sweep goes on without it for a while
    finally:
        sweep.kill()
        sweep.wait()
    return kind


def kill(
    kind: str, sweep: subprocess.Popen[bytes], moments: random.Random, dask: Dask | None
) -> None:
    """Kill -9."""
    workers = children(dask.worker_pids() if dask else [sweep.pid])
    if kind == "scheduler" and dask:
        dask.restart_scheduler()
    elif kind == "dask worker" and dask:
        end(moments.choice(dask.worker_pids()))
    elif kind == "worker" and workers:
        end(moments.choice(workers))
    elif kind == "both":
        for pid in [sweep.pid, *workers]:
            end(pid)
    else:
        end(sweep.pid)


def end(pid: int) -> None:
    """Signal 9 to one process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def children(parents: list[int]) -> list[int]:
    """Processes whose parent is among these."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            found += [int(path.parent.name)] if int(fields[1]) in parents else []
    return found


def finished(out: Path) -> int:
    """Finished runs in the killed sweep's folder."""
    return len(list((out / "sweep-stress" / "runs").glob("*/seed-*/manifest.json")))


def wait_for(ready: object, limit_s: float = 120.0) -> None:
    """Wait until something holds."""
    until_s = time.monotonic() + limit_s
    while not ready():  # type: ignore[operator]
        if time.monotonic() > until_s:
            raise TimeoutError("the sweep does not get on")
        time.sleep(0.01)


def check_twice(killed: Path, log: Path) -> list[str]:
    """Runs that were computed though they stood there, or written down as done twice."""
    lines = log.read_text().splitlines() if log.exists() else []
    faults = [f"{line} was finished and computed again" for line in lines]
    done: Counter[str] = Counter()
    for line in (killed / "sweep-stress" / "journal.jsonl").read_bytes().splitlines():
        with contextlib.suppress(ValueError):  # torn by a kill
            entry = json.loads(line)
            if entry.get("status") == "done" and entry["wall_s"] > 0:
                done[entry["key"]] += 1
    return faults + [f"{key} was done {n} times" for key, n in done.items() if n > 1]


def compare(one: Path, calm: Path, *, results: bool) -> list[str]:
    """Differences between a sweep that was killed and the calm one."""
    faults = [f"draft left: {path}" for path in one.rglob(".*")] if results else []
    names = ("results.parquet", "results.csv", "points.jsonl") if results else ()
    faults += [n for n in names if (one / n).read_bytes() != (calm / n).read_bytes()]
    mine, theirs = (
        {
            path.relative_to(folder / "runs").as_posix(): path.read_bytes()
            for path in (folder / "runs").rglob("*")
            if path.is_file() and path.name not in COUNTED and "/." not in path.as_posix()
        }
        for folder in (one, calm)
    )
    faults += [
        f"{n} differs" for n in sorted(mine.keys() | theirs.keys()) if mine.get(n) != theirs.get(n)
    ]
    faults += [f"{run.path} is torn" for run in find_runs(one / "runs") if damage(run)]
    return faults


class Dask:
    """A scheduler and two workers as processes of their own."""

    def __init__(self, folder: Path):
        self._file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(json.loads(self._file.read_text())["address"])

    def worker_pids(self) -> list[int]:
        """The processes in which tasks run: the nannies' children."""
        return children([process.pid for process in self._processes[1:]])

    def restart_scheduler(self) -> None:
        """Kill -9 the scheduler; workers follow it; start all anew."""
        self._processes[0].kill()
        self._stop()
        self._start()

    def _start(self) -> None:
        self._file.unlink(missing_ok=True)
        scheduler = ["distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1",
                     "--no-dashboard", "--scheduler-file", str(self._file)]  # fmt: skip
        worker = ["distributed.cli.dask_worker", "--scheduler-file", str(self._file),
                  "--nthreads", "1", "--no-dashboard"]  # fmt: skip
        paths = os.pathsep.join([str(HERE), str(HERE.parent)])
        environment = {**os.environ, "PYTHONPATH": paths}
        for command in (scheduler, worker, worker):
            self._processes.append(
                subprocess.Popen(  # noqa: S603 - Dask's own commands
                    [sys.executable, "-m", *command],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                )
            )
        wait_for(lambda: self._file.is_file() and self._file.stat().st_size > 0)

    def _stop(self) -> None:
        for pid in [*self.worker_pids(), *(process.pid for process in self._processes)]:
            end(pid)
        for process in self._processes:
            process.wait()
        self._processes.clear()


if __name__ == "__main__":
    sys.exit(main())
