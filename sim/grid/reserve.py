"""Reserve margin of a zone's NERC areas after the load.

Capacity = (1 + anticipated margin) x peak; the load fits while capacity over (peak + load)
stays above 1 + reference margin, so margin = capacity / (1 + reference) - peak - load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.grid.network import FloatArray, Network, ReserveArea, Zone
from sim.grid.sampling import Draws


@dataclass(frozen=True, slots=True)
class Reserve:
    """Room in the tightest area of a zone.

    Args:
        area: the area with the least room at nominal figures; None where none is known.
        margin_mw: least room over the zone's areas, shape (1 + n_samples,).
        before_mw: the same before any load, nominal.
    """

    area: ReserveArea | None
    margin_mw: FloatArray
    before_mw: float
    note: str


def room_mw(area: ReserveArea, draws: Draws) -> FloatArray:
    """Load that fits in an area above its reference margin, shape (1 + n_samples,)."""
    peak = area.peak_mw * draws.of(f"area.{area.name}", area.peak_factor)
    factor = (1 + area.anticipated_frac) / (1 + area.reference_frac) - 1
    return np.asarray(peak * factor)


def area_load_mw(network: Network, area: ReserveArea, sites_mw: FloatArray) -> FloatArray:
    """New load of all sites in zones of an area, shape (1 + n_samples,).

    A zone in several areas counts in full in each: its share is not known, and the load
    stands in one of them.
    """
    inside = [i for i, zone in enumerate(network.zones) if area.name in zone.nerc_areas]
    return np.asarray(sites_mw[:, inside].sum(axis=1))


def assess(network: Network, zone: Zone, draws: Draws, sites_mw: FloatArray) -> Reserve:
    """Reserve of a zone with the sites placed.

    Args:
        sites_mw: new load by sample and zone, shape (1 + n_samples, n_zones).
    """
    areas = [area for area in (network.area(name) for name in zone.nerc_areas) if area]
    unknown = [name for name in zone.nerc_areas if network.area(name) is None]
    if not areas:
        why = ", ".join(unknown) or "no NERC area"
        return Reserve(None, np.array([]), 0.0, f"no reserve margin known ({why})")
    rooms = [room_mw(area, draws) for area in areas]
    margins = [
        room - area_load_mw(network, area, sites_mw)
        for area, room in zip(areas, rooms, strict=True)
    ]
    tightest = int(np.argmin([margin[0] for margin in margins]))
    return Reserve(
        area=areas[tightest],
        margin_mw=np.min(margins, axis=0),
        before_mw=float(rooms[tightest][0]),
        note=_note(areas, unknown, areas[tightest]),
    )


def _note(areas: list[ReserveArea], unknown: list[str], tightest: ReserveArea) -> str:
    parts = [
        f"{tightest.name}: anticipated {tightest.anticipated_frac:.1%}, "
        f"reference {tightest.reference_frac:.1%} of {tightest.peak_mw:,.0f} MW"
        + (" (derived peak)" if tightest.peak_kind == "derived" else "")
    ]
    if len(areas) > 1:
        parts.append(f"tightest of {', '.join(area.name for area in areas)}")
    if unknown:
        parts.append(f"no margin known for {', '.join(unknown)}")
    return "; ".join(parts)
