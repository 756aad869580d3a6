"""Plain rows for `flopgrid grid list` and `flopgrid grid show`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sim.errors import UnknownNameError
from sim.grid.network import Network, Zone
from sim.grid.us_states import us_states


def _areas() -> Network:
    from sim.grid.regions.area_network import us_balancing_areas

    return us_balancing_areas()


NETWORKS: Final[dict[str, tuple[str, Callable[[], Network]]]] = {
    "us-states": (
        "zonal: 48 states + DC (Texas as TX-ERCOT and TX-other), AK and HI as islands",
        us_states,
    ),
    "us-balancing-areas": ("zonal: the 134 ReEDS balancing areas of the 48 states", _areas),
}


def network(name: str) -> Network:
    """A network by name.

    Raises:
        UnknownNameError: no such network.
    """
    if name not in NETWORKS:
        raise UnknownNameError("grid", name, NETWORKS)
    return NETWORKS[name][1]()


def list_rows() -> list[dict[str, object]]:
    """One row per network."""
    return [{"name": name, "what": what} for name, (what, _) in NETWORKS.items()]


def zone_rows(grid: Network) -> list[dict[str, object]]:
    """One row per zone: peak and how it is known, capacity, import limit, reserve, gaps."""
    return [
        {
            "zone": zone.name,
            "interconnection": zone.interconnection or "island",
            "peak_mw": zone.peak_mw,
            "peak_kind": zone.peak_kind,
            "capacity_mw": round(zone.total_capacity_mw, 1),
            "import_limit_mw": round(grid.import_limit_mw(zone.name), 1),
            "nerc_areas": "|".join(zone.nerc_areas),
            "reserve_margin_frac": _margin(grid, zone),
            "data_centre_mw": zone.data_centre_mw,
            "gaps": "; ".join(gaps(grid, zone)),
        }
        for zone in grid.zones
    ]


def interface_rows(grid: Network) -> list[dict[str, object]]:
    """One row per interface."""
    return [
        {
            "from": line.source,
            "to": line.target,
            "kind": line.kind,
            "forward_mw": line.forward_mw,
            "reverse_mw": line.reverse_mw,
            "note": line.note,
        }
        for line in grid.interfaces
    ]


def gap_rows(grid: Network) -> list[dict[str, object]]:
    """One row per gap of a zone, then what the whole network leaves out."""
    rows: list[dict[str, object]] = [
        {"zone": zone.name, "gap": gap} for zone in grid.zones for gap in gaps(grid, zone)
    ]
    from sim.grid.regions.area_network import hourly_gaps

    whole = [*grid.omitted, *(f"hours: {gap}" for gap in hourly_gaps(grid.name))]
    return rows + [{"zone": "all", "gap": gap} for gap in whole]


def _margin(grid: Network, zone: Zone) -> float | None:
    """The least anticipated margin of the zone's areas."""
    known = [area.anticipated_frac for area in map(grid.area, zone.nerc_areas) if area]
    return min(known, default=None)


def gaps(grid: Network, zone: Zone) -> list[str]:
    """What is unknown, derived or assumed about a zone."""
    tests = {
        "peak not known": zone.peak_mw is None,
        "peak derived from sales": zone.peak_is_derived,
        "no interface": zone.interconnection != "" and not grid.import_limit_mw(zone.name),
        "no frequency response known": grid.frequency_of(zone) is None,
        "existing data-centre load not known": zone.data_centre_mw is None,
        "in two interconnections, counted in the larger": len(zone.shares) > 1,
        "capacity split assumed": grid.split is not None
        and zone.name in (grid.split.first, grid.split.second),
        "reserve area not known": not any(map(grid.area, zone.nerc_areas)),
        "reserve area has a derived peak": any(
            area.peak_kind == "derived" for area in map(grid.area, zone.nerc_areas) if area
        ),
        "in several reserve areas, the tightest counts": len(zone.nerc_areas) > 1,
    }
    unknown = [name for name in zone.nerc_areas if grid.area(name) is None]
    found = [gap for gap, holds in tests.items() if holds]
    return found + [f"no margin for {name}" for name in unknown]
