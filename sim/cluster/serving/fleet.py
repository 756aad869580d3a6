"""A fleet of equal replicas, of which a few are simulated and speak for all.

k of n replicas are simulated step by step. They get the fleet's arrivals thinned by k / n
(each arrival kept by an independent coin) through the same router, and what they draw and
do is scaled by n / k. Two things differ from the whole fleet, and the result says so:

- the router chooses among k, not n. With join-shortest-queue more replicas pool better, so
  queueing delays here are a little too long;
- means are unbiased, but the fluctuations of the scaled power are those of k replicas: for
  independent ones sqrt(n / k) times too large relative to the mean. Its maximum is an
  upper figure, not the fleet's peak.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np
from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.autoscale import Autoscale, Autoscaler, SystemCounter
from sim.cluster.serving.breakdowns import (
    NEVER_PS,
    Breakdowns,
    Breaking,
    breakdowns,
    check_failures,
)
from sim.cluster.serving.classes import check_shares, with_classes, with_session_classes
from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.coster import StepCoster
from sim.cluster.serving.estimate import Sample
from sim.cluster.serving.fleet_result import FleetResult, Window, summarise
from sim.cluster.serving.laws import check_serving_laws
from sim.cluster.serving.observe import Integral, RequestLog, ServingCounter
from sim.cluster.serving.records import ServingEvents, UnfinishedRecord
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import AdmissionGate, RoutedReplicas, bring_requests
from sim.cluster.serving.sessions import ReferenceSessions
from sim.cluster.serving.turns import SessionCounts, store_block_tokens
from sim.control.serving import BatchRules, router
from sim.errors import InputError
from sim.randomness import stream
from sim.signals import StepSignal
from sim.units import to_ps, to_s
from sim.workload.arrivals import ArrivalProcess
from sim.workload.counter import counter_key
from sim.workload.lengths import LengthDistribution
from sim.workload.requests import RequestTable, draw_requests, thin_requests
from sim.workload.sessions import SessionShape, SessionTable, draw_sessions


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """What a fleet is and how it is simulated.

    Attributes:
        name: prefix of its signals and purpose of its random streams.
        n_replicas: replicas of the fleet.
        simulated_replicas: how many are simulated, at most `n_replicas`.
        arrivals: of the whole fleet.
        lengths: of its requests.
        horizon_s: requests arrive in [0, horizon_s).
        warmup_s: results leave out what was before.
        rules: how a replica forms its steps.
        router: name of the router.
        confidence: of the intervals.
        class_shares: of the requests by class of the rules; empty: all are of the first.
        autoscale: how many replicas are on; None for all. Needs all replicas simulated.
        failures: how replicas break; each of those simulated does by itself.
        sessions: how sessions go on, of which `arrivals` are the starts; None for requests that
            come whatever was answered.

    Raises:
        InputError: a value out of range; UnknownNameError: no such router.
    """

    name: str
    n_replicas: int
    simulated_replicas: int
    arrivals: ArrivalProcess
    lengths: LengthDistribution
    horizon_s: float
    warmup_s: float = 0.0
    rules: BatchRules = field(default_factory=BatchRules)
    router: str = "power-of-two"
    confidence: float = 0.95
    class_shares: tuple[float, ...] = ()
    autoscale: Autoscale | None = None
    failures: Breaking | None = None
    sessions: SessionShape | None = None

    def __post_init__(self) -> None:
        if self.autoscale and not (
            self.autoscale.max_replicas <= self.n_replicas == self.simulated_replicas
        ):
            raise InputError(
                f"an autoscaler of {self.autoscale.max_replicas} replicas needs them all simulated",
                "simulate all replicas of the fleet",
                path="autoscaler",
            )
        router(self.router)
        check_shares(self.class_shares, self.rules.classes)
        check_failures(self.failures, self.rules, self.autoscale)
        if not 1 <= self.simulated_replicas <= self.n_replicas:
            raise InputError(
                f"simulated_replicas = {self.simulated_replicas}, must be from 1 to the "
                f"{self.n_replicas} replicas of the fleet",
                path="simulated_replicas",
            )
        if not 0 <= self.warmup_s < self.horizon_s < np.inf:
            raise InputError(
                f"warmup_s = {self.warmup_s}, must be from 0 to below horizon_s = {self.horizon_s}",
                path="warmup_s",
            )
        if not 0 < self.confidence < 1:
            raise InputError(f"confidence = {self.confidence}, must be in (0, 1)")


class ServingFleet:
    """Simulate k replicas and publish the chip power of all n.

    Args:
        env: the simulation, at time zero.
        spec: what the fleet is.
        coster: what a step of one replica costs.
        seed: the run's seed.
        recorded: a trace of the whole fleet's requests, replayed row by row (each row kept
            with probability k / n) in place of `spec.arrivals` and `spec.lengths`.
        capped: what a step costs under a power cap (W per GPU, None for none); without it
            `set_cap` is refused.

    Attributes:
        power_w: signal, chip boundary of the whole fleet (scaled).
        events: hooks of the simulated replicas.
        log: their records.
        replicas: the simulated replicas.
        requests: the requests they get.
        breakdowns: when the simulated replicas break, where they do.
    """

    def __init__(
        self,
        env: Environment,
        spec: FleetSpec,
        coster: StepCoster,
        seed: int,
        recorded: RequestTable | None = None,
        capped: Callable[[float | None], StepCoster] | None = None,
    ):
        self.env = env
        self.spec = spec
        self._capped = capped
        self.gpus = spec.n_replicas * coster.gpus
        self.events = ServingEvents()
        self.log = RequestLog(self.events)
        self._counter = ServingCounter(self.events)
        self._arrivals: list[list[int]] = [[] for _ in range(spec.simulated_replicas)]
        self._kinds: list[list[int]] = [[] for _ in range(spec.simulated_replicas)]
        self.events.arrived.subscribe(lambda e: self._arrivals[e.replica].append(e.time_ps))
        self.events.arrived.subscribe(lambda e: self._kinds[e.replica].append(e.request.priority))
        self.replicas = tuple(
            ReferenceReplica(env, f"{spec.name}.replica{i}", i, coster, spec.rules, self.events)
            for i in range(spec.simulated_replicas)
        )
        self._window_ps = (to_ps(spec.warmup_s), to_ps(spec.horizon_s))
        self._meters = tuple(Integral(r.power_w) for r in self.replicas)
        self._window_meters = tuple(Integral(r.power_w, *self._window_ps) for r in self.replicas)
        self.power_w = StepSignal(f"{spec.name}.chip_w", spec.n_replicas * coster.idle_power_w)
        for replica in self.replicas:
            replica.power_w.subscribe(self._publish_power)
        self.requests = _requests(spec, seed, recorded)
        routed = RoutedReplicas(
            self.replicas, router(spec.router), stream(seed, "router", spec.name)
        )
        self._gate = AdmissionGate(env, routed, counter_key(seed, "admission", spec.name))
        self.scaler = Autoscaler(spec.autoscale) if spec.autoscale else None
        if self.scaler:
            env.process(self.switch_replicas(self.scaler, routed, SystemCounter(self.events)))
        count, horizon_s = spec.simulated_replicas, spec.horizon_s
        self.breakdowns = breakdowns(spec.failures, count, seed, spec.name, horizon_s)
        if self.breakdowns:
            env.process(self.break_replicas(self.breakdowns, routed))
        self._routed = routed
        self._sessions: ReferenceSessions | None = None
        if isinstance(self.requests, SessionTable):
            block_tokens = store_block_tokens(spec.rules)
            self._sessions = ReferenceSessions(
                env, self.requests, self.events, self._gate, block_tokens
            )
        else:
            env.process(bring_requests(env, self.requests, self._gate))

    def break_replicas(
        self, plan: Breakdowns, routed: RoutedReplicas
    ) -> Generator[Event, None, None]:
        """Let replicas break and come back, behind the steps that end at that instant."""
        while plan.next_ps < NEVER_PS:
            yield At(self.env, Phase.STEP_END, plan.next_ps - int(self.env.now))
            yield At(self.env, Phase.STEP_END)
            for change in plan.act(int(self.env.now)):
                (routed.fail if change.broken else routed.join)(change.place)

    @property
    def sessions(self) -> SessionCounts | None:
        """What became of the sessions so far; None where requests are no turns."""
        return self._sessions.counts(len(self._gate.shed_ps)) if self._sessions else None

    @property
    def requeued(self) -> int:
        """How often a request was routed again, because its replica broke."""
        return self._routed.requeued

    def switch_replicas(
        self, scaler: Autoscaler, routed: RoutedReplicas, counter: SystemCounter
    ) -> Generator[Event, None, None]:
        """Let the autoscaler act when it wants to, behind the steps that end at that instant."""
        for place in range(scaler.ready, len(self.replicas)):
            routed.drain(place)
        while True:
            yield At(self.env, Phase.STEP_END, scaler.next_ps - int(self.env.now))
            yield At(self.env, Phase.STEP_END)
            now_ps = int(self.env.now)
            for switch in scaler.act(now_ps, counter.area_ps(now_ps), counter.completed):
                change = {"on": routed.join, "off": routed.drain, "loading": routed.load}
                change[switch.to](switch.place)

    @property
    def scale(self) -> float:
        """Replicas of the fleet per simulated one."""
        return self.spec.n_replicas / self.spec.simulated_replicas

    def _publish_power(self, time_ps: int, _: float) -> None:
        total_w = sum(replica.power_w.value for replica in self.replicas)
        self.power_w.set(time_ps, self.scale * total_w)

    def set_cap(self, time_ps: int, cap_w: float | None) -> None:
        """Limit the power of each GPU from `time_ps` on (see `protocol`)."""
        if self._capped is None:
            raise InputError(f"{self.spec.name} was built without costs under a power cap")
        coster = self._capped(cap_w)

        def change() -> None:
            for replica in self.replicas:
                replica.set_coster(coster)

        self._at(time_ps, change)

    def set_admission(self, time_ps: int, frac: float) -> None:
        """Admit a share of the arrivals from `time_ps` on (see `protocol`)."""
        if not 0 <= frac <= 1:
            raise InputError(f"admitted share {frac}, must be in [0, 1]", path="frac")
        self._at(time_ps, lambda: self._gate.set(frac))

    def _at(self, time_ps: int, change: Callable[[], None]) -> None:
        """Change something now, or later ahead of what arrives and begins then."""
        delay_ps = time_ps - int(self.env.now)
        if delay_ps < 0:
            raise InputError(
                f"a change at {to_s(time_ps)} s asked after {to_s(int(self.env.now))} s"
            )

        def later() -> Generator[Event, None, None]:
            yield At(self.env, Phase.STEP_END, delay_ps)
            change()

        if delay_ps:
            self.env.process(later())
        else:
            change()

    def check_laws(self) -> None:
        """Check the conservation laws of the simulated replicas, now.

        Raises:
            LawViolation: one of them fails.
        """
        check_serving_laws(self._counter, self.replicas, self._meters, int(self.env.now))

    def energy_split_j(self) -> dict[str, float]:
        """Where the energy of the simulated replicas went so far, chip boundary, not scaled.

        The five parts sum to the integral of their power signals.
        """
        return {
            "completed": sum(record.cost.energy_j for record in self.log.completed),
            "unfinished": sum(record.cost.energy_j for record in self.unfinished()),
            "under_way": sum(replica.under_way_j for replica in self.replicas),
            "idle": sum(replica.idle_j for replica in self.replicas),
            "dark": sum(replica.dark_j for replica in self.replicas),
        }

    @property
    def prefix_tokens(self) -> tuple[int, int]:
        """Prompt tokens that came from prefix stores, and all of the requests taken so far."""
        held = [s for r in self.replicas for s in (*r.running, *r.waiting)]
        done = self.log.completed
        hit = sum(s.given for s in held) + sum(record.given_tokens for record in done)
        read = [s.request for s in held] + [record.request for record in done]
        return hit, sum(request.input_tokens for request in read)

    def unfinished(self) -> list[UnfinishedRecord]:
        """Requests that the simulated replicas still hold."""
        return [record for replica in self.replicas for record in replica.unfinished()]

    def result(self) -> FleetResult:
        """The fleet's figures over the window, up to now if it is not over yet.

        Raises:
            InputError: the simulation has not reached the window.
        """
        start_ps, end_ps = self._window_ps
        end_ps = min(end_ps, int(self.env.now))
        if end_ps <= start_ps:
            raise InputError(f"the run ended at {to_s(end_ps)} s, before the window began")
        window = Window(
            start_ps=start_ps,
            end_ps=end_ps,
            arrivals_ps=self._arrivals,
            completed=self.log.completed,
            dropped=self.log.dropped,
            energy_j=[meter.at(end_ps) for meter in self._window_meters],
            shed_ps=self._gate.shed_ps,
            rules=self.spec.rules.classes if self.spec.class_shares else (),
            arrived_kinds=self._kinds,
        )
        spec = self.spec
        return summarise(window, Sample(spec.n_replicas, spec.simulated_replicas, spec.confidence))


def _requests(
    spec: FleetSpec, seed: int, recorded: RequestTable | None
) -> RequestTable | SessionTable:
    """What the simulated replicas get: the fleet's requests or sessions thinned by k / n."""
    keep_frac = spec.simulated_replicas / spec.n_replicas
    key = counter_key(seed, spec.name, "class")
    if spec.sessions is not None:
        starts = spec.arrivals.thinned(keep_frac)
        drawn = draw_sessions(starts, spec.lengths, spec.sessions, spec.horizon_s, seed, spec.name)
        return with_session_classes(drawn, spec.class_shares, key)
    if recorded is not None:
        rng = stream(seed, "thinning", spec.name)
        table = thin_requests(recorded, keep_frac, spec.horizon_s, rng)
    else:
        arrivals = spec.arrivals.thinned(keep_frac)
        table = draw_requests(arrivals, spec.lengths, spec.horizon_s, seed, spec.name)
    return with_classes(table, spec.class_shares, key)
