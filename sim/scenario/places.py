"""The places of a grid: in which network a site stands, and `each` of its zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sim.errors import InputError
from sim.grid.network import Network
from sim.grid.nodal.cases import load_case
from sim.grid.regions.area_network import us_balancing_areas
from sim.grid.regions.case import region_case
from sim.grid.us_states import resolve_zone, us_states
from sim.scenario.schema.nodal import NodalGrid
from sim.scenario.schema.regions import RegionsGrid

if TYPE_CHECKING:
    from sim.scenario.schema import At, Scenario, Site

EACH: Final = "each"


def network_of(grid: object) -> Network:
    """The network whose zones a grid names."""
    if isinstance(grid, RegionsGrid) and grid.case == "us-balancing-areas":
        return us_balancing_areas()
    return us_states()


def resolve_place(at: At, grid: object) -> At:
    """A zone by its full name, or a bus that the case holds.

    Raises:
        InputError: a zone on a grid of buses or a bus on one of zones, or it is not there.
    """
    if isinstance(grid, NodalGrid):
        return _resolve_bus(at, grid.case)
    if at.bus is not None:
        raise InputError(
            f"bus {at.bus} on a grid of zones", "give a zone, or grid.kind: nodal", path="at.bus"
        )
    try:
        return at.model_copy(update={"zone": resolve_zone(network_of(grid), at.zone).name})
    except InputError as error:
        raise error.at(None, "at.zone") from None


def _resolve_bus(at: At, case: str) -> At:
    if at.bus is None:
        raise InputError(f"zone {at.zone!r} on a grid of buses", "give a bus", path="at.zone")
    try:
        load_case(case).bus_index(at.bus)
    except InputError as error:
        raise error.at(None, "at.bus") from None
    return at


def with_copies(scenario: Scenario) -> list[tuple[int, Site]]:
    """Sites with their number in the file; one in `each` zone becomes one site per zone.

    Raises:
        InputError: `each` on a grid that has no zones with hours.
    """
    found: list[tuple[int, Site]] = []
    for number, site in enumerate(scenario.sites):
        if site.at.zone != EACH:
            found.append((number, site))
            continue
        for zone in _zones(scenario, number):
            name = f"{site.name}-{zone.casefold()}"
            at = site.at.model_copy(update={"zone": zone})
            found.append((number, site.model_copy(update={"name": name, "at": at})))
    names = [site.name for _, site in found]
    for number, site in found:
        if names.count(site.name) > 1:
            raise InputError(
                f"site name {site.name!r} is used twice",
                "give each its own name (a site in each zone becomes NAME-ZONE)",
                path=f"sites[{number}].name",
            )
    return found


def _zones(scenario: Scenario, number: int) -> tuple[str, ...]:
    """Zones whose hourly load is known."""
    grid = scenario.grid
    if not isinstance(grid, RegionsGrid):
        raise InputError(
            f"zone 'each' on a grid of kind {grid.kind!r}",
            "it needs grid.kind: regions",
            path=f"sites[{number}].at.zone",
        )
    case = region_case(grid.case, grid.year, grid.weather_year, mixed_years=True)
    return tuple(zone.name for zone in case.zones)
