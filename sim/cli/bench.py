"""`flopgrid bench`."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("bench", help="measure the speed of a simulator here")
    parser.add_argument("name", metavar="NAME", choices=["serving"], help="serving")
    parser.add_argument("--requests", type=int, default=200_000, help="requests to serve")
    parser.add_argument("--rate", type=float, default=2.0, help="requests per second in all")
    parser.add_argument("--replicas", type=int, default=1, help="replicas behind the router")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Run the benchmark and print both engines' rows."""
    from sim.cli.text import table, to_json
    from sim.validation.bench_serving import bench_serving

    result = bench_serving(args.requests, args.rate, args.replicas, _tell)
    if args.json:
        print(to_json(result))
        return 0
    keys = [key for key in result["compiled"] if key not in ("engine", "features")]
    rows = [[key, *(_cell(result[name][key]) for name in result)] for key in keys]
    print(table(["", *result], rows))
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _cell(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
