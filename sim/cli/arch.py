"""`flopgrid arch`."""

from __future__ import annotations

import argparse
from typing import Any


def add_command(commands: Any) -> None:
    """Register the command and its verbs."""
    parser = commands.add_parser("arch", help="architectures: parameters, FLOPs, bytes, memory")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="the zoo as a table")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(handler=handle_list)
    show = verbs.add_parser("show", help="one architecture, per operation")
    show.add_argument(
        "name", metavar="NAME_OR_CONFIG_JSON", help="a zoo name, a Hugging Face id, or a file"
    )
    _add_batch(show)
    show.set_defaults(handler=handle_show)
    compare = verbs.add_parser("compare", help="several side by side, with their crossovers")
    compare.add_argument("names", nargs="+", metavar="NAME", help="two or more architectures")
    compare.add_argument("--figure", metavar="FILE.svg", help="also draw it, with a CSV beside")
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.set_defaults(handler=handle_compare)
    diff = verbs.add_parser("diff", help="parameters and MiB by component, A to B")
    diff.add_argument("names", nargs=2, metavar="NAME", help="two architectures")
    diff.add_argument("--json", action="store_true", help="print JSON")
    diff.set_defaults(handler=handle_diff)


def _add_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch", type=_count(1), default=1, help="sequences (default 1)")
    parser.add_argument(
        "--new-tokens", type=_count(1), default=1, help="new tokens of each (default 1)"
    )
    parser.add_argument(
        "--context", type=_count(0), default=0, help="tokens already cached (default 0)"
    )
    parser.add_argument("--dtype", default="bf16", help="bf16 (default), fp8, int8, mxfp4, nf4 ...")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _count(least: int) -> Any:
    def count(text: str) -> int:
        if not text.lstrip("-").isdigit() or not least <= int(text) <= 10**12:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return count


def handle_list(args: argparse.Namespace) -> int:
    """The zoo."""
    from sim.cli.text import table, to_json
    from sim.report.arch_tables import zoo_rows

    rows = zoo_rows()
    if args.json:
        print(to_json(rows))
        return 0
    header = {
        "name": "name",
        "params_total": "total",
        "params_active": "active",
        "kv_bytes_per_token": "KV B/token",
        "window_kv_bytes_per_token": "window B/token",
        "state_bytes_per_sequence": "state B/seq",
        "decode_flops_2k": "FLOP/token at 2k",
        "decode_flops_128k": "at 128k",
    }
    print(table(list(header.values()), [[_short(row[key]) for key in header] for row in rows]))
    return 0


def handle_show(args: argparse.Namespace) -> int:
    """One architecture."""
    from sim.cli.text import table, to_json
    from sim.report.arch_tables import show

    found = show(args.name, args.batch, args.new_tokens, args.context, args.dtype)
    if args.json:
        print(to_json(found))
        return 0
    for key, value in found.items():
        if key != "operations":
            print(f"{key:<36} {_plain(value)}")
    keys = ["name", "layers", "flops", "weight_bytes", "activation_bytes", "cache_bytes"]
    print(table(keys, [[_short(op[key]) for key in keys] for op in found["operations"]]))
    return 0


def handle_compare(args: argparse.Namespace) -> int:
    """Several architectures over the context."""
    from pathlib import Path

    from sim.cli.text import table, to_json
    from sim.report.arch_tables import compare

    found = compare(args.names)
    if args.figure:
        from sim.report.arch_figure import draw_compare

        draw_compare(found, Path(args.figure))
    if args.json:
        print(to_json(found))
        return 0
    rows = found["points"]
    print(table(list(rows[0]), [[_short(v) for v in row.values()] for row in rows]))
    for line in found["crossovers"]:
        print(line["text"])
    return 0


def handle_diff(args: argparse.Namespace) -> int:
    """Two architectures by component."""
    from sim.cli.text import table, to_json
    from sim.report.arch_tables import diff

    rows = diff(*args.names)
    if args.json:
        print(to_json(rows))
    else:
        cells = [[f"{v:,}" if isinstance(v, int) else str(v) for v in r.values()] for r in rows]
        print(table(list(rows[0]), cells))
    return 0


def _short(value: object) -> str:
    """A number in at most four digits with its power of ten; words as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if abs(value) < 10_000_000 and value == int(value) else f"{value:.4g}"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
