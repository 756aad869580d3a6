"""`flopgrid sweep`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cli.sweep_progress import Progress

if TYPE_CHECKING:
    from sim.sweep.executor import Limits
    from sim.sweep.expand import Sweep
    from sim.sweep.forecast import Cost
    from sim.sweep.run import MakeExecutor, Outcome
    from sim.sweep.work import ScenarioWork

PROBE_S = 120.0
"""A trial run for the estimate of `-n` is given up after this."""


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "sweep",
        help="run every combination of a study, resumably",
        description="Run a sweep file; results in outputs/sweep-<name>/: results.csv, "
        "results.parquet, report.html. Ask them with `flopgrid query`.",
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a sweep file (YAML)")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="default: outputs")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help="processes of this machine (default: one for each processor; 0: in this process)",
    )
    where.add_argument("--scheduler", metavar="tcp://HOST:PORT", help="of a Dask cluster")
    parser.add_argument("--resume", action="store_true", help="leave out what is finished")
    parser.add_argument("-n", "--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument(
        "--no-probe", action="store_true", help="with -n: no trial run to estimate the time"
    )
    parser.add_argument("--json", action="store_true", help="events, one JSON object a line")
    parser.add_argument(
        "--retries", type=_count, default=2, metavar="N", help="of a run whose worker died (2)"
    )
    parser.add_argument("--time-limit-s", type=float, metavar="S", help="of each run")
    parser.add_argument("--memory-limit-mib", type=_count, metavar="MIB", help="of each worker")
    parser.set_defaults(handler=handle)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def handle(args: argparse.Namespace) -> int:
    """Plan or run."""
    from sim.cli.run import draw_into
    from sim.sweep.executor import usable_processors
    from sim.sweep.expand import load_sweep
    from sim.sweep.work import ScenarioWork

    sweep = load_sweep(args.sweep)
    drawn = sweep.file is not None and sweep.file.figures
    work = ScenarioWork.of(sweep.base, draw_into if drawn else None, sweep.points)
    workers = usable_processors() if args.workers is None else args.workers
    if args.dry_run:
        return _plan(args, sweep, work, max(1, workers))
    make = _executor(args, sweep, work, workers)
    with _stoppable(), Progress(_most_points(sweep), args.json) as progress:
        outcome = _run(args, sweep, work, make, progress)
        if args.json:
            told = {"event": "end", "folder": str(outcome.folder), **progress.counts}
            progress.event({**told, "exit_code": outcome.exit_code})
    _tell(args, sweep, outcome)
    return outcome.exit_code


def _run(
    args: argparse.Namespace,
    sweep: Sweep,
    work: ScenarioWork,
    make: MakeExecutor,
    progress: Progress,
) -> Outcome:
    from sim.sweep.run import run_sweep

    limit = args.memory_limit_mib
    return run_sweep(
        sweep,
        args.out,
        work,
        make,
        resume=args.resume,
        memory_bytes=None if limit is None else limit * 2**20,
        progress=progress.tell,
    )


def _tell(args: argparse.Namespace, sweep: Sweep, outcome: Outcome) -> None:
    """Failures, the table, the answers, and where everything stands."""
    from sim.cli.sweep_text import answer_lines, boundary_lines, overview
    from sim.report.sweep_page import write_sweep_page

    answers = write_sweep_page(sweep, outcome.folder)
    if args.json:
        return
    for label, error in outcome.failures:
        print(f"failed: {label}: {error}", file=sys.stderr)
    lines = boundary_lines(outcome.found) if outcome.found else [overview(outcome.folder)]
    print("\n".join([*lines, *answer_lines(answers)]))
    print(
        f"{outcome.done} done, {outcome.skipped} finished before, {len(outcome.failures)} failed: "
        f"{outcome.folder / 'results.csv'}, report.html"
    )


def _executor(
    args: argparse.Namespace, sweep: Sweep, work: ScenarioWork, workers: int
) -> MakeExecutor:
    from sim.sweep.run import cluster, local, serial

    limits = _limits(args)
    if args.scheduler:
        from sim.sweep.cluster import inputs_of

        return cluster(args.scheduler, limits, inputs_of(sweep.points, work))
    return local(workers, limits) if workers else serial


def _limits(args: argparse.Namespace) -> Limits:
    from sim.sweep.executor import Limits

    memory = args.memory_limit_mib
    return Limits(args.retries, args.time_limit_s, None if memory is None else memory * 2**20)


def _most_points(sweep: Sweep) -> int:
    from sim.sweep.refine import most_runs

    return len(sweep.points) * (most_runs(sweep.refine) if sweep.refine else 1)


def _plan(args: argparse.Namespace, sweep: Sweep, work: ScenarioWork, workers: int) -> int:
    """Print what would be run and what it would cost."""
    from sim.sweep.forecast import forecast_lines, known_cost
    from sim.sweep.journal import read_journal
    from sim.sweep.plan import sweep_folder

    timed = known_cost(read_journal(sweep_folder(sweep, args.out)))
    probed = None if timed or args.no_probe else _probe(sweep, work)
    print("\n".join(forecast_lines(sweep, args.out, work, workers, probed)))
    return 0


def _probe(sweep: Sweep, work: ScenarioWork) -> Cost | None:
    """What the first point costs, in a folder that is thrown away."""
    import tempfile

    from sim.sweep.child import DONE, Study
    from sim.sweep.executor import Limits, LocalPool
    from sim.sweep.forecast import Cost
    from sim.sweep.refine import Search

    print("timing one run ...", file=sys.stderr)
    point = sweep.points[0]
    if sweep.refine:
        point = Search(sweep.refine, point).next() or point
    with tempfile.TemporaryDirectory(prefix="flopgrid-") as scratch:
        pool = LocalPool(Study(work, Path(scratch)), 1, Limits(0, PROBE_S))
        try:
            pool.submit(point)
            result = pool.next()
        finally:
            pool.close()
    if result.status != DONE:
        print(f"the trial run failed: {result.error}", file=sys.stderr)
        return None
    return Cost(result.wall_s, result.size_bytes, 1)


@contextmanager
def _stoppable() -> Iterator[None]:
    """A polite request to end (as batch systems send before they kill) is an interrupt."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
