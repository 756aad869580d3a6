"""The base operating point: who generates what before any load is added.

Raw cases carry the losses of an AC solution in their generation. The DC model has none, so
generation is scaled by one factor in each island until it balances (no single slack bus).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.law import check_buses
from sim.grid.nodal.tables import ISOLATED, Floats, Network


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point of the DC model.

    Args:
        output_mw: by generator.
        injection_mw: by bus, generation less load, shunts and DC lines.
        flow_mw: by branch, from start to end.
        scale: by island, the factor on the case's generation.
    """

    output_mw: Floats
    injection_mw: Floats
    flow_mw: Floats
    scale: Floats


def demand_mw(network: Network) -> Floats:
    """Load, shunts at 1 pu and net DC line withdrawals by bus, shape (n_buses,)."""
    buses, dc = network.buses, network.dc_lines
    demand = buses.load_mw + buses.shunt_mw
    demand = demand + network.at_bus(dc.start, np.where(dc.is_on, dc.sent_mw, 0.0))
    demand = demand - network.at_bus(dc.end, np.where(dc.is_on, dc.received_mw, 0.0))
    return np.where(buses.kind == ISOLATED, 0.0, demand)


def by_island(grid: DcGrid, at_bus: Floats) -> Floats:
    """Sum by island, shape (n_islands,); dead buses left out."""
    alive = grid.island >= 0
    sums = np.bincount(grid.island[alive], weights=at_bus[alive], minlength=grid.n_islands)
    return sums.astype(np.float64)


def base_point(grid: DcGrid) -> Point:
    """The case's own dispatch, scaled to balance in each island.

    Raises:
        InputError: an island has demand and no generation to scale.
    """
    network = grid.network
    g = network.generators
    output = np.where(network.generator_on, g.output_mw, 0.0)
    wanted = by_island(grid, demand_mw(network))
    given = by_island(grid, network.at_bus(g.bus, output))
    idle = (given <= 0) & (np.abs(wanted) > 1e-9)
    if idle.any():
        output = np.where(idle[grid.island[g.bus]] & network.generator_on, g.max_mw, output)
        given = by_island(grid, network.at_bus(g.bus, output))
    if (bad := np.flatnonzero((given <= 0) & (np.abs(wanted) > 1e-9))).size:
        first = int(network.buses.number[np.flatnonzero(grid.island == bad[0])[0]])
        raise InputError(
            f"case {network.name}: the island of bus {first} wants {wanted[bad[0]]:g} MW and has "
            "no generation",
            "switch a generator on",
        )
    scale = np.divide(wanted, given, out=np.ones_like(wanted), where=given != 0)
    output = output * np.where(network.generator_on, scale[grid.island[g.bus]], 0.0)
    return at_point(grid, output, scale)


def at_point(grid: DcGrid, output_mw: Floats, scale: Floats | None = None) -> Point:
    """Flows of a given dispatch that balances in each island.

    Raises:
        LawViolation: a bus does not balance.
    """
    network = grid.network
    injection = network.at_bus(network.generators.bus, output_mw) - demand_mw(network)
    injection = np.where(grid.island >= 0, injection, 0.0)
    ones = np.ones(grid.n_islands) if scale is None else scale
    flow = grid.flows(injection)
    check_buses(grid, injection, flow)
    return Point(output_mw, injection, flow, ones)


def headroom_mw(network: Network, output_mw: Floats) -> Floats:
    """What each generator in service can add, shape (n_generators,)."""
    room = np.maximum(network.generators.max_mw - output_mw, 0.0)
    return np.where(network.generator_on, room, 0.0)


def pickup(grid: DcGrid, room_mw: Floats) -> Floats:
    """Injection by bus per MW of new load in its island, in proportion to `room_mw`.

    Shape (n_buses,); sums to 1 in each island that has room, else 0.
    """
    at_bus = grid.network.at_bus(grid.network.generators.bus, room_mw)
    total = by_island(grid, at_bus)
    safe = np.where(total > 0, total, np.inf)
    return np.where(grid.island >= 0, at_bus / safe[grid.island], 0.0)
