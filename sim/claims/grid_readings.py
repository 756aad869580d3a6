"""The five readings behind A17, each with what flips it: energy, wires, voltage, loss, swings.

Energy and reserve, loss and swings come from the zonal run of the campus and from a run in which
the grid is dispatched every five minutes with its meter; wires and voltage from the synthetic
Texas of 2,000 buses, where the same load is put at every bus of 230 kV and more.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from sim.claims.base import Numbers

if TYPE_CHECKING:
    from sim.scenario.schema import Scenario

CASE: Final = "activsg2000"
LEAST_KV: Final = 230.0
MOST_MW: Final = 2000.0
STEP_MW: Final = 5.0


def measure_margins(summary: dict[str, Any]) -> dict[str, float]:
    """Margin of each limit where the campus stands, MW."""
    found = {
        f"reading_{v['limit']}_mw": v["margin_mw"]
        for v in summary["grid"]["verdicts"]
        if v["margin_mw"] is not None
    }
    return found | {"swing_mw": sum(site["swing_mw"] for site in summary["sites"].values())}


def measure_loop(scenario: Scenario, seed: int) -> dict[str, float]:
    """The day of the campus with the grid dispatched every five minutes."""
    from sim.policy.patch import coupled
    from sim.scenario.simulate import simulate

    loop = simulate(coupled(scenario), seed).loop
    assert loop is not None  # noqa: S101 - the scenario closes it
    book = loop.grid.book
    return {
        "loop_hours": book.hours,
        "loop_unserved_before_mwh": book.unserved_before_mwh,
        "loop_unserved_mwh": book.unserved_mwh,
        "loop_short_h": max(book.short_h.values()),
        "loop_highest_usd_per_mwh": max(book.highest_price_usd_per_mwh.values()),
    }


def measure_wires(load_mw: float) -> dict[str, float]:
    """At how many buses of the synthetic Texas the load fits, by who redispatches."""
    from sim.grid.nodal.hosting_command import hosting

    base = _rooms(hosting(CASE, least_kv=LEAST_KV))
    fixed = _rooms(hosting(CASE, least_kv=LEAST_KV, security="n1"))
    tight = {bus: room for bus, room in fixed.items() if room < load_mw}
    # The dispatch that stands is one of those that a redispatch may choose: it fits there too.
    secure = _rooms(hosting(CASE, bus=tuple(tight), redispatch="n1-secure")) if tight else {}
    least = min(fixed, key=lambda bus: fixed[bus])
    found = {
        "wires_buses": len(fixed),
        "wires_fit_base": sum(room >= load_mw for room in base.values()),
        "wires_fit_fixed": len(fixed) - len(tight),
        "wires_fit_secure": len(fixed) - sum(room < load_mw for room in secure.values()),
        "wires_least_bus": least,
        "wires_least_mw": fixed[least],
        "wires_least_secure_mw": secure.get(least, fixed[least]),
        "wires_median_mw": sorted(fixed.values())[len(fixed) // 2],
    }
    median = min(fixed, key=lambda bus: (abs(fixed[bus] - found["wires_median_mw"]), bus))
    return {key: float(value) for key, value in found.items()} | _voltage(median)


def _rooms(found: dict[str, Any]) -> dict[int, float]:
    return {int(row["bus"]): float(row["hosting_mw"]) for row in found["buses"]}


def _voltage(bus: int) -> dict[str, float]:
    """Room by voltage at a bus; nothing without the extra `ac`."""
    if find_spec("lightsim2grid") is None:
        return {}
    from sim.grid.nodal.cases import load_case
    from sim.grid.nodal.voltage import VoltageCheck

    network = load_case(CASE)
    check = VoltageCheck(network)
    index = network.bus_index(bus)
    limits = {"most_mw": MOST_MW, "step_mw": STEP_MW}
    both, low = (check.hosting(index, **limits, low_only=only) for only in (False, True))
    return {
        "voltage_bus": float(bus),
        "voltage_mw": both.hosting_mw,
        "voltage_low_mw": low.hosting_mw,
    }


def reading_lines(numbers: Numbers, gpus_of_mw: float) -> tuple[str, ...]:
    """One line for each of the five readings, with what flips it.

    Args:
        gpus_of_mw: GPUs that draw a MW at the meter.
    """
    if "wires_buses" not in numbers:
        return ()
    return (_energy(numbers), *_wires(numbers, gpus_of_mw), *_dynamic(numbers, gpus_of_mw))


def _energy(numbers: Numbers) -> str:
    more = numbers["loop_unserved_mwh"] - numbers["loop_unserved_before_mwh"]
    return (
        f"reading energy and reserve: dispatched every five minutes with its meter for "
        f"{numbers['loop_hours']:.0f} h (TX-ERCOT, the peak day of 2024), the place is short in "
        f"{numbers['loop_short_h']:.1f} h and {more:,.1f} MWh more go unserved; flips in the "
        "states with the least reserve first (GPUs in the condition)"
    )


def _wires(numbers: Numbers, gpus_of_mw: float) -> tuple[str, ...]:
    total = numbers["wires_buses"]
    least, secured, median = (
        _thousands(numbers[f"wires_{name}_mw"], gpus_of_mw)
        for name in ("least", "least_secure", "median")
    )
    wires = (
        f"reading wires: of {total:.0f} buses of 230 kV and more of the synthetic Texas the load "
        f"fits at {numbers['wires_fit_base'] / total:.0%} with all lines in service, at "
        f"{numbers['wires_fit_fixed'] / total:.0%} after any outage with the dispatch standing, at "
        f"{numbers['wires_fit_secure'] / total:.0%} with a dispatch that secures it; flips from "
        f"{least} GPUs at bus {numbers['wires_least_bus']:.0f} ({secured} secured), from {median} "
        "at the median bus"
    )
    return wires, _voltage_line(numbers, gpus_of_mw)


def _voltage_line(numbers: Numbers, gpus_of_mw: float) -> str:
    if "voltage_mw" not in numbers:
        return "reading voltage: not assessed here (it needs the extra `ac`)"
    both, low = numbers["voltage_mw"], numbers["voltage_low_mw"]
    return (
        f"reading voltage: at the median bus ({numbers['voltage_bus']:.0f}) voltages are too low "
        f"from {low:,.0f} MW on (0.90 pu, the worst outages); flips from "
        f"{_thousands(low, gpus_of_mw)} GPUs, from {_thousands(both, gpus_of_mw)} if no set point "
        "and no shunt may move (1.05 pu)"
    )


def _dynamic(numbers: Numbers, gpus_of_mw: float) -> tuple[str, ...]:
    lines = []
    if (room := numbers.get("reading_frequency_mw")) is not None:
        most = numbers["load_mw"] + room
        lines.append(
            f"reading sudden loss: {room:,.0f} MW of room in ERCOT before the loss of all of it at "
            f"once passes what has been borne; flips from {_thousands(most, gpus_of_mw)} GPUs that "
            "leave together, or with a smaller response of the governors"
        )
    if (room := numbers.get("reading_swing_mw")) is not None and numbers["swing_mw"]:
        times = 1 + room / numbers["swing_mw"]
        lines.append(
            f"reading swings: {numbers['swing_mw']:,.0f} MW peak to peak in every step, "
            f"{room:,.0f} MW of room; flips from {times:.1f} times as many GPUs in step, or at "
            "resonance with less damping than assumed"
        )
    return tuple(lines)


def _thousands(load_mw: float, gpus_of_mw: float) -> str:
    return f"{round(load_mw * gpus_of_mw, -3):,.0f}"
