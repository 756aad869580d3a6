"""`flopgrid sweep`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.sweep.plan import Identity, Planned


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "sweep",
        help="run every combination of a study, resumably",
        description="Run a sweep file; results in outputs/sweep-<name>/results.csv.",
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a sweep file (YAML)")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="default: outputs")
    parser.add_argument("--resume", action="store_true", help="leave out what is finished")
    parser.add_argument("-n", "--dry-run", action="store_true", help="print the plan and stop")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Plan or run."""
    from sim.sweep.expand import load_sweep
    from sim.sweep.plan import plan, plan_text
    from sim.sweep.run import run_sweep

    sweep = load_sweep(args.sweep)
    if args.dry_run:
        print(plan_text(plan(sweep, args.out, identify)))
        return 0
    outcome = run_sweep(
        sweep, args.out, run_one, identify, resume=args.resume, progress=_tell_progress
    )
    for label, error in outcome.failures:
        print(f"failed: {label}: {error}", file=sys.stderr)
    print(overview(outcome.folder / "results.csv"))
    print(
        f"{outcome.done} done, {outcome.skipped} finished before, {len(outcome.failures)} failed: "
        f"{outcome.folder / 'results.csv'}"
    )
    return outcome.exit_code


def overview(results: Path) -> str:
    """A table of what was varied and the few figures that people ask for first."""
    import csv

    from sim.cli.text import table

    with results.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    varied = _varied(list(rows[0]))
    header = [*(path.rpartition(".")[2] for path in varied), *KEY_FIGURES, "status"]
    return table(header, [[*(r[p] for p in varied), *_key_cells(r), r["status"]] for r in rows])


KEY_FIGURES = ("GPUs", "mean MW", "J/output token", "TTFT p50 s", "MFU", "binding limits")


def _varied(columns: list[str]) -> list[str]:
    """Dotted paths of the axes: they stand between `error` and the first summary figure."""
    start = columns.index("error") + 1
    end = next(
        (n for n, c in enumerate(columns) if n >= start and c.startswith("energy_j.")), len(columns)
    )
    return columns[start:end]


def _key_cells(row: dict[str, str]) -> list[str]:
    gpus = [row[c] for c in row if c.startswith("sites.") and c.endswith(".gpus") and row[c]]
    binding = [c for c in row if c.endswith(".binds") and row[c] == "true"]
    meter = row.get("power_w.facility.mean") or ""

    def figure(column: str) -> str:
        value = row.get(column) or ""
        return f"{float(value):.4g}" if value else "-"

    return [
        f"{sum(int(float(g)) for g in gpus):,}" if gpus else "-",
        f"{float(meter) / 1e6:.4g}" if meter else "-",
        figure("serving.energy_j_per_output_token.facility"),
        figure("serving.ttft_s.p50"),
        figure("training.mfu"),
        str(len(binding)) if meter else "-",
    ]


def run_one(base: Path, overrides: Sequence[str], seed: int, out: Path) -> Path:
    """One point of a sweep as a run folder, with its figures."""
    from sim.cli.run import draw_into
    from sim.scenario.run import load_scenario, located, run_to_folder

    document, scenario = load_scenario(base, overrides)
    options = [w for o in overrides for w in ("--set", o)]
    command = ["run", str(base), *options, "--seed", str(seed)]
    with located(document):
        folder, _ = run_to_folder(scenario, seed, out, command, draw_into)
    return folder


def identify(base: Path, overrides: Sequence[str]) -> Identity:
    """What a point would run as."""
    from sim import __version__
    from sim.scenario.canonical import digest
    from sim.scenario.run import data_used, load_scenario, plain, run_id
    from sim.sweep.plan import Identity

    _, scenario = load_scenario(base, overrides)
    parts = {
        "scenario": digest({k: v for k, v in plain(scenario).items() if k != "seeds"}),
        "data": digest(data_used(scenario)),
        "version": __version__,
    }
    return Identity(scenario.name, run_id(scenario, 0).hash8, parts)


def _tell_progress(item: Planned, status: str, number: int, count: int) -> None:
    print(f"{number}/{count} {status}: {item.point.label}", file=sys.stderr)
