"""Which buses a question is about: by number, area, state, zone and voltage; and groups of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sim.errors import InputError, UnknownNameError
from sim.grid.nodal.states import state_of_area, states_of_buses
from sim.grid.nodal.tables import Ints, Network

Region = Literal["area", "state", "zone", "kv"]
REGIONS: tuple[str, ...] = get_args(Region)


@dataclass(frozen=True, slots=True)
class Selection:
    """Buses by number, or all that every given condition holds for.

    Args:
        bus: numbers; the other conditions are not looked at if there are some.
        area, zone: numbers of the case.
        state: names, on cases with the areas of the synthetic USA.
        least_kv: base voltage at or above.
    """

    bus: Sequence[int] = ()
    area: Sequence[int] = ()
    state: Sequence[str] = ()
    zone: Sequence[int] = ()
    least_kv: float = 0.0


def chosen(network: Network, selection: Selection) -> Ints:
    """Indices of the buses, those named in their order.

    Raises:
        InputError: a bus is not in the case, or no bus is left.
    """
    if selection.bus:
        return np.array([network.bus_index(number) for number in selection.bus], dtype=np.int64)
    keep = network.buses.base_kv >= selection.least_kv
    if selection.area:
        keep &= np.isin(network.buses.area, selection.area)
    if selection.zone:
        keep &= np.isin(network.buses.zone, selection.zone)
    if selection.state:
        keep &= np.isin(_states(network, selection.state), selection.state)
    if not keep.any():
        where = "".join(
            f" in {name} {', '.join(map(str, values))}"
            for name, values in (
                ("area", selection.area), ("zone", selection.zone), ("state", selection.state),
            )
            if values
        )  # fmt: skip
        raise InputError(
            f"case {network.name} has no bus{where} at {selection.least_kv:g} kV or above",
            f"its areas are {_few(set(network.buses.area.tolist()))}, its voltages "
            f"{_few(set(network.buses.base_kv.tolist()))} kV",
        )
    return np.flatnonzero(keep)


def _few(values: set[int] | set[float], most: int = 12) -> str:
    ordered = sorted(values)
    text = ", ".join(f"{value:g}" for value in ordered[:most])
    return text if len(ordered) <= most else f"{text} ... ({len(ordered)} in all)"


def _states(network: Network, wanted: Sequence[str]) -> list[str]:
    """State of each bus."""
    known = set(state_of_area().values())
    for state in wanted:
        if state not in known:
            raise UnknownNameError("state", state, known)
    return states_of_buses(network)


def regions(network: Network, buses: Ints, by: Region) -> dict[str, Ints]:
    """The buses in groups, by name of the group.

    Raises:
        UnknownNameError: no such kind of region.
        InputError: by state, and the case's areas are not those of the synthetic USA.
    """
    if by not in REGIONS:
        raise UnknownNameError("kind of region", by, REGIONS)
    if by == "state":
        keys = states_of_buses(network)
        order = sorted(set(keys) - {""})
    else:
        column = {
            "area": network.buses.area, "zone": network.buses.zone, "kv": network.buses.base_kv,
        }[by]  # fmt: skip
        keys = [f"{value:g}" for value in column.tolist()]
        order = [f"{value:g}" for value in sorted(set(column[buses].tolist()))]
    groups: dict[str, list[int]] = {name: [] for name in order}
    for index in buses.tolist():
        if keys[index] in groups:
            groups[keys[index]].append(index)
    return {name: np.array(found, dtype=np.int64) for name, found in groups.items() if found}


def named_sets(network: Network, sets: Mapping[str, Sequence[int]]) -> dict[str, Ints]:
    """Sets of bus numbers as indices.

    Raises:
        InputError: a set is empty or names a bus twice, or a bus is not in the case.
    """
    for name, numbers in sets.items():
        if not numbers or len(set(numbers)) < len(numbers):
            raise InputError(
                f"set {name!r} is empty or names a bus twice", "name one bus or more, each once"
            )
    return {
        name: np.array([network.bus_index(number) for number in numbers], dtype=np.int64)
        for name, numbers in sets.items()
    }
