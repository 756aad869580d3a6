"""Options of `flopgrid grid flow | n1 | hosting | states | opf | commit | cascade | voltage`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

CASE_HELP = "a name from `grid list`, or a path to a .m, .json, .nc or a PyPSA CSV folder"
REDISPATCH = ("none", "dc-opf", "n1-secure")
SHARES = ("equal", "load", "free")
REGIONS = ("area", "state", "zone", "kv")
SUSCEPTANCES = ("1/(x tap)", "1/x", "x/(r2+x2)")

Handlers = dict[str, Callable[[argparse.Namespace], int]]
"""What carries out each verb."""


def add_verbs(verbs: Any, handlers: Handlers) -> None:
    """Register the verbs under `flopgrid grid`."""
    flow = _verb(verbs, "flow", "DC power flow of the base point", handlers["flow"])
    _add_susceptance(flow)
    _add_n1(verbs, handlers)
    _add_hosting(verbs, handlers)
    _add_states(verbs, handlers)
    opf = _verb(verbs, "opf", "DC optimal power flow: cost, prices, flows", handlers["opf"])
    opf.add_argument("--secure", action="store_true", help="limits hold after outages too")
    opf.add_argument("--load", default="", metavar="BUS=MW,...", help="on top of the case")
    opf.add_argument("--unserved-price", type=float, metavar="USD_PER_MWH")
    _add_emergency(opf)
    _add_susceptance(opf)
    _add_commit(verbs, handlers)
    _add_cascade(verbs, handlers)
    voltage = _verb(verbs, "voltage", "the largest new load by voltage (AC)", handlers["voltage"])
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


def _add_n1(verbs: Any, handlers: Handlers) -> None:
    n1 = _verb(verbs, "n1", "what is over its limit after single outages", handlers["n1"])
    n1.add_argument("--no-generators", action="store_true", help="branch outages only")
    n1.add_argument("--towers", action="store_true", help="pairs of parallel circuits too")
    _add_emergency(n1)
    _add_susceptance(n1)


def _add_hosting(verbs: Any, handlers: Handlers) -> None:
    hosting = _verb(verbs, "hosting", "the largest new load at buses", handlers["hosting"])
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


def _add_states(verbs: Any, handlers: Handlers) -> None:
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
        help="leave out limits that feel less than this share of the load (an assumption, 0 to "
        "0.1 is its range); may be given again",
    )
    states.add_argument("--figures", type=Path, metavar="DIR", help="chart by state (SVG, CSV)")
    states.add_argument("--json", action="store_true", help="print JSON")
    states.set_defaults(handler=handlers["states"])


def _add_commit(verbs: Any, handlers: Handlers) -> None:
    commit = _verb(verbs, "commit", "which units run in which hour (MILP)", handlers["commit"])
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


def _add_cascade(verbs: Any, handlers: Handlers) -> None:
    cascade = _verb(verbs, "cascade", "what follows an outage", handlers["cascade"])
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
        help="leave out limits that feel less than this share of the load (an assumption)",
    )


def _add_susceptance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--susceptance",
        choices=SUSCEPTANCES,
        default=SUSCEPTANCES[0],
        help="convention of the DC model (default 1/(x tap))",
    )
