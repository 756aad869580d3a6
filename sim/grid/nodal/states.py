"""Hosting in every state, on the synthetic USA: buses to states through the case's areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.datum import read_table
from sim.errors import InputError, UnknownNameError
from sim.grid.nodal.batch import host_all, single
from sim.grid.nodal.hosting import Hosted
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Ints, Network

LABEL = (
    "synthetic grid: it shows what a grid of this size and kind does, not what a state's own does"
)


@dataclass(frozen=True, slots=True)
class StateHosting:
    """Answers in one state.

    Args:
        base, n1: one answer for each bus looked at, in the same order.
        buses_there: buses at or above the voltage in the state.
    """

    state: str
    buses_there: int
    base: tuple[Hosted, ...]
    n1: tuple[Hosted, ...]

    def share_that_hosts(self, load_mw: float, security: str) -> float:
        """Share of the buses looked at that host a load."""
        answers = self.n1 if security == "n1" else self.base
        return float(np.mean([h.hosting_mw >= load_mw for h in answers]))


def state_of_area() -> dict[int, str]:
    """State of each area of the synthetic USA."""
    rows = read_table("grid/nodal/synthetic_usa_areas.csv")
    return {int(row["area"]): row["state"] for row in rows}


def buses_by_state(network: Network, least_kv: float) -> dict[str, Ints]:
    """Indices of the buses at or above a voltage, by state.

    Raises:
        InputError: none of the case's areas is known.
    """
    states = state_of_area()
    found: dict[str, list[int]] = {}
    for i in np.flatnonzero(network.buses.base_kv >= least_kv).tolist():
        state = states.get(int(network.buses.area[i]))
        if state is not None:
            found.setdefault(state, []).append(i)
    if not found:
        raise InputError(
            f"case {network.name} has no area of the synthetic USA", "use case synthetic-usa"
        )
    return {state: np.array(buses, dtype=np.int64) for state, buses in sorted(found.items())}


def spread(buses: Ints, count: int) -> Ints:
    """`count` of the buses, evenly over their order (all, if there are fewer)."""
    if len(buses) <= count:
        return buses
    return buses[np.linspace(0, len(buses) - 1, count).round().astype(np.int64)]


def every_state(
    network: Network,
    *,
    least_kv: float = 230.0,
    buses_per_state: int = 20,
    states: Sequence[str] = (),
    settings: Settings | None = None,
    workers: int = 1,
) -> list[StateHosting]:
    """Fixed-dispatch hosting, base and N-1, at some buses of each state.

    Args:
        states: only these; all if empty.
        settings: those of the N-1 answers (the base answers differ in the security only).

    Raises:
        UnknownNameError: a state that the case does not hold at this voltage.
    """
    there = {
        state: buses
        for state, buses in buses_by_state(network, least_kv).items()
        if not states or state in states
    }
    if unknown := sorted(set(states) - set(there)):
        raise UnknownNameError("state", unknown[0], buses_by_state(network, least_kv))
    chosen = {state: spread(buses, buses_per_state) for state, buses in there.items()}
    every = np.concatenate(list(chosen.values()))
    chosen_settings = settings or Settings(security="n1")
    base_settings = replace(chosen_settings, security="base")
    base = host_all(Study(network, base_settings), single(every))
    n1 = host_all(Study(network, chosen_settings), single(every), workers=workers)
    result, at = [], 0
    for state, buses in chosen.items():
        part = slice(at, at + len(buses))
        result.append(StateHosting(state, len(there[state]), tuple(base[part]), tuple(n1[part])))
        at += len(buses)
    return result
