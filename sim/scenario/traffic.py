"""The requests of a scenario's fleet: arrivals, lengths, or a trace row by row."""

from __future__ import annotations

from dataclasses import dataclass

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
    SessionRequests,
)
from sim.workload.arrivals import (
    ArrivalProcess,
    GammaArrivals,
    OnOffArrivals,
    PoissonArrivals,
    SuperposedTraceArrivals,
    TraceArrivals,
    TraceShapedArrivals,
)
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
