"""`flopgrid validate`: predicted against measured serving rows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("validate", help="predicted against measured serving rows")
    parser.add_argument("--rows", type=Path, metavar="FILE.csv", help="measured rows")
    parser.add_argument("--configs", type=Path, metavar="DIR", help="model configs of the rows")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle_validate)


def handle_validate(args: argparse.Namespace) -> int:
    """Compare and print: the given rows, or the sample that ships."""
    from sim.cli.text import table, to_json
    from sim.validation.rows import read_rows, shipped_rows
    from sim.validation.score import compare

    rows = shipped_rows() if args.rows is None else read_rows(args.rows)
    found = compare(rows, args.configs)
    if args.json:
        print(to_json(found))
        return 0
    lines = [
        [name, measure, *(_cell(value) for value in values.values())]
        for name, measures in found["summary"].items()
        for measure, values in measures.items()
    ]
    head = ["set", "measure", "n", "models", "coverage", "median", "model medians", "p90", "bias"]
    print(table(head, lines))
    print(f"{len(found['skipped'])} measures skipped; --json says which and why")
    print("The constants were fitted on rows such as these. Errors on models left out of the fit:")
    head = ["set", "measure", "in the fit", "left out", "aim"]
    print(table(head, _left_out(found["left_out"])))
    return 0


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if isinstance(value, float) else str(value)


def _left_out(scores: list[dict[str, Any]]) -> list[list[str]]:
    keys = ("in_sample", "left_out", "aim")
    return [[s["set"], s["measure"], *(f"{s[key]:.1%}" for key in keys)] for s in scores]
