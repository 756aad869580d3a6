"""Speed of the reference replica by load: requests and steps per CPU-second.

    python benchmarks/serving_reference.py [--requests 600] [--json]

The step cost is a linear stand-in (8 ms + 20 us per token + 2 ns per cached token), so the
figures are those of the simulator alone, without a cost model behind it. Requests are drawn
from the summary of the Azure conversation trace.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass

import simpy

from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.observe import ServingCounter
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import bring_requests
from sim.control.serving import BatchRules
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import trace_lengths
from sim.workload.requests import draw_requests

LOADS = {"light": 1.0, "moderate": 10.0, "heavy": 20.0, "saturated": 40.0}
"""Requests per second at one replica."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One run."""

    load: str
    rate_per_s: float
    requests: int
    steps: int
    mean_running_batch: float
    preempted: int
    cpu_s: float
    requests_per_cpu_s: float
    steps_per_cpu_s: float


def measure(load: str, requests: int) -> Timing:
    """Serve so many requests at one load, from empty to empty."""
    rate = LOADS[load]
    env, events = simpy.Environment(), ServingEvents()
    counter = ServingCounter(events)
    coster = LinearCoster(0.008, 2e-5, 2e-9, kv_capacity_tokens=400_000)
    replica = ReferenceReplica(env, "bench", 0, coster, BatchRules(), events)
    table = draw_requests(
        PoissonArrivals(rate), trace_lengths("azure-conv-2023"), requests / rate, 1, "bench"
    )
    env.process(bring_requests(env, table, replica))
    start = time.process_time()
    env.run()
    cpu_s = time.process_time() - start
    return Timing(
        load=load,
        rate_per_s=rate,
        requests=counter.completed,
        steps=counter.steps,
        mean_running_batch=round(counter.tokens_generated / counter.steps, 2),
        preempted=counter.preempted,
        cpu_s=round(cpu_s, 3),
        requests_per_cpu_s=round(counter.completed / cpu_s, 1),
        steps_per_cpu_s=round(counter.steps / cpu_s, 1),
    )


def main(argv: list[str] | None = None) -> int:
    """Print one row per load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600, help="requests per load, about")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    arguments = parser.parse_args(argv)
    timings = [measure(load, arguments.requests) for load in LOADS]
    if arguments.json:
        print(json.dumps([asdict(timing) for timing in timings]))
        return 0
    print("load        requests   steps  batch  requests/cpu-s  steps/cpu-s")
    for t in timings:
        print(
            f"{t.load:<10} {t.requests:>9} {t.steps:>7} {t.mean_running_batch:>6.1f}"
            f" {t.requests_per_cpu_s:>15.0f} {t.steps_per_cpu_s:>12.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
