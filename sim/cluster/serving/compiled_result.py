"""What a fleet of compiled cells did in its window: exact counts, latencies within 0.4 %."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.classes import tallied
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.compiled_spec import CompiledFleetSpec
from sim.cluster.serving.estimate import Distribution, Estimate
from sim.cluster.serving.feed import Feed
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.state import histogram_quantile_s
from sim.errors import InputError
from sim.units import PS_PER_S, to_ps, to_s

IntArray = NDArray[np.int64]


def compiled_result(
    spec: CompiledFleetSpec,
    cells: Sequence[CompiledReplicas],
    feeds: Sequence[Feed],
    reached_ps: int,
    window_j: float,
) -> FleetResult:
    """The fleet's figures over its window, or the part of it that was simulated.

    Args:
        feeds: of the cells; they know who never came to a router.
        reached_ps: where the simulation stands.
        window_j: chip energy of the window.

    Raises:
        InputError: the simulation has not reached the window.
    """
    start_ps, end_ps = to_ps(spec.warmup_s), min(to_ps(spec.horizon_s), reached_ps)
    if end_ps <= start_ps:
        raise InputError(f"the run ended at {to_s(end_ps)} s, before the window began")
    window_s = to_s(end_ps - start_ps)
    by_class = np.sum([replicas.cell.tally for replicas in cells], axis=0)
    tally = by_class.sum(axis=0)
    refused = _within([p for feed in feeds for p in feed.shed_ps], start_ps, end_ps)
    moved = _within([p for feed in feeds for p in feed.moved_ps], start_ps, end_ps)
    tokens_out = int(tally[at.W_OUT])
    return FleetResult(
        fleet=spec.replicas,
        simulated=spec.replicas,
        confidence=1.0,
        window_s=window_s,
        requests=_exact(int(tally[at.W_ARRIVED]) + refused + moved),
        completed=_exact(int(tally[at.W_COMPLETED])),
        dropped=_exact(int(tally[at.W_DROPPED])),
        shed=_exact(refused + int(tally[at.W_SHED])),
        tokens_in=_exact(int(tally[at.W_IN])),
        tokens_out=_exact(tokens_out),
        energy_j=_exact(window_j),
        mean_power_w=_exact(window_j / window_s),
        energy_j_per_output_token=_exact(window_j / tokens_out) if tokens_out else None,
        ttft_s=_latency(cells, 0),
        tpot_s=_latency(cells, 1),
        e2e_s=_latency(cells, 2),
        classes=tallied(by_class, len(spec.class_shares)),
    )


def _latency(cells: Sequence[CompiledReplicas], which: int) -> Distribution | None:
    counts = np.sum([replicas.cell.histogram[which] for replicas in cells], axis=0)
    total = int(counts.sum())
    if not total:
        return None
    sums = float(np.sum([replicas.cell.sums[which] for replicas in cells]))
    quantiles = [histogram_quantile_s(counts, level) or 0.0 for level in (0.5, 0.9, 0.99)]
    return Distribution(*map(_exact, (*quantiles, sums / total / PS_PER_S)))


def _within(pieces: list[IntArray], start_ps: int, end_ps: int) -> int:
    return sum(int(((piece >= start_ps) & (piece < end_ps)).sum()) for piece in pieces)


def _exact(value: float) -> Estimate:
    return Estimate(value, value, value)
