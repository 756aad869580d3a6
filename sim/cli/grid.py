"""`flopgrid grid`."""

from __future__ import annotations

import argparse
from typing import Any

from sim.cli import grid_regions
from sim.cli.grid_nodal import add_verbs


def add_command(commands: Any) -> None:
    """Register the command and its verbs."""
    parser = commands.add_parser("grid", help="grid cases: what they hold and what they lack")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="the cases that can be named")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(handler=handle_list)
    show = verbs.add_parser("show", help="the zones and interfaces of a case")
    show.add_argument("case", metavar="CASE", help="a name from `grid list`")
    show.add_argument("--gaps", action="store_true", help="what is unknown, derived or left out")
    show.add_argument("--interfaces", action="store_true", help="transfer limits between zones")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(handler=handle_show)
    add_verbs(verbs)
    grid_regions.add_verbs(verbs)


def handle_list(args: argparse.Namespace) -> int:
    """List the cases."""
    from sim.grid.nodal.cases import case_names
    from sim.grid.show import list_rows

    nodal: list[dict[str, object]] = [
        {"name": name, "what": "nodal: buses and branches"} for name in case_names()
    ]
    return _print([*list_rows(), *nodal], args.json)


def handle_show(args: argparse.Namespace) -> int:
    """Show a case."""
    from sim.grid.show import NETWORKS, gap_rows, interface_rows, network, zone_rows

    if args.case not in NETWORKS:
        return _show_nodal(args)
    grid = network(args.case)
    rows = (gap_rows if args.gaps else interface_rows if args.interfaces else zone_rows)(grid)
    if rows and "gaps" in rows[0] and not args.json:
        # The sentences are for --gaps; a table has room for their number only.
        rows = [{**row, "gaps": len(str(row["gaps"]).split("; "))} for row in rows]
    return _print(rows, args.json)


def _show_nodal(args: argparse.Namespace) -> int:
    from sim.cli.text import to_json
    from sim.errors import InputError, UnknownNameError
    from sim.grid.nodal.cases import case_names
    from sim.grid.nodal.commands import show
    from sim.grid.show import NETWORKS

    if args.gaps or args.interfaces:
        raise InputError("--gaps and --interfaces are for zonal cases", "leave them out")
    try:
        facts = show(args.case)
    except UnknownNameError as error:
        raise UnknownNameError("grid", args.case, [*NETWORKS, *case_names()]) from error
    if args.json:
        print(to_json(facts))
        return 0
    return _print([{"what": name, "value": str(v)} for name, v in facts.items()], False)


def _print(rows: list[dict[str, object]], as_json: bool) -> int:
    from sim.cli.text import table, to_json

    if as_json:
        print(to_json(rows))
    else:
        print(table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows]))
    return 0


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1000
        else (f"{value:,.0f}" if isinstance(value, float) else str(value))
    )
