"""`flopgrid serve`."""

from __future__ import annotations

import argparse
from typing import Any

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY = ("0.0.0.0", "::")  # noqa: S104  # every address of this machine, whatever it is called
HTTP_PORT = 80


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "serve",
        help="a page on which scenarios are asked and answered",
        description="Serve the what-if page on this machine until interrupted.",
    )
    parser.add_argument(
        "scenario",
        metavar="SCENARIO",
        nargs="?",
        help="a scenario file: its first site fills the form",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: only this machine")
    parser.add_argument("--port", type=int, default=8765, help="default: 8765")
    parser.add_argument("--limit-s", type=float, default=120.0, help="longest time of a run [s]")
    parser.set_defaults(handler=handle)


def hosts(host: str, port: int) -> frozenset[str]:
    """What a browser may call this server; nothing if others name the machine as they like."""
    if host in ANY:
        return frozenset()
    names = {_with_port(name, port) for name in (*LOOPBACK, host)}
    # Browsers leave out the port that everybody has.
    bare = {name.removesuffix(f":{port}") for name in names} if port == HTTP_PORT else set()
    return frozenset(names | bare)


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def handle(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    import secrets
    import sys

    from sim.report.page.jobs import Jobs

    jobs = Jobs(args.limit_s)  # its worker gets ready while the page is put together
    try:
        import uvicorn

        from sim.report.page.app import build_app
        from sim.report.page.first import first_question
        from sim.report.page.guard import Rules

        first = first_question(args.scenario)
        jobs.ask(first, ahead=True)  # the page asks this as soon as it is open
        token = "" if args.host in LOOPBACK else secrets.token_urlsafe(24)
        app = build_app(jobs, Rules(hosts(args.host, args.port), token), first)
        query = f"/?token={token}" if token else "/"
        address = f"http://{_with_port(args.host, args.port)}{query}"
        print(f"flopgrid: {address} (Ctrl-C ends)", file=sys.stderr, flush=True)
        uvicorn.run(app, host=args.host, port=args.port, log_level="warning", server_header=False)
    finally:
        jobs.close()
    return 0
