"""`flopgrid plan`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sim.cli import plan_serving

if TYPE_CHECKING:
    from sim.cost.plan_training import Candidate, Plan


def add_command(commands: Any) -> None:
    """Register the command and its verbs."""
    parser = commands.add_parser("plan", help="search the layouts of a job")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    plan_serving.add_verb(verbs)
    training = verbs.add_parser("training", help="the fastest layouts, and why others lose")
    training.add_argument("arch", metavar="ARCH", help="a zoo name, a Hugging Face id, or a file")
    training.add_argument("--gpus", type=_count, default=1024, help="GPUs (default 1024)")
    training.add_argument("--node", default="dgx-h100", help="server (default dgx-h100)")
    training.add_argument(
        "--gpu", metavar="NAME_OR_FILE", help="the GPU, in its own server (instead of --node)"
    )
    training.add_argument("--sequence-tokens", type=_count, default=8192, help="default 8192")
    training.add_argument(
        "--batch-tokens", type=_count, default=16_777_216, help="global batch (default 16,777,216)"
    )
    training.add_argument(
        "--precision", choices=("bf16", "fp8"), default="bf16", help="default bf16"
    )
    training.add_argument(
        "--schedule",
        action="append",
        choices=("1f1b", "zb1p", "dualpipe"),
        help="of the pipeline (default 1f1b, interleaved); give it again to try several",
    )
    training.add_argument(
        "--dispatcher",
        choices=("deepep", "all-to-all"),
        default="deepep",
        help="of tokens: deepep, once to each GPU (default), or once to each expert",
    )
    training.add_argument(
        "--routed-nodes", type=_count, metavar="N", help="most nodes with a token's experts"
    )
    training.add_argument(
        "--multi-token", type=_count, default=0, metavar="N", help="multi-token modules"
    )
    training.add_argument("--top", type=_count, default=10, help="layouts to print (default 10)")
    training.add_argument("--json", action="store_true", help="print JSON")
    training.set_defaults(handler=handle_training)


def _count(text: str) -> int:
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        value = 0
    if not 1 <= value <= 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return value


def handle_training(args: argparse.Namespace) -> int:
    """Search and print."""
    from sim import arch
    from sim.cli.text import table, to_json
    from sim.cost.assumed import gpu_lines
    from sim.cost.plan_training import plan_training
    from sim.hardware.node import load_node, node_of

    node = load_node(args.node) if args.gpu is None else node_of(args.gpu)
    plan = plan_training(
        arch.load(args.arch),
        node,
        args.gpus,
        sequence_tokens=args.sequence_tokens,
        global_batch_tokens=args.batch_tokens,
        precision=args.precision,
        schedules=tuple(dict.fromkeys(args.schedule or ("1f1b",))),
        dispatcher=args.dispatcher,
        routed_nodes=args.routed_nodes,
        multi_token=args.multi_token,
    )
    rows = [_row(candidate, plan) for candidate in plan.best[: args.top]]
    if args.json:
        found = {"best": rows, "fitting": len(plan.best), "rejected": plan.rejected}
        print(to_json({**found, "assumptions": gpu_lines(node.device)}))
        return 0
    print(table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows]))
    left_out = ", ".join(f"{count} for {why}" for why, count in plan.rejected.items()) or "none"
    print(f"{len(plan.best)} layouts fit; left out: {left_out}")
    for line in gpu_lines(node.device):
        print(line)
    return 0


def _row(candidate: Candidate, plan: Plan) -> dict[str, Any]:
    from sim.cost.plan_training import why_slower

    setup, cost = candidate.setup, candidate.cost
    layout = setup.layout
    return {
        "tp": layout.tp,
        "pp": layout.pp,
        "dp": layout.dp,
        "ep": layout.ep,
        "zero": layout.zero,
        "virtual_stages": layout.virtual_stages,
        "schedule": setup.schedule,
        "context_ways": setup.context_parallel,
        "micro_batch": setup.micro_batch_sequences,
        "recompute": setup.recompute,
        "gpus": layout.gpus,
        "step_s": cost.time_s,
        "tokens_per_s": candidate.tokens_per_s,
        "mfu": cost.mfu,
        "gpu_memory_gib": candidate.memory_bytes / 2**30,
        "loses_by": why_slower(candidate, plan.best[0]) if candidate != plan.best[0] else "best",
    }


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
