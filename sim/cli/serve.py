"""`flopgrid serve`."""

from __future__ import annotations

import argparse
from typing import Any

LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
        hosts = frozenset(f"{name}:{args.port}" for name in (*LOOPBACK[:2], "[::1]", args.host))
        app = build_app(jobs, Rules(hosts, token), first)
        query = f"/?token={token}" if token else "/"
        address = f"http://{args.host}:{args.port}{query}"
        print(f"flopgrid: {address} (Ctrl-C ends)", file=sys.stderr, flush=True)
        uvicorn.run(app, host=args.host, port=args.port, log_level="warning", server_header=False)
    finally:
        jobs.close()
    return 0
