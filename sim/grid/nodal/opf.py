"""DC optimal power flow: the cheapest dispatch within the limits, and what a MW is worth where.

Formulated over generators with limits added as they are broken. The price at a bus (LMP) is the
cost of one more MW of demand there: the price of balance in its island plus, for each binding
limit, its shadow price times the bus's effect on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.errors import FlopgridError, InputError
from sim.grid.nodal.costs import curves
from sim.grid.nodal.law import check_buses, check_flows, check_outputs
from sim.grid.nodal.limits import Limit, Limits
from sim.grid.nodal.lp import INF, GrowingLp, Infeasible, Solution
from sim.grid.nodal.operating import by_island, demand_mw
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Ints

ROUNDS = 200

GAP_FRAC = 1e-9
"""Cost that the tangents may miss, as a share of the objective."""

RENEWABLE = ("wind", "solar", "hydro")
"""Fuels whose unused output counts as curtailed."""


@dataclass(frozen=True, slots=True)
class Interruptible:
    """Loads on top of the case that may be cut, each at the same price, before other load.

    Args:
        bus: index of each.
    """

    bus: Ints
    usd_per_mwh: float


NOBODY = Interruptible(np.zeros(0, dtype=np.int64), 0.0)


@dataclass(frozen=True, slots=True)
class Optimum:
    """The cheapest dispatch.

    Args:
        output_mw: by generator.
        price_usd_per_mwh: LMP by bus; NaN at buses out of service.
        binding: limits with a shadow price, and that price (USD/h per MW of limit, > 0).
        unserved_mw: by bus, with what is cut of interruptible loads.
        congestion_rent_usd_per_h: what loads pay less what generators get.
        curtailed_mw: by generator, output that wind, solar and hydro in service could give and
            do not; zero if the case does not name fuels.
        cut_mw: of each interruptible load.
    """

    objective_usd_per_h: float
    output_mw: Floats
    flow_mw: Floats
    price_usd_per_mwh: Floats
    binding: tuple[tuple[Limit, float], ...]
    unserved_mw: Floats
    congestion_rent_usd_per_h: float
    curtailed_mw: Floats
    cut_mw: Floats


class DcOpf:
    """The program for one study; solve it with `optimum`.

    Args:
        secure: limits hold after each single branch outage too.
        unserved_usd_per_mwh: price at which load may go unserved; None forbids it.
        extra_load_mw: load on top of the case, by bus.
        strict: no allowance for limits that are over at the base point.
        interruptible: loads that `set_load` gives a size; zero until then.
        gap_frac: cost that the tangents may miss, as a share of the objective.
    """

    def __init__(
        self,
        study: Study,
        *,
        secure: bool = False,
        unserved_usd_per_mwh: float | None = None,
        extra_load_mw: Floats | None = None,
        strict: bool = True,
        interruptible: Interruptible = NOBODY,
        gap_frac: float = GAP_FRAC,
    ):
        self.study = study
        network = study.network
        self._gap_frac = gap_frac
        self._interruptible = interruptible
        self._limits = Limits(study, with_outages=secure, strict=strict)
        self._held: list[Limit] = []
        self._on = np.flatnonzero(network.generator_on)
        self._bus = network.generators.bus[self._on]
        self._extra = np.zeros(len(network.buses)) if extra_load_mw is None else extra_load_mw
        self._lp = GrowingLp()
        self._tangents = 0
        self._add_generators()
        self._add_unserved(unserved_usd_per_mwh)
        self._add_balances()

    def _add_generators(self) -> None:
        g, on = self.study.network.generators, self._on
        zero = np.zeros(len(on))
        self._output = self._lp.add_columns(g.min_mw[on], g.max_mw[on], zero)
        every = curves(self.study.network, g.min_mw, g.max_mw)
        self._curves = [every[row] for row in on.tolist()]
        straight = np.array([curve.is_straight for curve in self._curves], dtype=bool)
        slope = np.array([c.lines()[0][1] if c.is_straight else 0.0 for c in self._curves])
        self._lp.set_costs(self._output, slope)
        self._constant = sum(c.lines()[0][0] for c in self._curves if c.is_straight)
        bent = np.flatnonzero(~straight)
        free = np.full(len(bent), INF)
        columns = self._lp.add_columns(-free, free, np.ones(len(bent)))
        self._bent = dict(zip(bent.tolist(), columns.tolist(), strict=True))
        self._rows: list[tuple[str, Limit | None]] = []
        for i in self._bent:
            for line in self._curves[i].lines():
                self._add_line(i, line)

    def _add_line(self, i: int, line: tuple[float, float]) -> None:
        columns = np.array([self._bent[i], self._output[i]], dtype=np.int64)
        self._lp.add_row(line[0], INF, columns, np.array([1.0, -line[1]]))
        self._rows.append(("line", None))

    def _add_unserved(self, price: float | None) -> None:
        """Columns of load that may go: that of the case, if at all, and the interruptible."""
        native: Ints = np.zeros(0, dtype=np.int64)
        if price is not None:
            load = self.study.network.buses.load_mw + self._extra
            native = np.flatnonzero((load > 0) & (self.study.grid.island >= 0))
        self._native = native
        cuts = self._interruptible
        wanted = np.concatenate([self._native_mw(), np.zeros(len(cuts.bus))])
        cost = [np.full(len(native), price or 0.0), np.full(len(cuts.bus), cuts.usd_per_mwh)]
        self._load_bus: Ints = np.concatenate([native, cuts.bus])
        self._unserved = self._lp.add_columns(np.zeros(len(wanted)), wanted, np.concatenate(cost))

    def _native_mw(self) -> Floats:
        """The case's own load where it may go unserved."""
        load: Floats = (self.study.network.buses.load_mw + self._extra)[self._native]
        return load

    def set_load(self, extra_load_mw: Floats, interruptible_mw: Floats) -> None:
        """Change the load on top of the case, by bus, and the size of the interruptible loads.

        The program keeps its basis and its limits, so a small change is solved fast.
        """
        self._extra = extra_load_mw
        upper = np.concatenate([np.maximum(self._native_mw(), 0.0), interruptible_mw])
        self._lp.set_bounds_of(self._unserved, np.zeros(len(upper)), upper)
        bus = self._interruptible.bus
        self._extra = extra_load_mw + self.study.network.at_bus(bus, interruptible_mw)
        for i, total in enumerate(self._wanted_mw()):
            self._lp.set_row_bounds(self._first_balance + i, float(total), float(total))
        for row, (_, limit) in enumerate(self._rows):
            if limit is not None:
                self._lp.set_row_bounds(row, *self._bounds(limit))

    def _wanted_mw(self) -> Floats:
        """Demand by island."""
        return by_island(self.study.grid, demand_mw(self.study.network) + self._extra)

    def _add_balances(self) -> None:
        grid = self.study.grid
        self._first_balance = self._lp.n_rows
        for i, wanted in enumerate(self._wanted_mw()):
            total = float(wanted)
            columns = np.concatenate(
                [
                    self._output[grid.island[self._bus] == i],
                    self._unserved[grid.island[self._load_bus] == i],
                ]
            )
            self._lp.add_row(total, total, columns, np.ones(len(columns)))
            self._rows.append(("balance", None))

    def optimum(self) -> Optimum:
        """Solve, adding broken limits and missing tangents until there are none.

        Raises:
            InputError: no dispatch meets all limits.
            FlopgridError: it does not converge.
            LawViolation: the dispatch breaks a balance or a limit (a defect).
        """
        for _ in range(ROUNDS):
            try:
                solution = self._lp.solve()
            except Infeasible as error:
                raise InputError(
                    f"case {self.study.network.name}: no dispatch meets load and limits",
                    "allow unserved load (unserved_usd_per_mwh), or relax ratings",
                ) from error
            flow = self._flows(solution)
            broken = self._limits.broken(flow, {(x.branch, x.outage) for x in self._held})
            for limit in broken:
                self._hold(limit)
            if not self._refine(solution) and not broken:
                break
        else:
            raise FlopgridError(
                f"case {self.study.network.name}: the dispatch did not converge in {ROUNDS} "
                "rounds; let load go unserved, or relax the ratings"
            )
        return self._result(solution, flow)

    def _change(self, solution: Solution) -> Floats:
        """Injections less those of the base point, by bus."""
        network = self.study.network
        output = solution.value[self._output] - self.study.base.output_mw[self._on]
        change = network.at_bus(self._bus, output) - self._extra
        return change + network.at_bus(self._load_bus, solution.value[self._unserved])

    def _flows(self, solution: Solution) -> Floats:
        return self.study.base.flow_mw + self.study.grid.transfer(self._change(solution))

    def _refine(self, solution: Solution) -> bool:
        """Add tangents where the program underestimates costs; False if it hardly does."""
        gaps = []
        for i, column in self._bent.items():
            curve, output = self._curves[i], float(solution.value[self._output[i]])
            if curve.is_curved:
                gaps.append((curve.usd_per_h(output) - float(solution.value[column]), i, output))
        allowed = self._gap_frac * abs(solution.objective) + 1e-6
        if sum(gap for gap, _, _ in gaps) <= allowed:
            return False
        for gap, i, output in gaps:
            if gap > 0.1 * allowed / len(gaps):
                self._add_line(i, self._curves[i].tangent(output))
        return True

    def _hold(self, limit: Limit) -> None:
        self._lp.add_row(
            *self._bounds(limit),
            np.concatenate([self._output, self._unserved]),
            limit.per_mw[np.concatenate([self._bus, self._load_bus])],
        )
        self._held.append(limit)
        self._rows.append(("limit", limit))

    def _bounds(self, limit: Limit) -> tuple[float, float]:
        """Bounds of a limit's row under the load as it is now."""
        base = self.study.base.output_mw[self._on]
        shift = float(limit.per_mw[self._bus] @ base) - limit.at_base_mw
        shift += float(limit.per_mw @ self._extra)
        return (
            limit.lower_mw + shift if np.isfinite(limit.lower_mw) else -INF,
            limit.upper_mw + shift if np.isfinite(limit.upper_mw) else INF,
        )

    def _result(self, solution: Solution, flow: Floats) -> Optimum:
        network, grid = self.study.network, self.study.grid
        output = np.zeros(len(network.generators))
        output[self._on] = solution.value[self._output]
        unserved = network.at_bus(self._load_bus, solution.value[self._unserved])
        price = self._prices(solution)
        withdrawal = demand_mw(network) + self._extra - unserved
        withdrawal = withdrawal - network.at_bus(network.generators.bus, output)
        self._check_laws(output, withdrawal, flow)
        alive = grid.island >= 0
        duals = zip(self._rows, solution.dual, strict=True)
        return Optimum(
            objective_usd_per_h=self._objective(solution),
            output_mw=output,
            flow_mw=flow,
            price_usd_per_mwh=price,
            binding=tuple(
                (limit, abs(float(dual)))
                for (_, limit), dual in duals
                if limit is not None and abs(dual) > 1e-7
            ),
            unserved_mw=unserved,
            congestion_rent_usd_per_h=float((price[alive] * withdrawal[alive]).sum()),
            curtailed_mw=self._curtailed(output),
            cut_mw=solution.value[self._unserved[len(self._native) :]],
        )

    def _check_laws(self, output: Floats, withdrawal: Floats, flow: Floats) -> None:
        """Every bus balances, every generator and every base-case flow is within its limits."""
        network, grid, limits = self.study.network, self.study.grid, self._limits
        check_outputs(network, output)
        check_buses(grid, np.where(grid.island >= 0, -withdrawal, 0.0), flow)
        check_flows(network, flow, limits.lower_mw, limits.upper_mw)

    def _objective(self, solution: Solution) -> float:
        """The program's objective with the true costs in place of the tangents."""
        true = sum(
            self._curves[i].usd_per_h(float(solution.value[self._output[i]])) for i in self._bent
        )
        seen = sum(float(solution.value[column]) for column in self._bent.values())
        return solution.objective + self._constant + true - seen

    def _prices(self, solution: Solution) -> Floats:
        grid = self.study.grid
        balance = solution.dual[self._first_balance : self._first_balance + grid.n_islands]
        price = np.where(grid.island >= 0, balance[grid.island], np.nan)
        for (kind, limit), dual in zip(self._rows, solution.dual, strict=True):
            if kind == "limit" and limit is not None and dual:
                price = price + float(dual) * limit.per_mw
        return price

    def _curtailed(self, output_mw: Floats) -> Floats:
        network = self.study.network
        fuel = network.generators.fuel
        if not fuel:
            return np.zeros(len(output_mw))
        green = np.array([name.lower().startswith(RENEWABLE) for name in fuel])
        room = np.maximum(network.generators.max_mw - output_mw, 0)
        return np.where(green & network.generator_on, room, 0.0)
