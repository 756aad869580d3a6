"""Several replicas behind a router, and the process that brings them requests."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol

import numpy as np
from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.sequence import Handed
from sim.cluster.serving.sequence import Sequence as Held
from sim.control.serving import (
    Router,
    RouterView,
    at_random,
    join_shortest_queue,
    prefix_affinity,
    session_sticky,
)
from sim.errors import InputError
from sim.workload.counter import counter_key, halves, uniform
from sim.workload.requests import Request

REQUEUE_KEY = counter_key(0, "requeue")
"""Of the draws by which requests of a failed replica are routed."""


class Server(Protocol):
    """Anything that takes requests."""

    def submit(self, request: Request) -> None:
        """Take a request, now."""


class RoutedReplicas:
    """Replicas that share a stream of requests.

    Args:
        replicas: in order of their index.
        route: which replica gets a request.
        rng: two uniform draws per request, in order of arrival, whatever the router is; so
            request number i has the draws `rng.random((n, 2))[i]`.

    Attributes:
        requeued: how often a request was routed again.
    """

    def __init__(
        self, replicas: Sequence[ReferenceReplica], route: Router, rng: np.random.Generator
    ):
        self.replicas = tuple(replicas)
        self.up = list(range(len(self.replicas)))
        self._route = route
        self._rng = rng
        self._routed = 0
        self.requeued = 0

    def submit(self, request: Request, handed: Handed | None = None) -> None:
        """Hand a request to the replica that the router picks.

        Raises:
            InputError: no replica is up.
        """
        first, second = self._rng.random(2).tolist()
        index = self._pick(
            self._route,
            (first, second),
            request.session,
            lambda: [self.replicas[i].to_read_tokens(request, handed) for i in self.up],
        )
        self._routed += 1
        self.replicas[index].submit(request, handed)

    def fail(self, index: int) -> None:
        """A replica breaks down; its requests are routed again (rule 14).

        Where no other is up, they wait with it until one is back.
        """
        if self.up != [index]:
            self._leave(index)
        self._again(self.replicas[index].fail())

    def _again(self, sequences: Iterable[Held]) -> None:
        """Route requests again."""
        other: dict[Router, Router] = {
            session_sticky: at_random,
            prefix_affinity: join_shortest_queue,
        }
        route = other.get(self._route, self._route)
        for sequence in sequences:
            draw = halves(REQUEUE_KEY, self.requeued)
            self.requeued += 1
            self.replicas[self._pick(route, draw, 0)].take(sequence)

    def drain(self, index: int) -> None:
        """A replica gets no more requests, and goes dark when it has none."""
        self._leave(index)
        self.replicas[index].drain()

    def load(self, index: int) -> None:
        """A replica that is off, or finishes what it has, begins to load its model."""
        self.replicas[index].load_model()

    def join(self, index: int) -> None:
        """A replica that was switched on takes requests again."""
        self.replicas[index].switch_on()
        if index not in self.up:
            insort(self.up, index)
        for other in [i for i in self.up if self.replicas[i].broken]:
            self._leave(other)
            self._again(self.replicas[other].give_up())

    def _leave(self, index: int) -> None:
        if index in self.up:
            self.up.remove(index)

    def _pick(
        self,
        route: Router,
        draw: tuple[float, float],
        session: int,
        to_read: Callable[[], Sequence[int]] = tuple,
    ) -> int:
        if not self.up:
            raise InputError("no replica is up to take a request")
        loads = [self.replicas[i].load for i in self.up]
        view = RouterView(loads, self._routed, draw, self._cached, session, to_read)
        return self.up[route(view)]

    def _cached(self) -> list[int]:
        return [self.replicas[i].cached_tokens for i in self.up]


class AdmissionGate:
    """Lets a share of the requests through to a server; the others are shed.

    Args:
        env: the simulation.
        server: who takes the admitted ones.
        key: of the coins; request i is admitted when coin i lies below the share.

    Attributes:
        shed_ps: arrival times of the requests turned away.
    """

    def __init__(self, env: Environment, server: Server, key: int):
        self.shed_ps: list[int] = []
        self._env = env
        self._server = server
        self._key = key
        self._frac = 1.0

    def set(self, frac: float) -> None:
        """Change the admitted share from now on."""
        self._frac = frac

    def submit(self, request: Request) -> None:
        """Hand a request on, or count it as shed."""
        if uniform(self._key, request.request_id) < self._frac:
            self._server.submit(request)
        else:
            self.shed_ps.append(int(self._env.now))


def bring_requests(
    env: Environment, requests: Iterable[Request], server: Server
) -> Generator[Event, None, None]:
    """Submit each request at its arrival, in the order given.

    Raises:
        InputError: an arrival lies in the past.
    """
    for request in requests:
        delay_ps = request.arrival_ps - int(env.now)
        if delay_ps < 0:
            raise InputError(
                f"request {request.request_id} arrives at {request.arrival_ps} ps, "
                f"which is past at {env.now} ps",
                "sort the requests by arrival",
            )
        yield At(env, Phase.ARRIVAL, delay_ps)
        server.submit(request)
