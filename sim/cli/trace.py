"""`flopgrid trace fit | make`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.workload.fit import Row, TraceModel


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("trace", help="fit traffic to a trace; make traces like it")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="fit|make")
    fit = verbs.add_parser("fit", help="fit arrivals and lengths; judge them on a held-out half")
    fit.add_argument("trace", metavar="TRACE", help="CSV, JSON lines or Parquet")
    fit.add_argument("--out", type=Path, metavar="MODEL.json", help="keep the model of all rows")
    fit.add_argument("--on-bad-rows", choices=["stop", "skip"], default="stop")
    fit.add_argument("--json", action="store_true", help="print JSON")
    fit.set_defaults(handler=_fit)
    make = verbs.add_parser("make", help="draw requests like those of a trace or model")
    make.add_argument("file", metavar="TRACE_OR_MODEL")
    make.add_argument("--out", type=Path, required=True, help="a .csv or .parquet file")
    make.add_argument("--hours", type=float, default=1.0)
    make.add_argument("--rate", type=float, help="requests per second; default: the trace's")
    make.add_argument(
        "--copies",
        type=float,
        help="independent copies of the traffic that share the rate; default: as many as keep "
        "the trace's burstiness, each at its own rate",
    )
    make.add_argument("--seed", type=int, default=1)
    make.add_argument("--on-bad-rows", choices=["stop", "skip"], default="stop")
    make.set_defaults(handler=_make)


def _fit(args: argparse.Namespace) -> int:
    """Print the fit on half of the trace against the other half; keep that on all of it."""
    from sim.cli.text import to_json
    from sim.workload.fit import fit_trace, judge
    from sim.workload.model_file import save_model
    from sim.workload.traces import read_trace

    trace = read_trace(args.trace, args.on_bad_rows)
    whole = fit_trace(trace.requests)
    _, rows = judge(trace.requests)
    if args.json:
        print(to_json(_as_json(whole, rows, len(trace.bad_rows))))
    else:
        print(_as_text(Path(args.trace).name, whole, rows, len(trace.bad_rows)))
    if args.out:
        save_model(whole, Path(args.trace).name, args.out)
    return 0


def _as_json(model: TraceModel, rows: list[Row], bad_rows: int) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "requests": model.requests,
        "bad_rows": bad_rows,
        "span_s": model.span_s,
        "tick_s": model.tick_s,
        "arrivals": asdict(model.arrivals),
        "held_out": [asdict(row) | {"error_frac": _finite(row.error_frac)} for row in rows],
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None


def _as_text(name: str, model: TraceModel, rows: list[Row], bad_rows: int) -> str:
    from sim.cli.text import number, table

    lines = [f"{name}: {model.requests:,} requests in {model.span_s:,.0f} s, {bad_rows} bad rows"]
    own = model.arrivals
    lines.append(f"rate {own.rate_per_s:.4g}/s, {_course_text(own.course.peak_frac)}")
    for block_s, weight in zip(own.blocks_s, own.weights, strict=True):
        deviation = own.spread**0.5
        lines.append(
            f"bursts of {block_s:.3g} s in {weight:.0%} of it, its rate varies by {deviation:.0%}"
        )
    if own.batch_extra:
        windows = ", ".join(f"{w:.2g}" for w in own.windows_s)
        lines.append(f"batches of {1 + own.batch_extra:.3g} requests within {windows} s")
    if model.tick_s:
        lines.append(f"its clock ticks every {model.tick_s:.3g} s: nothing is known below that")
    body = [
        [row.measure, *map(number, (row.seen, row.fitted, row.held_out)), *_errors(row)]
        for row in rows
    ]
    head = ["first half fitted, second held out", "first", "fitted", "second", "error", "drift"]
    lines += ["", table(head, body), "", DRIFT_NOTE]
    return "\n".join(lines)


DRIFT_NOTE = "drift: of the first half itself against the second; a fit cannot know better."


def _course_text(peak_frac: float) -> str:
    if peak_frac > 1:
        return f"daily course with its top at {peak_frac:.2f} of the mean"
    return "no daily course (the trace is shorter than a day, or flat)"


def _errors(row: Row) -> list[str]:
    return [f"{v:+.1%}" if abs(v) < float("inf") else "-" for v in (row.error_frac, row.drift_frac)]


def _make(args: argparse.Namespace) -> int:
    """Draw requests and write them."""
    import sys

    from sim.errors import InputError
    from sim.workload.model_file import fitted_traffic, write_trace
    from sim.workload.requests import draw_requests

    if not 0 < args.hours <= 2500:
        raise InputError(f"--hours {args.hours:g}, must be above 0 and at most 2500")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed}, must be at least 0")
    arrivals, lengths, _ = fitted_traffic(args.file, args.on_bad_rows)
    if args.rate is not None or args.copies is not None:
        rate = arrivals.rate_per_s if args.rate is None else args.rate
        arrivals = arrivals.scaled(rate, args.copies)
    drawn = draw_requests(arrivals, lengths, args.hours * 3600, args.seed, "trace make")
    write_trace(drawn, args.out)
    print(f"{len(drawn):,} requests in {args.out}", file=sys.stderr)
    return 0
