"""The power balance of a zonal network as a linear program, solved warm from solve to solve.

For every zone: generation + flow in - flow out + unserved + extra unserved - extra load = load.
All transfers are one for one, so the program is a flow problem: the cheapest unserved energy
is also the least, and the largest extra load is a maximum flow whose minimum cut names what
binds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import highspy
import numpy as np
import numpy.typing as npt

from sim.errors import FlopgridError
from sim.grid.network import FloatArray, Network

# Unserved energy is shared out in steps of a fifth of the load, each a little dearer than the
# one before, and among equal steps in the order of the zones: with equal totals every zone is
# short by a similar share, and the answer does not depend on the path of the solver.
STEPS: Final = 5
STEP_COST: Final = 1.0 + 0.01 * np.arange(STEPS)
ZONE_COST: Final = 1e-5
# New unserved energy costs more than extra load brings (1), so it is taken only if it must be.
NEW_COST: Final = 2.0
TOLERANCE_MW: Final = 1e-6


@dataclass(frozen=True, slots=True)
class State:
    """One hour of one sample: per zone load and what can be generated; per interface limits."""

    load_mw: FloatArray
    available_mw: FloatArray
    forward_mw: FloatArray
    reverse_mw: FloatArray


@dataclass(frozen=True, slots=True)
class Solution:
    """Primal values: per zone generation, unserved; per interface flow; the extra load found."""

    generation_mw: FloatArray
    unserved_mw: FloatArray
    flow_mw: FloatArray
    extra_mw: float = 0.0
    new_unserved_mw: float = 0.0


@dataclass(frozen=True, slots=True)
class Cut:
    """What stops more load at a zone: zones at full output, and the full limits into them."""

    zones: tuple[str, ...]
    interfaces: tuple[str, ...]

    def describe(self) -> str:
        """For the reading's `at`."""
        inside = ", ".join(self.zones[:4]) + (" ..." if len(self.zones) > 4 else "")
        if not self.interfaces:
            return f"all generation that reaches it is used ({len(self.zones)} zones: {inside})"
        return f"limits into {inside}: {', '.join(self.interfaces)}"


class Balance:
    """One HiGHS model of a network; every solve changes bounds and costs only."""

    def __init__(self, zones: tuple[str, ...], ends: npt.NDArray[np.int64], names: tuple[str, ...]):
        """Build the model.

        Args:
            zones: names, in the order of the arrays.
            ends: source and target index of every interface, shape (n_interfaces, 2).
            names: names of the interfaces.
        """
        self.zones, self.ends, self.names = zones, ends, names
        n, m = len(zones), len(ends)
        self._generation = np.arange(n, dtype=np.int32)
        self._unserved = n + np.arange(n * STEPS, dtype=np.int32)
        self._new = n * (1 + STEPS) + np.arange(n, dtype=np.int32)
        self._extra = n * (2 + STEPS) + np.arange(n, dtype=np.int32)
        self._flow = n * (3 + STEPS) + np.arange(m, dtype=np.int32)
        self._highs = _model(n, ends)

    def least_unserved(self, state: State) -> Solution:
        """The dispatch with the least unserved energy, shared out evenly."""
        self._set(state)
        steps = np.repeat(state.load_mw / STEPS, STEPS)
        self._bounds(self._unserved, steps)
        order = ZONE_COST * np.arange(len(self.zones))
        self._costs(self._unserved, (order[:, None] + STEP_COST).ravel())
        self._bounds(self._new, np.zeros(len(self.zones)))
        return self._solve()

    def allow_unserved(self, allowed_mw: FloatArray) -> None:
        """Let each zone be as short as it was before, at no cost (for `largest_extra`)."""
        steps = np.zeros((len(self.zones), STEPS))
        steps[:, 0] = np.maximum(allowed_mw, 0.0)
        self._bounds(self._unserved, steps.ravel())
        self._costs(self._unserved, np.zeros(steps.size))
        self._bounds(self._new, np.full(len(self.zones), highspy.kHighsInf))

    def largest_extra(self, zone: int, state: State | None = None) -> Solution:
        """The largest extra load at a zone that leaves nobody shorter than allowed.

        Args:
            zone: index of the zone.
            state: a new hour; None keeps the one of the last solve.

        Returns:
            `extra_mw` >= 0, and `new_unserved_mw` > 0 where even no extra load fits.
        """
        if state is not None:
            self._set(state)
        column = int(self._extra[zone])
        self._highs.changeColBounds(column, 0.0, highspy.kHighsInf)
        self._highs.changeColCost(column, -1.0)
        try:
            return self._solve(zone)
        finally:
            self._highs.changeColBounds(column, 0.0, 0.0)
            self._highs.changeColCost(column, 0.0)

    def cut(self, zone: int, solution: Solution, state: State) -> Cut:
        """The smallest set of zones around `zone` that nothing more can enter.

        A walk over the limits that still have room towards the zone; where it ends, the
        limits into the set are full and its generation is used up (minimum cut).
        """
        inside, pending = {zone}, [zone]
        room = self._room(solution, state)
        while pending:
            here = pending.pop()
            for there in sorted(room.get(here, ())):
                if there not in inside:
                    inside.add(there)
                    pending.append(there)
        full = [
            self.names[e] for e, (a, b) in enumerate(self.ends) if (a in inside) != (b in inside)
        ]
        return Cut(tuple(self.zones[i] for i in sorted(inside)), tuple(full))

    def _room(self, solution: Solution, state: State) -> dict[int, set[int]]:
        """For each zone, the neighbours that could still send it more."""
        room: dict[int, set[int]] = {}
        for e, (a, b) in enumerate(self.ends):
            slack = 1e-6 * (1.0 + state.forward_mw[e] + state.reverse_mw[e])
            if solution.flow_mw[e] < state.forward_mw[e] - slack:
                room.setdefault(int(b), set()).add(int(a))
            if solution.flow_mw[e] > -state.reverse_mw[e] + slack:
                room.setdefault(int(a), set()).add(int(b))
        return room

    def _set(self, state: State) -> None:
        self._bounds(self._generation, state.available_mw)
        self._highs.changeColsBounds(
            len(self._flow), self._flow, -state.reverse_mw, np.asarray(state.forward_mw)
        )
        rows = np.arange(len(self.zones), dtype=np.int32)
        self._highs.changeRowsBounds(len(rows), rows, state.load_mw, state.load_mw)

    def _bounds(self, columns: npt.NDArray[np.int32], upper: FloatArray) -> None:
        self._highs.changeColsBounds(len(columns), columns, np.zeros(len(columns)), upper)

    def _costs(self, columns: npt.NDArray[np.int32], costs: FloatArray) -> None:
        self._highs.changeColsCost(len(columns), columns, costs)

    def _solve(self, zone: int | None = None) -> Solution:
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            status = self._highs.modelStatusToString(self._highs.getModelStatus())
            raise FlopgridError(
                f"power balance not solved: the solver ended with {status!r}; report the scenario"
            )
        x = np.array(self._highs.getSolution().col_value)
        unserved = x[self._unserved].reshape(-1, STEPS).sum(axis=1)
        return Solution(
            generation_mw=x[self._generation],
            unserved_mw=unserved + x[self._new],
            flow_mw=x[self._flow],
            extra_mw=0.0 if zone is None else float(x[self._extra[zone]]),
            new_unserved_mw=float(x[self._new].sum()),
        )


class QuietHighs(highspy.Highs):
    """HiGHS without its banner, which the callbacks would print on standard output."""

    def enableCallbacks(self) -> None:  # noqa: N802 (the name is HiGHS's)
        """Silence the solver and leave the callbacks off."""
        self.setOptionValue("output_flag", False)


def _model(n: int, ends: npt.NDArray[np.int64]) -> Any:
    """The matrix: +1 where a column feeds a zone, -1 where it takes from it."""
    per_zone = np.arange(n)
    rows = [per_zone, np.repeat(per_zone, STEPS), per_zone, per_zone, ends.ravel()]
    signs = [
        np.ones(n),
        np.ones(n * STEPS),
        np.ones(n),
        -np.ones(n),
        np.tile([-1.0, 1.0], len(ends)),
    ]
    counts = np.r_[np.ones(n * (3 + STEPS), dtype=int), np.full(len(ends), 2)]
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(counts), n
    lp.col_cost_ = np.r_[np.zeros(n * (1 + STEPS)), np.full(n, NEW_COST), np.zeros(n + len(ends))]
    lp.col_lower_ = lp.col_upper_ = np.zeros(len(counts))
    lp.row_lower_ = lp.row_upper_ = np.zeros(n)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.r_[0, np.cumsum(counts)]
    lp.a_matrix_.index_ = np.concatenate(rows)
    lp.a_matrix_.value_ = np.concatenate(signs)
    highs = QuietHighs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("threads", 1)
    highs.setOptionValue("presolve", "off")
    highs.setOptionValue("solver", "simplex")
    highs.setOptionValue("simplex_strategy", 4)
    highs.passModel(lp)
    return highs


@dataclass(frozen=True, slots=True)
class Members:
    """How a network's zones and interfaces map onto the nodes of a balance model.

    Args:
        node_of: node of every zone, -1 for zones without a balance, shape (n_zones,).
        kept: indices of the interfaces between different nodes.
    """

    balance: Balance
    node_of: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int64]

    def state(
        self, load: FloatArray, available: FloatArray, forward: FloatArray, reverse: FloatArray
    ) -> State:
        """Gather zone arrays onto the nodes."""
        return State(
            self.gather(load), self.gather(available), forward[self.kept], reverse[self.kept]
        )

    def gather(self, per_zone: FloatArray) -> FloatArray:
        """Sum a per-zone array over the zones of each node."""
        inside = self.node_of >= 0
        return np.bincount(
            self.node_of[inside], weights=per_zone[inside], minlength=len(self.balance.zones)
        ).astype(float)


def zonal(network: Network) -> Members:
    """One node per zone that can be balanced."""
    return _members(network, {z.name: z.name for z in network.zones if network.is_balanced_zone(z)})


def copper_plate(network: Network) -> Members:
    """One node per synchronous interconnection: no limits inside, the ties between them stay."""
    return _members(
        network,
        {z.name: z.interconnection for z in network.zones if network.is_balanced_zone(z)},
    )


def _members(network: Network, node: dict[str, str]) -> Members:
    names = tuple(dict.fromkeys(node.values()))
    place = {name: i for i, name in enumerate(names)}
    node_of = np.array([place[node[z.name]] if z.name in node else -1 for z in network.zones])
    pairs = [
        (network.index(line.source), network.index(line.target)) for line in network.interfaces
    ]
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    mapped = node_of[ends]
    kept = np.flatnonzero((mapped[:, 0] != mapped[:, 1]) & (mapped >= 0).all(axis=1))
    labels = tuple(network.interfaces[e].name for e in kept)
    return Members(Balance(names, mapped[kept], labels), node_of, kept)
