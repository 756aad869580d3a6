"""Which experts a batch touches and how unevenly it loads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError

Floats = NDArray[np.float64]


def experts_touched(
    n_experts: int, top_k: int, tokens: Any, popularity: Sequence[float] | None = None
) -> Floats:
    """Expected distinct experts that `tokens` independent tokens choose.

    Uniform routing: E (1 - (1 - k/E)^n). With `popularity` p_e (shares that sum to 1) one
    token chooses expert e with probability min(1, k p_e): sum of 1 - (1 - k p_e)^n.

    Args:
        tokens: shape (n_points,) or a number.
        popularity: shape (n_experts,); None: uniform.

    Raises:
        InputError: top_k exceeds n_experts, or the shares are not `n_experts` that sum to 1.
    """
    if not 0 < top_k <= n_experts:
        raise InputError(f"top_k {top_k} is not within 1 to {n_experts} experts", "mend it")
    counts = np.asarray(tokens, dtype=float)
    if popularity is None:
        return np.asarray(n_experts * (1 - (1 - top_k / n_experts) ** counts))
    chosen = np.minimum(1.0, top_k * _shares(n_experts, popularity))
    return np.asarray((1 - (1 - chosen) ** counts[..., None]).sum(axis=-1))


def _shares(n_experts: int, popularity: Sequence[float]) -> Floats:
    shares = np.asarray(popularity, dtype=float)
    if shares.shape != (n_experts,) or shares.min() < 0 or abs(shares.sum() - 1) > 1e-9:
        raise InputError(
            f"popularity: {shares.size} shares that sum to {shares.sum():g}",
            f"give {n_experts} shares >= 0 that sum to 1",
        )
    return shares


def rank_loads(
    n_experts: int,
    top_k: int,
    tokens: float,
    ranks: int,
    popularity: Sequence[float] | None = None,
) -> Floats:
    """Expected routed token copies per expert-parallel rank, experts dealt in order.

    Returns:
        shape (ranks,); sums to k n.

    Raises:
        InputError: the ranks do not divide the experts.
    """
    if ranks < 1 or n_experts % ranks:
        raise InputError(
            f"{n_experts} experts do not divide among {ranks} ranks", "choose a divisor"
        )
    even = [1 / n_experts] * n_experts
    shares = _shares(n_experts, even if popularity is None else popularity)
    return np.asarray(top_k * tokens * shares.reshape(ranks, -1).sum(axis=1))


def imbalance(
    n_experts: int,
    top_k: int,
    tokens: float,
    ranks: int,
    popularity: Sequence[float] | None = None,
) -> float:
    """Expected load of the most loaded rank over the mean load; the slowest rank sets the time.

    The largest mean load plus the expected excess of the largest of R loads that scatter
    like Poisson counts: sqrt(2 ln R) standard deviations, an upper bound for normal
    scatter (Boucheron et al. 2013, Concentration Inequalities, theorem 2.5). At least 1.
    """
    loads = rank_loads(n_experts, top_k, tokens, ranks, popularity)
    mean = float(loads.mean())
    if mean == 0:
        return 1.0
    worst = float(loads.max())
    return min(float(ranks), (worst + float(np.sqrt(2 * np.log(ranks) * worst))) / mean)
