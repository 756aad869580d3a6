"""Routers: which replica gets a request (rules 13 and 14 of `sim.control.serving`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sim.datum import datum
from sim.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class RouterView:
    """What a router may read.

    Attributes:
        loads: requests waiting or running at each replica, shape (n_replicas,).
        sequence: how many requests were routed before this one.
        draw: two uniform numbers in [0, 1) that belong to this request.
        cached: tokens that the running requests of each replica have in the cache.
        session: number that all requests of a session share.
        to_read: prompt tokens that each replica would read before the request's first token:
            those that wait there, and its own that are not in the prefix store.
    """

    loads: Sequence[int]
    sequence: int
    draw: tuple[float, float]
    cached: Callable[[], Sequence[int]] = tuple
    session: int = 0
    to_read: Callable[[], Sequence[int]] = tuple


Router = Callable[[RouterView], int]
"""View -> index of the replica that gets the request."""


def round_robin(view: RouterView) -> int:
    """Each replica in turn."""
    return view.sequence % len(view.loads)


def join_shortest_queue(view: RouterView) -> int:
    """The replica with the fewest requests; the lowest index on a tie (rule 10)."""
    return min(range(len(view.loads)), key=view.loads.__getitem__)


def power_of_two(view: RouterView) -> int:
    """The less loaded of two different replicas drawn at random; the first on a tie."""
    count = len(view.loads)
    if count == 1:
        return 0
    first = int(view.draw[0] * count)
    second = int(view.draw[1] * (count - 1))
    second += second >= first
    return second if view.loads[second] < view.loads[first] else first


def at_random(view: RouterView) -> int:
    """Any replica, by the first draw."""
    return int(view.draw[0] * len(view.loads))


def least_kv(view: RouterView) -> int:
    """The replica with the fewest cached tokens; the lowest index on a tie."""
    cached = view.cached()
    return min(range(len(cached)), key=cached.__getitem__)


AFFINITY: Final = ("serving/assumptions.yaml", "affinity.request_tokens")


def affinity_tokens() -> int:
    """Prompt tokens that a request at a replica counts for: an assumption, as the file says."""
    return round(datum(*AFFINITY).value)


def prefix_affinity(view: RouterView) -> int:
    """The replica that comes to the first token soonest; the lowest index on a tie.

    Prompt tokens to be read there before, and `affinity_tokens` for each request that is there.
    """
    pairs = zip(view.to_read(), view.loads, strict=True)
    each = affinity_tokens()
    costs = [tokens + each * load for tokens, load in pairs]
    return min(range(len(costs)), key=costs.__getitem__)


def session_sticky(view: RouterView) -> int:
    """All requests of a session go to the same replica."""
    return view.session % len(view.loads)


ROUTERS: Final[Mapping[str, Router]] = {
    "round-robin": round_robin,
    "join-shortest-queue": join_shortest_queue,
    "power-of-two": power_of_two,
    "random": at_random,
    "least-kv": least_kv,
    "session-sticky": session_sticky,
    "prefix-affinity": prefix_affinity,
}


def router(name: str) -> Router:
    """The router of this name.

    Raises:
        UnknownNameError: no such router.
    """
    if name not in ROUTERS:
        raise UnknownNameError("router", name, ROUTERS, path="router")
    return ROUTERS[name]
