"""`flopgrid grid flow | n1 | hosting | opf | cascade | voltage`: cases with buses and branches."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from sim.cli import grid_nodal_options as options
from sim.errors import InputError

_TOP = 20
"""Rows of a table for people; --json has all."""


def add_verbs(verbs: Any) -> None:
    """Register the verbs under `flopgrid grid`."""
    options.add_verbs(
        verbs,
        {
            "flow": handle_flow,
            "n1": handle_n1,
            "hosting": handle_hosting,
            "states": handle_states,
            "opf": handle_opf,
            "commit": handle_commit,
            "cascade": handle_cascade,
            "voltage": handle_voltage,
        },
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
    if args.bus or args.json:
        return _print(answer, answer["buses"], args)
    print("by voltage [kV]")
    _table(answer["by_kv"], _TOP)
    print("by area")
    return _print(answer, answer["by_area"], args)


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
    from sim.cli.text import to_json

    if args.json:
        print(to_json(answer))
        return 0
    _table(rows, top)
    print(f"{len(rows)} rows, {min(len(rows), top)} shown; all with --json")
    for name, value in answer.items():
        if isinstance(value, int | float):
            print(f"{name}: {_cell(value)}")
        elif name == "preexisting_violations":
            print(f"{name}: {len(value)}, apart from the rows above")
    print("; ".join(f"{name}: {_cell(v)}" for name, v in answer["conventions"].items()))
    return 0


def _table(rows: list[dict[str, Any]], top: int) -> None:
    from sim.cli.text import table

    if rows:
        print(table(list(rows[0]), [[_cell(v) for v in row.values()] for row in rows[:top]]))


def _cell(value: object) -> str:
    from sim.cli.text import number

    if isinstance(value, dict) and "row" in value and "from" in value:
        return f"{value['from']}-{value['to']} #{value['circuit']} (row {value['row']})"
    if isinstance(value, dict):
        return ", ".join(f"{_cell(v)}" for v in value.values() if v not in (None, ""))
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return number(value) if isinstance(value, float) else "-" if value is None else str(value)
