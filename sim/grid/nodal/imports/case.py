"""From rows of another tool to the tables of a case: what both readers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sim.errors import InputError, Place
from sim.grid.nodal.build import build
from sim.grid.nodal.matpower import RawCase
from sim.grid.nodal.tables import Floats, Network

BASE_MVA = 100.0
REFERENCE, ISOLATED, LOAD = 3, 4, 1


@dataclass(slots=True)
class Draft:
    """Tables in MATPOWER form that grow row by row, with the line of each row."""

    file: str
    name: str
    bus: Floats
    labels: Sequence[str]
    bus_lines: list[int]
    gen: list[list[float]] = field(default_factory=list)
    cost: list[list[float]] = field(default_factory=list)
    fuel: list[str] = field(default_factory=list)
    gen_lines: list[int] = field(default_factory=list)
    branch: list[list[float]] = field(default_factory=list)
    branch_lines: list[int] = field(default_factory=list)
    dc_line: list[list[float]] = field(default_factory=list)
    dc_lines: list[int] = field(default_factory=list)

    def number(self, at: int) -> float:
        """Bus number at an index."""
        return float(self.bus[at, 0])

    def add_generator(
        self,
        at: int,
        output_mw: float,
        *,
        least_mw: float,
        most_mw: float,
        on: bool,
        line: int = 0,
        setpoint_pu: float = 1.0,
        mvar: tuple[float, float] = (-9999.0, 9999.0),
        cost: Sequence[float] = (2, 0, 0, 1, 0),
        fuel: str = "",
    ) -> None:
        """One generator; `cost` is a row of gencost."""
        low, high = mvar
        self.gen.append(
            [self.number(at), output_mw, 0, high, low, setpoint_pu, BASE_MVA, on, most_mw, least_mw]
        )
        self.cost.append(list(cost))
        self.fuel.append(fuel)
        self.gen_lines.append(line)

    def add_branch(
        self,
        start: int,
        end: int,
        r_x_b: tuple[float, float, float],
        *,
        rating_mw: float,
        on: bool,
        line: int = 0,
        tap: float = 0.0,
        shift_deg: float = 0.0,
    ) -> None:
        """One branch; an unlimited rating is infinite or 0, tap 0 marks a line."""
        rating = rating_mw if np.isfinite(rating_mw) else 0.0
        ends = [self.number(start), self.number(end)]
        self.branch.append([*ends, *r_x_b, rating, rating, rating, tap, shift_deg, on])
        self.branch_lines.append(line)

    def add_dc_line(
        self,
        start: int,
        end: int,
        sent_mw: float,
        received_mw: float,
        *,
        limits_mw: tuple[float, float],
        on: bool,
        line: int = 0,
    ) -> None:
        """One controllable line at its scheduled flow."""
        ends = [self.number(start), self.number(end)]
        self.dc_line.append([*ends, on, sent_mw, received_mw, 0, 0, 1, 1, *limits_mw])
        self.dc_lines.append(line)

    def network(
        self, source: str, places: tuple[Floats, Floats] | None = None, base_hint: str = ""
    ) -> Network:
        """The network, checked as any case is.

        Args:
            places: latitude and longitude of the buses, degrees.

        Raises:
            InputError: as `build`; also without generators.
        """
        if not self.gen or not self.branch:
            raise InputError(
                "no generators or no branches", f"complete the network{base_hint}",
                place=Place(self.file),
            )  # fmt: skip
        width = max(len(row) for row in self.cost)
        tables = {
            "bus": self.bus,
            "gen": np.array(self.gen, dtype=float),
            "gencost": np.array([[*row, *[0.0] * (width - len(row))] for row in self.cost]),
            "branch": np.array(self.branch, dtype=float),
        }
        lines = {
            "bus": self.bus_lines, "gen": self.gen_lines, "gencost": self.gen_lines,
            "branch": self.branch_lines, "dcline": self.dc_lines,
        }  # fmt: skip
        if self.dc_line:
            tables["dcline"] = np.array(self.dc_line, dtype=float)
        strings = {"bus_name": tuple(self.labels), "genfuel": tuple(self.fuel)}
        raw = RawCase(self.file, self.name, BASE_MVA, tables, lines, strings)
        network = build(raw, source=source, accept_negative_x=True, least_bus=0)
        if places is None:
            return network
        buses = replace(network.buses, latitude_deg=places[0], longitude_deg=places[1])
        return replace(network, buses=buses)


def bus_rows(number: Sequence[int], base_kv: Floats, alive: Sequence[bool]) -> Floats:
    """Rows of mpc.bus without loads."""
    rows = np.zeros((len(number), 13))
    rows[:, 0], rows[:, 9] = number, base_kv
    rows[:, 1] = np.where(np.asarray(alive, dtype=bool), LOAD, ISOLATED)
    rows[:, 6] = rows[:, 7] = rows[:, 10] = 1.0
    rows[:, 11], rows[:, 12] = 1.1, 0.9
    return rows


def polynomial(coefficients: Mapping[int, float]) -> list[float]:
    """A row of gencost from coefficients by power of MW."""
    order = max(coefficients, default=0)
    return [2, 0, 0, order + 1, *(coefficients.get(power, 0.0) for power in range(order, -1, -1))]
