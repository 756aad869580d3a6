"""Speed of the serving engines: `python benchmarks/serving_engine.py [--repeat 3]`.

One JSON line a measurement, with the feature set and the mean running batch:

- `saturation`: requests per second that one replica completes when more come than it can
  serve, measured between the first fifth and the fourth fifth of the arrivals;
- one replica at 70 % of that, compiled, and the reference (a plain SimPy loop over every
  step) on the first 2,000 of the same requests;
- 25,000 replicas in cells at the same load each.

Processor time is of this process, the best of several runs, with drawing the requests and
without compiling, which is told apart. `load` is the machine's one-minute load then: on a
shared machine caches are shared too, and the figures fall.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from sim.cluster.serving.cells import CellPlan, cell_source
from sim.cluster.serving.compiled import CompiledReplicas, warm_up
from sim.units import PS_PER_S
from sim.validation.bench_serving import FEATURES, bench_serving, fleet_plan, serve_compiled

LOAD_FRAC = 0.7
FLOOD_PER_S = 50.0
ONE_REQUESTS = 400_000
FLEET_REPLICAS = 25_000
FLEET_REQUESTS = 10_000_000


def saturation_per_s(plan: CellPlan, requests: int = 40_000) -> float:
    """Completions per second of one flooded replica, without its beginning and end."""
    replica = CompiledReplicas(plan.tables, plan.rules, 1, plan.router)
    source, left = cell_source(plan, 0), requests
    while left > 0:
        rows, draws = source.block()
        replica.submit(rows[:left], draws)
        left -= len(rows)
    done, times_s = [], (requests / FLOOD_PER_S * 1.2, requests / FLOOD_PER_S * 4.0)
    for time_s in times_s:
        replica.settle(int(time_s * PS_PER_S))
        done.append(replica.totals(int(time_s * PS_PER_S)).completed)
    return (done[1] - done[0]) / (times_s[1] - times_s[0])


def compiled_row(
    name: str, replicas: int, rate: float, requests: int, repeat: int
) -> dict[str, object]:
    """The best of several runs of the compiled engine."""
    plan = fleet_plan(requests, rate, replicas)
    runs = [serve_compiled(plan, requests) for _ in range(repeat)]
    best = min(runs, key=lambda run: run.cpu_s)
    return {
        "what": name,
        "engine": "compiled",
        "features": FEATURES,
        "replicas": replicas,
        "cells": plan.cells,
        "rate_per_s": round(rate, 3),
        "requests": requests,
        "cpu_s": round(best.cpu_s, 3),
        "requests_per_cpu_s": round(requests / best.cpu_s),
        "steps_per_cpu_s": round(best.steps / best.cpu_s),
        "steps_per_request": round(best.steps / requests, 2),
        "turns_per_request": round(best.turns / requests, 2),
        "mean_running_batch": round(best.running, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3, help="runs of which the best counts")
    options = parser.parse_args(argv)
    tell({"what": "kernels ready", "compile_s": round(warm_up(), 2)})
    rate = saturation_per_s(fleet_plan(1, FLOOD_PER_S, 1))
    tell({"what": "saturation", "requests_per_s": round(rate, 3)})
    rate *= LOAD_FRAC
    tell(compiled_row("one replica at 70 %", 1, rate, ONE_REQUESTS, options.repeat))
    tell({"what": "reference", **bench_serving(2000, rate, 1)["reference"]})
    fleet = (FLEET_REPLICAS, rate * FLEET_REPLICAS, FLEET_REQUESTS, 1)
    tell(compiled_row("25,000 replicas in cells", *fleet))
    return 0


def tell(row: dict[str, object]) -> None:
    """One line of JSON."""
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
