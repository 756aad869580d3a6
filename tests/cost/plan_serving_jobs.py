"""A job for the planner of serving fleets."""

from __future__ import annotations

from sim import arch
from sim.cost.plan_serving_job import Job, Offer, Slo
from sim.cost.plan_serving_load import Lengths
from sim.flops import precision
from sim.hardware.node import node_of

LENGTHS = Lengths(1024, 256)
LOOSE = Slo(ttft_s=1.0, tpot_s=0.05)


def job(
    name: str = "llama-3.1-8b",
    slo: Slo = LOOSE,
    *,
    per_s: float | None = 50.0,
    gpus: int | None = None,
    formats: tuple[str, ...] = ("bf16", "fp8"),
    offers: tuple[str, ...] = ("h100-sxm",),
    lengths: Lengths = LENGTHS,
    max_batch: int = 256,
) -> Job:
    return Job(
        arch=arch.load(name),
        lengths=lengths,
        slo=slo,
        offers=tuple(Offer(node_of(gpu), 3.0) for gpu in offers),
        precisions=tuple(precision(f) for f in formats),
        per_s=per_s,
        gpus=gpus,
        max_batch=max_batch,
    )
