"""What the summary tells of services: their requests, and what users saw of the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.fluid import FluidFleet
from sim.cluster.serving.inbox import Handed
from sim.cluster.serving.protocol import PowerFleet
from sim.scenario.build import Simulation
from sim.scenario.schema import ServiceRequests, ServiceSpec, ServingSpec
from sim.scenario.service_latency import (
    LATENCIES,
    Points,
    Seen,
    attained_frac,
    error_frac,
    fleet_points,
    together,
)
from sim.scenario.services import Part, region_names

Json = dict[str, Any]
COUNTS = ("completed", "dropped", "shed", "tokens_in", "tokens_out")
Trio = tuple[Points | None, Points | None, Points | None]


@dataclass(frozen=True, slots=True)
class Stream:
    """A share of what one fleet answered that came one way.

    Attributes:
        region: number of the users' region. share_frac: of the fleet's requests.
        way_s: what the way adds to the first token and to the end.
    """

    region: int
    share_frac: float
    way_s: float


@dataclass(frozen=True, slots=True)
class Fed:
    """A fleet of a service after the run.

    Attributes:
        taken: requests of the window that others handed over. points: of its latencies.
        streams: all ways to it; their shares sum to 1.
    """

    name: str
    part: Part
    weight: float
    result: FleetResult
    taken: float
    points: Trio
    streams: tuple[Stream, ...]

    @property
    def requests(self) -> float:
        """Requests of the window that the service brought here, handed over or not."""
        return self.result.requests.value - self.taken

    @property
    def way_s(self) -> float:
        """Mean way of what it answered."""
        return math.fsum(one.share_frac * one.way_s for one in self.streams)

    def seen(self, which: int, region: int | None = None) -> list[Seen] | None:
        """Its latencies as users see them, of one region or all; None where it tells none."""
        points, firsts = self.points[which], self.points[0]
        if points is None or firsts is None:
            return None
        scale = self.result.completed.value / max(1.0, float(firsts.weights.sum()))
        far = LATENCIES[which] != "tpot_s"
        return [
            Seen(points, scale * one.share_frac, one.way_s if far else 0.0)
            for one in self.streams
            if region is None or one.region == region
        ]


def services_json(simulation: Simulation, results: Mapping[str, FleetResult]) -> Json:
    """Each service by name; none without services.

    Args:
        results: of the fleets, by site and workload with a dot between.
    """
    fed = fed_fleets(simulation, results)
    return {
        service.name: service_json(service, [f for f in fed if f.part.service is service])
        for service in simulation.scenario.services
    }


def fed_fleets(simulation: Simulation, results: Mapping[str, FleetResult]) -> list[Fed]:
    """All fleets that services feed."""
    parts = {f"{site}.{name}": part for (site, name), part in simulation.streams.parts.items()}
    found = []
    for site in simulation.sites:
        for spec in site.spec.workloads:
            name = f"{site.spec.name}.{spec.name}"
            if not isinstance(spec, ServingSpec) or not isinstance(spec.requests, ServiceRequests):
                continue
            fleet, result = site.fleets[spec.name].fleet, results[name]
            handed = fleet.handed if isinstance(fleet, CompiledFleet) else {}
            points = (fleet_points(fleet, 0), fleet_points(fleet, 1), fleet_points(fleet, 2))
            streams = tuple(_streams(parts, name, handed, result))
            weight = spec.requests.weight
            taken = taken_requests(fleet)
            found.append(Fed(name, parts[name], weight, result, taken, points, streams))
    return found


def taken_requests(fleet: PowerFleet) -> float:
    """Requests of the window that other fleets handed over."""
    if isinstance(fleet, FluidFleet):
        return fleet.received_in_window
    handed = fleet.handed if isinstance(fleet, CompiledFleet) else {}
    return float(sum(one.count for one in handed.values()))


def _streams(
    parts: Mapping[str, Part], name: str, handed: Mapping[str, Handed], result: FleetResult
) -> list[Stream]:
    """Ways to a fleet: of its own part, and over the fleets that handed requests to it."""
    counted = result.counted
    arrived = counted.requests if counted and handed else 0
    ways = [(other, one.count / arrived, one.way_s) for other, one in handed.items() if arrived]
    own_frac = 1.0 - math.fsum(share for _, share, _ in ways)
    return [
        Stream(region, share * frac, trip_s + way_s)
        for source, share, way_s in [(name, own_frac, 0.0), *ways]
        for region, (frac, trip_s) in enumerate(
            zip(parts[source].regions, parts[source].round_trips_s, strict=True)
        )
        if share * frac > 0
    ]


def service_json(service: ServiceSpec, fed: Sequence[Fed]) -> Json:
    """One service: what came, what was answered, what users saw, by target and by region."""
    requests = math.fsum(one.requests for one in fed)
    shares = [region.share_frac for region in service.regions] or [1.0]
    return {
        "router": service.router,
        "requests": requests,
        **{key: math.fsum(getattr(one.result, key).value for one in fed) for key in COUNTS},
        **_latencies(fed),
        "latency_error_frac": _error(fed),
        "slo": _objectives(service, fed),
        "targets": {one.name: _target(one, requests) for one in fed},
        "regions": {
            name: {"share_frac": share, **_latencies(fed, number)}
            for number, (name, share) in enumerate(zip(region_names(service), shares, strict=True))
        },
    }


def _target(one: Fed, requests: float) -> Json:
    return {
        "weight": one.weight,
        "share_frac": one.part.share_frac,
        "requests": one.requests,
        "requests_frac": one.requests / requests if requests else None,
        "handed_to_it": one.taken,
        "completed": one.result.completed.value,
        "network_mean_s": one.way_s,
        **_latencies([one]),
    }


def _latencies(fed: Sequence[Fed], region: int | None = None) -> Json:
    return {
        name: None if (seen := _seen(fed, which, region)) is None else together(seen)
        for which, name in enumerate(LATENCIES)
    }


def _seen(fed: Sequence[Fed], which: int, region: int | None = None) -> list[Seen] | None:
    """All latencies of several fleets; None if one of them does not tell its own."""
    each = [one.seen(which, region) for one in fed]
    told = [seen for seen in each if seen is not None]
    return [one for seen in told for one in seen] if len(told) == len(each) else None


def _error(fed: Sequence[Fed]) -> float | None:
    seen = _seen(fed, 0)
    return None if seen is None else error_frac(seen)


def _objectives(service: ServiceSpec, fed: Sequence[Fed]) -> Json:
    """Of each objective: its limit, and the share of the completed requests that kept it."""
    found: Json = {}
    for which, name in enumerate(LATENCIES):
        limit_s = getattr(service.slo, name)
        if limit_s is not None:
            seen = _seen(fed, which)
            frac = None if seen is None else attained_frac(seen, limit_s)
            found[name] = {"limit_s": limit_s, "attained_frac": frac}
    return found
