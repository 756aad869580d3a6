"""`flopgrid calibrate`: measure the user's GPU and write a device file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError

if TYPE_CHECKING:
    from sim.validation.calibrate import Backend

EPILOG = """\
needs PyTorch, nvidia-ml-py and an NVIDIA GPU. The file is accepted wherever a GPU is named:
  flopgrid calibrate --out my-gpu.device.yaml
  flopgrid cost llama-3.1-8b --gpu my-gpu.device.yaml
without a GPU: `--template` prints a file to fill from a data sheet, `--fake` tries it all out.
"""


def add_command(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "calibrate",
        help="measure kernels and their power on your GPU: a device file",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.yaml", help="where to write it (default: standard output)"
    )
    parser.add_argument(
        "--like",
        metavar="NAME_OR_FILE",
        help="the device whose data sheet holds, and which fills the gaps (default: by the GPU's "
        "name)",
    )
    parser.add_argument("--fake", action="store_true", help="a made-up GPU instead of yours")
    parser.add_argument("--template", action="store_true", help="print a device file to fill")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON")
    parser.set_defaults(handler=handle)


def handle(args: argparse.Namespace) -> int:
    """Measure, write the file, and compare with what the kernel laws say."""
    from sim.datum import data_file

    if args.template:
        print(data_file("hardware/template.device.yaml").read_text("utf-8"), end="")
        return 0
    backend = _backend(fake=args.fake, like=args.like)
    _check_writable(args.out)
    from sim.report.calibrate_tables import calibrated

    found = calibrated(backend, args.like, fake=args.fake, progress=_progress)
    if args.out is not None:
        args.out.write_text(found["device_file"], encoding="utf-8")
    _print(found, args)
    return 0


def _backend(*, fake: bool, like: str | None) -> Backend:
    from sim.hardware.device import REFERENCE, load_device
    from sim.validation.made_backend import MadeBackend
    from sim.validation.torch_backend import TorchBackend

    return MadeBackend(load_device(like or REFERENCE)) if fake else TorchBackend()


def _check_writable(out: Path | None) -> None:
    """Before the minutes of measuring, not after."""
    if out is None:
        return
    if out.suffix not in {".yaml", ".yml"}:
        raise InputError(f"--out {out}: a device file ends in .yaml", "name it so")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: no folder {out.parent}", "make it first")


def _progress(text: str) -> None:
    import sys

    print(text, file=sys.stderr)


def _print(found: dict[str, Any], args: argparse.Namespace) -> None:
    from sim.cli.text import number, table, to_json

    if args.json:
        print(to_json(found))
        return
    if args.out is None:
        print(found["device_file"], end="")
        return
    head = ["kernel", "ms", "by the laws", "error", "W", "peak W", "MHz", "TFLOP/s", "GB/s"]
    rows = [
        [
            row["kernel"],
            f"{row['time_s'] * 1e3:.4f}",
            "-" if row["law_s"] is None else f"{row['law_s'] * 1e3:.4f}",
            "-" if row["law_s"] is None else f"{row['law_s'] / row['nominal_clock_s'] - 1:+.1%}",
            f"{row['power_w']:.0f}",
            number(row["peak_w"]),
            number(row["clock_mhz"]),
            number(row["flops_per_s"] / 1e12),
            number(row["bytes_per_s"] / 1e9),
        ]
        for row in found["kernels"]
    ]
    print(table(head, rows))
    print("the laws hold at the nominal clock; the error is against the time at that clock\n")
    head = ["figure", "measured", f"in {found['like']}", "ratio"]
    rows = [
        [row["name"], number(row["measured"]), number(row["like"]), f"{row['ratio']:.3f}"]
        for row in found["figures"]
    ]
    print(table(head, rows))
    print(
        f"power fitted on {found['power_fit']['used']} kernels, median error "
        f"{found['power_fit']['median_error_frac']:.1%}; {found['power_fit']['throttled']} at the "
        f"power limit left out"
    )
    print(f"written to {args.out}")
