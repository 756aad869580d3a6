"""Latencies of a service as its users see them: those of its fleets, each behind a way.

What a fleet measured stands on points: the buckets of its histogram, within 0.4 %, or the
requests themselves where it keeps them. A way shifts them by its length, and the users of several
regions and fleets together are the shifted points together, weighted by how many they are. That
is exact but for the buckets, because a request's region does not depend on what a fleet does.
Of requests that a rule hands to another fleet it is not: they come when the rule chooses, and what
the fleet measured of them is not told apart from its own. Their ways are exact, and so is the mean
way of all; that they came at a busier or calmer time than the others is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fleet import ServingFleet
from sim.cluster.serving.histograms import LEVELS, bucket_middles_s
from sim.cluster.serving.protocol import PowerFleet
from sim.cluster.serving.records import RequestRecord
from sim.units import PS_PER_S, to_ps

FloatArray = NDArray[np.float64]

LATENCIES = ("ttft_s", "tpot_s", "e2e_s")
BUCKET_ERROR_FRAC = 2.0**-8
"""Of a latency that is read at the middle of its bucket, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Latencies of one fleet, as far as it is simulated.

    Attributes:
        values_s: shape (n,). weights: simulated requests that each stands for, shape (n,).
        mean_s: of all, exact.
        error_frac: of a value, at most.
    """

    values_s: FloatArray
    weights: FloatArray
    mean_s: float
    error_frac: float


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Latencies of a fleet, seen over a way.

    Attributes:
        factor: requests that came this way for each simulated one.
    """

    points: Points
    factor: float
    way_s: float


def fleet_points(fleet: PowerFleet, which: int) -> Points | None:
    """TTFT (0), TPOT (1) or E2E (2) of a fleet's window; None where it does not tell them."""
    if isinstance(fleet, CompiledFleet):
        return _counted((fleet,), which)
    if isinstance(fleet, CellFleet):
        return _counted(fleet.parts, which)
    return _recorded(fleet, which) if isinstance(fleet, ServingFleet) else None


def _counted(fleets: Sequence[CompiledFleet], which: int) -> Points:
    cells = [replicas.cell for fleet in fleets for replicas in fleet.cells]
    counts = np.sum([cell.histogram[:, which].sum(axis=0) for cell in cells], axis=0)
    sum_ps = float(np.sum([cell.sums[:, which].sum() for cell in cells]))
    there = np.flatnonzero(counts)
    mean_s = sum_ps / max(1.0, float(counts.sum())) / PS_PER_S
    values_s = bucket_middles_s(there)
    return Points(values_s, counts[there].astype(np.float64), mean_s, BUCKET_ERROR_FRAC)


def _recorded(fleet: ServingFleet, which: int) -> Points:
    start_ps, end_ps = to_ps(fleet.spec.warmup_s), to_ps(fleet.spec.horizon_s)
    inside = [r for r in fleet.log.completed if start_ps <= r.end_ps < end_ps]
    each = [value for record in inside if (value := _latency_s(record, which)) is not None]
    values = np.array(each, dtype=np.float64)
    mean_s = float(values.mean()) if each else 0.0
    return Points(values, np.ones(len(each)), mean_s, 0.0)


def _latency_s(record: RequestRecord, which: int) -> float | None:
    return (record.ttft_s, record.tpot_s, record.e2e_s)[which]


def together(seen: Sequence[Seen]) -> dict[str, float] | None:
    """Quantiles and mean of latencies that are seen together; None without any."""
    values, weights = _line(seen)
    total = float(weights.sum())
    if not total:
        return None
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    places = np.searchsorted(reached, np.array(LEVELS) * total * (1 - 1e-12))
    found = values[order][np.minimum(places, len(values) - 1)]
    many = np.array([one.factor * float(one.points.weights.sum()) for one in seen])
    mean_s = float(many @ np.array([one.points.mean_s + one.way_s for one in seen])) / total
    return dict(zip(("p50", "p90", "p99", "mean"), (*found.tolist(), mean_s), strict=True))


def attained_frac(seen: Sequence[Seen], limit_s: float) -> float | None:
    """Share of the latencies that are within a limit; None without any."""
    values, weights = _line(seen)
    total = float(weights.sum())
    return float(weights[values <= limit_s].sum()) / total if total else None


def _line(seen: Sequence[Seen]) -> tuple[FloatArray, FloatArray]:
    """All points with their ways, and their weights."""
    none: list[FloatArray] = [np.zeros(0)]
    values = np.concatenate(none + [one.points.values_s + one.way_s for one in seen])
    weights = np.concatenate(none + [one.points.weights * one.factor for one in seen])
    return values, weights


def error_frac(seen: Sequence[Seen]) -> float:
    """Of a quantile, at most: that of the fleets' own part of it."""
    return max((one.points.error_frac for one in seen), default=0.0)
