"""Frequency of each island that a cascade splits off, second by second.

The cascade settles islands by a rule of rest states (`island_balance`), which decides what is shed
and what goes dark. Here every island that separates is also walked through its seconds with the
inertia of its own machines, its load, its governors and the load-shedding stages that have not
acted yet, from the frequency that its parent had. The two are models of one thing; each row gives
both, so that it shows where they part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from sim.grid.dynamic.interconnections import inertia_fuels
from sim.grid.dynamic.islands import WITHOUT_INERTIA, island_from_output
from sim.grid.dynamic.model import Island, Step
from sim.grid.dynamic.swing import FrequencyRun, simulate
from sim.grid.nodal.island_balance import State
from sim.grid.nodal.tables import Bools, Ints, Network

FUELS: Final[Mapping[str, str]] = {"ng": "gas", "dfo": "oil", "wnd": "wind", "sun": "solar"}
"""Names of the cases in place of ours."""
UNKNOWN: Final = "other"
"""Fuel of a machine that the case does not name: it turns, with the least inertia (assumption)."""
DURATION_S: Final = 60.0
SECONDS_OF_ISLANDS: Final = (
    "seconds of islands that a cascade splits off: share of governors and load shedding as in "
    "ERCOT, machines without a named fuel with the least inertia (assumptions)"
)


@dataclass(frozen=True, slots=True)
class Split:
    """An island at the moment in which it separates, before anything acts.

    Args:
        bus: index of its first bus; `buses` how many it has.
        output_mw: scheduled output by fuel.
        load_mw: load that is left; `first_load_mw` before any shedding.
        imbalance_mw: load less output (> 0: frequency falls).
        start_hz: frequency of its parent.
        stages_shed: load-shedding stages that have acted already.
        rested_hz: where the rule of rest states leaves it; None if it goes dark.
    """

    bus: int
    buses: int
    output_mw: Mapping[str, float]
    load_mw: float
    first_load_mw: float
    imbalance_mw: float
    start_hz: float
    stages_shed: int
    rested_hz: float | None = None


def fuels_of(network: Network) -> tuple[str, ...]:
    """Fuel of each generator in the words of the frequency model."""
    known = (*inertia_fuels(), *WITHOUT_INERTIA)
    named = network.generators.fuel or ("",) * len(network.generators.bus)
    ours = (FUELS.get(fuel.lower(), fuel.lower()) for fuel in named)
    return tuple(fuel if fuel in known else UNKNOWN for fuel in ours)


def separated(label: Ints, before: Ints, alive: Bools) -> list[Bools]:
    """Buses of each island with power that was part of a larger one before.

    Args:
        label: island of each bus now, < 0 where there is none; `before` at the stage before.
    """
    sizes = np.bincount(before[alive & (before >= 0)], minlength=1)
    found = []
    for island in np.unique(label[alive & (label >= 0)]).tolist():
        buses = (label == island) & alive
        if int(buses.sum()) < int(sizes[before[np.flatnonzero(buses)[0]]]):
            found.append(buses)
    return found


def split_of(state: State, buses: Bools, fuels: tuple[str, ...], nominal_hz: float) -> Split:
    """The island on these buses, before it settles."""
    own = np.flatnonzero(state.generator_on & buses[state.generator_bus])
    output: dict[str, float] = {}
    for row in own.tolist():
        mw = max(float(state.setpoint_mw[row]), 0.0)
        output[fuels[row]] = output.get(fuels[row], 0.0) + mw
    demand, first = state.demand_mw[buses], state.first_demand_mw[buses]
    return Split(
        bus=int(np.flatnonzero(buses)[0]),
        buses=int(buses.sum()),
        output_mw=output,
        load_mw=float(np.maximum(demand, 0).sum()),
        first_load_mw=float(np.maximum(first, 0).sum()),
        imbalance_mw=float(demand.sum() - state.setpoint_mw[own].sum()),
        start_hz=nominal_hz + float(state.deviation_hz[buses].mean()),
        stages_shed=int(state.relay[buses].max()),
    )


def rested(split: Split, state: State, nominal_hz: float) -> Split:
    """The split with what the rule of rest states made of it."""
    if not state.alive[split.bus]:
        return split
    return replace(split, rested_hz=nominal_hz + float(state.deviation_hz[split.bus]))


def island_of(split: Split) -> tuple[Island, Step] | None:
    """The island as the frequency model has it; None if nothing turns in it or it has no load."""
    turns = any(mw > 0 for fuel, mw in split.output_mw.items() if fuel not in WITHOUT_INERTIA)
    if not turns or split.load_mw <= 0:
        return None
    island, _ = island_from_output(split.output_mw, split.load_mw)
    scale = split.first_load_mw / split.load_mw  # stages are shares of the first load
    left = island.relays[split.stages_shed :]
    relays = tuple(replace(relay, mw=relay.mw * scale) for relay in left)
    return replace(island, relays=relays), Step(0.0, split.imbalance_mw)


def swing(split: Split) -> FrequencyRun | None:
    """The island's seconds after it separates; None where it cannot have a frequency."""
    found = island_of(split)
    if found is None:
        return None
    island, step = found
    return simulate(island, [step], duration_s=DURATION_S, start_hz=split.start_hz)


def swing_row(network: Network, split: Split) -> dict[str, Any]:
    """What the seconds say of one island, beside the rule of rest states, ready for JSON."""
    found, run = island_of(split), swing(split)
    seconds = {
        "nadir_hz": run.nadir_hz,
        "zenith_hz": run.zenith_hz,
        "settled_hz": run.settled_hz,
        "rocof_hz_per_s": run.rocof_hz_per_s,
        "ufls_mw": run.ufls_mw,
        "collapsed": run.collapsed,
    } if run else dict.fromkeys(
        ("nadir_hz", "zenith_hz", "settled_hz", "rocof_hz_per_s", "ufls_mw", "collapsed")
    )  # fmt: skip
    return {
        "bus": int(network.buses.number[split.bus]),
        "buses": split.buses,
        "load_mw": split.load_mw,
        "imbalance_mw": split.imbalance_mw,
        "inertia_gws": found[0].inertia_mws / 1e3 if found else 0.0,
        "start_hz": split.start_hz,
        **seconds,
        "rule_settled_hz": split.rested_hz,
        "rule_goes_dark": split.rested_hz is None,
    }
