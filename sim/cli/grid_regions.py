"""`flopgrid grid dispatch | adequacy | headroom | frequency`: regions over a year and seconds."""

from __future__ import annotations

import argparse
from typing import Any

_YEAR_HELP = "of the load, 2023 or 2024"


def add_verbs(verbs: Any) -> None:
    """Register the verbs of the regional view under `flopgrid grid`."""
    _add_dispatch(verbs)
    _add_adequacy(verbs)
    _add_headroom(verbs)
    _add_frequency(verbs)


def _add_dispatch(verbs: Any) -> None:
    parser = verbs.add_parser("dispatch", help="every hour of a year: prices, congestion, CO2")
    parser.add_argument("case", metavar="CASE", help="a zonal case, or backcast-2022")
    _add_years(parser)
    parser.add_argument("--flexible", action="store_true", help="the sites may be curtailed")
    parser.add_argument("--figure", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--days", type=int, help="only so many days")
    parser.add_argument("--first-day", type=int, default=0, help="0 is 1 January")
    parser.add_argument("--threads", type=int, default=2)
    _finish(parser, handle_dispatch)


def _add_adequacy(verbs: Any) -> None:
    parser = verbs.add_parser("adequacy", help="LOLE, LOLH and EUE of units and hourly load")
    parser.add_argument("case", metavar="CASE", nargs="?", help="a zonal case, or use the files")
    parser.add_argument("--units", help="name, capacity_mw, forced_outage_rate[, derated_...]")
    parser.add_argument("--load", help="one hourly column load_mw")
    parser.add_argument("--load-uncertainty", type=float, default=0.0, metavar="FRAC")
    parser.add_argument("--target-lole", type=float, default=0.1, metavar="D_PER_Y")
    parser.add_argument("--years", type=int, default=0, help="Monte-Carlo years beside the table")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--zone", help="one zone of the case")
    parser.add_argument(
        "--elcc",
        action="append",
        default=[],
        metavar="KIND=MW",
        help="load carried by battery, flexible, solar or wind",
    )
    _add_years(parser)
    _finish(parser, handle_adequacy)


def _add_headroom(verbs: Any) -> None:
    parser = verbs.add_parser("headroom", help="load that fits if it may be curtailed")
    parser.add_argument("area", metavar="AREA", nargs="?", help="all without one")
    parser.add_argument("--rate", type=float, action="append", metavar="FRAC")
    _finish(parser, handle_headroom)


def _add_frequency(verbs: Any) -> None:
    parser = verbs.add_parser("frequency", help="seconds after a trip, or under a pulsing load")
    parser.add_argument("case", metavar="CASE", nargs="?", default="ercot")
    parser.add_argument("--load-loss", type=float, default=0.0, metavar="MW")
    parser.add_argument("--generation-loss", type=float, default=0.0, metavar="MW")
    parser.add_argument("--event", help="odessa-2022, canyon-2 or virginia-2024")
    parser.add_argument("--returns-after", type=float, metavar="S", help="the load comes back")
    parser.add_argument("--pulse", type=float, default=0.0, metavar="MW", help="peak to peak")
    parser.add_argument("--pulse-hz", type=float, default=0.5, metavar="HZ")
    parser.add_argument("--duty", type=float, default=0.5, metavar="FRAC")
    parser.add_argument("--inertia", type=float, metavar="GWS")
    parser.add_argument("--system-load", type=float, metavar="MW")
    parser.add_argument("--hour", help="UTC hour whose dispatch gives the inertia")
    parser.add_argument("--data-centre-response", type=float, default=0.0, metavar="MW")
    parser.add_argument(
        "--output", action="append", default=[], metavar="FUEL=MW", help="of CASE island"
    )
    parser.add_argument("--duration", type=float, default=60.0, metavar="S")
    parser.add_argument("--figure", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--series", action="store_true", help="with every step, in JSON")
    _finish(parser, handle_frequency)


def _add_years(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--year", type=int, default=2024, help=_YEAR_HELP)
    parser.add_argument("--weather-year", type=int, default=2022, help="of wind, sun and water")
    parser.add_argument("--mixed-years", action="store_true", help="allow the two to differ")
    parser.add_argument("--site", action="append", default=[], metavar="ZONE=MW", help="new load")


def _finish(parser: argparse.ArgumentParser, handler: Any) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handler)


def handle_dispatch(args: argparse.Namespace) -> int:
    """Run the hours of a year."""
    from sim.grid.regions.commands import dispatch

    found = dispatch(
        args.case,
        **_years(args),
        flexible=args.flexible,
        changes=_pairs("--figure", args.figure) or None,
        days=args.days,
        first_day=args.first_day,
        threads=args.threads,
    )
    return _print(found, args.json)


def handle_adequacy(args: argparse.Namespace) -> int:
    """Answer for files, or for a case."""
    from sim.grid.regions.commands import adequacy

    found = adequacy(
        args.units,
        args.load,
        load_uncertainty=args.load_uncertainty,
        target_lole=args.target_lole,
        years=args.years,
        seed=args.seed,
        case=args.case,
        zone=args.zone,
        elcc=_pairs("--elcc", args.elcc) or None,
        **_years(args),
    )
    return _print(found, args.json)


def handle_headroom(args: argparse.Namespace) -> int:
    """Answer for an area, or for all."""
    from sim.grid.regions.commands import headroom

    return _print(headroom(args.area, rates=args.rate or (0.0025, 0.005, 0.01)), args.json)


def handle_frequency(args: argparse.Namespace) -> int:
    """Answer for a trip, an event or a pulse."""
    from sim.errors import InputError
    from sim.grid.regions.commands import frequency

    if args.pulse_hz <= 0:
        raise InputError(f"--pulse-hz of {args.pulse_hz:g} Hz", "give > 0 Hz")
    found = frequency(
        args.case,
        load_loss_mw=args.load_loss,
        generation_loss_mw=args.generation_loss,
        event=args.event,
        returns_after_s=args.returns_after,
        pulse_mw=args.pulse,
        pulse_hz=args.pulse_hz,
        duty=args.duty,
        inertia_gws=args.inertia,
        load_mw=args.system_load,
        hour=args.hour,
        duration_s=args.duration,
        changes=_pairs("--figure", args.figure) or None,
        series=args.series and args.json,
        response_mw=args.data_centre_response,
        output_mw=_pairs("--output", args.output) or None,
    )
    return _print(found, args.json)


def _years(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "year": args.year,
        "weather_year": args.weather_year,
        "mixed_years": args.mixed_years,
        "sites_mw": _pairs("--site", args.site) or None,
    }


def _pairs(flag: str, given: list[str]) -> dict[str, float]:
    """`NAME=VALUE` arguments as a mapping.

    Raises:
        InputError: where one is no name with a number.
    """
    from sim.errors import InputError

    found: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise InputError(f"{flag} {text!r}", "give NAME=NUMBER") from None
    return found


def _print(found: dict[str, Any], as_json: bool) -> int:
    """Figures first, then one table for each list of rows, then the sentences.

    A sentence on a figure without a primary source is marked with a star.
    """
    from sim.cli.text import table, to_json

    if as_json:
        print(to_json(found))
        return 0
    plain = {k: v for k, v in found.items() if not isinstance(v, (list, tuple, dict))}
    if plain:
        print(table(["figure", "value"], [[k, _cell(v)] for k, v in plain.items()]))
    marked = set(found.get("not_primary", ()))
    for name, value in found.items():
        if name not in plain and value and name != "not_primary":
            print(f"\n{name}")
            print(_block(value, marked))
    if marked:
        print("\n* not from a primary source that was read, or assumed")
    return 0


def _block(value: Any, marked: set[str]) -> str:
    from sim.cli.text import table

    if isinstance(value, dict):
        return table(["figure", "value"], [[k, _cell(v)] for k, v in value.items()])
    if not isinstance(value[0], dict):
        return "\n".join(f"{'*' if line in marked else '-'} {line}" for line in value)
    # What is itself a list or a mapping has no room in a cell; --json has it.
    header = [k for k, v in value[0].items() if not isinstance(v, (list, tuple, dict))]
    return table(header, [[_cell(row.get(k)) for k in header] for row in value])


def _cell(value: Any) -> str:
    from sim.cli.text import number

    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return (
            "-" if value is None else "(--json)" if isinstance(value, (list, dict)) else str(value)
        )
    return str(value) if isinstance(value, int) else number(value)
