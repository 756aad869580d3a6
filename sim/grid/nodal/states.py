"""Hosting in every state, on the synthetic USA: buses to states through the case's areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.datum import read_table
from sim.errors import InputError, UnknownNameError
from sim.grid.nodal.batch import single
from sim.grid.nodal.hosting import FixedDispatch, Hosted
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
        least_effect_frac: the cutoff under which limits were left out.
    """

    state: str
    buses_there: int
    base: tuple[Hosted, ...]
    n1: tuple[Hosted, ...]
    least_effect_frac: float = 0.0

    def share_that_hosts(self, load_mw: float, security: str) -> float:
        """Share of the buses looked at that host a load."""
        answers = self.n1 if security == "n1" else self.base
        return float(np.mean([h.hosting_mw >= load_mw for h in answers]))


def state_of_area() -> dict[int, str]:
    """State of each area of the synthetic USA."""
    rows = read_table("grid/nodal/synthetic_usa_areas.csv")
    return {int(row["area"]): row["state"] for row in rows}


AREA_OFFSETS = {
    "case_SyntheticUSA": 0,
    "case_ACTIVSg70k": 0,
    "case_ACTIVSg10k": 200,
    "case_ACTIVSg2000": 300,
}
"""What to add to a case's area numbers to get those of the synthetic USA, whose parts the other
three are: with these, each area holds as many buses as in the whole (within 2 %)."""


def states_of_buses(network: Network) -> list[str]:
    """State of each bus; "" where the area is of none.

    Raises:
        InputError: the case's areas are not those of the synthetic USA.
    """
    if network.name not in AREA_OFFSETS:
        raise InputError(
            f"the areas of case {network.name} are not those of the synthetic USA",
            f"states are known in {', '.join(AREA_OFFSETS)}",
        )
    states, offset = state_of_area(), AREA_OFFSETS[network.name]
    return [states.get(area + offset, "") for area in network.buses.area.tolist()]


def buses_by_state(network: Network, least_kv: float) -> dict[str, Ints]:
    """Indices of the buses at or above a voltage, by state.

    Raises:
        InputError: the case's areas are not those of the synthetic USA, or no bus is so high.
    """
    states = states_of_buses(network)
    found: dict[str, list[int]] = {}
    for i in np.flatnonzero(network.buses.base_kv >= least_kv).tolist():
        if states[i]:
            found.setdefault(states[i], []).append(i)
    if not found:
        raise InputError(
            f"case {network.name} has no bus at {least_kv:g} kV or above", "ask for less"
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
    cutoffs: Sequence[float] = (0.0,),
) -> list[StateHosting]:
    """Fixed-dispatch hosting, base and N-1, at some buses of each state.

    One process: the index of outages is most of the work, and every process would need it.

    Args:
        states: only these; all if empty.
        settings: those of the N-1 answers (the base answers differ in the security only).
        cutoffs: least effects; one set of answers for each, cutoff by cutoff.

    Raises:
        UnknownNameError: a state that the case does not hold at this voltage.
    """
    there = buses_by_state(network, least_kv)
    if unknown := sorted(set(states) - set(there)):
        raise UnknownNameError("state", unknown[0], there)
    chosen = {
        state: spread(buses, buses_per_state)
        for state, buses in there.items()
        if not states or state in states
    }
    sites = single(np.concatenate(list(chosen.values())))
    n1_settings = settings or Settings(security="n1")
    studies = [Study(network, replace(n1_settings, security="base")), Study(network, n1_settings)]
    base, n1 = (list(FixedDispatch(study).at_cutoffs(sites, cutoffs)) for study in studies)
    result = []
    for i, cutoff in enumerate(cutoffs):
        at = 0
        for state, buses in chosen.items():
            part, count = slice(at, at + len(buses)), len(there[state])
            of_base = tuple(found[i] for found in base[part])
            of_n1 = tuple(found[i] for found in n1[part])
            result.append(StateHosting(state, count, of_base, of_n1, cutoff))
            at += len(buses)
    return result
