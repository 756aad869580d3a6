"""Several replicas behind a router, and the process that brings them requests."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Protocol

import numpy as np
from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.reference import ReferenceReplica
from sim.control.serving import Router, RouterView
from sim.errors import InputError
from sim.workload.requests import Request


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
    """

    def __init__(
        self, replicas: Sequence[ReferenceReplica], route: Router, rng: np.random.Generator
    ):
        self.replicas = tuple(replicas)
        self._route = route
        self._rng = rng
        self._routed = 0

    def submit(self, request: Request) -> None:
        """Hand a request to the replica that the router picks."""
        first, second = self._rng.random(2).tolist()
        loads = [replica.load for replica in self.replicas]
        index = self._route(RouterView(loads, self._routed, (first, second)))
        self._routed += 1
        self.replicas[index].submit(request)


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
