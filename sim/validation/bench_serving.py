"""Speed of both serving engines on the Azure conversation lengths (`flopgrid bench serving`)."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import numpy as np

from sim.control.serving import BatchRules
from sim.cost.tables import StepTables, TableCoster, build_tables
from sim.errors import InputError
from sim.randomness import stream
from sim.workload.requests import RequestTable

REFERENCE_REQUESTS = 2000
RULES = BatchRules(max_num_seqs=256, max_num_batched_tokens=512)
ROUTER = "power-of-two"
FEATURES = (
    "chunked prefill (512 tokens)",
    "KV blocks of 16 tokens",
    "watermark 1 %",
    "preemption by recompute",
    "power-of-two routing",
    "llama-3-70b on 4 H100",
)


@dataclass(frozen=True, slots=True)
class _Spent:
    """What a run did and used."""

    requests: int
    wall_s: float
    cpu_s: float
    steps: int
    running: float


def bench_serving(requests: int, rate: float, replicas: int) -> dict[str, dict[str, object]]:
    """Serve requests with both engines.

    Args:
        requests: for the compiled engine; the reference serves 2,000 of them at most.
        rate: requests per second at all replicas.
        replicas: behind one router.

    Returns:
        The keys of DESIGN.md section 10, for `reference` and `compiled`. CPU time is of
        this process, without drawing the requests and without compiling.

    Raises:
        InputError: a number that is not positive.
    """
    for name, value in (("requests", requests), ("rate", rate), ("replicas", replicas)):
        if value <= 0:
            raise InputError(f"{name} = {value}, must be positive", path=name)
    tables = _tables()
    table, draws = _draw(requests, rate)
    began_s = time.perf_counter()
    _compiled(tables, *_first(table, draws, 1), 1)
    compile_s = time.perf_counter() - began_s
    fast = _compiled(tables, table, draws, replicas)
    fast_peak = _peak_rss_bytes()
    slow = _reference(tables, _first(table, draws, REFERENCE_REQUESTS)[0], replicas)
    return {
        "reference": _report("reference", slow, _peak_rss_bytes(), 0.0),
        "compiled": _report("compiled", fast, fast_peak, compile_s),
    }


def _report(name: str, spent: _Spent, peak: int, compile_s: float) -> dict[str, object]:
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


def _draw(requests: int, rate: float) -> tuple[RequestTable, np.ndarray]:
    from sim.workload.lengths import trace_lengths

    rng = stream(1, "bench")
    arrival_ps = np.cumsum(rng.exponential(1e12 / rate, requests)).astype(np.int64)
    tokens = trace_lengths("azure-conv-2023").sample(requests, rng)
    return RequestTable(arrival_ps, *tokens), rng.random((requests, 2))


def _first(table: RequestTable, draws: np.ndarray, count: int) -> tuple[RequestTable, np.ndarray]:
    columns = (table.arrival_ps, table.input_tokens, table.output_tokens)
    return RequestTable(*(column[:count] for column in columns)), draws[:count]


def _compiled(tables: StepTables, table: RequestTable, draws: np.ndarray, replicas: int) -> _Spent:
    from sim.cluster.serving.compiled import CompiledReplicas

    fleet = CompiledReplicas(tables, RULES, replicas, ROUTER)
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    fleet.bring(table, draws)
    end_ps = int(table.arrival_ps[-1]) + 10**17
    fleet.settle(end_ps)
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    done = fleet.totals(end_ps)
    return _Spent(len(table), wall_s, cpu_s, done.steps, done.sequences / max(done.steps, 1))


def _reference(tables: StepTables, table: RequestTable, replicas: int) -> _Spent:
    import simpy

    from sim.cluster.serving.records import ServingEvents
    from sim.cluster.serving.reference import ReferenceReplica
    from sim.cluster.serving.routing import RoutedReplicas, bring_requests
    from sim.control.serving import router

    env, events = simpy.Environment(), ServingEvents()
    sizes: list[int] = []
    events.stepped.subscribe(lambda step: sizes.append(len(step.decode_contexts)))
    built = [
        ReferenceReplica(env, f"r{i}", i, TableCoster(tables), RULES, events)
        for i in range(replicas)
    ]
    routed = RoutedReplicas(built, router(ROUTER), stream(1, "bench-router"))
    env.process(bring_requests(env, table, routed))
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    env.run()
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return _Spent(len(table), wall_s, cpu_s, len(sizes), sum(sizes) / max(len(sizes), 1))


def _peak_rss_bytes() -> int:
    """Of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
