"""`flopgrid query`."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from sim.cli.from_files import made_from

MOST_ROWS = 200


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "query",
        help="ask the results of a sweep in SQL",
        description="Tables: runs (one row for each run), series (point, seed, run, signal, "
        "time_s, value), requests. Names with dots stand in double quotes: "
        'select "power_w.facility.mean" from runs. `describe runs` lists the columns.',
    )
    parser.add_argument("sweep", metavar="SWEEP", help="a sweep's folder, file or name")
    parser.add_argument("query", metavar="SQL")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="default: outputs")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="rows as JSON objects")
    form.add_argument("--csv", action="store_true", help="rows as CSV")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Print the rows of the answer."""
    from sim.cli.text import table, to_json
    from sim.results.store import open_results

    with made_from(Path(args.sweep)):
        found = open_results(args.sweep, args.out).sql(args.query)
    names = found.column_names
    columns = [column.to_pylist() for column in found.columns]
    rows = list(zip(*columns, strict=True))
    if args.json:
        print(to_json([dict(zip(names, map(_plain, row), strict=True)) for row in rows]))
    elif args.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        print(table(names, [[_cell(value) for value in row] for row in rows[:MOST_ROWS]]))
        if len(rows) > MOST_ROWS:
            print(f"{len(rows) - MOST_ROWS} more rows: use --csv or limit", file=sys.stderr)
    return 0


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Values that JSON does not know become text."""
    return value if isinstance(value, str | int | float | bool | None) else str(value)
