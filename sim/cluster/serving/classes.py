"""Classes of requests: which one a request is of, and what became of each class.

A coin for each request, by its number in the stream, gives its class in proportion to the
shares; the classes' rules are those of `sim.control.serving` (rules 11 and 12).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.estimate import Distribution, Estimate, Sample, distribution
from sim.cluster.serving.histograms import exact, pooled_distribution
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.records import DropRecord, RequestRecord
from sim.cluster.serving.source import Source
from sim.control.serving import ClassRule
from sim.errors import InputError
from sim.workload.counter import uniforms
from sim.workload.requests import RequestTable
from sim.workload.sessions import SessionTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassResult:
    """What became of one class in the window, at the replicas.

    Attributes:
        requests: that reached a replica. completed: whose last token came.
        shed: refused because too much waited. dropped: refused because they can never fit.
        tokens_out: of the completed. met: completed within the class's objectives.
        ttft_s, tpot_s, e2e_s: of the completed; None without any.
    """

    requests: Estimate
    completed: Estimate
    shed: Estimate
    dropped: Estimate
    tokens_out: Estimate
    met: Estimate
    ttft_s: Distribution | None
    tpot_s: Distribution | None
    e2e_s: Distribution | None


def check_shares(shares: Sequence[float], rules: Sequence[ClassRule]) -> None:
    """Refuse shares that do not belong to the classes.

    Raises:
        InputError: their number or their sum is wrong.
    """
    if not shares:
        return
    if len(shares) != len(rules):
        raise InputError(f"{len(shares)} shares for {len(rules)} classes", path="classes")
    if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
        raise InputError(
            f"the shares of the classes sum to {sum(shares):g}", "let them sum to 1", path="classes"
        )


def kinds(shares: Sequence[float], key: int, first: int, count: int) -> IntArray:
    """Classes of the requests number `first` to `first + count`, shape (count,)."""
    coins = uniforms(key, np.arange(first, first + count, dtype=np.uint64))
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, coins, side="right").astype(np.int64)


def with_classes(table: RequestTable, shares: Sequence[float], key: int) -> RequestTable:
    """The same requests, each with its class; unchanged without shares."""
    if not shares:
        return table
    return replace(table, priority=kinds(shares, key, 0, len(table)))


def with_session_classes(table: SessionTable, shares: Sequence[float], key: int) -> SessionTable:
    """The same sessions, each with its class for all its turns; unchanged without shares."""
    if not shares:
        return table
    found = kinds(shares, key, 0, int(table.session.max(initial=0)) + 1)
    return replace(table, priority=found[table.session])


class ClassedSource:
    """A source whose requests get their classes; see `source.Source`."""

    def __init__(self, source: Source, shares: Sequence[float], key: int):
        self._source, self._shares, self._key = source, shares, key
        self._index = 0

    def block(self) -> tuple[IntArray, FloatArray]:
        """The next requests."""
        rows, draws = self._source.block()
        rows[:, at.A_CLASS] = kinds(self._shares, self._key, self._index, len(rows))
        self._index += len(rows)
        return rows, draws


def tallied(
    tally: IntArray, count: int, histogram: IntArray, sums_ps: FloatArray
) -> tuple[ClassResult, ...]:
    """Exact results by class from what the kernels keep.

    Args:
        tally: shape (CLASSES, TALLIES). count: of the classes that are in use.
        histogram, sums_ps: of the latencies, shapes (classes, 3, buckets), (classes, 3).
    """
    found = []
    for row, counts, sums in zip(tally[:count], histogram, sums_ps, strict=False):
        ttft, tpot, e2e = map(pooled_distribution, counts, sums)
        found.append(
            ClassResult(
                requests=exact(int(row[at.W_ARRIVED])),
                completed=exact(int(row[at.W_COMPLETED])),
                shed=exact(int(row[at.W_SHED])),
                dropped=exact(int(row[at.W_DROPPED])),
                tokens_out=exact(int(row[at.W_OUT])),
                met=exact(int(row[at.W_MET])),
                ttft_s=ttft,
                tpot_s=tpot,
                e2e_s=e2e,
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ClassRecords:
    """What the simulated replicas recorded of one class in the window.

    Attributes:
        arrived: at each of them, shape (k,).
        completed: all records. shed, dropped: refusals because too much waited, or for ever.
    """

    arrived: FloatArray
    completed: Sequence[RequestRecord]
    shed: Sequence[DropRecord]
    dropped: Sequence[DropRecord]


def recorded_class(records: ClassRecords, rule: ClassRule, sample: Sample) -> ClassResult:
    """Results of one class, scaled to the fleet."""

    def scaled(rows: Sequence[RequestRecord | DropRecord], weights: Sequence[int]) -> Estimate:
        places = np.array([row.replica for row in rows], dtype=np.int64)
        each = np.bincount(places, weights, minlength=sample.simulated)
        return sample.total(each.astype(np.float64))

    def latency(value: Callable[[RequestRecord], float | None]) -> Distribution | None:
        each: list[list[float]] = [[] for _ in range(sample.simulated)]
        for record in records.completed:
            if (found := value(record)) is not None:
                each[record.replica].append(found)
        return distribution([np.array(values) for values in each], sample)

    done = records.completed
    return ClassResult(
        requests=sample.total(records.arrived),
        completed=scaled(done, [1] * len(done)),
        shed=scaled(records.shed, [1] * len(records.shed)),
        dropped=scaled(records.dropped, [1] * len(records.dropped)),
        tokens_out=scaled(done, [record.request.output_tokens for record in done]),
        met=scaled(done, [int(in_time(record, rule)) for record in done]),
        ttft_s=latency(lambda record: record.ttft_s),
        tpot_s=latency(lambda record: record.tpot_s),
        e2e_s=latency(lambda record: record.e2e_s),
    )


def in_time(record: RequestRecord, rule: ClassRule) -> bool:
    """Whether a completed request kept the objectives of its class."""
    ttft_s, tpot_s = rule.slo_ttft_s, rule.slo_tpot_s
    late = ttft_s is not None and record.ttft_s > ttft_s
    gap_s = record.tpot_s or 0.0
    return not late and (tpot_s is None or gap_s <= tpot_s)
