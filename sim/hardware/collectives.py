"""Time of collectives among n GPUs: bandwidth-optimal ring or pairwise exchange.

Each returns the time and the bytes that one GPU sends. Thakur et al. 2005, "Optimization
of Collective Communication Operations in MPICH", doi:10.1177/1094342005051521.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.hardware.node import Link


@dataclass(frozen=True, slots=True)
class Transfer:
    """Time of a collective, and the bytes each GPU sends for it."""

    time_s: float
    link_bytes: float


def all_reduce(payload_bytes: float, gpus: int, link: Link) -> Transfer:
    """Sum a payload over n GPUs; each ends with the sum: 2 (n-1)/n of it crosses the link."""
    return _ring(2 * payload_bytes, gpus, link)


def all_gather(payload_bytes: float, gpus: int, link: Link) -> Transfer:
    """Collect n shards into the payload on each GPU: (n-1)/n of it crosses the link."""
    return _ring(payload_bytes, gpus, link)


reduce_scatter = all_gather
"""Same traffic as an all-gather, in the other direction."""


def all_to_all(sent_bytes: float, gpus: int, link: Link) -> Transfer:
    """Each GPU sends `sent_bytes`, spread evenly over n GPUs; 1/n stays at home."""
    return _ring(sent_bytes, gpus, link)


def _ring(payload_bytes: float, gpus: int, link: Link) -> Transfer:
    if gpus <= 1 or payload_bytes == 0:
        return Transfer(0.0, 0.0)
    crossing_bytes = payload_bytes * (gpus - 1) / gpus
    return Transfer(link.latency_s + crossing_bytes / link.bytes_per_s, crossing_bytes)
