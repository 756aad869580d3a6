"""The streams of services in a run: a workload's part of each, every request once.

Poisson arrivals, and the starts of sessions, are split exactly by giving each workload a Poisson
stream of its own at its share of the rate. Any other stream is drawn (or read) once, and a coin
for each row, or session, says whose it is: all parts together are the stream.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.scenario.schema import Scenario, ServiceSpec, ServingSpec
from sim.scenario.services import Part, divide, own_stream
from sim.scenario.traffic import Traffic, traffic
from sim.units import S_PER_H, to_s
from sim.workload.arrivals import PoissonArrivals
from sim.workload.counter import counter_key, uniforms
from sim.workload.requests import RequestTable, coins_by_session, draw_requests

FloatArray = NDArray[np.float64]

MOST_ROWS = 30_000_000
"""Requests of a stream that are held at once: some 2 GiB while they are drawn."""

MOST_DEVIATIONS = 6.0
"""Of a Poisson number from its mean: one of some hundred million is farther."""


class ServiceStreams:
    """Streams of the services of a scenario, each drawn when it is first asked for.

    Args:
        scenario: resolved. seed: the run's seed.

    Attributes:
        parts: of the streams, by site and workload.
    """

    def __init__(self, scenario: Scenario, seed: int):
        self.parts = divide(scenario.services, enumerate(scenario.sites))
        self._horizon_s = scenario.horizon_h * S_PER_H
        self._seed = seed
        self._traffic: dict[str, Traffic] = {}
        self._rows: dict[str, tuple[RequestTable, FloatArray]] = {}

    def fed(self, site: str, spec: ServingSpec) -> tuple[ServingSpec, Traffic | None]:
        """A workload with its service's stream as its own, and what of it comes here.

        Without a service, the workload as it is, and None.

        Raises:
            InputError: see `traffic`.
        """
        part = self.parts.get((site, spec.name))
        if part is None:
            return spec, None
        found = self.traffic(part, rates_only=spec.fidelity == "fluid")
        return own_stream(spec, part), found

    def traffic(self, part: Part, *, rates_only: bool = False) -> Traffic:
        """What comes to one workload.

        Args:
            rates_only: whether the rate is enough.

        Raises:
            InputError: the stream cannot be read, or is too long to be divided row by row.
        """
        whole = self._whole(part.service)
        own = replace(whole, arrivals=whole.arrivals.thinned(part.share_frac))
        poisson = isinstance(whole.arrivals, PoissonArrivals)
        if rates_only or poisson:
            return replace(own, recorded=None)
        table, coins = self._divided(part.service)
        return replace(own, recorded=table.rows((coins >= part.low) & (coins < part.high)))

    def due(self, part: Part, start_ps: int, end_ps: int) -> tuple[float, float] | None:
        """Requests of one workload between two instants, and how far from that they may be.

        None for turns of sessions. Of a stream that is divided row by row the number is exact.
        """
        if part.service.requests.kind == "sessions":
            return None
        whole = self._whole(part.service)
        if isinstance(whole.arrivals, PoissonArrivals):
            mean = whole.rate_per_s * part.share_frac * to_s(end_ps - start_ps)
            return mean, MOST_DEVIATIONS * (math.sqrt(mean) + 1)
        table, coins = self._divided(part.service)
        own = (coins >= part.low) & (coins < part.high)
        return float(
            (own & (table.arrival_ps >= start_ps) & (table.arrival_ps < end_ps)).sum()
        ), 0.0

    def _whole(self, service: ServiceSpec) -> Traffic:
        if service.name not in self._traffic:
            self._traffic[service.name] = traffic(service.requests)
        return self._traffic[service.name]

    def _divided(self, service: ServiceSpec) -> tuple[RequestTable, FloatArray]:
        """The rows of a stream with the coin of each."""
        if service.name not in self._rows:
            table = self._drawn(service)
            key = counter_key(self._seed, "service", service.name, "target")
            coins = uniforms(key, np.arange(len(table), dtype=np.uint64))
            self._rows[service.name] = table, coins_by_session(table, coins)
        return self._rows[service.name]

    def _drawn(self, service: ServiceSpec) -> RequestTable:
        whole = self._whole(service)
        if whole.recorded is not None:
            return whole.recorded
        expected = whole.rate_per_s * self._horizon_s
        if expected > MOST_ROWS:
            raise InputError(
                f"service {service.name} brings {expected:,.0f} requests of kind "
                f"{service.requests.kind}, and {MOST_ROWS:,} can be dealt out one by one",
                "give a shorter horizon, kind: poisson, or fidelity: fluid",
                path="requests",
            )
        purpose = f"service.{service.name}"
        return draw_requests(whole.arrivals, whole.lengths, self._horizon_s, self._seed, purpose)
