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

from sim.cluster.serving.estimate import Estimate, Sample
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.records import DropRecord, RequestRecord
from sim.cluster.serving.source import Source
from sim.control.serving import ClassRule
from sim.errors import InputError
from sim.workload.counter import uniforms
from sim.workload.requests import RequestTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassResult:
    """What became of one class in the window, at the replicas.

    Attributes:
        requests: that reached a replica. completed: whose last token came.
        shed: refused because too much waited. dropped: refused because they can never fit.
        tokens_out: of the completed. met: completed within the class's objectives.
    """

    requests: Estimate
    completed: Estimate
    shed: Estimate
    dropped: Estimate
    tokens_out: Estimate
    met: Estimate


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


def tallied(tally: IntArray, count: int) -> tuple[ClassResult, ...]:
    """Exact results by class from the tallies of the kernels, shape (CLASSES, TALLIES)."""
    columns = (at.W_ARRIVED, at.W_COMPLETED, at.W_SHED, at.W_DROPPED, at.W_OUT, at.W_MET)
    rows = tally[:count, columns].tolist()
    return tuple(ClassResult(*(Estimate(n, n, n) for n in row)) for row in rows)


def recorded_classes(
    rules: Sequence[ClassRule],
    arrived: Sequence[Sequence[int]],
    completed: Sequence[RequestRecord],
    dropped: Sequence[DropRecord],
    queue_full: str,
    sample: Sample,
) -> tuple[ClassResult, ...]:
    """Results by class from the records of a window, scaled to the fleet.

    Args:
        arrived: classes of the arrivals at each simulated replica.
        queue_full: the reason of a refusal that is shedding.
    """

    def scaled(value: Callable[[RequestRecord], int], own: list[RequestRecord]) -> Estimate:
        each = np.zeros(sample.simulated)
        for record in own:
            each[record.replica] += value(record)
        return sample.total(each)

    def refused(kind: int, *, full: bool) -> Estimate:
        each = np.zeros(sample.simulated)
        for drop in dropped:
            if drop.request.priority == kind and (drop.reason == queue_full) == full:
                each[drop.replica] += 1
        return sample.total(each)

    results = []
    for kind, rule in enumerate(rules):
        own = [record for record in completed if record.request.priority == kind]
        results.append(
            ClassResult(
                requests=sample.total(np.array([float(list(a).count(kind)) for a in arrived])),
                completed=scaled(lambda _: 1, own),
                shed=refused(kind, full=True),
                dropped=refused(kind, full=False),
                tokens_out=scaled(lambda record: record.request.output_tokens, own),
                met=scaled(lambda record, rule=rule: int(in_time(record, rule)), own),  # type: ignore[misc]
            )
        )
    return tuple(results)


def in_time(record: RequestRecord, rule: ClassRule) -> bool:
    """Whether a completed request kept the objectives of its class."""
    ttft_s, tpot_s = rule.slo_ttft_s, rule.slo_tpot_s
    late = ttft_s is not None and record.ttft_s > ttft_s
    gap_s = record.tpot_s or 0.0
    return not late and (tpot_s is None or gap_s <= tpot_s)
