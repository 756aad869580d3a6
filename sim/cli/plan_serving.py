"""`flopgrid plan serving`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sim.cli.cost import figure_path, positive, whole
from sim.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.plan_serving_job import Job, Offer, Slo

SLO_KEYS = ("ttft_s", "tpot_s")
EPILOG = """\
examples:
  flopgrid plan serving llama-3.1-70b --slo ttft_s=1,tpot_s=0.05 --rate 20
  flopgrid plan serving qwen3-30b-a3b --slo tpot_s=0.03 --gpus 16 --objective j-per-token
  flopgrid plan serving llama-3.1-8b --slo ttft_s=0.5,tpot_s=0.03 --rate 100 \\
    --gpu h100-sxm,h200-sxm,a100-80-sxm --objective usd --figure front.svg
"""


def add_verb(verbs: Any) -> None:
    """Register `plan serving`."""
    parser = verbs.add_parser(
        "serving",
        help="the best layout, batch and precision for a rate and an SLO",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("arch", metavar="ARCH", help="a zoo name, a Hugging Face id, or a file")
    _add_demand(parser)
    _add_choices(parser)
    _add_answer(parser)
    parser.set_defaults(handler=handle)


def _add_demand(parser: argparse.ArgumentParser) -> None:
    """What must be served, and how fast."""
    parser.add_argument(
        "--slo",
        default="",
        metavar="ttft_s=..,tpot_s=..",
        help="largest mean time to the first token, and per output token, in seconds "
        "(default: no limit)",
    )
    parser.add_argument("--rate", type=positive, metavar="R", help="requests per second")
    parser.add_argument("--isl", type=whole(1), default=1024, help="prompt tokens (default 1024)")
    parser.add_argument("--osl", type=whole(1), default=256, help="output tokens (default 256)")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """What the fleet may be made of."""
    parser.add_argument("--gpus", type=whole(1), metavar="N", help="most GPUs of the fleet")
    parser.add_argument(
        "--gpu",
        default="h100-sxm",
        metavar="NAME_OR_FILE,...",
        help="kinds of GPU to choose from (default h100-sxm); device files are welcome",
    )
    parser.add_argument(
        "--precision",
        metavar="NAME,...",
        help="of bf16, fp16, fp8, fp8-kv8, mxfp4 (default bf16,fp8; with mxfp4 for gpt-oss)",
    )
    parser.add_argument("--engine", default="vllm", help="vllm (default), trtllm, sglang")
    parser.add_argument(
        "--max-batch", type=whole(1), default=1024, help="largest batch to try (default 1024)"
    )
    parser.add_argument("--cap-w", type=positive, metavar="W", help="power cap of each GPU")
    parser.add_argument(
        "--usd-per-gpu-h", type=positive, metavar="USD", help="rent of a GPU by the hour"
    )
    parser.add_argument(
        "--disaggregated",
        action="store_true",
        help="also search prefill and decode in pools of their own (needs --rate)",
    )


def _add_answer(parser: argparse.ArgumentParser) -> None:
    """What is printed, and in which order."""
    parser.add_argument(
        "--objective",
        choices=["gpus", "usd", "j-per-token"],
        default="gpus",
        help="what the table is sorted by (default gpus)",
    )
    parser.add_argument("--top", type=whole(1), default=10, help="layouts to print (default 10)")
    parser.add_argument(
        "--figure",
        metavar="FILE.svg",
        help="draw Pareto's front, with a CSV beside; always drawn where the answer is text "
        "(default outputs/plan-serving-ARCH.svg)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def parse_slo(text: str) -> Slo:
    """`ttft_s=1,tpot_s=0.05` as limits.

    Raises:
        InputError: an unknown key, or a number that is not above 0.
    """
    from sim.cost.plan_serving_job import Slo

    found: dict[str, float] = {}
    for part in text.split(",") if text else ():
        key, _, value = part.partition("=")
        key = key.strip()
        if key not in SLO_KEYS:
            raise UnknownNameError("limit of --slo", key, SLO_KEYS)
        if key in found:
            raise InputError(f"--slo gives {key} twice", "give it once")
        try:
            found[key] = positive(value)
        except argparse.ArgumentTypeError as error:
            raise InputError(f"--slo {key}: {error}", "give seconds, as in tpot_s=0.05") from None
    return Slo(**found)


def _offers(args: argparse.Namespace) -> tuple[Offer, ...]:
    from sim.cost.plan_serving_job import Offer
    from sim.hardware.node import node_of
    from sim.hardware.prices import gpu_price

    offers = []
    for name in dict.fromkeys(args.gpu.split(",")):
        known = gpu_price(name)
        rent = None if known is None else known.value
        offers.append(Offer(node_of(name), args.usd_per_gpu_h or rent))
    if args.objective == "usd" and any(offer.usd_per_gpu_h is None for offer in offers):
        raise InputError("no rent is known for a device file", "give --usd-per-gpu-h")
    return tuple(offers)


def default_formats(model: Architecture) -> list[str]:
    """16 bits and fp8; the 4 bits of models that are published so."""
    return ["bf16", "fp8", *(["mxfp4"] if model.family == "gpt_oss" else [])]


def job_of(args: argparse.Namespace) -> Job:
    """The question as the search takes it.

    Raises:
        InputError: a wrong name or number.
    """
    from sim import arch
    from sim.cost.plan_serving_job import Job
    from sim.cost.plan_serving_load import Lengths
    from sim.report.cost_tables import served_precision

    model = arch.load(args.arch)
    names = args.precision.split(",") if args.precision else default_formats(model)
    return Job(
        arch=model,
        lengths=Lengths(args.isl, args.osl),
        slo=parse_slo(args.slo),
        offers=_offers(args),
        precisions=tuple(served_precision(name) for name in dict.fromkeys(names)),
        per_s=args.rate,
        gpus=args.gpus,
        engine=args.engine,
        max_batch=args.max_batch,
        cap_w=args.cap_w,
    )


def handle(args: argparse.Namespace) -> int:
    """Search, print, and draw if asked."""
    from sim.cli.text import to_json
    from sim.cost.plan_serving import plan_serving
    from sim.cost.plan_serving_split import plan_split
    from sim.report.plan_tables import plan_rows

    job = job_of(args)
    if args.disaggregated and job.per_s is None:
        raise InputError("prefill and decode pools are sized for a rate", "give --rate")
    plan = plan_serving(job)
    splits = plan_split(job) if args.disaggregated else []
    found = plan_rows(job, plan, splits, args.objective)
    path = figure_path(args, f"plan-serving-{job.arch.name}", wanted=True)
    if path is not None:
        from sim.report.plan_figure import draw_plan

        draw_plan(job, plan, found, path)
    if args.json:
        print(to_json(found))
    else:
        from sim.cli.plan_text import plan_text

        print(plan_text(found, args.top))
    return 0
