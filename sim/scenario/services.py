"""How the stream of a service is divided over the workloads that name it.

A coin for each request (or session) says which workload answers it. The coin does not know the
user's region, nor anything that a fleet looks at; so among the requests of a workload the regions
come in fixed shares, and independently of how long the fleet takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import ValidationError

from sim.errors import InputError, UnknownNameError
from sim.scenario.round_trips import published_s, state_of, states
from sim.scenario.schema import ServiceRequests, ServiceSpec, ServingSpec, Site, UserRegion

Numbered: TypeAlias = Iterable[tuple[int, Site]]
"""Sites with their number in the file."""
Target: TypeAlias = tuple[str, str]
"""Names of a site and of its workload."""

ONE_PLACE = "users"
"""The region of a service that names none."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one workload gets of a service's stream.

    Attributes:
        service: the stream. low, high: of a request's coin, 0 to 1, that brings it here.
        regions: share of each of the service's regions in what comes here; they sum to 1.
        round_trips_s: from each region to the site.
    """

    service: ServiceSpec
    low: float
    high: float
    regions: tuple[float, ...] = (1.0,)
    round_trips_s: tuple[float, ...] = (0.0,)

    @property
    def share_frac(self) -> float:
        """Share of the stream."""
        return self.high - self.low

    @property
    def round_trip_s(self) -> float:
        """Mean over what comes here."""
        pairs = zip(self.regions, self.round_trips_s, strict=True)
        return math.fsum(share * way for share, way in pairs)


@dataclass(frozen=True, slots=True)
class _Member:
    """A workload that takes part."""

    path: str
    site: str
    zone: str
    spec: ServingSpec
    weight: float

    @property
    def target(self) -> Target:
        return self.site, self.spec.name


def region_names(service: ServiceSpec) -> tuple[str, ...]:
    """Names of the regions of users, in order."""
    return tuple(region.name for region in service.regions) or (ONE_PLACE,)


def divide(services: Sequence[ServiceSpec], sites: Numbered) -> dict[Target, Part]:
    """The part of each workload that a service feeds.

    Args:
        sites: with their number in the file, for what is wrong with them.

    Raises:
        InputError: a service that there is not, or without a workload, or a way to a site that
            nobody measured, or workloads that cannot be put together.
    """
    numbered = list(sites)
    members = list(_members(services, numbered))
    found: dict[Target, Part] = {}
    for number, service in enumerate(services):
        path = f"services[{number}]"
        own = [m for m in members if _name(m.spec) == service.name]
        _check_members(path, service, own)
        _check_sites(path, service, [site.name for _, site in numbered])
        found |= _parts(path, service, own)
    return found


def _members(services: Sequence[ServiceSpec], sites: Numbered) -> Iterator[_Member]:
    names = [service.name for service in services]
    for number, site in sites:
        for place, spec in enumerate(site.workloads):
            path = f"sites[{number}].workloads[{place}]"
            if not isinstance(spec, ServingSpec) or not isinstance(spec.requests, ServiceRequests):
                continue
            if spec.requests.service not in names:
                raise _unknown(spec.requests.service, names, f"{path}.requests.service")
            yield _Member(path, site.name, site.at.zone, spec, spec.requests.weight)


def _unknown(name: str, names: Sequence[str], path: str) -> InputError:
    if names:
        return UnknownNameError("service", name, names, path=path)
    return InputError(f"no service {name!r}", "add it under `services:` of the scenario", path=path)


def _name(spec: ServingSpec) -> str:
    return spec.requests.service if isinstance(spec.requests, ServiceRequests) else ""


def _check_members(path: str, service: ServiceSpec, members: Sequence[_Member]) -> None:
    """There are some, and their results are of one stretch of time."""
    if not members:
        raise InputError(
            f"no workload answers the requests of service {service.name}",
            f"give one `requests: {{kind: service, service: {service.name}}}`",
            path=path,
        )
    for member in members[1:]:
        first_s, warmup_s = members[0].spec.warmup_s, member.spec.warmup_s
        if warmup_s != first_s:
            raise InputError(
                f"{warmup_s:g} s here, {first_s:g} s at the first workload of service "
                f"{service.name}: their requests could not be counted together",
                "give all of them the same",
                path=f"{member.path}.warmup_s",
            )


def _check_sites(path: str, service: ServiceSpec, sites: Sequence[str]) -> None:
    """Round trips are to sites that there are."""
    for number, region in enumerate(service.regions):
        for site in region.round_trip_s:
            if site not in sites:
                path = f"{path}.regions[{number}].round_trip_s.{site}"
                raise UnknownNameError("site", site, sites, path=path)


def _parts(path: str, service: ServiceSpec, members: Sequence[_Member]) -> dict[Target, Part]:
    """The parts of one service, side by side on the line of coins."""
    shares = [region.share_frac for region in service.regions] or [1.0]
    ways = [_ways(path, service, number, members) for number in range(len(shares))]
    chances = [_chances(service, way, members) for way in ways]
    found, low = {}, 0.0
    for place, member in enumerate(members):
        each = [share * chance[place] for share, chance in zip(shares, chances, strict=True)]
        part = math.fsum(each)
        if part <= 0:
            raise InputError(
                f"no region of service {service.name} has site {member.site} as its nearest",
                "give it shorter round trips, or router: weights, or leave the workload out",
                path=f"{member.path}.requests",
            )
        high = 1.0 if place == len(members) - 1 else min(1.0, low + part)
        regions = tuple(one / part for one in each)
        found[member.target] = Part(service, low, high, regions, tuple(w[place] for w in ways))
        low = high
    return found


def _ways(
    path: str, service: ServiceSpec, number: int, members: Sequence[_Member]
) -> tuple[float, ...]:
    """Round trips from a region to the site of each workload."""
    if not service.regions:
        return (0.0,) * len(members)
    where = f"{path}.regions[{number}]"
    return tuple(_way_s(where, service, service.regions[number], one) for one in members)


def _way_s(path: str, service: ServiceSpec, region: UserRegion, member: _Member) -> float:
    """Round trip from a region to a site: as given, else as published."""
    site = member.site
    if site in region.round_trip_s:
        return region.round_trip_s[site]
    told = f"add `{site}: SECONDS` to round_trip_s, to the site and back"
    if region.at is None:
        raise InputError(
            f"how long is the way to site {site}, which answers service {service.name}?",
            told,
            path=f"{path}.round_trip_s",
        )
    way_s = published_s().get((region.at, state_of(member.zone)))
    if way_s is None:
        raise InputError(
            f"no round trip is published between {region.at} and {member.zone or 'a bus'}, where "
            f"site {site} is; points were measured in {', '.join(states())}",
            told,
            path=f"{path}.at",
        )
    return way_s


def _chances(
    service: ServiceSpec, ways_s: Sequence[float], members: Sequence[_Member]
) -> list[float]:
    """With which chance a request of a region goes to each workload."""
    least_s = min(ways_s)
    weights = [
        member.weight if service.router == "weights" or way_s == least_s else 0.0
        for member, way_s in zip(members, ways_s, strict=True)
    ]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def own_stream(spec: ServingSpec, part: Part | None) -> ServingSpec:
    """A workload as if the stream of its service were its own; unchanged without a service.

    Raises:
        InputError: the stream is none that the workload can take.
    """
    if part is None:
        return spec
    data = spec.model_dump(mode="python")
    data["requests"] = part.service.requests.model_dump(mode="python")
    try:
        return ServingSpec.model_validate(data)
    except ValidationError as error:
        message = str(error.errors(include_url=False)[0]["msg"])
        what, _, todo = message.removeprefix("Value error, ").partition("; ")
        raise InputError(f"fed by service {part.service.name}: {what}", todo) from None
