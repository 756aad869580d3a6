"""From a serving spec to a fleet: arrivals, lengths, rules, and the cost of a step."""

from __future__ import annotations

from dataclasses import dataclass

import simpy

from sim import arch
from sim.cluster.serving.fleet import FleetSpec, ServingFleet
from sim.control.serving import BatchRules
from sim.cost.serving import ReplicaCost
from sim.hardware.node import Node
from sim.scenario.schema import (
    EmpiricalLengthsSpec,
    GammaRequests,
    LengthsSpec,
    OnOffRequests,
    PoissonRequests,
    Requests,
    ServingSpec,
    TraceRequests,
)
from sim.signals import StepSignal
from sim.workload.arrivals import (
    ArrivalProcess,
    GammaArrivals,
    OnOffArrivals,
    PoissonArrivals,
    TraceArrivals,
    TraceShapedArrivals,
)
from sim.workload.lengths import (
    ConstantLengths,
    LengthDistribution,
    length_histogram,
    trace_lengths,
)
from sim.workload.traces import Trace, read_trace

HISTOGRAM_BINS = 40


@dataclass(frozen=True, slots=True)
class Fleet:
    """A serving fleet in a running simulation, and the bad rows of its trace."""

    fleet: ServingFleet
    cost: ReplicaCost
    bad_rows: int

    @property
    def gpus(self) -> int:
        """GPUs of all replicas."""
        return self.fleet.gpus

    @property
    def chip_w(self) -> StepSignal:
        """Power of all of them."""
        return self.fleet.power_w


def build_fleet(
    env: simpy.Environment,
    name: str,
    spec: ServingSpec,
    node: Node,
    horizon_s: float,
    cap_w: float | None,
    seed: int,
) -> Fleet:
    """Build the fleet of a resolved spec; requests arrive until the horizon.

    Raises:
        InputError: a value that the fleet refuses; CapacityError if the model does not fit.
    """
    model = arch.load(spec.arch)
    cost = ReplicaCost(model, spec.layout.to_layout(), node, spec.max_num_seqs, cap_w)
    arrivals, lengths, bad_rows = traffic(spec.requests)
    fleet_spec = FleetSpec(
        name=name,
        n_replicas=(spec.gpus or 0) // cost.gpus,
        simulated_replicas=spec.representative_replicas,
        arrivals=arrivals,
        lengths=lengths,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        rules=BatchRules(
            batcher=spec.batcher,
            max_num_seqs=spec.max_num_seqs,
            max_num_batched_tokens=spec.max_num_batched_tokens,
        ),
        router=spec.router,
    )
    return Fleet(ServingFleet(env, fleet_spec, cost, seed), cost, bad_rows)


def traffic(requests: Requests) -> tuple[ArrivalProcess, LengthDistribution, int]:
    """Arrivals of the whole fleet, lengths of its requests, and bad rows left out."""
    if isinstance(requests, TraceRequests):
        trace = read_trace(requests.file, requests.on_bad_rows)
        table = trace.requests
        lengths = length_histogram(table.input_tokens, table.output_tokens, HISTOGRAM_BINS)
        return _trace_arrivals(trace, requests.rate_per_s), lengths, len(trace.bad_rows)
    return _arrivals(requests), _lengths(requests.lengths), 0


def _trace_arrivals(trace: Trace, rate_per_s: float | None) -> ArrivalProcess:
    if rate_per_s is None:
        return TraceArrivals(trace.requests.arrival_ps)
    return TraceShapedArrivals(trace.requests.arrival_ps, rate_per_s)


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
