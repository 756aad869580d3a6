"""What a fleet of compiled cells did in its window: exact counts, latencies within 0.4 %."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.classes import tallied
from sim.cluster.serving.compiled_spec import CompiledFleetSpec
from sim.cluster.serving.feed import Feed
from sim.cluster.serving.fleet_cells import FleetCell
from sim.cluster.serving.fleet_result import Counts, FleetResult
from sim.cluster.serving.histograms import exact, pooled_distribution
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.turns import Turns
from sim.errors import InputError
from sim.units import to_ps, to_s

IntArray = NDArray[np.int64]


def compiled_result(
    spec: CompiledFleetSpec,
    cells: Sequence[FleetCell],
    feeds: Sequence[Feed | Turns],
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
    counted = Counts(
        requests=int(tally[at.W_ARRIVED]),
        completed=int(tally[at.W_COMPLETED]),
        dropped=int(tally[at.W_DROPPED]),
        shed=int(tally[at.W_SHED]),
        tokens_in=int(tally[at.W_IN]),
        tokens_out=int(tally[at.W_OUT]),
        turned_away=refused,
        handed_over=moved,
    )
    histogram = np.sum([replicas.cell.histogram for replicas in cells], axis=0)
    sums_ps = np.sum([replicas.cell.sums for replicas in cells], axis=0)
    ttft, tpot, e2e = map(pooled_distribution, histogram.sum(axis=0), sums_ps.sum(axis=0))
    return FleetResult(
        fleet=spec.replicas,
        simulated=spec.replicas,
        confidence=1.0,
        window_s=window_s,
        requests=exact(counted.requests + refused + moved),
        completed=exact(counted.completed),
        dropped=exact(counted.dropped),
        shed=exact(refused + counted.shed),
        tokens_in=exact(counted.tokens_in),
        tokens_out=exact(counted.tokens_out),
        energy_j=exact(window_j),
        mean_power_w=exact(window_j / window_s),
        energy_j_per_output_token=(
            exact(window_j / counted.tokens_out) if counted.tokens_out else None
        ),
        ttft_s=ttft,
        tpot_s=tpot,
        e2e_s=e2e,
        classes=tallied(by_class, len(spec.class_shares), histogram, sums_ps),
        counted=counted,
    )


def _within(pieces: list[IntArray], start_ps: int, end_ps: int) -> int:
    return sum(int(((piece >= start_ps) & (piece < end_ps)).sum()) for piece in pieces)
