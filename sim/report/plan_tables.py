"""The answer of `flopgrid plan serving` as plain rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sim.cost.assumed import gpu_lines
from sim.cost.plan_serving_job import OBJECTIVES
from sim.cost.plan_serving_load import FULL_HOUSE_SIGMAS
from sim.cost.plan_serving_result import why_worse
from sim.cost.plan_serving_split import best_split
from sim.report.cost_tables import gpu_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.cost.layout import Layout
    from sim.cost.plan_serving_job import Job, Objective
    from sim.cost.plan_serving_result import Candidate, Plan
    from sim.cost.plan_serving_split import Split

Row = dict[str, Any]


def plan_rows(job: Job, plan: Plan, splits: Sequence[Split], objective: Objective) -> Row:
    """Everything that `plan serving --json` answers."""
    best = plan.best(objective)
    return {
        "job": job_row(job),
        "objective": objective,
        "best": {name: _fleet(plan.best(name)) for name in OBJECTIVES if _is_known(plan, name)},
        "layouts": [
            {**_fleet(c), "loses_by": "best" if c is best else why_worse(c, best, objective)}
            for c in plan.by_layout(objective)
        ],
        "pareto": [_fleet(candidate) for candidate in plan.front()],
        "rejected": plan.rejected,
        "disaggregated": None
        if not splits
        else {name: _split(best_split(splits, name)) for name in OBJECTIVES
              if math.isfinite(splits[0].value(name))},
        "assumptions": assumption_lines(job),
    }  # fmt: skip


def _is_known(plan: Plan, objective: Objective) -> bool:
    return math.isfinite(plan.best(objective).value(objective))


def job_row(job: Job) -> Row:
    """What was asked."""
    return {
        "arch": job.arch.name,
        "isl": job.lengths.isl,
        "osl": job.lengths.osl,
        "ttft_s": _finite(job.slo.ttft_s),
        "tpot_s": _finite(job.slo.tpot_s),
        "requests_per_s": job.per_s,
        "gpus": job.gpus,
        "engine": job.engine,
        "precisions": [precision.name for precision in job.precisions],
        "max_batch": job.max_batch,
        "cap_w": job.cap_w,
        "offers": [
            {**gpu_row(offer.node.device), "usd_per_gpu_h": offer.usd_per_gpu_h}
            for offer in job.offers
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _ways(layout: Layout) -> Row:
    return {"tp": layout.tp, "pp": layout.pp, "dp": layout.dp, "ep": layout.ep}


def _fleet(c: Candidate) -> Row:
    return {
        "gpu": c.gpu,
        "calibrated": c.calibrated,
        "precision": c.precision,
        **_ways(c.layout),
        "batch": c.batch,
        "most_batch": c.most_batch,
        "stopped_by": c.stop,
        "replicas": c.replicas,
        "gpus": c.gpus,
        "requests_per_s": c.per_s,
        "output_tokens_per_s_per_gpu": c.tokens_per_s_per_gpu,
        "ttft_s": c.ttft_s,
        "tpot_s": c.tpot_s,
        "power_w_per_gpu": c.power_w,
        "energy_j_per_output_token": c.j_per_token,
        "usd_per_million_output_tokens": c.usd_per_million_tokens,
        "link_share": c.link_share,
        "host_share": c.host_share,
    }


def _split(found: Split) -> Row:
    return {
        "precision": found.precision,
        "prefill": {
            "gpu": found.prefill.offer.node.device.name,
            **_ways(found.prefill.layout),
            "replicas": found.prefill_replicas,
            "busy_frac": found.prefill_frac,
            "pass_s": found.prefill.pass_s,
        },
        "decode": {
            "gpu": found.decode.offer.node.device.name,
            **_ways(found.decode.layout),
            "replicas": found.decode.replicas,
            "batch": found.decode.batch,
            "most_batch": found.decode.most_batch,
        },
        "gpus": found.gpus,
        "requests_per_s": found.per_s,
        "transfer_s": found.transfer_s,
        "ttft_s": found.ttft_s,
        "tpot_s": found.tpot_s,
        "energy_j_per_output_token": found.j_per_token,
        "usd_per_million_output_tokens": found.usd_per_million_tokens,
    }


def assumption_lines(job: Job) -> list[str]:
    """What the plan takes for granted."""
    lines = [line for offer in job.offers for line in gpu_lines(offer.node.device)]
    tokens = f"{job.lengths.isl} prompt and {job.lengths.osl} output tokens"
    room = f"batch + {FULL_HOUSE_SIGMAS:g} sqrt(batch) sequences"
    lines += [
        f"all requests have {tokens}, come at random and share no prefix",
        "the SLO is on the means; quantiles of a trace: `flopgrid run`",
        f"a replica keeps room for {room} (a free place 99 % of the time)",
        "energy is that of the GPUs (chip boundary), idle replicas included",
    ]
    if len(job.precisions) > 1:
        lines.append("a smaller format may change a model's answers: nothing here measures that")
    lines += [
        f"{offer.node.device.name} rents for {offer.usd_per_gpu_h:g} USD/h"
        for offer in job.offers
        if offer.usd_per_gpu_h is not None
    ]
    return lines
