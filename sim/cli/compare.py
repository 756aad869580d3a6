"""`flopgrid compare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sim.cli.from_files import made_from


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "compare",
        help="finished runs side by side",
        description="Print the figures of finished runs side by side; with --html also write a "
        "page of what differs, with its figures beside it in FILE's stem + '-figures/'.",
    )
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="+", help="run folders (seed-<n>)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report of two or more")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Figures of several runs, one column each; the page where it is asked for."""
    with made_from(*args.runs):
        return _compare(args)


def _compare(args: argparse.Namespace) -> int:
    import sys

    from sim.cli.text import number, table, to_json
    from sim.policy.figures import figures
    from sim.record.store import read_json

    found = {str(run): figures(read_json(run / "summary.json")) for run in args.runs}
    if args.html:
        from sim.report.compare_page import write_comparison

        write_comparison(args.runs, args.html)
        print(f"written: {args.html}", file=sys.stderr)
    if args.json:
        print(to_json(found))
        return 0
    keys = list(dict.fromkeys(key for row in found.values() for key in row))
    rows = [[key, *(number(row.get(key)) for row in found.values())] for key in keys]
    print(table(["figure", *(f"{Path(run).parent.name}/{Path(run).name}" for run in found)], rows))
    return 0
