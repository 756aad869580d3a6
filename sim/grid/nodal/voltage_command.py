"""`grid voltage`: hosting by voltage at buses; plain in, plain out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.errors import InputError
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.voltage import HIGH_PU, LOW_PU, VoltageCheck

Row = dict[str, Any]


def voltage(
    case: str,
    *,
    bus: Sequence[int],
    power_factor: float = 0.98,
    worst_outages: int = 10,
    most_mw: float = 2000.0,
    step_mw: float = 5.0,
    low_only: bool = False,
) -> Row:
    """Hosting by voltage at buses: AC power flow, base case and worst outages."""
    network = load_case(case)
    if not bus:
        raise InputError("voltage needs buses", "name one or more: --bus 7095,5049")
    check = VoltageCheck(network, worst=worst_outages, power_factor=power_factor)
    rows = []
    before: tuple[int, ...] = ()
    for number in bus:
        found = check.hosting(
            network.bus_index(number), most_mw=most_mw, step_mw=step_mw, low_only=low_only
        )
        before = found.preexisting
        rows.append(
            {
                "bus": number,
                "hosting_mw": found.hosting_mw,
                "binding": {
                    "kind": found.reason,
                    "bus": None if found.bus is None else int(network.buses.number[found.bus]),
                    "voltage_pu": found.voltage_pu,
                    "outage": None if found.outage is None else network.branch_name(found.outage),
                },
            }
        )
    return {
        "buses": rows,
        "preexisting_violations": [int(network.buses.number[i]) for i in before],
        "conventions": {
            "case": network.name,
            "source": network.source,
            "power_factor": power_factor,
            "range_pu": [LOW_PU, HIGH_PU],
            "outages": f"base case and {worst_outages}: of the branches that carry most of the "
            "load, those after whose loss voltages are worst",
            "reactive_limits": "held: a generator beyond one is pinned and lets its voltage go",
            "who_redispatches": "generators in service in proportion to their headroom; the "
            "reference bus takes the change of losses",
            "counted": "buses that the load moves out of range by more than 0.001 pu"
            + (", low voltages only" if low_only else ""),
            "step_mw": step_mw,
        },
    }
