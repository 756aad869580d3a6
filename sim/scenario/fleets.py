"""From a serving spec to a fleet: arrivals, lengths, rules, and the cost of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import simpy

from sim.cluster.serving.cell_fleet import build_cell_fleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.compiled_spec import CompiledFleetSpec
from sim.cluster.serving.fidelity import fidelity_errors
from sim.cluster.serving.fleet import FleetSpec, ServingFleet
from sim.cluster.serving.fluid import FluidFleet, FluidSpec
from sim.cluster.serving.protocol import PowerFleet
from sim.cluster.serving.split import split_curve
from sim.cluster.serving.steady import SteadyCurve, steady_curve
from sim.control.serving import BatchRules, ClassRule
from sim.cost.serving import ReplicaCost
from sim.cost.tables import StepTables, build_tables
from sim.hardware.node import Node
from sim.scenario.prefix_store import block_tokens, check_blocks, check_sessions, store_blocks
from sim.scenario.replica_failures import breaking
from sim.scenario.replicas import replica_cost
from sim.scenario.schema import (
    EmpiricalLengthsSpec,
    FileRequests,
    FittedRequests,
    GammaRequests,
    LengthsSpec,
    OnOffRequests,
    PoissonRequests,
    Requests,
    ServiceRequests,
    ServingSpec,
    SessionRequests,
)
from sim.scenario.schema.serving import ClassSpec
from sim.scenario.serving_scale import autoscale
from sim.signals import StepSignal
from sim.workload.arrivals import (
    ArrivalProcess,
    GammaArrivals,
    OnOffArrivals,
    PoissonArrivals,
    SuperposedTraceArrivals,
    TraceArrivals,
    TraceShapedArrivals,
)
from sim.workload.fitted import FittedArrivals
from sim.workload.lengths import (
    ConstantLengths,
    LengthDistribution,
    length_histogram,
    trace_lengths,
)
from sim.workload.model_file import fitted_traffic
from sim.workload.requests import RequestTable
from sim.workload.sessions import SessionShape
from sim.workload.traces import read_trace

HISTOGRAM_BINS = 40


@dataclass(frozen=True, slots=True)
class Fleet:
    """A serving fleet in a running simulation, its mean rate, and the bad rows of its trace."""

    fleet: PowerFleet
    costs: CapCosts
    rate_per_s: float
    bad_rows: int

    @property
    def error_frac_against_request(self) -> dict[str, dict[str, float]]:
        """Measured error of its fidelity, by measure; empty where all replicas are simulated."""
        whole = isinstance(self.fleet, CompiledFleet)
        return {} if whole else fidelity_errors(self.costs.spec.fidelity)

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.fleet.gpus

    @property
    def chip_w(self) -> StepSignal:
        """Power of all of them."""
        return self.fleet.power_w

    @property
    def replicas(self) -> int:
        """Replicas of the fleet."""
        return self.gpus // self.costs.at(None).gpus

    @property
    def idle_power_w(self) -> float:
        """Chip power without a request, with the replicas that are on now."""
        on, apart_w = self._switched
        return on * self.costs.at(None).idle_power_w + apart_w

    def expected_power_w(self, cap_w: float | None) -> float:
        """Mean chip power under a cap with all that arrives now (at the mean rate, if drawn).

        Of an autoscaled fleet, with the replicas that are on now.
        """
        if isinstance(self.fleet, FluidFleet):
            return self.fleet.expected_power_w(cap_w)
        on, apart_w = self._switched
        return on * self.costs.curve(cap_w).power_at_w(self.rate_per_s / on) + apart_w

    @property
    def _switched(self) -> tuple[int, float]:
        """Replicas that an autoscaler has on now, and the chip power of the others."""
        scaler = self.fleet.scaler if isinstance(self.fleet, CompiledFleet) else None
        if scaler is None:
            return self.replicas, 0.0
        cost, off = self.costs.at(None), self.replicas - scaler.ready - scaler.loading
        return scaler.ready, scaler.loading * cost.loading_power_w + off * cost.unloaded_power_w


def build_fleet(
    env: simpy.Environment,
    name: str,
    spec: ServingSpec,
    node: Node,
    horizon_s: float,
    cap_w: float | None,
    seed: int,
    *,
    tell_requests: bool = False,
    fed: Traffic | None = None,
) -> Fleet:
    """Build the fleet of a resolved spec; requests arrive until the horizon.

    Args:
        fed: what a service brings; None for the requests of the spec.
        tell_requests: whether a fleet of the compiled engine tells of single requests.

    Raises:
        InputError: a value that the fleet refuses; CapacityError if the model does not fit.
    """
    costs = CapCosts(spec, node, cap_w)
    found = fed or traffic(spec.requests)
    check_blocks(spec, found.recorded)
    check_sessions(spec, found.recorded)
    if spec.fidelity == "fluid":
        fluid = _fluid_spec(name, spec, costs, found, horizon_s)
        return Fleet(FluidFleet(env, fluid, costs.curve), costs, found.rate_per_s, found.bad_rows)
    if spec.fidelity in ("request", "cells"):
        whole_spec = _whole_spec(name, spec, costs, found, horizon_s)
        every = spec.fidelity == "request"
        least = whole_spec.replicas if every else spec.representative_replicas
        whole = build_cell_fleet(
            env,
            replace(whole_spec, tell_requests=tell_requests),
            costs.tables,
            seed,
            found.recorded,
            least,
        )
        return Fleet(whole, costs, found.rate_per_s, found.bad_rows)
    fleet_spec = _fleet_spec(name, spec, costs, found, horizon_s)
    fleet = ServingFleet(env, fleet_spec, costs.at(None), seed, found.recorded, costs.at)
    return Fleet(fleet, costs, found.rate_per_s, found.bad_rows)


class CapCosts:
    """Step costs and steady curves of a fleet's replicas under power caps, each made once.

    Args:
        standing_w: cap that always holds, None for none; a run-time cap can only be lower.
    """

    def __init__(self, spec: ServingSpec, node: Node, standing_w: float | None):
        self.spec = spec
        self.node = node
        self.standing_w = standing_w
        self.mean_tokens = traffic(spec.requests).mean_tokens
        self._costs: dict[float | None, ReplicaCost] = {}
        self._curves: dict[float | None, SteadyCurve] = {}
        self._tables: dict[float | None, StepTables] = {}

    def at(self, cap_w: float | None) -> ReplicaCost:
        """Costs of a replica under a cap per GPU, None for none beyond the standing one."""
        caps = [cap for cap in (cap_w, self.standing_w) if cap is not None]
        cap = min(caps, default=None)
        if cap not in self._costs:
            self._costs[cap] = replica_cost(self.spec, self.node, cap)
        return self._costs[cap]

    def tables(self, cap_w: float | None) -> StepTables:
        """Step tables of a replica under a cap; all have the segments of the first."""
        cost, spec = self.at(cap_w), self.spec
        if cost.cap_w not in self._tables:
            like = next(iter(self._tables.values()), None)
            self._tables[cost.cap_w] = build_tables(
                cost, spec.max_num_seqs, spec.max_num_batched_tokens, like
            )
        return self._tables[cost.cap_w]

    def curve(self, cap_w: float | None) -> SteadyCurve:
        """Steady curve of a replica under a cap."""
        cost = self.at(cap_w)
        if cost.cap_w not in self._curves:
            self._curves[cost.cap_w] = self._curve(cost)
        return self._curves[cost.cap_w]

    def _curve(self, cost: ReplicaCost) -> SteadyCurve:
        spec, read_frac = self.spec, 1 - self.spec.prefix_hit_frac
        batch = (spec.max_num_seqs, spec.max_num_batched_tokens)
        if not spec.disaggregated:
            return steady_curve(cost, self.mean_tokens, *batch, read_frac)
        replicas = spec.gpus // cost.gpus if spec.gpus else None
        return split_curve(cost, self.mean_tokens, *batch, replicas, read_frac).curve


def _fleet_spec(
    name: str, spec: ServingSpec, costs: CapCosts, found: Traffic, horizon_s: float
) -> FleetSpec:
    return FleetSpec(
        name=name,
        n_replicas=(spec.gpus or 0) // costs.at(None).gpus,
        simulated_replicas=spec.representative_replicas,
        arrivals=found.arrivals,
        lengths=found.lengths,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        rules=_rules(spec, costs.at(None)),
        router=spec.router,
        class_shares=_shares(spec),
        failures=breaking(spec, costs.at(None)),
        sessions=found.sessions,
    )


def _whole_spec(
    name: str, spec: ServingSpec, costs: CapCosts, found: Traffic, horizon_s: float
) -> CompiledFleetSpec:
    return CompiledFleetSpec(
        name=name,
        replicas=(spec.gpus or 0) // costs.at(None).gpus,
        arrivals=found.arrivals,
        lengths=found.lengths,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        tick_s=spec.tick_s,
        autoscale=autoscale(spec, costs.at(None)),
        rules=_rules(spec, costs.at(None)),
        router=spec.router,
        class_shares=_shares(spec),
        failures=breaking(spec, costs.at(None)),
        sessions=found.sessions,
    )


def _rules(spec: ServingSpec, cost: ReplicaCost) -> BatchRules:
    return BatchRules(
        batcher=spec.batcher,
        max_num_seqs=spec.max_num_seqs,
        max_num_batched_tokens=spec.max_num_batched_tokens,
        block_size_tokens=spec.kv_block_tokens,
        watermark_frac=spec.kv_watermark_frac,
        preemption=spec.preemption,
        swap_s_per_block=spec.swap_s_per_block or 0.0,
        classes=tuple(map(_class_rule, spec.classes)) or (ClassRule(),),
        prefix_blocks=store_blocks(spec, cost),
        prefix_block_tokens=block_tokens(spec),
    )


def _class_rule(spec: ClassSpec) -> ClassRule:
    return ClassRule(spec.max_queue_tokens, spec.slo_ttft_s, spec.slo_tpot_s)


def _shares(spec: ServingSpec) -> tuple[float, ...]:
    return tuple(kind.share_frac for kind in spec.classes)


def _fluid_spec(
    name: str, spec: ServingSpec, costs: CapCosts, found: Traffic, horizon_s: float
) -> FluidSpec:
    replicas = (spec.gpus or 0) // costs.at(None).gpus
    return FluidSpec(
        name=name,
        n_replicas=replicas,
        gpus=replicas * costs.at(None).gpus,
        rate_per_s=_rate_course(found.arrivals),
        mean_tokens=found.mean_tokens,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        loading_power_w=costs.at(None).loading_power_w,
    )


def _rate_course(arrivals: ArrivalProcess) -> Callable[[float], float]:
    """Rate by time: the daily course where one was fitted, else the mean."""
    mean = arrivals.rate_per_s
    if not isinstance(arrivals, FittedArrivals):
        return lambda _time_s: mean
    course = arrivals.course
    return lambda time_s: mean * float(course.factor(np.array(time_s)))


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of a whole fleet.

    Args:
        recorded: rows to be replayed as they are, each with its own lengths.
        bad_rows: malformed rows of the trace that were left out.
        sessions: how sessions go on; then `arrivals` are their starts, and `lengths` of what is
            new in a turn.
    """

    arrivals: ArrivalProcess
    lengths: LengthDistribution
    recorded: RequestTable | None = None
    bad_rows: int = 0
    sessions: SessionShape | None = None

    @property
    def rate_per_s(self) -> float:
        """Mean rate of requests; of all turns."""
        turns = self.sessions.mean_turns if self.sessions else 1.0
        return self.arrivals.rate_per_s * turns

    @property
    def mean_tokens(self) -> tuple[float, float]:
        """Mean prompt and output tokens of a request."""
        if self.sessions:
            return self.sessions.mean_tokens(self.lengths)
        return self.lengths.mean_tokens


def traffic(requests: Requests) -> Traffic:
    """What a spec of requests means.

    Raises:
        InputError: the trace cannot be read, or a row is malformed.
        TypeError: the requests are a service's, of which a workload has only a part.
    """
    if isinstance(requests, ServiceRequests):
        raise TypeError(f"requests of service {requests.service} before they were divided")
    if isinstance(requests, FittedRequests):
        return _fitted(requests)
    if isinstance(requests, SessionRequests):
        starts = PoissonArrivals(requests.starts_per_s)
        turns = (requests.mean_turns, requests.mean_think_s, requests.least_think_s)
        return Traffic(starts, _lengths(requests.lengths), sessions=SessionShape(*turns))
    if not isinstance(requests, FileRequests):
        return Traffic(_arrivals(requests), _lengths(requests.lengths))
    trace = read_trace(requests.file, requests.on_bad_rows)
    table = trace.requests
    lengths = length_histogram(table.input_tokens, table.output_tokens, HISTOGRAM_BINS)
    if requests.rate_per_s is None:
        return Traffic(TraceArrivals(table.arrival_ps), lengths, table, len(trace.bad_rows))
    scaled = SuperposedTraceArrivals if requests.scaling == "copies" else TraceShapedArrivals
    arrivals = scaled(table.arrival_ps, requests.rate_per_s)
    return Traffic(arrivals, lengths, bad_rows=len(trace.bad_rows))


def _fitted(spec: FittedRequests) -> Traffic:
    """Traffic of a model, scaled to the fleet."""
    arrivals, lengths, bad_rows = fitted_traffic(spec.file, spec.on_bad_rows)
    if spec.rate_per_s is not None or spec.copies is not None:
        arrivals = arrivals.scaled(spec.rate_per_s or arrivals.rate_per_s, spec.copies)
    return Traffic(arrivals, lengths, bad_rows=bad_rows)


def _arrivals(spec: PoissonRequests | GammaRequests | OnOffRequests) -> ArrivalProcess:
    if isinstance(spec, PoissonRequests):
        return PoissonArrivals(spec.rate_per_s)
    if isinstance(spec, GammaRequests):
        return GammaArrivals(spec.rate_per_s, spec.cv)
    return OnOffArrivals(spec.on_rate_per_s, spec.off_rate_per_s, spec.mean_on_s, spec.mean_off_s)


def _lengths(spec: LengthsSpec) -> LengthDistribution:
    if isinstance(spec, EmpiricalLengthsSpec):
        return trace_lengths(spec.name)
    return ConstantLengths(spec.input_tokens, spec.output_tokens)
