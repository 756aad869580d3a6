"""`flopgrid grid flow | n1 | hosting | opf | cascade | voltage`: cases with buses and branches."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sim.errors import InputError

CASE_HELP = "a name from `grid list`, or a path to a .m, .json, .nc or a PyPSA CSV folder"
REDISPATCH = ("none", "dc-opf", "n1-secure")
SHARES = ("equal", "load", "free")
REGIONS = ("area", "state", "zone", "kv")
SUSCEPTANCES = ("1/(x tap)", "1/x", "x/(r2+x2)")
_TOP = 20
"""Rows of a table for people; --json has all."""


def add_verbs(verbs: Any) -> None:
    """Register the verbs under `flopgrid grid`."""
    flow = _verb(verbs, "flow", "DC power flow of the base point", handle_flow)
    _add_susceptance(flow)
    _add_n1(verbs)
    _add_hosting(verbs)
    _add_states(verbs)
    opf = _verb(verbs, "opf", "DC optimal power flow: cost, prices, flows", handle_opf)
    opf.add_argument("--secure", action="store_true", help="limits hold after outages too")
    opf.add_argument("--load", default="", metavar="BUS=MW,...", help="on top of the case")
    opf.add_argument("--unserved-price", type=float, metavar="USD_PER_MWH")
    _add_emergency(opf)
    _add_susceptance(opf)
    _add_commit(verbs)
    _add_cascade(verbs)
    voltage = _verb(verbs, "voltage", "the largest new load by voltage (AC)", handle_voltage)
    voltage.add_argument("--bus", default="", metavar="N,...")
    voltage.add_argument("--power-factor", type=float, default=0.98, metavar="FRAC")
    voltage.add_argument("--outages", type=int, default=10, metavar="N", help="worst, by bus")
    voltage.add_argument("--most", type=float, default=2000.0, metavar="MW", help="tried at most")
    voltage.add_argument("--low-only", action="store_true", help="leave out voltages too high")
    voltage.add_argument("--step", type=float, default=5.0, metavar="MW", help="answer to within")


def _verb(verbs: Any, name: str, text: str, handler: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text)
    parser.add_argument("case", metavar="CASE", help=CASE_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handler)
    return parser


def _add_n1(verbs: Any) -> None:
    n1 = _verb(verbs, "n1", "what is over its limit after single outages", handle_n1)
    n1.add_argument("--no-generators", action="store_true", help="branch outages only")
    n1.add_argument("--towers", action="store_true", help="pairs of parallel circuits too")
    _add_emergency(n1)
    _add_susceptance(n1)


def _add_hosting(verbs: Any) -> None:
    hosting = _verb(verbs, "hosting", "the largest new load at buses", handle_hosting)
    hosting.add_argument("--bus", default="", metavar="N,...", help="default: all buses")
    hosting.add_argument("--area", default="", metavar="N,...")
    hosting.add_argument("--zone", default="", metavar="N,...")
    hosting.add_argument("--state", default="", metavar="Texas,...", help="on synthetic-usa")
    hosting.add_argument("--least-kv", type=float, default=0.0, metavar="KV")
    hosting.add_argument(
        "--joint",
        nargs="?",
        const="equal",
        choices=SHARES,
        help="one load over all of the buses at once; how they share it (default equal)",
    )
    hosting.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="NAME=N,...",
        help="joint hosting of a set of buses; may be given again",
    )
    hosting.add_argument("--by", choices=REGIONS, help="joint hosting of each region")
    hosting.add_argument("--site", type=float, metavar="MW", help="--joint free: most at one bus")
    hosting.add_argument("--redispatch", choices=REDISPATCH, default="none")
    hosting.add_argument("--security", choices=("base", "n1"))
    _add_emergency(hosting)
    _add_susceptance(hosting)
    hosting.add_argument(
        "--preexisting",
        choices=("left-out", "frozen"),
        default="left-out",
        help="limits that are over before the load: no limit, or may not get worse",
    )
    _add_least_effect(hosting)
    hosting.add_argument("--curve", type=int, default=0, metavar="N", help="joint: best 1 to N")
    hosting.add_argument("--workers", type=int, default=1, metavar="N")
    hosting.add_argument("--figures", type=Path, metavar="DIR", help="map and curve (SVG, CSV)")


def _add_states(verbs: Any) -> None:
    states = verbs.add_parser("states", help="hosting in every state (synthetic USA)")
    states.add_argument("case", metavar="CASE", nargs="?", default="synthetic-usa", help=CASE_HELP)
    states.add_argument("--load", type=float, default=150.0, metavar="MW", help="asked for")
    states.add_argument("--least-kv", type=float, default=230.0, metavar="KV")
    states.add_argument("--buses", type=int, default=20, metavar="N", help="in each state")
    states.add_argument("--state", default="", metavar="Texas,...", help="default: all")
    _add_emergency(states, rating=False)
    states.add_argument(
        "--least-effect",
        type=float,
        action="append",
        metavar="FRAC",
        help="leave out limits that feel less than this share of the load; may be given again",
    )
    states.add_argument("--figures", type=Path, metavar="DIR", help="chart by state (SVG, CSV)")
    states.add_argument("--json", action="store_true", help="print JSON")
    states.set_defaults(handler=handle_states)


def _add_commit(verbs: Any) -> None:
    commit = _verb(verbs, "commit", "which units run in which hour (MILP)", handle_commit)
    commit.add_argument("--profile", type=Path, metavar="CSV", help="load_frac, FUEL_frac by hour")
    commit.add_argument("--hours", type=int, default=24, metavar="N", help="without a profile")
    commit.add_argument(
        "--storage", action="append", default=[], metavar="BUS:MW:MWH", help="may be given again"
    )
    commit.add_argument("--reserve", type=float, default=0.0, metavar="FRAC", help="of the load")
    commit.add_argument("--load", default="", metavar="BUS=MW,...", help="in every hour")
    commit.add_argument("--unserved-price", type=float, default=9000.0, metavar="USD_PER_MWH")
    commit.add_argument("--secure", action="store_true", help="limits hold after outages too")
    commit.add_argument("--gap", type=float, default=0.01, metavar="FRAC")
    commit.add_argument("--time-limit", type=float, metavar="S", help="then the best known")
    _add_susceptance(commit)


def _add_cascade(verbs: Any) -> None:
    cascade = _verb(verbs, "cascade", "what follows an outage", handle_cascade)
    cascade.add_argument("--outage", default="", metavar="ROW,...", help="branch rows, from 1")
    cascade.add_argument("--n1-seeds", action="store_true", help="each outage that overloads")
    cascade.add_argument("--load", default="", metavar="BUS=MW,...", help="on top of the case")
    cascade.add_argument(
        "--threshold", type=float, metavar="FRAC", help="loading at which a branch trips"
    )
    cascade.add_argument("--runs", type=int, default=0, metavar="N", help="with hidden failures")
    cascade.add_argument(
        "--hidden-failures", type=float, metavar="FRAC", help="chance that an exposed branch trips"
    )
    cascade.add_argument("--seed", type=int, default=1)
    _add_susceptance(cascade)


def _add_emergency(parser: argparse.ArgumentParser, *, rating: bool = True) -> None:
    parser.add_argument(
        "--emergency-rating-factor",
        "--emergency-factor",
        dest="emergency_factor",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="limit after an outage over the rating",
    )
    if rating:
        parser.add_argument(
            "--emergency-rating", choices=("a", "b", "c"), default="a", help="which rating"
        )


def _add_least_effect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--least-effect",
        type=float,
        default=0.0,
        metavar="FRAC",
        help="leave out limits that feel less than this share of the load",
    )


def _add_susceptance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--susceptance",
        choices=SUSCEPTANCES,
        default=SUSCEPTANCES[0],
        help="convention of the DC model (default 1/(x tap))",
    )


def handle_flow(args: argparse.Namespace) -> int:
    """DC flow; the table has the most loaded branches."""
    from sim.grid.nodal import commands

    answer = commands.flow(args.case, susceptance=args.susceptance)
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
        emergency_rating=args.emergency_rating,
        susceptance=args.susceptance,
    )
    return _print(answer, answer["violations"], args)


def handle_hosting(args: argparse.Namespace) -> int:
    """Hosting capacity."""
    from sim.grid.nodal import commands

    answer = commands.hosting(
        args.case,
        bus=_numbers(args.bus, "--bus"),
        area=_numbers(args.area, "--area"),
        zone=_numbers(args.zone, "--zone"),
        state=_words(args.state),
        least_kv=args.least_kv,
        joint=args.joint or False,
        sets=_sets(args.sets),
        by=args.by,
        site_mw=args.site,
        redispatch=args.redispatch,
        security=args.security,
        emergency_factor=args.emergency_factor,
        emergency_rating=args.emergency_rating,
        preexisting=args.preexisting,
        susceptance=args.susceptance,
        least_effect_frac=args.least_effect,
        curve_sites=args.curve,
        workers=args.workers,
    )
    if args.figures:
        _draw(answer, args)
    if not answer["buses"]:
        rows = [_short(row) for row in answer["sets"] or [answer["joint"]]]
        return _print(answer, rows, args)
    return _print(answer, answer["buses"] if args.bus else answer["by_kv"], args)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A joint answer without its lists of buses."""
    return {name: value for name, value in row.items() if name not in ("buses", "load_mw")}


def _draw(answer: dict[str, Any], args: argparse.Namespace) -> None:
    from sim.grid.nodal.cases import load_case
    from sim.report.nodal_figures import draw_hosting_figures

    args.figures.mkdir(parents=True, exist_ok=True)
    for path in draw_hosting_figures(load_case(args.case), answer, args.figures):
        print(f"written: {path}", file=sys.stderr)


def handle_states(args: argparse.Namespace) -> int:
    """Hosting in every state."""
    from sim.grid.nodal import commands

    args.least_effect = args.least_effect or [0.0]
    answer = commands.states(
        args.case,
        load_mw=args.load,
        least_kv=args.least_kv,
        buses_per_state=args.buses,
        state=_words(args.state),
        emergency_factor=args.emergency_factor,
        least_effect_frac=args.least_effect,
    )
    if args.figures:
        from sim.report.nodal_figures import draw_states

        args.figures.mkdir(parents=True, exist_ok=True)
        first = [r for r in answer["buses"] if r["least_effect_frac"] == min(args.least_effect)]
        draw_states(first, args.load, args.figures / "states.svg")
        print(f"written: {args.figures / 'states.svg'}", file=sys.stderr)
    print(answer["label"], file=sys.stderr)
    return _print(answer, answer["states"], args, top=60)


def handle_opf(args: argparse.Namespace) -> int:
    """DC optimal power flow; the table has the limits that bind."""
    from sim.grid.nodal import commands

    answer = commands.opf(
        args.case,
        secure=args.secure,
        extra_load_mw=_loads(args.load),
        unserved_usd_per_mwh=args.unserved_price,
        emergency_factor=args.emergency_factor,
        emergency_rating=args.emergency_rating,
        susceptance=args.susceptance,
    )
    return _print(answer, answer["binding"], args)


def handle_commit(args: argparse.Namespace) -> int:
    """Unit commitment; the table has the hours."""
    from sim.grid.nodal import commands

    answer = commands.commit(
        args.case,
        profile=args.profile,
        hours=args.hours,
        storages=[_storage(text) for text in args.storage],
        reserve_frac=args.reserve,
        extra_load_mw=_loads(args.load),
        unserved_usd_per_mwh=args.unserved_price,
        secure=args.secure,
        gap_frac=args.gap,
        time_limit_s=args.time_limit,
        susceptance=args.susceptance,
    )
    return _print(answer, answer["hours"], args, top=48)


def _storage(text: str) -> tuple[int, float, float]:
    try:
        bus, mw, mwh = text.split(":")
        return int(bus), float(mw), float(mwh)
    except ValueError as error:
        raise InputError(f"--storage {text!r} is not BUS:MW:MWH", "e.g. 101:50:200") from error


def handle_cascade(args: argparse.Namespace) -> int:
    """Cascades after an outage."""
    from sim.grid.nodal import commands

    answer = commands.cascade(
        args.case,
        outage=_numbers(args.outage, "--outage"),
        n1_seeds=args.n1_seeds,
        extra_load_mw=_loads(args.load),
        trip_threshold_frac=args.threshold,
        hidden_failure_frac=args.hidden_failures,
        susceptance=args.susceptance,
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
        most_mw=args.most,
        step_mw=args.step,
        low_only=args.low_only,
    )
    return _print(answer, answer["buses"], args)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise InputError(f"{option} {text!r} is not a list of numbers", "e.g. 1,2") from error


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _sets(texts: list[str]) -> dict[str, list[int]]:
    sets: dict[str, list[int]] = {}
    for text in texts:
        name, found, numbers = text.partition("=")
        if not found or not name or name in sets:
            raise InputError(f"--set {text!r} is not NAME=BUS,...", "e.g. north=7095,5049")
        sets[name] = _numbers(numbers, "--set")
    return sets


def _loads(text: str) -> dict[int, float]:
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    try:
        return {int(bus): float(load_mw) for bus, _, load_mw in pairs}
    except ValueError as error:
        raise InputError(f"--load {text!r} is not BUS=MW,...", "e.g. 7095=150") from error


def _print(
    answer: dict[str, Any], rows: list[dict[str, Any]], args: argparse.Namespace, top: int = _TOP
) -> int:
    from sim.cli.text import table, to_json

    if args.json:
        print(to_json(answer))
        return 0
    if rows:
        print(table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows[:top]]))
    print(f"{len(rows)} rows, {min(len(rows), top)} shown; all with --json")
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
        return ", ".join(f"{_cell(v)}" for v in value.values() if v not in (None, ""))
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return number(value) if isinstance(value, float) else "-" if value is None else str(value)
