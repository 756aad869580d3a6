"""Speed of both serving engines on the Azure conversation lengths (`flopgrid bench serving`)."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.control.serving import BatchRules
from sim.cost.tables import StepTables, TableCoster, build_tables
from sim.errors import InputError
from sim.randomness import stream
from sim.units import PS_PER_S
from sim.workload.requests import RequestTable

if TYPE_CHECKING:
    from sim.cluster.serving.cells import CellPlan
    from sim.cluster.serving.compiled import Totals

REFERENCE_REQUESTS = 2000
RULES = BatchRules(max_num_seqs=256, max_num_batched_tokens=512)
ROUTER = "power-of-two"
DRAIN_PS = 10**16
FEATURES = (
    "chunked prefill (512 tokens)",
    "KV blocks of 16 tokens",
    "watermark 1 %",
    "preemption by recompute",
    "power-of-two routing",
    "llama-3-70b on 4 H100",
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run did and used."""

    requests: int
    wall_s: float
    cpu_s: float
    steps: int
    running: float
    turns: int


def bench_serving(
    requests: int, rate: float, replicas: int, tell: Callable[[str], None] | None = None
) -> dict[str, dict[str, object]]:
    """Serve requests with both engines.

    The compiled engine serves more than 125 replicas in cells, each with its own router.

    Args:
        requests: for the compiled engine; the reference serves 2,000 of them at most, at
            the replicas of one cell.
        rate: requests per second at all replicas.
        replicas: of the fleet.
        tell: called with a line of progress before kernels are compiled.

    Returns:
        The keys of DESIGN.md section 10, for `reference` and `compiled`. Times are of this
        process. Those of the compiled engine hold the drawing of the requests, but not the
        compiling, which is `compile_s`.

    Raises:
        InputError: a number that is not positive.
    """
    for name, value in (("requests", requests), ("rate", rate), ("replicas", replicas)):
        if not 0 < value < np.inf:
            raise InputError(f"{name} = {value}, must be positive", path=name)
    plan = fleet_plan(requests, rate, replicas)
    from sim.cluster.serving.compiled import warm_up

    compile_s = warm_up(tell)
    fast = serve_compiled(plan, requests)
    fast_peak = _peak_rss_bytes()
    slow = _reference(plan, min(requests, REFERENCE_REQUESTS))
    return {
        "reference": _report("reference", slow, _peak_rss_bytes(), 0.0),
        "compiled": _report("compiled", fast, fast_peak, compile_s),
    }


def fleet_plan(requests: int, rate: float, replicas: int) -> CellPlan:
    """Llama-3-70B on 4 H100 a replica, with the lengths of the Azure conversation trace."""
    from sim.cluster.serving.cells import CellPlan
    from sim.cluster.serving.source import Staircase
    from sim.workload.lengths import trace_lengths

    return CellPlan(
        tables=_tables(),
        replicas=replicas,
        rates=Staircase(np.array([rate]), 60.0),
        lengths=trace_lengths("azure-conv-2023"),
        horizon_s=requests / rate + 1.0,
        router=ROUTER,
        rules=RULES,
    )


def _report(name: str, spent: Spent, peak: int, compile_s: float) -> dict[str, object]:
    return {
        "engine": name,
        "features": list(FEATURES),
        "requests": spent.requests,
        "wall_s": spent.wall_s,
        "cpu_s": spent.cpu_s,
        "requests_per_cpu_s": spent.requests / spent.cpu_s,
        "steps_per_cpu_s": spent.steps / spent.cpu_s,
        "mean_running_batch": spent.running,
        "peak_rss_bytes": peak,
        "compile_s": compile_s,
    }


def _tables() -> StepTables:
    from sim import arch
    from sim.cost.layout import Layout
    from sim.cost.serving import ReplicaCost
    from sim.hardware.node import load_node

    cost = ReplicaCost(arch.load("llama-3-70b"), Layout(tp=4), load_node("dgx-h100"), 256)
    return build_tables(cost, RULES.max_num_seqs, RULES.max_num_batched_tokens)


def serve_compiled(plan: CellPlan, requests: int) -> Spent:
    """Serve exactly so many requests, from empty to empty."""
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    steps = sequences = turns = 0
    end_s = 0.0
    for cell in range(plan.cells):
        share = requests * (cell + 1) // plan.cells - requests * cell // plan.cells
        totals, last_s = _serve_cell(plan, cell, share)
        steps, sequences = steps + totals.steps, sequences + totals.sequences
        turns, end_s = turns + totals.turns, max(end_s, last_s)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return Spent(requests, wall_s, cpu_s, steps, sequences / max(steps, 1), turns)


def _serve_cell(plan: CellPlan, cell: int, requests: int) -> tuple[Totals, float]:
    """One cell; also the time of its last arrival."""
    from sim.cluster.serving.cells import cell_source
    from sim.cluster.serving.compiled import CompiledReplicas

    fleet = CompiledReplicas(plan.tables, plan.rules, plan.size(cell), plan.router)
    source, left, last_ps = cell_source(plan, cell), requests, 0
    while left > 0:
        rows, draws = source.block()
        fleet.submit(rows[:left], draws)
        last_ps = int(rows[min(left, len(rows)) - 1, 0])
        left -= len(rows)
    end_ps = last_ps + DRAIN_PS
    fleet.settle(end_ps)
    fleet.check_laws(end_ps)
    return fleet.totals(end_ps), last_ps / PS_PER_S


def _reference(plan: CellPlan, requests: int) -> Spent:
    """The same requests as those of the first cell."""
    import simpy

    from sim.cluster.serving.cells import cell_source
    from sim.cluster.serving.records import ServingEvents
    from sim.cluster.serving.reference import ReferenceReplica
    from sim.cluster.serving.routing import RoutedReplicas, bring_requests
    from sim.control.serving import router

    rows, _ = cell_source(plan, 0, requests).block()
    arrival, prompt, answer = (np.ascontiguousarray(rows[:, i]) for i in range(3))
    table = RequestTable(arrival, prompt, answer)
    env, events = simpy.Environment(), ServingEvents()
    sizes: list[int] = []
    events.stepped.subscribe(lambda step: sizes.append(len(step.decode_contexts)))
    built = [
        ReferenceReplica(env, f"r{i}", i, TableCoster(plan.tables), plan.rules, events)
        for i in range(plan.size(0))
    ]
    routed = RoutedReplicas(built, router(plan.router), stream(1, "bench-router"))
    env.process(bring_requests(env, table, routed))
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    env.run()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    steps = len(sizes)
    return Spent(len(table), wall_s, cpu_s, steps, sum(sizes) / max(steps, 1), steps)


def _peak_rss_bytes() -> int:
    """Of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
