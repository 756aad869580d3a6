"""`flopgrid claims`."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import Any


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "claims",
        help="the claims under test, with verdict, numbers and conditions",
        description="Answer claims from the simulator's own numbers.",
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="for example A17 (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Answer and print."""
    from sim.claims import answer_claims
    from sim.cli.run import progress
    from sim.cli.text import table, to_json

    answers = answer_claims(args.ids, progress())
    if args.html:
        from sim.record.atomic import write_file
        from sim.report.claims_page import render_claims

        write_file(args.html, render_claims(answers).encode())
    if args.json:
        print(to_json([answer.to_json() for answer in answers]))
    elif args.ids:
        print("\n\n".join(_long(answer) for answer in answers))
    else:
        rows = [[a.id, a.verdict, a.value_text, _short(a.statement)] for a in answers]
        print(table(["id", "verdict", "value", "claim"], rows))
    return 0


def _short(text: str) -> str:
    return textwrap.shorten(text, 90, placeholder=" ...")


def _long(answer: Any) -> str:
    lines = [
        f"{answer.id}: {answer.statement}",
        f"  original:  {answer.original}",
        f"  verdict:   {answer.verdict}",
        f"  value:     {answer.value_text}",
        *_wrapped("  condition: ", answer.condition),
        f"  tested by: {answer.how}",
        *(f"    {line}" for line in answer.arithmetic),
        *(f"  source:    {source}" for source in answer.sources),
    ]
    return "\n".join(lines)


def _wrapped(head: str, text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=head, subsequent_indent=" " * len(head))
