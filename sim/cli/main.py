"""The `flopgrid` command: parse arguments, call a room, print, exit.

Heavy packages are imported inside the commands, so that `--help` answers at once.
Data goes to stdout, progress and messages to stderr. Exit codes: 0 ok, 1 a declared check
failed, 2 usage or scenario error, 3 some sweep runs failed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from sim import __version__
from sim.cli import (
    arch,
    bench,
    calibrate,
    claims,
    compare,
    cost,
    doctor,
    grid,
    plan,
    query,
    report,
    run,
    serve,
    sweep,
    trace,
    validate,
    whatif,
)
from sim.errors import FlopgridError, InputError

EXIT_CHECK_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

EPILOG = """\
start here:
  flopgrid run scenarios/100k-h100-one-state.yaml
  flopgrid whatif scenarios/100k-h100-one-state.yaml --policy power-cap:gpu_w=500
  flopgrid arch list            flopgrid grid show us-states
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="flopgrid",
        description="Follow a token from the model's FLOPs to the power grid, and back.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"flopgrid {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (
        run,
        whatif,
        sweep,
        query,
        claims,
        cost,
        plan,
        arch,
        grid,
        report,
        compare,
        doctor,
        bench,
        trace,
        validate,
        calibrate,
        serve,
    ):
        module.add_command(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors of the user become one line on stderr and exit code 2."""
    args = build_parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _note
            code: int = args.handler(args)
        sys.stdout.flush()
    except InputError as error:
        _complain(error)
        return EXIT_USAGE
    except FlopgridError as error:
        _complain(error)
        return EXIT_CHECK_FAILED
    except KeyboardInterrupt:
        print("flopgrid: interrupted; finished runs are kept", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"flopgrid: {where}{error.strerror or error}; finished runs are kept", file=sys.stderr
        )
        return EXIT_USAGE
    except MemoryError:
        what = "there is not enough memory; ask for less, or for fewer at once"
        print(f"flopgrid: {what}; finished runs are kept", file=sys.stderr)
        return EXIT_USAGE
    return code


def _note(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning in the manner of our errors: what the user can act on, without our places."""
    del filename, lineno, file, line
    known = f"{category.__name__}: " if category.__module__ != "sim.scenario.migrate" else ""
    print(f"flopgrid: note: {known}{message}", file=sys.stderr)


def _complain(error: FlopgridError) -> None:
    print(f"flopgrid: {error}", file=sys.stderr)
    if isinstance(error, InputError) and error.excerpt:
        print(error.excerpt, file=sys.stderr)
