"""Hourly dispatch of a window as one linear program, solved warm from window to window.

For every zone and hour: generation + discharge - charge + imports - exports + unserved = load.
The dual of that row is the price of the zone. Storage follows its energy from hour to hour,
hydro has an energy for the window, coal a ramp, and each reserve group keeps spare capacity.
Every window has the same matrix: only bounds change, and the last basis is a good start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import highspy
import numpy as np
from scipy.sparse import coo_array

from sim.errors import FlopgridError, InputError
from sim.grid.balance import QuietHighs
from sim.grid.network import FloatArray
from sim.grid.regions.parts import Block, Line, StorageUnit, System, Window

__all__ = ["Block", "Dispatcher", "Line", "StorageUnit", "System", "Window", "WindowResult"]

INFINITY: Final = highspy.kHighsInf


@dataclass(frozen=True, slots=True)
class WindowResult:
    """Primal and dual values, hours first.

    Args:
        price_usd_per_mwh: shape (n_hours, n_zones).
        co2_kg_per_mwh: CO2 of one more MWh, shape (n_hours, n_zones); 0 if it was not asked for.
    """

    generation_mw: FloatArray
    unserved_mw: FloatArray
    curtailed_mw: FloatArray
    charge_mw: FloatArray
    discharge_mw: FloatArray
    stored_mwh: FloatArray
    flow_mw: FloatArray
    reserve_short_mw: FloatArray
    price_usd_per_mwh: FloatArray
    cost_usd: float
    co2_kg_per_mwh: FloatArray


class _Layout:
    """Columns of an hour (offset and width by kind) and rows of an hour."""

    def __init__(self, system: System):
        self.groups = max(system.reserve_group, default=-1) + 1
        b, n, s, m = (
            len(system.blocks),
            len(system.zones),
            len(system.storage),
            len(system.lines),
        )
        widths = {
            "generation": b,
            "unserved": n,
            "curtailed": n if system.flexible_mw else 0,
            "charge": s,
            "discharge": s,
            "stored": s,
            "flow": m,
            "back": m,
            "reserve": self.groups,
        }
        self.columns = _offsets(widths)
        self.width = sum(widths.values())
        self.ramped = [k for k, block in enumerate(system.blocks) if block.ramp_mw_per_h]
        self.budgeted = [k for k, block in enumerate(system.blocks) if block.budgeted]
        heights = {"balance": n, "energy": s, "spin": self.groups, "ramp": len(self.ramped)}
        self.rows = _offsets(heights)
        self.height = sum(heights.values())


def _offsets(widths: dict[str, int]) -> dict[str, slice]:
    found, at = {}, 0
    for name, width in widths.items():
        found[name] = slice(at, at + width)
        at += width
    return found


class Dispatcher:
    """One HiGHS model of a system over `n_hours` hours."""

    def __init__(self, system: System, n_hours: int, co2_kg_per_mwh: FloatArray | None = None):
        """Build the matrix.

        Args:
            co2_kg_per_mwh: by block, to ask for the CO2 of one more MWh.

        Raises:
            InputError: no hour, or a part that names no zone.
        """
        _check(system, n_hours)
        self.system, self.n_hours = system, n_hours
        self.layout = _Layout(system)
        self._highs = self._model()
        self._loosen()
        self._spins = self._spinning()
        self._carbon = None if co2_kg_per_mwh is None else self._column_carbon(co2_kg_per_mwh)

    def solve(self, window: Window, *, cold: bool = False) -> WindowResult:
        """The cheapest dispatch of a window.

        Args:
            cold: forget the last basis first.

        Raises:
            FlopgridError: the solver found no optimum, which an input cannot cause: load may go
                unserved at a price and energy may be left over.
        """
        if cold:
            self._highs.clearSolver()
        self._set(window)
        self._highs.run()
        status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            self._highs.clearSolver()
            self._highs.run()
            status = self._highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            text = self._highs.modelStatusToString(status)
            raise FlopgridError(
                f"dispatch of {self.n_hours} hours not solved: the solver ended with {text!r}, "
                "twice; report the scenario"
            )
        return self._result()

    def _result(self) -> WindowResult:
        found = self._highs.getSolution()
        x = np.array(found.col_value).reshape(self.n_hours, self.layout.width)
        duals = np.array(found.row_dual)[: self.n_hours * self.layout.height]
        price = duals.reshape(self.n_hours, -1)[:, self.layout.rows["balance"]]

        def part(name: str) -> FloatArray:
            return x[:, self.layout.columns[name]]

        return WindowResult(
            generation_mw=part("generation"),
            unserved_mw=part("unserved"),
            curtailed_mw=part("curtailed"),
            charge_mw=part("charge"),
            discharge_mw=part("discharge"),
            stored_mwh=part("stored"),
            flow_mw=part("flow") - part("back"),
            reserve_short_mw=part("reserve"),
            price_usd_per_mwh=price,
            cost_usd=float(self._highs.getInfo().objective_function_value),
            co2_kg_per_mwh=self._marginal(),
        )

    def _column_carbon(self, co2_kg_per_mwh: FloatArray) -> FloatArray:
        """CO2 by column, all hours."""
        carbon = np.zeros(self.layout.width)
        carbon[self.layout.columns["generation"]] = co2_kg_per_mwh
        return np.tile(carbon, self.n_hours)

    def _marginal(self) -> FloatArray:
        """CO2 of one more MWh: B' y = carbon of the basic columns, as prices are of their cost.

        One more MW moves the basic columns by B^-1 of its row, so y is exact while the basis
        holds.
        """
        if self._carbon is None:
            return np.zeros((self.n_hours, len(self.system.zones)))
        _, basic = self._highs.getBasicVariables()
        basic = np.asarray(basic)
        inside = basic >= 0
        wanted = np.zeros(len(basic))
        wanted[inside] = self._carbon[basic[inside]]
        _, rows = self._highs.getBasisTransposeSolve(wanted)
        height = self.n_hours * self.layout.height
        return np.array(rows)[:height].reshape(self.n_hours, -1)[:, self.layout.rows["balance"]]

    # -- bounds of a window

    def _loosen(self) -> None:
        """Upper bounds that never change."""
        system, cols = self.system, self.layout.columns
        self._lower = np.zeros((self.n_hours, self.layout.width))
        self._upper = np.full((self.n_hours, self.layout.width), INFINITY)
        for name in ("charge", "discharge"):
            self._upper[:, cols[name]] = [s.power_mw for s in system.storage]
        self._upper[:, cols["stored"]] = [s.energy_mwh for s in system.storage]
        self._upper[:, cols["flow"]] = [line.forward_mw for line in system.lines]
        self._upper[:, cols["back"]] = [line.reverse_mw for line in system.lines]

    def _set(self, window: Window) -> None:
        cols, rows = self.layout.columns, self.layout.rows
        lower, upper = self._lower.copy(), self._upper.copy()
        lower[:, cols["generation"]] = window.least_mw
        upper[:, cols["generation"]] = window.most_mw
        upper[:, cols["unserved"]] = window.load_mw
        lower[-1, cols["stored"]] = window.end_mwh
        height = self.n_hours * self.layout.height
        low = np.full((self.n_hours, self.layout.height), -INFINITY)
        high = np.full_like(low, INFINITY)
        flexible: FloatArray | float = 0.0
        if self.system.flexible_mw:
            given = window.flexible_mw
            flexible = np.array(self.system.flexible_mw) if given is None else given
            upper[:, cols["curtailed"]] = flexible
        low[:, rows["balance"]] = high[:, rows["balance"]] = window.load_mw + flexible
        low[:, rows["energy"]] = high[:, rows["energy"]] = 0.0
        low[0, rows["energy"]] = high[0, rows["energy"]] = window.stored_mwh
        high[:, rows["spin"]] = self._spare(window)
        ramp = np.array([self.system.blocks[k].ramp_mw_per_h for k in self.layout.ramped])
        if len(ramp):
            low[:, rows["ramp"]], high[:, rows["ramp"]] = -ramp, ramp
            low[0, rows["ramp"]], high[0, rows["ramp"]] = self._first_ramp(window, ramp)
        budget_low = np.full(len(self.layout.budgeted), -INFINITY)
        row_low = np.concatenate([low.ravel(), budget_low])
        row_high = np.concatenate([high.ravel(), window.budget_mwh])
        n_rows = height + len(self.layout.budgeted)
        self._highs.changeColsBounds(
            lower.size, np.arange(lower.size, dtype=np.int32), lower.ravel(), upper.ravel()
        )
        self._highs.changeRowsBounds(n_rows, np.arange(n_rows, dtype=np.int32), row_low, row_high)

    def _spare(self, window: Window) -> FloatArray:
        """Capacity of each group that spins, less its reserve, shape (n_hours, n_groups)."""
        blocks, stores = self._spins
        return window.most_mw @ blocks + stores - window.reserve_mw

    def _spinning(self) -> tuple[FloatArray, FloatArray]:
        """Which group a block spins for, shape (n_blocks, n_groups), and MW of its stores."""
        system, groups = self.system, self.layout.groups
        blocks, stores = np.zeros((len(system.blocks), groups)), np.zeros(groups)
        if groups:
            for k, block in enumerate(system.blocks):
                blocks[k, system.reserve_group[block.zone]] = block.spins
            for unit in system.storage:
                stores[system.reserve_group[unit.zone]] += unit.power_mw
        return blocks, stores

    def _first_ramp(self, window: Window, ramp: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Range of the first hour's output, kept inside what the block can give."""
        if window.before_mw is None:
            return np.full(len(ramp), -INFINITY), np.full(len(ramp), INFINITY)
        before = window.before_mw[self.layout.ramped]
        most = window.most_mw[0, self.layout.ramped]
        least = window.least_mw[0, self.layout.ramped]
        return np.minimum(before - ramp, most), np.maximum(before + ramp, least)

    # -- the matrix

    def _model(self) -> Any:
        entries = _Entries()
        for h in range(self.n_hours):
            self._hour(entries, h)
        for row, k in enumerate(self.layout.budgeted):
            for h in range(self.n_hours):
                entries.add(self.n_hours * self.layout.height + row, self._col(h, "generation", k))
        n_rows = self.n_hours * self.layout.height + len(self.layout.budgeted)
        n_cols = self.n_hours * self.layout.width
        matrix = entries.matrix(n_rows, n_cols)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n_cols, n_rows
        lp.col_cost_ = np.tile(self._costs(), self.n_hours)
        lp.col_lower_, lp.col_upper_ = np.zeros(n_cols), np.full(n_cols, INFINITY)
        lp.row_lower_, lp.row_upper_ = np.full(n_rows, -INFINITY), np.full(n_rows, INFINITY)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr, matrix.indices
        lp.a_matrix_.value_ = matrix.data
        highs: Any = QuietHighs()  # type: ignore[no-untyped-call]
        for option, value in (("threads", 1), ("presolve", "off"), ("solver", "simplex")):
            highs.setOptionValue(option, value)
        highs.passModel(lp)
        return highs

    def _costs(self) -> FloatArray:
        system, cols = self.system, self.layout.columns
        cost = np.zeros(self.layout.width)
        cost[cols["generation"]] = [block.cost_usd_per_mwh for block in system.blocks]
        cost[cols["unserved"]] = system.lost_load_usd_per_mwh
        cost[cols["curtailed"]] = system.flexible_usd_per_mwh
        cost[cols["discharge"]] = [unit.cost_usd_per_mwh for unit in system.storage]
        for name in ("flow", "back"):
            cost[cols[name]] = [line.cost_usd_per_mwh for line in system.lines]
        cost[cols["reserve"]] = system.reserve_usd_per_mwh
        return cost

    def _col(self, hour: int, name: str, k: int) -> int:
        return int(hour * self.layout.width + self.layout.columns[name].start + k)

    def _row(self, hour: int, name: str, k: int) -> int:
        return int(hour * self.layout.height + self.layout.rows[name].start + k)

    def _hour(self, entries: _Entries, h: int) -> None:
        system = self.system
        for k, block in enumerate(system.blocks):
            entries.add(self._row(h, "balance", block.zone), self._col(h, "generation", k))
            if block.spins and self.layout.groups:
                group = system.reserve_group[block.zone]
                entries.add(self._row(h, "spin", group), self._col(h, "generation", k))
        for zone in range(len(system.zones)):
            entries.add(self._row(h, "balance", zone), self._col(h, "unserved", zone))
            if system.flexible_mw:
                entries.add(self._row(h, "balance", zone), self._col(h, "curtailed", zone))
        for k, unit in enumerate(system.storage):
            self._store(entries, h, k, unit)
        for k, line in enumerate(system.lines):
            for name, sign in (("flow", 1.0), ("back", -1.0)):
                column = self._col(h, name, k)
                entries.add(self._row(h, "balance", line.source), column, -sign)
                entries.add(self._row(h, "balance", line.target), column, sign)
        for group in range(self.layout.groups):
            entries.add(self._row(h, "spin", group), self._col(h, "reserve", group), -1.0)
        for row, k in enumerate(self.layout.ramped):
            entries.add(self._row(h, "ramp", row), self._col(h, "generation", k))
            if h:
                entries.add(self._row(h, "ramp", row), self._col(h - 1, "generation", k), -1.0)

    def _store(self, entries: _Entries, h: int, k: int, unit: StorageUnit) -> None:
        """stored(h) - stored(h-1) - efficiency x charge + discharge = 0."""
        charge, discharge = self._col(h, "charge", k), self._col(h, "discharge", k)
        balance, energy = self._row(h, "balance", unit.zone), self._row(h, "energy", k)
        entries.add(balance, discharge)
        entries.add(balance, charge, -1.0)
        entries.add(energy, self._col(h, "stored", k))
        if h:
            entries.add(energy, self._col(h - 1, "stored", k), -1.0)
        entries.add(energy, charge, -unit.efficiency_frac)
        entries.add(energy, discharge)
        if self.layout.groups:
            group = self.system.reserve_group[unit.zone]
            entries.add(self._row(h, "spin", group), discharge)


class _Entries:
    """Triplets of a sparse matrix."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.cols: list[int] = []
        self.values: list[float] = []

    def add(self, row: int, col: int, value: float = 1.0) -> None:
        self.rows.append(row)
        self.cols.append(col)
        self.values.append(value)

    def matrix(self, n_rows: int, n_cols: int) -> Any:
        return coo_array((self.values, (self.rows, self.cols)), shape=(n_rows, n_cols)).tocsc()


def _check(system: System, n_hours: int) -> None:
    if n_hours < 1:
        raise InputError(f"a window of {n_hours} hours", "give at least one hour")
    n = len(system.zones)
    places: Sequence[int] = [
        *(block.zone for block in system.blocks),
        *(unit.zone for unit in system.storage),
        *(end for line in system.lines for end in (line.source, line.target)),
    ]
    if any(not 0 <= zone < n for zone in places):
        raise InputError("a block, store or line names a zone that is not there", "check it")
    if system.reserve_group and len(system.reserve_group) != n:
        raise InputError("reserve groups do not match the zones", "give one per zone")
