"""How one island settles after a stage of a cascade: governors, damping, shedding, tripping.

Quasi-steady: frequency settles where governors and the load's own damping balance the island;
on the way it swings further by a fixed factor, and that swing is what shedding relays see.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sim.datum import data
from sim.grid.nodal.tables import Bools, Floats, Ints

_FILE = "grid/nodal/cascade.yaml"


@dataclass(frozen=True, slots=True)
class Rules:
    """Figures of `cascade.yaml`; see there for sources and ranges."""

    nominal_hz: float
    trip_threshold_frac: float
    droop_frac: float
    governor_share_frac: float
    load_damping: float
    overshoot_frac: float
    shed_hz: tuple[float, ...]
    shed_frac: tuple[float, ...]
    high_trip_hz: float
    collapse_hz: float
    hidden_failure_frac: float


def read_rules() -> Rules:
    """The rules of the data file."""
    figures = data(_FILE)
    plain = {name: figure.value for name, figure in figures.items() if "shed" not in name}
    return Rules(
        shed_hz=tuple(figures[f"shed_{i}_hz"].value for i in (1, 2, 3)),
        shed_frac=tuple(figures[f"shed_{i}_frac"].value for i in (1, 2, 3)),
        **plain,
    )


@dataclass(slots=True)
class State:
    """What carries over from stage to stage.

    Args:
        setpoint_mw: scheduled output by generator.
        demand_mw: demand left by bus; `first_demand_mw` before any shedding.
        relay: by bus, shedding stages that have acted.
        deviation_hz: by bus, settled frequency less nominal.
    """

    generator_bus: Ints
    generator_on: Bools
    setpoint_mw: Floats
    max_mw: Floats
    demand_mw: Floats
    first_demand_mw: Floats
    alive: Bools
    relay: Ints = field(init=False)
    deviation_hz: Floats = field(init=False)
    output_mw: Floats = field(init=False)
    served_mw: Floats = field(init=False)
    shed_mw: float = 0.0
    dark_mw: float = 0.0

    def __post_init__(self) -> None:
        self.relay = np.zeros(len(self.demand_mw), dtype=np.int64)
        self.deviation_hz = np.zeros(len(self.demand_mw))
        self.output_mw = np.where(self.generator_on, self.setpoint_mw, 0.0)
        self.served_mw = self.demand_mw.copy()


def settled_deviation(
    deficit_mw: float, room_mw: Floats, slope_mw_per_hz: Floats, damping_mw_per_hz: float
) -> float:
    """Fall of frequency (Hz, >= 0) at which the response covers a deficit (MW, >= 0).

    Each generator gives `slope x fall` up to its room; load gives `damping x fall`. Infinite
    if they cannot cover it.
    """
    full = np.divide(
        room_mw, slope_mw_per_hz, out=np.full(len(room_mw), np.inf), where=slope_mw_per_hz > 0
    )
    order = np.argsort(full)
    slope = damping_mw_per_hz + float(slope_mw_per_hz[np.isfinite(full)].sum())
    given, fall = 0.0, 0.0
    for g in order.tolist():
        if not np.isfinite(full[g]):
            break
        more = slope * (float(full[g]) - fall)
        if given + more >= deficit_mw and slope > 0:
            return fall + (deficit_mw - given) / slope
        given, fall = given + more, float(full[g])
        slope -= float(slope_mw_per_hz[g])
    if damping_mw_per_hz <= 0:
        return 0.0 if deficit_mw <= given else np.inf
    return fall + max(deficit_mw - given, 0.0) / damping_mw_per_hz


def settle(state: State, buses: Bools, rules: Rules) -> None:
    """Bring one island to rest, or let it go dark; changes the state of its buses only."""
    own = state.generator_on & buses[state.generator_bus]
    previous = float(state.deviation_hz[buses].mean())
    while True:
        if not own.any():
            _go_dark(state, buses, own)
            return
        deviation = _rest(state, buses, own, rules)
        if deviation == -np.inf or rules.nominal_hz + deviation < rules.collapse_hz:
            swing = -np.inf
        else:
            swing = _swing(deviation, previous, rules)
        if _shed(state, buses, rules.nominal_hz + swing, rules):
            continue
        if swing == -np.inf:
            _go_dark(state, buses, own)
            return
        if rules.nominal_hz + deviation > rules.high_trip_hz:
            _trip_surplus(state, buses, own)
            own = state.generator_on & buses[state.generator_bus]
            continue
        _apply(state, buses, own, deviation, rules)
        return


def _swing(deviation: float, previous: float, rules: Rules) -> float:
    """The lowest deviation on the way from the previous to the settled one."""
    return min(deviation, previous + rules.overshoot_frac * (deviation - previous))


def _slopes(state: State, own: Bools, rules: Rules) -> Floats:
    per_hz = rules.governor_share_frac / (rules.droop_frac * rules.nominal_hz)
    return np.where(own, np.maximum(state.max_mw, 0.0) * per_hz, 0.0)


def _damping(state: State, buses: Bools, rules: Rules) -> float:
    load = float(np.maximum(state.demand_mw[buses], 0).sum())
    return rules.load_damping * load / rules.nominal_hz


def _rest(state: State, buses: Bools, own: Bools, rules: Rules) -> float:
    """Settled deviation of the island in Hz; -inf if nothing balances it."""
    surplus = float(state.setpoint_mw[own].sum() - state.demand_mw[buses].sum())
    slope, damping = _slopes(state, own, rules)[own], _damping(state, buses, rules)
    setpoint = state.setpoint_mw[own]
    if surplus < 0:
        room = np.maximum(state.max_mw[own] - setpoint, 0)
        return -settled_deviation(-surplus, room, slope, damping)
    return settled_deviation(surplus, np.maximum(setpoint, 0), slope, damping)


def _shed(state: State, buses: Bools, lowest_hz: float, rules: Rules) -> bool:
    """Let the next shedding stage act where the swing went below its frequency."""
    for stage, (hz, frac) in enumerate(zip(rules.shed_hz, rules.shed_frac, strict=True)):
        due = buses & (state.relay == stage) & (state.first_demand_mw > 0)
        if lowest_hz < hz and due.any():
            cut = np.minimum(frac * state.first_demand_mw[due], state.demand_mw[due])
            state.demand_mw[due] -= np.maximum(cut, 0)
            state.shed_mw += float(np.maximum(cut, 0).sum())
            state.relay[due] = stage + 1
            return True
    return False


def _trip_surplus(state: State, buses: Bools, own: Bools) -> None:
    """Trip the largest generator that is not larger than the surplus, else the smallest."""
    surplus = float(state.setpoint_mw[own].sum() - state.demand_mw[buses].sum())
    rows = np.flatnonzero(own)
    size = state.setpoint_mw[rows]
    fits = rows[size <= surplus]
    pick = fits[np.argmax(state.setpoint_mw[fits])] if len(fits) else rows[np.argmin(size)]
    state.generator_on[pick] = False
    state.output_mw[pick] = 0.0


def _go_dark(state: State, buses: Bools, own: Bools) -> None:
    state.dark_mw += float(np.maximum(state.demand_mw[buses], 0).sum())
    state.demand_mw[buses] = 0.0
    state.served_mw[buses] = 0.0
    state.alive[buses] = False
    state.generator_on[own] = False
    state.output_mw[own] = 0.0


def _apply(state: State, buses: Bools, own: Bools, deviation: float, rules: Rules) -> None:
    """Outputs and loads at the settled frequency."""
    slope = _slopes(state, own, rules)
    wanted = state.setpoint_mw - slope * deviation
    limit = np.clip(
        wanted, np.minimum(0, state.setpoint_mw), np.maximum(state.max_mw, state.setpoint_mw)
    )
    state.output_mw = np.where(own, limit, state.output_mw)
    factor = 1 + rules.load_damping * deviation / rules.nominal_hz
    load = state.demand_mw[buses]
    state.served_mw[buses] = np.where(load > 0, load * factor, load)
    state.deviation_hz[buses] = deviation
