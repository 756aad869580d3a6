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
from sim.workload.requests import RequestTable
from sim.workload.traces import read_trace

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
    found = traffic(spec.requests)
    fleet_spec = FleetSpec(
        name=name,
        n_replicas=(spec.gpus or 0) // cost.gpus,
        simulated_replicas=spec.representative_replicas,
        arrivals=found.arrivals,
        lengths=found.lengths,
        horizon_s=horizon_s,
        warmup_s=spec.warmup_s,
        rules=BatchRules(
            batcher=spec.batcher,
            max_num_seqs=spec.max_num_seqs,
            max_num_batched_tokens=spec.max_num_batched_tokens,
        ),
        router=spec.router,
    )
    fleet = ServingFleet(env, fleet_spec, cost, seed, found.recorded)
    return Fleet(fleet, cost, found.bad_rows)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of a whole fleet.

    Args:
        recorded: rows to be replayed as they are, each with its own lengths.
        bad_rows: malformed rows of the trace that were left out.
    """

    arrivals: ArrivalProcess
    lengths: LengthDistribution
    recorded: RequestTable | None = None
    bad_rows: int = 0


def traffic(requests: Requests) -> Traffic:
    """What a spec of requests means.

    Raises:
        InputError: the trace cannot be read, or a row is malformed.
    """
    if not isinstance(requests, TraceRequests):
        return Traffic(_arrivals(requests), _lengths(requests.lengths))
    trace = read_trace(requests.file, requests.on_bad_rows)
    table = trace.requests
    lengths = length_histogram(table.input_tokens, table.output_tokens, HISTOGRAM_BINS)
    if requests.rate_per_s is None:
        return Traffic(TraceArrivals(table.arrival_ps), lengths, table, len(trace.bad_rows))
    shaped = TraceShapedArrivals(table.arrival_ps, requests.rate_per_s)
    return Traffic(shaped, lengths, bad_rows=len(trace.bad_rows))


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
