"""A day of 100,000 H100s, request by request: `python benchmarks/day_100k.py`.

25,000 replicas of Llama-3-70B on 4 H100 each, 100,000 requests a second on average with the
lengths of the Azure conversation trace: 8.64 billion requests in 24 hours. The rate follows
a made daily course: a sine of 20 % around the mean with its top at 15:00.

The whole day took two cores 25 minutes; `--hours 0.1` shows the speed at once.
Standard output is JSON, progress goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import numpy as np

from sim import arch
from sim.cluster.serving.cells import CELL_REPLICAS, CellPlan, CellResult, run_cells
from sim.cluster.serving.compiled import warm_up
from sim.cluster.serving.source import Staircase
from sim.control.serving import BatchRules
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.cost.tables import build_tables
from sim.hardware.node import load_node
from sim.workload.lengths import trace_lengths

RULES = BatchRules(max_num_seqs=256, max_num_batched_tokens=512)
SLOT_S = 900.0
SWING_FRAC = 0.2
TOP_H = 15.0
FEATURES = (
    "chunked prefill (512 tokens)",
    "KV blocks of 16 tokens, watermark 1 %",
    "preemption by recompute",
    "power-of-two routing in cells",
    "daily course of the rate",
    "chip power in bins of 60 s",
    "latency histograms, no request stored",
)


def daily_rates(mean_per_s: float) -> Staircase:
    """A sine around the mean, in steps of a quarter of an hour."""
    hours = (np.arange(96) + 0.5) * SLOT_S / 3600
    course = 1 + SWING_FRAC * np.cos(2 * np.pi * (hours - TOP_H) / 24)
    return Staircase(mean_per_s * course, SLOT_S)


def plan(options: argparse.Namespace) -> CellPlan:
    """The fleet of the options."""
    cost = ReplicaCost(arch.load("llama-3-70b"), Layout(tp=4), load_node("dgx-h100"), 256)
    tables = build_tables(cost, RULES.max_num_seqs, RULES.max_num_batched_tokens)
    return CellPlan(
        tables=tables,
        replicas=options.replicas,
        rates=daily_rates(options.rate),
        lengths=trace_lengths("azure-conv-2023"),
        horizon_s=options.hours * 3600,
        rules=RULES,
        cell_replicas=options.cell_replicas,
    )


def report(result: CellResult, fleet: CellPlan, wall_s: float, workers: int) -> dict[str, object]:
    """What was simulated, how fast, and what came out."""
    totals = result.totals
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak = 1024 * (usage[0].ru_maxrss + (workers if workers > 1 else 0) * usage[1].ru_maxrss)
    latencies = {
        name: {f"p{q}": result.quantile_s(i, q / 100) for q in (50, 90, 99)}
        for i, name in enumerate(("ttft_s", "tpot_s", "e2e_s"))
    }
    return {
        "features": FEATURES,
        "gpus": fleet.replicas * fleet.tables.gpus,
        "replicas": fleet.replicas,
        "cells": fleet.cells,
        "workers": workers,
        "simulated_h": fleet.horizon_s / 3600,
        "requests": totals.arrived,
        "completed": totals.completed,
        "in_system_at_the_end": result.in_system,
        "wall_s": wall_s,
        "cpu_s": result.cpu_s,
        "requests_per_cpu_s": totals.arrived / result.cpu_s,
        "steps_per_cpu_s": totals.steps / result.cpu_s,
        "turns_per_request": totals.turns / totals.arrived,
        "mean_running_batch": totals.sequences / totals.steps,
        "peak_rss_bytes": peak,
        "energy_mwh": totals.energy_j / 3.6e9,
        "power_mw": {
            "mean": float(result.power_w.mean()) / 1e6,
            "min": float(result.power_w.min()) / 1e6,
            "max": float(result.power_w.max()) / 1e6,
        },
        **latencies,
    }


def main(argv: list[str] | None = None) -> int:
    """Run the day and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--replicas", type=int, default=25_000)
    parser.add_argument("--rate", type=float, default=100_000.0, help="mean requests per second")
    parser.add_argument("--cell-replicas", type=int, default=CELL_REPLICAS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(argv)
    fleet = plan(options)
    ready_s = warm_up(lambda line: print(line, file=sys.stderr))
    print(f"kernels ready after {ready_s:.1f} s", file=sys.stderr)
    began_s = time.perf_counter()

    def tell(done: int, cells: int) -> None:
        left_s = (time.perf_counter() - began_s) * (cells / done - 1)
        print(f"\rcell {done} of {cells}, {left_s:5.0f} s left", end="", file=sys.stderr)

    result = run_cells(fleet, options.workers, tell)
    print(file=sys.stderr)
    wall_s = time.perf_counter() - began_s
    print(json.dumps(report(result, fleet, wall_s, options.workers), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
