"""A test system as arrays: buses, generators, branches, DC lines.

Rows keep the order of the case's own tables, so that row numbers in answers (from 1) are
those of the file. References between tables are indices from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError

if TYPE_CHECKING:
    import networkx as nx

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ISOLATED = 4
"""Bus type of MATPOWER for a bus that is out of service."""


@dataclass(frozen=True, slots=True)
class Buses:
    """All shape (n_buses,). Shunts in MW and Mvar at 1 pu; angles in degrees."""

    number: Ints
    kind: Ints
    load_mw: Floats
    load_mvar: Floats
    shunt_mw: Floats
    shunt_mvar: Floats
    area: Ints
    voltage_pu: Floats
    angle_deg: Floats
    base_kv: Floats
    zone: Ints
    name: tuple[str, ...] = ()
    latitude_deg: Floats | None = None
    longitude_deg: Floats | None = None

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a generator costs per hour: a polynomial, or straight pieces.

    Args:
        startup_usd: per start.
        polynomial: coefficients of MW**0, MW**1, ... in USD/h; empty if in pieces.
        points: (MW, USD/h) of the corners; empty if polynomial.
    """

    startup_usd: float = 0.0
    polynomial: tuple[float, ...] = (0.0,)
    points: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Generators:
    """All shape (n_generators,); `bus` is an index. Without costs, `cost` is empty."""

    bus: Ints
    output_mw: Floats
    output_mvar: Floats
    max_mvar: Floats
    min_mvar: Floats
    setpoint_pu: Floats
    is_on: Bools
    max_mw: Floats
    min_mw: Floats
    ramp_30min_mw: Floats
    cost: tuple[Cost, ...] = ()
    fuel: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.bus)


@dataclass(frozen=True, slots=True)
class Branches:
    """All shape (n_branches,); ends are bus indices. A rating of `inf` means unlimited.

    `tap` is the turns ratio at the from end (1 for a line), `shift_deg` its phase shift.
    Ratings A, B, C are normal, short-term and emergency, in MVA. Angle limits in degrees,
    infinite where there is none.
    """

    start: Ints
    end: Ints
    r_pu: Floats
    x_pu: Floats
    charging_pu: Floats
    rating_mw: Floats
    rating_b_mw: Floats
    rating_c_mw: Floats
    tap: Floats
    is_transformer: Bools
    shift_deg: Floats
    is_on: Bools
    min_angle_deg: Floats
    max_angle_deg: Floats

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class DcLines:
    """All shape (n_dc_lines,). `sent_mw` leaves the start bus, `received_mw` reaches the end."""

    start: Ints
    end: Ints
    is_on: Bools
    sent_mw: Floats
    received_mw: Floats
    min_mw: Floats
    max_mw: Floats
    loss_mw: Floats
    loss_frac: Floats

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True)
class Network:
    """One test system. MW at the boundary, per unit on `base_mva` inside the solvers.

    Args:
        source: where the figures come from, with the licence; shown with every answer.
    """

    name: str
    base_mva: float
    buses: Buses
    generators: Generators
    branches: Branches
    dc_lines: DcLines
    source: str = ""

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Index of each bus by its number."""
        return {int(number): i for i, number in enumerate(self.buses.number)}

    @cached_property
    def circuit(self) -> Ints:
        """Number from 1 of each branch among those between the same two buses."""
        seen: dict[tuple[int, int], int] = {}
        count = np.empty(len(self.branches), dtype=np.int64)
        for i, (a, b) in enumerate(
            zip(self.branches.start.tolist(), self.branches.end.tolist(), strict=True)
        ):
            pair = (a, b) if a < b else (b, a)
            seen[pair] = count[i] = seen.get(pair, 0) + 1
        return count

    @cached_property
    def branch_on(self) -> Bools:
        """Branches in service with both ends in service."""
        alive: Bools = self.buses.kind != ISOLATED
        b = self.branches
        on: Bools = b.is_on & alive[b.start] & alive[b.end]
        return on

    @cached_property
    def generator_on(self) -> Bools:
        """Generators in service at a bus in service."""
        g = self.generators
        on: Bools = g.is_on & (self.buses.kind[g.bus] != ISOLATED)
        return on

    def bus_index(self, number: int) -> int:
        """Index of a bus.

        Raises:
            InputError: the case has no such bus.
        """
        if number not in self.index_of:
            raise InputError(
                f"bus {number} is not in case {self.name}",
                f"its {len(self.buses)} bus numbers run from {self.buses.number.min()} "
                f"to {self.buses.number.max()}",
            )
        return self.index_of[number]

    def branch_name(self, row: int) -> dict[str, int]:
        """Row and circuit (from 1) and the bus numbers of the branch at index `row`."""
        number = self.buses.number
        return {
            "row": int(row) + 1,
            "from": int(number[self.branches.start[row]]),
            "to": int(number[self.branches.end[row]]),
            "circuit": int(self.circuit[row]),
        }

    def at_bus(self, bus: Ints, value: Floats) -> Floats:
        """Sum of `value` by bus, shape (n_buses,)."""
        return np.bincount(bus, weights=value, minlength=len(self.buses)).astype(np.float64)

    def graph(self) -> nx.MultiGraph[int]:
        """The system as a graph: nodes are bus numbers, edges the branches in service."""
        import networkx as nx

        graph: nx.MultiGraph[int] = nx.MultiGraph(name=self.name, base_mva=self.base_mva)
        buses, branches, number = self.buses, self.branches, self.buses.number.tolist()
        for i, bus in enumerate(number):
            graph.add_node(bus, base_kv=float(buses.base_kv[i]), load_mw=float(buses.load_mw[i]))
        for i in np.flatnonzero(self.branch_on).tolist():
            graph.add_edge(
                number[branches.start[i]],
                number[branches.end[i]],
                key=i + 1,
                x_pu=float(branches.x_pu[i]),
                rating_mw=float(branches.rating_mw[i]),
            )
        return graph
