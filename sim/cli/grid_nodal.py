"""`flopgrid grid flow | n1 | hosting | opf | cascade | voltage`: cases with buses and branches."""

from __future__ import annotations

import argparse
from typing import Any

from sim.errors import InputError

REDISPATCH = ("none", "dc-opf", "n1-secure")
_TOP = 20
"""Rows of a table for people; --json has all."""


def add_verbs(verbs: Any) -> None:
    """Register the verbs under `flopgrid grid`."""
    _verb(verbs, "flow", "DC power flow of the base point", handle_flow)

    n1 = _verb(verbs, "n1", "what is over its limit after single outages", handle_n1)
    n1.add_argument("--no-generators", action="store_true", help="branch outages only")
    n1.add_argument("--towers", action="store_true", help="pairs of parallel circuits too")
    n1.add_argument("--emergency-factor", type=float, default=1.0, metavar="FACTOR")

    hosting = _verb(verbs, "hosting", "the largest new load at buses", handle_hosting)
    hosting.add_argument("--bus", default="", metavar="N,...", help="default: all buses")
    hosting.add_argument("--area", type=int, metavar="N")
    hosting.add_argument("--least-kv", type=float, default=0.0, metavar="KV")
    hosting.add_argument("--joint", action="store_true", help="one load over all of the buses")
    hosting.add_argument("--redispatch", choices=REDISPATCH, default="none")
    hosting.add_argument("--security", choices=("base", "n1"))
    hosting.add_argument("--emergency-factor", type=float, default=1.0, metavar="FACTOR")
    hosting.add_argument("--curve", type=int, default=0, metavar="N", help="joint: best 1 to N")
    hosting.add_argument("--workers", type=int, default=1, metavar="N")

    opf = _verb(verbs, "opf", "DC optimal power flow: cost, prices, flows", handle_opf)
    opf.add_argument("--secure", action="store_true", help="limits hold after outages too")
    opf.add_argument("--load", default="", metavar="BUS=MW,...", help="on top of the case")

    cascade = _verb(verbs, "cascade", "what follows an outage", handle_cascade)
    cascade.add_argument("--outage", default="", metavar="ROW,...", help="branch rows, from 1")
    cascade.add_argument("--n1-seeds", action="store_true", help="each outage that overloads")
    cascade.add_argument("--load", default="", metavar="BUS=MW,...", help="on top of the case")
    cascade.add_argument("--runs", type=int, default=0, metavar="N", help="hidden failures")
    cascade.add_argument("--seed", type=int, default=1)

    voltage = _verb(verbs, "voltage", "the largest new load by voltage (AC)", handle_voltage)
    voltage.add_argument("--bus", default="", metavar="N,...")
    voltage.add_argument("--power-factor", type=float, default=0.98, metavar="FRAC")
    voltage.add_argument("--outages", type=int, default=10, metavar="N", help="worst, by bus")


def _verb(verbs: Any, name: str, text: str, handler: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text)
    parser.add_argument("case", metavar="CASE", help="a name from `grid list` or a path to a .m")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handler)
    return parser


def handle_flow(args: argparse.Namespace) -> int:
    """DC flow; the table has the most loaded branches."""
    from sim.grid.nodal import commands

    answer = commands.flow(args.case)
    rows = sorted(answer["branches"], key=lambda r: -(r["loading_frac"] or 0.0))
    return _print(answer, rows, args)


def handle_n1(args: argparse.Namespace) -> int:
    """N-1 screening."""
    from sim.grid.nodal import commands

    answer = commands.n1(
        args.case,
        generators=not args.no_generators,
        towers=args.towers,
        emergency_factor=args.emergency_factor,
    )
    return _print(answer, answer["violations"], args)


def handle_hosting(args: argparse.Namespace) -> int:
    """Hosting capacity."""
    from sim.grid.nodal import commands

    answer = commands.hosting(
        args.case,
        bus=_numbers(args.bus, "--bus"),
        area=args.area,
        least_kv=args.least_kv,
        joint=args.joint,
        redispatch=args.redispatch,
        security=args.security,
        emergency_factor=args.emergency_factor,
        curve_sites=args.curve,
        workers=args.workers,
    )
    rows = [answer["joint"]] if args.joint else answer["buses"]
    return _print(answer, rows if args.bus or args.joint else answer["by_kv"], args)


def handle_opf(args: argparse.Namespace) -> int:
    """DC optimal power flow; the table has the limits that bind."""
    from sim.grid.nodal import commands

    answer = commands.opf(args.case, secure=args.secure, extra_load_mw=_loads(args.load))
    return _print(answer, answer["binding"], args)


def handle_cascade(args: argparse.Namespace) -> int:
    """Cascades after an outage."""
    from sim.grid.nodal import commands

    answer = commands.cascade(
        args.case,
        outage=_numbers(args.outage, "--outage"),
        n1_seeds=args.n1_seeds,
        extra_load_mw=_loads(args.load),
        runs=args.runs,
        seed=args.seed,
    )
    rows = [{k: v for k, v in row.items() if k != "stages"} for row in answer["cascades"]]
    return _print(answer, rows, args)


def handle_voltage(args: argparse.Namespace) -> int:
    """Hosting by voltage."""
    from sim.grid.nodal import commands

    answer = commands.voltage(
        args.case,
        bus=_numbers(args.bus, "--bus"),
        power_factor=args.power_factor,
        worst_outages=args.outages,
    )
    return _print(answer, answer["buses"], args)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(f"{option} {text!r} is not a list of numbers", "e.g. 1,2") from error


def _loads(text: str) -> dict[int, float]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    try:
        return {int(bus): float(load_mw) for bus, _, load_mw in pairs}
    except ValueError as error:
        raise InputError(f"--load {text!r} is not BUS=MW,...", "e.g. 7095=150") from error


def _print(answer: dict[str, Any], rows: list[dict[str, Any]], args: argparse.Namespace) -> int:
    from sim.cli.text import table, to_json

    if args.json:
        print(to_json(answer))
        return 0
    if rows:
        print(table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows[:_TOP]]))
    print(f"{len(rows)} rows, {min(len(rows), _TOP)} shown; all with --json")
    for name, value in answer.items():
        if isinstance(value, int | float):
            print(f"{name}: {_cell(value)}")
        elif name == "preexisting_violations":
            print(f"{name}: {len(value)}, apart from the rows above")
    print("; ".join(f"{name}: {_cell(v)}" for name, v in answer["conventions"].items()))
    return 0


def _cell(value: object) -> str:
    from sim.cli.text import number

    if isinstance(value, dict) and "row" in value and "from" in value:
        return f"{value['from']}-{value['to']} #{value['circuit']} (row {value['row']})"
    if isinstance(value, dict):
        return ", ".join(f"{_cell(v)}" for v in value.values() if v is not None)
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return number(value) if isinstance(value, float) else "-" if value is None else str(value)
