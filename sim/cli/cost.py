"""`flopgrid cost`: time, power and energy of one step, per operation."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sim.errors import InputError

EPILOG = """\
examples:
  flopgrid cost llama-3.1-8b --batch 64 --context 2000
  flopgrid cost llama-3.1-70b --tp 4 --new-tokens 4096 --context 0 --figure prefill.svg
  flopgrid cost qwen3-30b-a3b --sweep batch --figure sweep.svg
  flopgrid cost llama-3.1-8b --gpu my-gpu.device.yaml
"""


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "cost",
        help="time, power and energy of one step, per operation",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arch", metavar="ARCH", help="a zoo name, a Hugging Face id, or a file")
    add_hardware(parser)
    for name, what in (
        ("tp", "tensor-parallel ways"),
        ("pp", "pipeline stages"),
        ("ep", "GPUs that share the experts"),
        ("dp", "data-parallel ranks of the replica"),
    ):
        parser.add_argument(f"--{name}", type=whole(1), default=1, help=f"{what} (default 1)")
    parser.add_argument("--dtype", default="bf16", help="bf16 (default), fp16, fp8, fp8-kv8, mxfp4")
    parser.add_argument("--batch", type=whole(1), default=1, help="sequences (default 1)")
    parser.add_argument(
        "--context", type=whole(0), default=1024, help="tokens already cached (default 1024)"
    )
    parser.add_argument(
        "--new-tokens",
        type=whole(1),
        default=1,
        help="new tokens of each sequence: 1 is a decode step, more a prefill (default 1)",
    )
    parser.add_argument("--cap-w", type=positive, metavar="W", help="power cap of each GPU")
    parser.add_argument(
        "--sweep",
        choices=["batch", "context", "cap"],
        help="many batch sizes or contexts that fit, or power caps",
    )
    parser.add_argument(
        "--figure",
        metavar="FILE.svg",
        help="draw the roofline (and the sweep), with a CSV beside; a sweep that is printed as "
        "text is always drawn (default outputs/cost-ARCH-GPU.svg)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=handle)


def add_hardware(parser: argparse.ArgumentParser) -> None:
    """The options that name the GPU, its engine and its price."""
    parser.add_argument(
        "--gpu",
        default="h100-sxm",
        metavar="NAME_OR_FILE",
        help="h100-sxm (default), h200-sxm, h800-sxm, a100-80-sxm, v100-sxm, b200-sxm, or a "
        "device file (.yaml)",
    )
    parser.add_argument("--engine", default="vllm", help="vllm (default), trtllm, sglang")
    parser.add_argument(
        "--usd-per-gpu-h", type=positive, metavar="USD", help="rent of a GPU by the hour"
    )


def whole(least: int) -> Any:
    """A parser of whole numbers from `least`."""

    def count(text: str) -> int:
        if not text.lstrip("-").isdigit() or not least <= int(text) <= 10**9:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
        return int(text)

    return count


def positive(text: str) -> float:
    """A number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def handle(args: argparse.Namespace) -> int:
    """Cost one step, or sweep; print, and draw if asked."""
    from sim.cli.text import to_json
    from sim.cost.layout import Layout
    from sim.report.cost_tables import Question, cost, sweep

    asked = Question(
        arch=args.arch,
        gpu=args.gpu,
        layout=Layout(tp=args.tp, pp=args.pp, ep=args.ep, dp=args.dp),
        dtype=args.dtype,
        engine=args.engine,
        batch=args.batch,
        new_tokens=args.new_tokens,
        context=args.context,
        cap_w=args.cap_w,
        usd_per_gpu_h=args.usd_per_gpu_h,
    )
    rows = sweep(asked, args.sweep) if args.sweep else []
    found = cost(asked)
    if rows:
        found["sweep"] = {"over": args.sweep, "rows": rows}
    path = figure_path(args, f"cost-{asked.arch}-{asked.gpu}", wanted=bool(rows))
    if path is not None:
        from sim.report.cost_figure import draw_cost

        draw_cost(found, path)
    if args.json:
        print(to_json(found))
    else:
        _print(found)
    return 0


def figure_path(args: argparse.Namespace, stem: str, *, wanted: bool) -> Path | None:
    """Where to draw: what `--figure` says, else under `outputs` where a person reads along.

    Args:
        stem: of the file's name, from names that may be paths.

    Raises:
        InputError: the folder cannot be written.
    """
    if args.figure is None and (args.json or not wanted):
        return None
    name = "".join(c if c.isalnum() or c in "-." else "-" for c in stem.replace(".yaml", ""))
    path = Path("outputs", f"{name}.svg") if args.figure is None else Path(args.figure)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise InputError(
            f"cannot write the figure {path}: {error.strerror}", "give --figure FILE.svg"
        ) from error
    print(f"figure: {path}", file=sys.stderr)
    return path


def _print(found: dict[str, Any]) -> None:
    from sim.cli.cost_text import assumptions_text, head_text, operations_text, sweep_text

    print(head_text(found))
    print(sweep_text(found["sweep"]["rows"]) if "sweep" in found else operations_text(found))
    print(assumptions_text(found["assumptions"]))
