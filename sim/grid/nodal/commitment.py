"""Unit commitment: which units run in which hour, at the least cost of starts, fuel and shortage.

A mixed-integer program over hours. For each unit and hour: on or not, started, stopped, output.
Outputs move within ramps while a unit runs; a unit that starts or stops may reach at most the
larger of its least output and its ramp. Costs are straight lines from below that are refined
where curved; network limits are added as they are broken. Prices come from the program with
the commitment held fixed.

Reference: Morales-Espana, Latorre, Ramos, Tight and compact MILP formulation for the thermal
unit commitment problem, IEEE Trans. Power Systems 28(4), 2013 (on, start, stop; minimum times).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.commitment_law import check_commitment
from sim.grid.nodal.commitment_program import CommitmentProgram
from sim.grid.nodal.commitment_spec import Horizon, Storage
from sim.grid.nodal.limits import Limit, Limits
from sim.grid.nodal.lp import INF, Infeasible, Solution
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Bools, Floats

ROUNDS = 60

GAP_FRAC = 1e-6
"""Cost that the tangents may miss, as a share of the objective."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """The cheapest commitment and its dispatch. Hours in rows.

    Args:
        gap_frac: the objective is at most this share above the least that is possible.
        is_on, starts: shape (n_hours, n_generators).
        output_mw: shape (n_hours, n_generators); flow_mw: (n_hours, n_branches).
        charge_mw, discharge_mw, stored_mwh: (n_hours, n_storages), stored at the hour's end.
        unserved_mw: (n_hours, n_buses).
        price_usd_per_mwh: LMP with the commitment fixed, (n_hours, n_buses); NaN out of service.
        startup_usd, operation_usd, unserved_usd: sums over the horizon.
        binding: (hour, limit, shadow price > 0 in USD/MWh).
    """

    objective_usd: float
    gap_frac: float
    is_on: Bools
    starts: Bools
    output_mw: Floats
    flow_mw: Floats
    charge_mw: Floats
    discharge_mw: Floats
    stored_mwh: Floats
    unserved_mw: Floats
    price_usd_per_mwh: Floats
    startup_usd: float
    operation_usd: float
    unserved_usd: float
    binding: tuple[tuple[int, Limit, float], ...]


class UnitCommitment(CommitmentProgram):
    """The program for one study and horizon; solve it with `optimum`.

    Args:
        horizon: load, availability, reserve, minimum times, what ran before.
        storages: batteries and the like.
        unserved_usd_per_mwh: price at which load may go unserved; None forbids it.
        secure: network limits hold after each single branch outage too.
        gap_frac: gap at which the mixed-integer program counts as solved.
        time_limit_s: for each search of a commitment; then the best known counts, and the
            answer says its gap (it may differ from machine to machine).

    Raises:
        InputError: a storage or the horizon does not fit the case.
    """

    def __init__(
        self,
        study: Study,
        horizon: Horizon,
        *,
        storages: Sequence[Storage] = (),
        unserved_usd_per_mwh: float | None = None,
        secure: bool = False,
        gap_frac: float = 1e-4,
        time_limit_s: float | None = None,
    ):
        super().__init__(
            study, horizon, storages=storages, unserved_usd_per_mwh=unserved_usd_per_mwh
        )
        self._gap_frac = gap_frac
        self._lp.set_gap(gap_frac / 2)  # the other half is for the tangents
        if time_limit_s is not None:
            self._lp.set_time_limit(time_limit_s)
        self._rows_before = 0
        self._limits = Limits(study, with_outages=secure, strict=True)
        self._held: list[tuple[int, Limit, int]] = []
        self._known: list[set[tuple[int, int]]] = [set() for _ in range(self.n_hours)]

    def optimum(self) -> Commitment:
        """Solve, adding broken limits and missing tangents until there are none.

        The program without whole numbers finds most of them cheaply. Then commitments are
        found and dispatched exactly, until the dispatch costs no more than the bound says.

        Raises:
            InputError: no commitment meets load, ramps and limits.
            LawViolation: the schedule found breaks a law (see `check_commitment`).
        """
        self._dispatch()
        for _ in range(ROUNDS):
            self._lp.make_integer(self._whole)
            chosen = self._solve()
            fixed, rows = self._fixed(chosen), self._lp.n_rows
            gap = fixed.objective - chosen.bound
            self._release()
            if gap <= self._gap_frac * abs(fixed.objective) + 1e-6 or rows == self._rows_before:
                break
        found = self._result(chosen, fixed)
        check_commitment(self.study, self.horizon, found, self._storages, self._voll)
        return found

    def _dispatch(self) -> Solution:
        """The program as it stands, with limits and tangents added until none is missing."""
        self._rows_before = self._lp.n_rows
        for _ in range(ROUNDS):
            solution = self._solve()
            more = self._add_limits(self._flows(solution))
            if not self._refine(solution) and not more:
                break
        return solution

    def _solve(self) -> Solution:
        try:
            return self._lp.solve()
        except Infeasible as error:
            raise InputError(
                f"case {self.study.network.name}: no commitment meets load, ramps and limits over "
                f"{self.n_hours} hours",
                "allow unserved load (unserved_usd_per_mwh), or relax ramps or ratings",
            ) from error

    def _injection(self, solution: Solution, hour: int) -> Floats:
        """Injections by bus in an hour."""
        network, value = self.study.network, solution.value
        injection = network.at_bus(self._bus, value[self._output[hour]])
        injection += network.at_bus(self._load_bus, value[self._unserved[hour]])
        stored = value[self._discharge[hour]] - value[self._charge[hour]]
        injection += network.at_bus(self._storage_bus, stored) - self._demand[hour]
        return np.where(self.study.grid.island >= 0, injection, 0.0)

    def _flows(self, solution: Solution) -> Floats:
        base = self.study.base
        change = [self._injection(solution, h) - base.injection_mw for h in range(self.n_hours)]
        return base.flow_mw + self.study.grid.transfer(np.array(change).T).T

    def _add_limits(self, flow_mw: Floats) -> bool:
        added = False
        for hour in range(self.n_hours):
            for limit in self._limits.broken(flow_mw[hour], self._known[hour]):
                self._hold(hour, limit)
                added = True
        return added

    def _hold(self, hour: int, limit: Limit) -> None:
        per_mw = limit.per_mw
        base = float(per_mw @ (self.study.base.injection_mw + self._alive(self._demand[hour])))
        shift = base - limit.at_base_mw
        parts = (
            (self._output[hour], per_mw[self._bus]),
            (self._unserved[hour], per_mw[self._load_bus]),
            (self._discharge[hour], per_mw[self._storage_bus]),
            (self._charge[hour], -per_mw[self._storage_bus]),
        )
        row = self._lp.add_row(
            limit.lower_mw + shift if np.isfinite(limit.lower_mw) else -INF,
            limit.upper_mw + shift if np.isfinite(limit.upper_mw) else INF,
            np.concatenate([columns for columns, _ in parts]),
            np.concatenate([values for _, values in parts]),
        )
        self._held.append((hour, limit, row))
        self._known[hour].add((limit.branch, limit.outage))

    def _alive(self, at_bus: Floats) -> Floats:
        return np.where(self.study.grid.island >= 0, at_bus, 0.0)

    def _refine(self, solution: Solution) -> bool:
        """Add tangents where the program underestimates costs; False if it hardly does."""
        gaps = []
        for place, unit in enumerate(self._bent.tolist()):
            curve = self._curves[unit]
            for hour in range(self.n_hours if curve.is_curved else 0):
                if solution.value[self._on[hour, unit]] > 0.5:
                    output = float(solution.value[self._output[hour, unit]])
                    seen = float(solution.value[self._cost[hour, place]])
                    gaps.append((curve.usd_per_h(output) - seen, hour, place, output))
        allowed = GAP_FRAC * abs(solution.objective) + 1e-6
        if sum(gap for gap, *_ in gaps) <= allowed:
            return False
        for gap, hour, place, output in gaps:
            if gap > 0.1 * allowed / len(gaps):
                self._add_line(hour, place, self._curves[self._bent[place]].tangent(output))
        return True

    def _fixed(self, chosen: Solution) -> Solution:
        """The program with the commitment fixed: the exact dispatch, its duals the prices."""
        self._lp.make_continuous(self._whole)
        for column in self._whole.tolist():
            value = float(round(chosen.value[column]))
            self._lp.set_bounds(column, value, value)
        return self._dispatch()

    def _release(self) -> None:
        for column in self._whole.tolist():
            self._lp.set_bounds(column, 0.0, 1.0)

    def _result(self, chosen: Solution, fixed: Solution) -> Commitment:
        network, value = self.study.network, fixed.value
        shape = (self.n_hours, len(network.generators))
        on, starts, output = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape)
        on[:, self._unit] = value[self._on] > 0.5
        starts[:, self._unit] = value[self._start] > 0.5
        output[:, self._unit] = value[self._output]
        unserved = np.zeros((self.n_hours, len(network.buses)))
        unserved[:, self._load_bus] = value[self._unserved]
        startup, short = self._startup(starts), float(unserved.sum()) * (self._voll or 0.0)
        operation = self._operation(on, output)
        objective = startup + operation + short
        return Commitment(
            objective_usd=objective,
            gap_frac=max(0.0, objective - chosen.bound) / max(abs(objective), 1e-9),
            is_on=on,
            starts=starts,
            output_mw=output,
            flow_mw=self._flows(fixed),
            charge_mw=value[self._charge],
            discharge_mw=value[self._discharge],
            stored_mwh=value[self._stored],
            unserved_mw=unserved,
            price_usd_per_mwh=self._prices(fixed),
            startup_usd=startup,
            operation_usd=operation,
            unserved_usd=short,
            binding=tuple(
                (hour, limit, abs(float(fixed.dual[row])))
                for hour, limit, row in self._held
                if abs(fixed.dual[row]) > 1e-7
            ),
        )

    def _startup(self, starts: Bools) -> float:
        cost = self.study.network.generators.cost
        return float(sum(starts[:, i].sum() * c.startup_usd for i, c in enumerate(cost)))

    def _operation(self, on: Bools, output_mw: Floats) -> float:
        return sum(
            curve.usd_per_h(float(output_mw[hour, row]))
            for row, curve in zip(self._unit.tolist(), self._curves, strict=True)
            for hour in np.flatnonzero(on[:, row]).tolist()
        )

    def _prices(self, fixed: Solution) -> Floats:
        grid = self.study.grid
        dual = fixed.dual[self._balance]
        price = np.where(grid.island >= 0, dual[:, grid.island], np.nan)
        for hour, limit, row in self._held:
            if fixed.dual[row]:
                price[hour] += float(fixed.dual[row]) * limit.per_mw
        return price
