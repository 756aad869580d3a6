"""Sweeps: overhead of a run, 10,000 runs in one sweep, efficiency on two processes, memory.

    python benchmarks/sweep.py [--runs 10000] [--seconds 1.0] [--real 200]

- `small`: so many runs whose simulation takes no time, on two processes. Their time is all
  overhead: handing over, identity, folder, hashes, journal, index.
- `memory`: the client's memory after a tenth of them and at the end.
- `efficiency`: runs that keep a processor busy for so many seconds, one after another and on
  two processes. What two processors can give is measured beside it, by the same work in two
  bare processes, so that a busy machine shows.
- `real`: a scenario of the product through the sweep, against the same calls in a loop.

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools"), str(HERE.parent)]

from stress_work import StressWork  # noqa: E402 - found through the path above

from sim.sweep.child import Study, perform  # noqa: E402
from sim.sweep.expand import Sweep  # noqa: E402
from sim.sweep.point import Point  # noqa: E402
from sim.sweep.run import local, run_sweep, serial  # noqa: E402

REAL = HERE.parent / "scenarios" / "base" / "campus-load.yaml"
WARM = 4


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--real", type=int, default=200)
    args = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    found: dict[str, Any] = {"processors": os.cpu_count(), "load_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(prefix="flopgrid-bench-") as folder:
        found["small"] = small(Path(folder), args.runs)
        found["efficiency"] = efficiency(Path(folder), args.seconds)
        if args.real:
            found["real"] = real(Path(folder), args.real)
    found["load_after"] = os.getloadavg()[0]
    print(json.dumps(found, indent=2))


def sweep_of(name: str, runs: int) -> Sweep:
    """So many points."""
    points = tuple(Point(n, (("size", n),), 1) for n in range(runs))
    return Sweep(name, Path("bench.yaml"), points)


def small(folder: Path, runs: int) -> dict[str, float]:
    """Runs that are all overhead, and the client's memory meanwhile."""
    sizes: list[float] = []

    def watch(*_: object) -> None:
        sizes.append(rss_bytes())

    start_s, client_s = time.perf_counter(), time.process_time()
    outcome = run_sweep(sweep_of("small", runs), folder, StressWork(), local(2), progress=watch)
    wall_s = time.perf_counter() - start_s
    client_s = time.process_time() - client_s
    below = resource.getrusage(resource.RUSAGE_CHILDREN)
    again_s = time.perf_counter()
    again = run_sweep(sweep_of("small", runs), folder, StressWork(), local(2), resume=True)
    if (outcome.done, again.skipped) != (runs, runs):
        raise SystemExit(f"{outcome.done} done, {again.skipped} skipped of {runs}")
    return {
        "runs": runs,
        "wall_s": wall_s,
        "runs_per_s": runs / wall_s,
        "overhead_ms_per_run": 1e3 * wall_s * 2 / runs,
        "client_cpu_ms_per_run": 1e3 * client_s / runs,
        "workers_cpu_ms_per_run": 1e3 * (below.ru_utime + below.ru_stime) / runs,
        "resume_with_nothing_to_do_s": time.perf_counter() - again_s,
        "client_rss_mb_after_a_tenth": sizes[len(sizes) // 10] / 1e6,
        "client_rss_mb_at_the_end": sizes[-1] / 1e6,
        "client_peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def efficiency(folder: Path, busy_s: float) -> dict[str, float]:
    """Two processes against one, and against what the machine has to give."""
    runs, work = 16, StressWork(busy_s=busy_s)
    alone_s = timed(lambda: run_sweep(sweep_of("one", runs), folder, work, serial))
    two_s = timed(lambda: run_sweep(sweep_of("two", runs), folder, work, local(2)))
    bare_s = bare(runs, busy_s)
    return {
        "runs": runs,
        "busy_s": busy_s,
        "serial_wall_s": alone_s,
        "two_processes_wall_s": two_s,
        "efficiency_frac": alone_s / (2 * two_s),
        "two_bare_processes_wall_s": bare_s,
        "efficiency_of_what_there_is_frac": bare_s / two_s,
    }


def bare(runs: int, busy_s: float) -> float:
    """The same work in two processes with nothing around it; start-up not counted."""
    code = (
        "import sys, time; sys.path[:0] = sys.argv[1:]; from stress_work import StressWork\n"
        f"work = StressWork(busy_s={busy_s}); print('ready', flush=True); sys.stdin.readline()\n"
        f"for _ in range({runs // 2}): work._work()\n"
    )
    command = [sys.executable, "-c", code, str(HERE.parent / "tools"), str(HERE.parent)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for process in both:
        process.stdout.readline()
    start_s = time.perf_counter()
    for process in both:
        process.communicate(b"\n")
    return time.perf_counter() - start_s


def real(folder: Path, runs: int) -> dict[str, float]:
    """A real scenario in a sweep in this process, against the same calls in a loop."""
    from sim.scenario.run import run_scenario
    from sim.sweep.work import ScenarioWork

    points = tuple(Point(n, (("grid.samples", 8),), n) for n in range(runs))
    work = ScenarioWork.of(REAL)
    for n in range(WARM):
        perform(Study(work, folder / "warm"), points[n])
    walls: list[float] = []
    for point in points:
        _, scenario = work.scenario(point)
        start_s = time.perf_counter()
        run_scenario(scenario, point.seed)
        walls.append(time.perf_counter() - start_s)
    sweep = Sweep("real", REAL, points)
    wall_s = timed(lambda: run_sweep(sweep, folder, work, serial))
    return {
        "runs": runs,
        "simulation_ms": 1e3 * statistics.mean(walls),
        "in_the_sweep_ms": 1e3 * wall_s / runs,
        "overhead_ms_per_run": 1e3 * (wall_s - sum(walls)) / runs,
    }


def timed(action: Any) -> float:
    """Wall time of a call."""
    start_s = time.perf_counter()
    action()
    return time.perf_counter() - start_s


def rss_bytes() -> float:
    """Memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return float(pages * resource.getpagesize())


if __name__ == "__main__":
    main()
