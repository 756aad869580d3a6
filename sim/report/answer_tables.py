"""What a report and the page say of a run beside its verdict: probability, causes, work done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from sim import arch
from sim.flops import memory, parameters
from sim.report.arch_tables import decode_flops
from sim.report.power_rows import LABELS, power_rows
from sim.report.serving_tables import serving_tables
from sim.units import mw_text, si

CONTEXTS: Final = (2048, 131_072)
"""Tokens at which models are told side by side."""


def likelihood(summary: Mapping[str, Any]) -> str:
    """How probable it is that a limit binds, where the assumptions were sampled; else empty.

    The limits are not independent: of several, the chance that any binds lies between the
    largest of their probabilities and the sum of them.
    """
    known = [v for v in summary["grid"]["verdicts"] if v.get("probability") is not None]
    known = [v for v in known if v["margin_mw"] is not None]
    samples = summary["grid"].get("samples")
    if not known or not samples:
        return ""
    most = max(known, key=lambda v: (v["probability"], -v["margin_mw"]))
    near = min(known, key=lambda v: v["margin_mw"])
    over = f"over {samples:,} samples of the assumptions"
    margin = (
        f"The tightest limit, {near['limit']} in {near['zone']}, leaves {near['margin_mw']:,.0f} "
        f"MW ({near['margin_low_mw']:,.0f} to {near['margin_high_mw']:,.0f}, 5th to 95th "
        "percentile)."
    )
    if not most["probability"]:
        # None of n samples: the rule of three bounds the probability.
        bound = f"{min(1.0, 3 / samples):.1%} with 95 % confidence"
        return f"No limit binds in any sample, {over}: probability below {bound}. {margin}"
    top = min(1.0, sum(v["probability"] for v in known))
    chance = f"{most['probability']:.0%}"
    if top > most["probability"]:
        chance += f" to {top:.0%}"
    return (
        f"Probability that a limit binds: {chance}, {over}; likeliest: {most['limit']} in "
        f"{most['zone']} ({most['probability']:.0%}). {margin}"
    )


def made_up(sites: Mapping[str, Any]) -> dict[str, Any]:
    """How the mean MW at the meter is made up, cause by cause from the chip outward."""
    total: dict[str, float] = {}
    within: dict[str, str] = {}
    for row in power_rows({name: site["causes_w"] for name, site in sites.items()}):
        total[row["cause"]] = total.get(row["cause"], 0.0) + row["power_mw"]
        within[row["cause"]] = row["boundary"]
    whole = sum(total.values())
    rows = [
        [LABELS[c], within[c], mw_text(mw), f"{mw / whole:.1%}" if whole else "–"]
        for c, mw in total.items()
    ]
    rows.append(["all, at the meter", "facility", mw_text(whole), "100.0%"] if whole else [])
    return {
        "title": "How the MW is made up",
        "caption": "Mean power by cause, with the boundary inside which it is counted.",
        "header": ["cause", "boundary it enters", "mean power [MW]", "share"],
        "rows": [row for row in rows if row],
    }


def architectures_table(names: Sequence[str]) -> dict[str, Any]:
    """What models need, side by side: parameters, FLOPs and bytes of a token, memory."""
    models = [arch.load(name) for name in names]
    counts, held = [parameters(m) for m in models], [memory(m) for m in models]
    rows = [
        ["parameters", *(si(c.total, "").strip() for c in counts)],
        ["parameters used by a token", *(si(c.active, "").strip() for c in counts)],
    ]
    for context in CONTEXTS:
        told = [si(decode_flops(m, context), "FLOP") for m in models]
        rows.append([f"a token after {context:,} others", *told])
    rows.append(["weights (bf16)", *(si(h.weight_bytes, "B") for h in held)])
    for context in CONTEXTS:
        cached = [si(float(h.cache_bytes(np.array([context]))[0]), "B") for h in held]
        rows.append([f"cache of a sequence of {context:,} tokens", *cached])
    header = ["of the model", *(m.name for m in models)]
    return {"title": "Architectures side by side", "header": header, "rows": rows}


def work_tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the workloads did: training and the parts of its steps; serving, class by class."""
    tables = []
    if training := summary.get("training"):
        header = ["training job", "GPUs", "step [s]", "MFU", "tokens", "days to finish"]
        rows = [
            [
                f"{name} ({job['arch']})",
                f"{job['gpus']:,}",
                f"{job['step_time_s']:.2f}",
                f"{job['mfu']:.1%}",
                si(job["tokens"], ""),
                f"{job['days_to_finish']:,.0f}",
            ]
            for name, job in training["jobs"].items()
        ]
        tables.append({"title": "Training", "header": header, "rows": rows})
        tables += [_parts_table(name, job) for name, job in training["jobs"].items()]
    if serving := summary.get("serving"):
        tables.append(_serving_table(serving))
        tables += serving_tables(serving)
    return tables


def _parts_table(name: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Where the time and the chip energy of a step go."""
    parts = [p for p in job["step_parts"] if p["time_s"] > 0]
    time_s = sum(p["time_s"] for p in parts)
    energy_j = sum(p["gpu_energy_j"] for p in parts)
    rows = [
        [
            p["name"],
            f"{p['time_s']:.3f}",
            f"{p['time_s'] / time_s:.0%}",
            f"{p['gpu_power_w']:.0f}",
            f"{p['gpu_energy_j'] / energy_j:.0%}",
        ]
        for p in parts
    ]
    header = ["part of a step", "time [s]", "of the time", "GPU power [W]", "of the chip energy"]
    return {"title": f"A step of {name}", "header": header, "rows": rows}


def _serving_table(serving: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            name,
            f"{fleet['completed']:,.0f}",
            f"{fleet['dropped']:,.0f}",
            f"{fleet['tokens_out']:,.0f}",
            *(_seconds(fleet[key], q) for key in ("ttft_s", "tpot_s") for q in ("p50", "p99")),
            fleet["basis"],
        ]
        for name, fleet in serving["fleets"].items()
    ]
    header = [
        "fleet",
        "completed",
        "dropped",
        "output tokens",
        "TTFT p50 [s]",
        "TTFT p99 [s]",
        "TPOT p50 [s]",
        "TPOT p99 [s]",
        "basis",
    ]
    return {"title": "Serving", "header": header, "rows": rows}


def _seconds(latency: Mapping[str, float] | None, quantile: str) -> str:
    return "–" if latency is None else f"{latency[quantile]:.3f}"
