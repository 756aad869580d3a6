"""Laws of flows on a nodal grid, written apart from the sparse solve and the programs.

Each bus: what is injected leaves over its branches. Each dispatch: generators within their
limits, and base-case flows within the limits that were asked for.
"""

from __future__ import annotations

import numpy as np

from sim.errors import LawViolation
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.tables import Floats, Network

BALANCE_MW = 1e-5
"""What a bus may be off by: rounding of angles times susceptances, at 70,000 buses 1e-7."""
LIMIT_MW = 1e-4
"""What a flow or an output may be beyond its limit: what the solver may miss and rounding."""


def check_buses(grid: DcGrid, injection_mw: Floats, flow_mw: Floats) -> None:
    """Every bus in service: injection = flows out less flows in.

    Raises:
        LawViolation: with the bus and the numbers.
    """
    network, branches = grid.network, grid.network.branches
    out_mw = network.at_bus(branches.start, flow_mw) - network.at_bus(branches.end, flow_mw)
    off = np.where(grid.island >= 0, np.abs(injection_mw - out_mw), np.abs(out_mw))
    worst = int(off.argmax()) if len(off) else 0
    scale = max(1.0, float(np.abs(injection_mw).max(initial=0.0)))
    if len(off) and not off[worst] <= BALANCE_MW * scale:
        raise LawViolation(
            f"case {network.name}, bus {int(network.buses.number[worst])}: injection "
            f"{float(injection_mw[worst])!r} MW, flows out {float(out_mw[worst])!r} MW"
        )


def check_flows(network: Network, flow_mw: Floats, lower_mw: Floats, upper_mw: Floats) -> None:
    """Every branch between its limits.

    Raises:
        LawViolation: with the branch and the numbers.
    """
    over = np.maximum(flow_mw - upper_mw, lower_mw - flow_mw)
    worst = int(over.argmax()) if len(over) else 0
    if len(over) and not over[worst] <= LIMIT_MW:
        name = network.branch_name(worst)
        raise LawViolation(
            f"case {network.name}, branch {name['row']} from {name['from']} to {name['to']}: flow "
            f"{float(flow_mw[worst])!r} MW, limits {float(lower_mw[worst])!r} to "
            f"{float(upper_mw[worst])!r} MW"
        )


def check_outputs(network: Network, output_mw: Floats) -> None:
    """Every generator in service between its limits, every other at zero.

    Raises:
        LawViolation: with the generator's row and the numbers.
    """
    g, on = network.generators, network.generator_on
    low, high = np.where(on, g.min_mw, 0.0), np.where(on, g.max_mw, 0.0)
    over = np.maximum(output_mw - high, low - output_mw)
    worst = int(over.argmax()) if len(over) else 0
    if len(over) and not over[worst] <= LIMIT_MW:
        raise LawViolation(
            f"case {network.name}, generator {worst + 1}: output {float(output_mw[worst])!r} MW, "
            f"limits {float(low[worst])!r} to {float(high[worst])!r} MW"
        )
