"""Commands about finished runs: `report`, `check`; and `schema`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from sim.cli.from_files import made_from


def add_command(commands: Any) -> None:
    """Register the commands."""
    report = commands.add_parser(
        "report",
        help="make the HTML report of a finished run again",
        description="Draw the figures and write report.html of a finished run folder.",
    )
    report.add_argument("run", metavar="RUN", type=Path, help="a run folder (seed-<n>)")
    report.set_defaults(handler=handle_report)
    check = commands.add_parser(
        "check",
        help="verify a finished run from its files: hashes, laws, scenario",
        description="Verify a finished run folder; exit code 1 if anything does not hold.",
    )
    check.add_argument("run", metavar="RUN", type=Path, help="a run folder (seed-<n>)")
    check.set_defaults(handler=handle_check)
    schema = commands.add_parser("schema", help="print the JSON schema of scenario files")
    schema.set_defaults(handler=handle_schema)


def handle_report(args: argparse.Namespace) -> int:
    """Make the report again, from the run's own files."""
    from sim.record.atomic import write_file
    from sim.record.store import read_json
    from sim.report.html import render_report
    from sim.report.influence import read_influences
    from sim.report.run_figures import draw_run, figure_texts
    from sim.scenario.again import read_manifest
    from sim.scenario.verify_summary import check_form

    summary = read_json(args.run / "summary.json")
    manifest = read_manifest(args.run / "manifest.json")
    check_form(summary)
    path = args.run / "report.html"
    with made_from(args.run):
        draw_run(summary, args.run)
        page = render_report(summary, manifest, figure_texts(args.run), read_influences(args.run))
    write_file(path, page.encode())
    print(path)
    return 0


def handle_check(args: argparse.Namespace) -> int:
    """Verify a run; a law that does not hold ends with exit code 1."""
    from sim.scenario.verify import verify_run

    print("\n".join(verify_run(args.run)))
    return 0


def handle_schema(_args: argparse.Namespace) -> int:
    """Print the schema."""
    from sim.scenario.schema_file import scenario_schema

    print(json.dumps(scenario_schema(), indent=2))
    return 0
