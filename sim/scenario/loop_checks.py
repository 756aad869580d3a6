"""What is wrong with the rules of a scenario, found before anything is built or run."""

from __future__ import annotations

from collections.abc import Mapping

from sim.control.rules.shift import ShiftRequests
from sim.errors import InputError
from sim.scenario.coupling import EVERYTHING
from sim.scenario.coupling_nodal import published_by
from sim.scenario.schema import Scenario, ServiceRequests, ServingSpec, Site
from sim.scenario.schema.nodal import NodalGrid
from sim.scenario.services import Part, Target, divide, own_stream

MOVABLE = ("fluid", "request")
"""Fidelities of fleets that can hand requests over: like goes to like."""
REMEDIES = {
    "price": "give grid.redispatch: dc-opf or n1-secure, or a zonal grid",
    "carbon": "give a zonal grid",
    "load-rank": "give coupling.load_zone, or a zonal grid",
}


def check_rules(scenario: Scenario) -> None:
    """Every rule holds at sites that there are, and hears and reaches what it needs.

    Raises:
        InputError: a rule names a site that there is not, hands requests to nowhere, or needs
            what the grid does not publish.
    """
    names = [site.name for site in scenario.sites]
    for number, spec in enumerate(scenario.control.rules):
        path = f"control.rules[{number}]"
        rule = spec.to_rule()
        if unknown := sorted(set(spec.sites) - set(names)):
            raise InputError(
                f"there is no site {unknown[0]!r}",
                f"choose of {', '.join(names)}",
                path=f"{path}.sites",
            )
        if missing := sorted(rule.needs - published(scenario)):
            raise InputError(
                f"rule {spec.kind} needs the grid's {missing[0]}, which this grid does not publish",
                REMEDIES[missing[0]],
                path=path,
            )
        if isinstance(rule, ShiftRequests):
            _check_books(scenario, path)
        if isinstance(rule, ShiftRequests) and not _can_shift(scenario, spec.sites or names):
            raise InputError(
                "no two sites have the same serving workload with the same fidelity, fluid or "
                "request, so no request can be handed over (sampled replicas speak for all the "
                "others: their requests are no whole stream; with a prefix cache they stay where "
                "their prefixes are, and sessions where they began)",
                "give the workload at both sites the same name, and fidelity: fluid or request",
                path=path,
            )


def published(scenario: Scenario) -> frozenset[str]:
    """What the coupled grid of a scenario tells its sites beside what they must cut."""
    grid, coupling = scenario.grid, scenario.control.coupling
    if not isinstance(grid, NodalGrid):
        return EVERYTHING
    return published_by(grid, coupling.load_zone if coupling.kind == "interval" else "")


def _can_shift(scenario: Scenario, chosen: list[str]) -> bool:
    parts = divide(scenario.services, enumerate(scenario.sites))
    fleets = {site.name: _movable(site, parts) for site in scenario.sites}
    return any(fleets[a] and fleets[a] <= fleets[b] for a in chosen for b in fleets if a != b)


def _movable(site: Site, parts: Mapping[Target, Part]) -> set[tuple[str, str]]:
    """Name and fidelity of the fleets that can hand requests over, or take them."""
    return {
        (w.name, w.fidelity)
        for w in site.workloads
        if isinstance(w, ServingSpec) and movable(own_stream(w, parts.get((site.name, w.name))))
    }


def _check_books(scenario: Scenario, path: str) -> None:
    """Workloads that hand requests to each other are of one service, or all of none.

    Raises:
        InputError: else requests of a service would be answered where nobody counts them.
    """
    found: dict[tuple[str, str], str] = {}
    parts = divide(scenario.services, enumerate(scenario.sites))
    for number, site in enumerate(scenario.sites):
        moving = _movable(site, parts)
        for place, spec in enumerate(site.workloads):
            if not isinstance(spec, ServingSpec) or (spec.name, spec.fidelity) not in moving:
                continue
            service = spec.requests.service if isinstance(spec.requests, ServiceRequests) else ""
            if found.setdefault((spec.name, spec.fidelity), service) != service:
                raise InputError(
                    f"requests of workload {spec.name!r} move between sites, but not all of its "
                    "sites take them from the same service",
                    f"let all name the same service, or remove {path}",
                    path=f"sites[{number}].workloads[{place}].requests",
                )


def movable(fleet: ServingSpec) -> bool:
    """Whether a request may be answered elsewhere than where it came."""
    alone = fleet.prefix_cache is None and fleet.requests.kind != "sessions"
    return alone and fleet.fidelity in MOVABLE
