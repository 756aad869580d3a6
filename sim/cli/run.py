"""`flopgrid run`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError

if TYPE_CHECKING:
    from sim.record.store import RunFolder
    from sim.scenario.run import RunResult

QUIET_S = 2.0
"""Progress is told only when a run takes longer than this, and at most as often."""


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "run",
        help="simulate a scenario and hold its load against the grid",
        description="Simulate a scenario; write outputs/<scenario>-<hash8>/seed-<n>/.",
    )
    parser.add_argument("scenario", metavar="SCENARIO", nargs="?", help="a scenario file (YAML)")
    parser.add_argument(
        "--from",
        dest="manifest",
        type=Path,
        metavar="MANIFEST",
        help="in place of SCENARIO: make the run of this manifest.json again and compare",
    )
    add_scenario_options(parser)
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="default: outputs")
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would run, and stop")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(handler=handle)


def add_scenario_options(parser: argparse.ArgumentParser) -> None:
    """Options of every command that reads a scenario."""
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="A.B=C",
        help="override a field, for example --set sites.campus.cluster.gpus=200000",
    )
    parser.add_argument("--seed", type=seed, help="default: every seed that the scenario names")


def seed(text: str) -> int:
    """A seed from the command line."""
    value = int(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError(f"{text} is not in 0 .. 2^31 - 1")
    return value


def handle(args: argparse.Namespace) -> int:
    """Run every seed; print the verdict of each."""
    if args.manifest:
        return _run_again(args)
    if args.scenario is None:
        raise InputError("no scenario is named", "give SCENARIO, or --from MANIFEST")
    from sim.cli.text import to_json
    from sim.report.verdict_text import verdict_lines
    from sim.scenario.build import build
    from sim.scenario.run import load_scenario, located, run_id, run_to_folder

    document, scenario = load_scenario(args.scenario, args.overrides)
    seeds = scenario.seeds if args.seed is None else [args.seed]
    for number in seeds:
        folder = run_id(scenario, number).folder(args.out)
        if args.dry_run:
            with located(document):
                build(scenario, number)  # what cannot be built fails here as in the run
            state = "is finished and would be made again" if folder.is_dir() else "is to do"
            print(f"{folder} {state}: {scenario.horizon_h:g} h, {len(scenario.sites)} site(s)")
            continue
        command = ["run", args.scenario, *(w for o in args.overrides for w in ("--set", o))]
        with located(document):
            folder, result = run_to_folder(
                scenario, number, args.out, command, draw_into, progress()
            )
        print(to_json(result.summary) if args.json else "\n".join(verdict_lines(result.summary)))
        print(f"written: {folder}", file=sys.stderr)
    return 0


def _run_again(args: argparse.Namespace) -> int:
    """Reproduce a run from its folder; exit code 1 if any byte differs."""
    from sim.scenario.again import run_again

    if args.scenario or args.overrides or args.seed is not None:
        raise InputError("--from takes no scenario, --set or --seed", "leave them out")
    if args.dry_run:
        print(f"{args.manifest.parent} would be made again below {args.out}")
        return 0
    found = run_again(args.manifest, args.out, draw_into, progress())
    if not found.changed:
        print(f"{found.folder}: the same {found.n_files} files, byte for byte")
        return 0
    why = f" ({'; '.join(found.reasons)})" if found.reasons else ""
    print(f"{found.folder}: differs in {', '.join(found.changed)}{why}")
    if found.folder == args.manifest.parent:
        print("the first run still stands; give --out DIR to keep the other", file=sys.stderr)
    return 1


def draw_into(folder: RunFolder, result: RunResult) -> None:
    """Add influences, figures and the report to a run folder, from the summary that is there."""
    from sim.record.store import read_json
    from sim.report.html import render_report
    from sim.report.influence import read_influences, write_influences
    from sim.report.run_figures import draw_run, figure_texts

    summary = read_json(folder.path / "summary.json")
    write_influences(result.outcome, folder)
    draw_run(summary, folder.path)
    moved = read_influences(folder.path)
    page = render_report(summary, folder.manifest, figure_texts(folder.path), moved)
    folder.write_text("report.html", page)


def progress() -> Callable[[str], None]:
    """A teller of progress on stderr that keeps quiet in short runs, but for notices."""
    from sim.scenario.simulate import Notice

    told_s = time.monotonic()

    def tell(line: str) -> None:
        nonlocal told_s
        if isinstance(line, Notice) or time.monotonic() - told_s >= QUIET_S:
            told_s = time.monotonic()
            print(line, file=sys.stderr)

    return tell
