"""A small world: requests, replicas, and everything observers saw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import simpy

from sim.cluster.serving.coster import LinearCoster, StepCoster
from sim.cluster.serving.laws import check_serving_laws
from sim.cluster.serving.observe import Integral, RequestLog, ServingCounter, StepLog
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import RoutedReplicas, bring_requests
from sim.control.serving import BatchRules, Router, round_robin
from sim.randomness import stream
from sim.workload.requests import Request

MS = 10**9  # picoseconds
S = 10**12


def tick_coster(step_ms: float = 1.0, **changes: object) -> LinearCoster:
    """Every step takes the same time."""
    return LinearCoster(step_s=step_ms / 1000, **changes)  # type: ignore[arg-type]


def rules(batcher: str = "chunked-prefill", **changes: object) -> BatchRules:
    """No watermark unless asked for, so that cases can be counted by hand."""
    return BatchRules(batcher, **{"watermark_frac": 0.0, "max_num_seqs": 64, **changes})  # type: ignore[arg-type]


def requests(*rows: tuple[int, int, int]) -> list[Request]:
    """Rows of (arrival in ps, input tokens, output tokens)."""
    return [Request(i, *row) for i, row in enumerate(rows)]


@dataclass
class World:
    env: simpy.Environment
    events: ServingEvents
    replicas: list[ReferenceReplica]
    log: RequestLog
    steps: StepLog
    counter: ServingCounter
    meters: list[Integral]
    story: list[tuple[str, int, int]]
    routed: RoutedReplicas

    def check_laws(self) -> None:
        check_serving_laws(self.counter, self.replicas, self.meters, int(self.env.now))

    def run(self, until_ps: int | None = None) -> World:
        self.env.run(until_ps)
        return self


def world(
    stream_of_requests: Iterable[Request],
    coster: StepCoster,
    batch_rules: BatchRules | None = None,
    replicas: int = 1,
    route: Router = round_robin,
) -> World:
    env, events = simpy.Environment(), ServingEvents()
    batch_rules = batch_rules or rules()
    log, steps, counter = RequestLog(events), StepLog(events), ServingCounter(events)
    built = [
        ReferenceReplica(env, f"r{i}", i, coster, batch_rules, events) for i in range(replicas)
    ]
    meters = [Integral(replica.power_w) for replica in built]
    story: list[tuple[str, int, int]] = []
    for name in ("arrived", "started", "preempted", "first_token"):
        getattr(events, name).subscribe(
            lambda e, name=name: story.append((name, e.request.request_id, e.time_ps))
        )
    events.completed.subscribe(
        lambda r: story.append(("completed", r.request.request_id, r.end_ps))
    )
    events.dropped.subscribe(lambda d: story.append((d.reason, d.request.request_id, d.time_ps)))
    routed = RoutedReplicas(built, route, stream(7, "router"))
    env.process(bring_requests(env, stream_of_requests, routed))
    return World(env, events, built, log, steps, counter, meters, story, routed)
