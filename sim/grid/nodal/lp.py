"""A linear program that grows: HiGHS with rows added, dropped and changed by hand.

Network limits number in the millions once outages count, and only a few bind. So a program
starts without them and is given those that its solution breaks, until it breaks none
(constraint generation); it restarts from its last basis each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from sim.errors import FlopgridError
from sim.grid.nodal.tables import Floats, Ints

INF = highspy.kHighsInf

FEASIBLE = 2
"""HiGHS's word for a primal solution that satisfies everything."""


class Infeasible(FlopgridError):
    """No point satisfies all rows; callers say what that means."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Values by column, duals by row (change of the objective per unit of the row's bound).

    `bound`: no solution is better than this; with whole numbers it may lie under `objective`,
    and the duals mean nothing.
    """

    objective: float
    value: Floats
    dual: Floats
    bound: float


class _QuietHighs(highspy.Highs):
    """HiGHS without its banner, which the callbacks would print on standard output."""

    def enableCallbacks(self) -> None:  # noqa: N802 (the name is HiGHS's)
        """Silence the solver and leave the callbacks off."""
        self.setOptionValue("output_flag", False)


class GrowingLp:
    """A program `min cost x` over bounded columns and rows."""

    def __init__(self) -> None:
        self._highs: Any = _QuietHighs()  # type: ignore[no-untyped-call]
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("random_seed", 1)
        self._highs.setOptionValue("primal_feasibility_tolerance", 1e-8)
        self._highs.setOptionValue("dual_feasibility_tolerance", 1e-8)
        self._limit_s: float | None = None

    @property
    def n_rows(self) -> int:
        """Rows now."""
        return int(self._highs.getNumRow())

    @property
    def n_columns(self) -> int:
        """Columns now."""
        return int(self._highs.getNumCol())

    def add_columns(self, lower: Floats, upper: Floats, cost: Floats) -> Ints:
        """Add columns; returns their indices."""
        first = self.n_columns
        self._highs.addVars(len(lower), lower, upper)
        index = np.arange(first, first + len(lower), dtype=np.int64)
        self.set_costs(index, cost)
        return index

    def set_costs(self, columns: Ints, cost: Floats) -> None:
        """Change costs."""
        self._highs.changeColsCost(len(columns), columns.astype(np.int32), cost.astype(float))

    def set_bounds(self, column: int, lower: float, upper: float) -> None:
        """Change the bounds of one column."""
        self._highs.changeColBounds(int(column), lower, upper)

    def set_bounds_of(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Change the bounds of several columns."""
        self._highs.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def make_integer(self, columns: Ints) -> None:
        """Let columns take whole values only."""
        for column in columns.tolist():
            self._highs.changeColIntegrality(column, highspy.HighsVarType.kInteger)

    def make_continuous(self, columns: Ints) -> None:
        """Let columns take any value again."""
        for column in columns.tolist():
            self._highs.changeColIntegrality(column, highspy.HighsVarType.kContinuous)

    def add_row(self, lower: float, upper: float, columns: Ints, values: Floats) -> int:
        """Add one row; returns its index."""
        self._highs.addRow(lower, upper, len(columns), columns.astype(np.int32), values)
        return self.n_rows - 1

    def set_row_bounds(self, row: int, lower: float, upper: float) -> None:
        """Change the bounds of one row."""
        self._highs.changeRowBounds(int(row), lower, upper)

    def set_value(self, row: int, column: int, value: float) -> None:
        """Change one coefficient."""
        self._highs.changeCoeff(int(row), int(column), float(value))

    def drop_rows(self, rows: Ints) -> None:
        """Remove rows; later rows move up."""
        self._highs.deleteRows(len(rows), rows.astype(np.int32))

    def set_gap(self, relative: float) -> None:
        """Relative gap at which a program with whole numbers counts as solved."""
        self._highs.setOptionValue("mip_rel_gap", relative)

    def set_time_limit(self, limit_s: float) -> None:
        """Stop a program with whole numbers after so long with the best that is known then."""
        self._limit_s = limit_s

    def solve(self) -> Solution:
        """The optimum (or, with a time limit, the best known by then).

        Raises:
            Infeasible: there is none.
        """
        self._start_clock()
        self._highs.run()
        if not self._is_solved():
            self._highs.clearSolver()
            self._highs.run()
        if not self._is_solved():
            status = self._highs.getModelStatus()
            raise Infeasible(str(self._highs.modelStatusToString(status)))
        solution, info = self._highs.getSolution(), self._highs.getInfo()
        objective = float(info.objective_function_value)
        whole = info.mip_node_count >= 0
        return Solution(
            objective,
            np.array(solution.col_value),
            np.array(solution.row_dual),
            float(info.mip_dual_bound) if whole else objective,
        )

    def _start_clock(self) -> None:
        """HiGHS counts the time of all its runs together."""
        if self._limit_s is not None:
            spent_s = float(self._highs.getRunTime())
            self._highs.setOptionValue("time_limit", spent_s + self._limit_s)

    def _is_solved(self) -> bool:
        status, known = self._highs.getModelStatus(), highspy.HighsModelStatus
        if status == known.kTimeLimit:
            return bool(self._highs.getInfo().primal_solution_status == FEASIBLE)
        return bool(status == known.kOptimal)
