"""The rows and columns of a unit commitment: units, storages, balances (see `commitment.py`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim.grid.nodal.commitment_spec import Horizon, Storage
from sim.grid.nodal.costs import Curve, curves
from sim.grid.nodal.lp import INF, GrowingLp
from sim.grid.nodal.operating import demand_mw
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Ints


class CommitmentProgram:
    """Columns and rows over all hours, without network limits.

    Args: as of `UnitCommitment`.

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
    ):
        self.study = study
        self.horizon = horizon.checked(study.network)
        self._storages = tuple(storages)
        for storage in self._storages:
            storage.check(study)
        self._voll = unserved_usd_per_mwh
        g = study.network.generators
        alive = study.grid.island[g.bus] >= 0
        self._unit = np.flatnonzero(alive & (g.max_mw > 0))
        self._bus = g.bus[self._unit]
        self._demand = horizon.demand_mw(study.network, demand_mw(study.network))
        self._lp = GrowingLp()
        self._build()

    @property
    def n_hours(self) -> int:
        """Hours of the horizon."""
        return len(self.horizon.load_frac)

    # Columns, all shape (n_hours, n)

    def _columns(self, lower: Floats, upper: Floats, cost: Floats) -> Ints:
        """One column for each entry of (n_hours, n) arrays."""
        shape = (self.n_hours, lower.shape[-1])
        full = [np.broadcast_to(a, shape).ravel().astype(float) for a in (lower, upper, cost)]
        return self._lp.add_columns(*full).reshape(shape)

    def _build(self) -> None:
        self._add_units()
        self._add_storages()
        self._add_unserved()
        self._link_units()
        self._link_storages()
        self._add_balances()
        self._whole = np.concatenate([self._on[:, self._choose].ravel(), self._charging.ravel()])

    def _add_units(self) -> None:
        g, units = self.study.network.generators, self._unit
        zero, one = np.zeros(len(units)), np.ones(len(units))
        every = curves(self.study.network, g.min_mw, g.max_mw)
        self._curves: list[Curve] = [every[row] for row in units.tolist()]
        lines = [c.lines() for c in self._curves]
        straight = np.array([len(found) == 1 for found in lines], dtype=bool)
        idle = np.array([f[0][0] if len(f) == 1 else 0.0 for f in lines])
        slope = np.array([f[0][1] if len(f) == 1 else 0.0 for f in lines])
        start = np.array([c.startup_usd for c in g.cost]) if g.cost else np.zeros(len(g))
        has_start = start[units] > 0
        idles = idle + np.array([c.usd_per_h(0.0) for c in self._curves]) * ~straight
        choose = (
            has_start | (g.min_mw[units] > 0) | (idles > 0) | bool(len(self.horizon.least_up_h))
        )
        self._choose = np.flatnonzero(choose)  # others can stand at 0 MW: always on, for nothing
        self._on = self._columns(np.where(choose, 0.0, 1.0), one, idle)
        self._start = self._columns(zero, one, start[units])
        self._stop = self._columns(zero, one, zero)
        top = self.horizon.top_mw(self.study.network)[:, units]
        self._top = np.maximum(top, 0.0)
        self._output = self._columns(zero + np.minimum(g.min_mw[units], 0.0), self._top, slope)
        self._bent = np.flatnonzero(~straight)
        free = np.full(len(self._bent), INF)
        self._cost = self._columns(-free, free, np.ones(len(self._bent)))
        for hour in range(self.n_hours):
            for place, unit in enumerate(self._bent.tolist()):
                for line in lines[unit]:
                    self._add_line(hour, place, line)

    def _add_line(self, hour: int, place: int, line: tuple[float, float]) -> None:
        """Cost of a unit lies above a line while it runs; nothing while it does not."""
        unit = self._bent[place]
        columns = [self._cost[hour, place], self._output[hour, unit], self._on[hour, unit]]
        self._row(0.0, INF, columns, [1.0, -line[1], -line[0]])

    def _row(self, low: float, high: float, columns: Sequence[int], values: Sequence[float]) -> int:
        return self._lp.add_row(
            low, high, np.array(columns, dtype=np.int64), np.array(values, dtype=float)
        )

    def _link_units(self) -> None:
        g = self.study.network.generators
        least = np.minimum(g.min_mw[self._unit], self._top)  # a cloud may leave less than Pmin
        ramp = self.horizon.ramp_mw(self.study.network)[self._unit]
        for hour in range(self.n_hours):
            for unit in range(len(self._unit)):
                on, output = self._on[hour, unit], self._output[hour, unit]
                self._cap_output(hour, unit, float(ramp[unit]))
                self._row(0.0, INF, [output, on], [1.0, -float(least[hour, unit])])
                self._link_hours(hour, unit, float(ramp[unit]))
            self._add_reserve(hour)
        self._add_minimum_times()

    def _edge_mw(self, unit: int, ramp: float) -> float:
        """The most in the hour of a start, and in the last hour before a stop."""
        return max(ramp, float(self.study.network.generators.min_mw[self._unit[unit]]))

    def _cap_output(self, hour: int, unit: int, ramp: float) -> None:
        """Output under the top while on, lower at a start and before a stop (tight form)."""
        on, output = int(self._on[hour, unit]), int(self._output[hour, unit])
        top = float(self._top[hour, unit])
        less = max(0.0, top - self._edge_mw(unit, ramp))
        if less == 0:
            self._row(-INF, 0.0, [output, on], [1.0, -top])
            return
        moves = [int(self._start[hour, unit])]
        moves += [int(self._stop[hour + 1, unit])] if hour + 1 < self.n_hours else []
        for move in moves:
            self._row(-INF, 0.0, [output, on, move], [1.0, -top, less])

    def _link_hours(self, hour: int, unit: int, ramp: float) -> None:
        """On, start and stop of successive hours, and the ramp between them."""
        on, start, stop = (c[hour, unit] for c in (self._on, self._start, self._stop))
        if hour == 0:
            self._link_before(unit, ramp)
            return
        before = self._on[hour - 1, unit]
        self._row(0.0, 0.0, [on, before, start, stop], [1.0, -1.0, -1.0, 1.0])
        self._no_idle_moves(hour, unit)
        if not np.isfinite(ramp):
            return
        edge = self._edge_mw(unit, ramp)
        now, then = self._output[hour, unit], self._output[hour - 1, unit]
        self._row(-INF, 0.0, [now, then, before, start], [1.0, -1.0, -ramp, -edge])
        self._row(-INF, 0.0, [then, now, on, stop], [1.0, -1.0, -ramp, -edge])

    def _no_idle_moves(self, hour: int, unit: int) -> None:
        """A start only into an hour on, a stop only into an hour off (so both are whole)."""
        on, start, stop = (c[hour, unit] for c in (self._on, self._start, self._stop))
        self._row(-INF, 0.0, [start, on], [1.0, -1.0])
        self._row(-INF, 1.0, [stop, on], [1.0, 1.0])

    def _link_before(self, unit: int, ramp: float) -> None:
        """The first hour against what ran before it; free to choose if that is not given."""
        was_on = self.horizon.was_on
        start, stop, on = (c[0, unit] for c in (self._start, self._stop, self._on))
        if was_on is None:
            self._lp.set_bounds(int(start), 0.0, 0.0)
            self._lp.set_bounds(int(stop), 0.0, 0.0)
            return
        ran = float(was_on[self._unit[unit]])
        self._row(ran, ran, [on, start, stop], [1.0, -1.0, 1.0])
        self._no_idle_moves(0, unit)
        if self.horizon.was_mw is None or not np.isfinite(ramp):
            return
        then = float(self.horizon.was_mw[self._unit[unit]])
        edge = self._edge_mw(unit, ramp)
        output = self._output[0, unit]
        self._row(-INF, then + ramp * ran, [output, start], [1.0, -edge])
        self._row(then, INF, [output, on, stop], [1.0, ramp, edge])

    def _add_minimum_times(self) -> None:
        """A unit that starts stays on, and one that stops stays off, for its least hours."""
        for hours, moved, still in (
            (self.horizon.least_up_h, self._start, 1.0),
            (self.horizon.least_down_h, self._stop, -1.0),
        ):
            for unit, least in enumerate(hours[self._unit].tolist() if len(hours) else ()):
                for hour in range(self.n_hours if least > 1 else 0):
                    recent = moved[max(0, hour - least + 1) : hour + 1, unit].tolist()
                    columns = [*recent, int(self._on[hour, unit])]
                    values = [*np.ones(len(recent)), -still]
                    self._row(-INF, 0.0 if still > 0 else 1.0, columns, values)

    def _add_reserve(self, hour: int) -> None:
        """Room of the units that run, by hour, at least the reserve."""
        wanted = float(self.horizon.reserve_mw[hour]) if len(self.horizon.reserve_mw) else 0.0
        if wanted <= 0:
            return
        columns = [*self._on[hour].tolist(), *self._output[hour].tolist()]
        self._row(wanted, INF, columns, [*self._top[hour].tolist(), *[-1.0] * len(self._unit)])

    def _add_storages(self) -> None:
        power = np.array([s.power_mw for s in self._storages])
        energy = np.array([s.energy_mwh for s in self._storages])
        zero = np.zeros(len(power))
        self._charge = self._columns(zero, power, zero)
        self._discharge = self._columns(zero, power, zero)
        self._stored = self._columns(zero, energy, zero)
        self._charging = self._columns(zero, zero + 1.0, zero)
        self._storage_bus = np.array([s.bus for s in self._storages], dtype=np.int64)

    def _link_storages(self) -> None:
        for place, storage in enumerate(self._storages):
            for hour in range(self.n_hours):
                charge, discharge, stored, flag = (
                    int(c[hour, place])
                    for c in (self._charge, self._discharge, self._stored, self._charging)
                )
                kept, drawn = storage.charge_frac, 1 / storage.discharge_frac
                columns, values = [stored, charge, discharge], [1.0, -kept, drawn]
                start = storage.first_mwh
                if hour:
                    columns, values = [*columns, int(self._stored[hour - 1, place])], [*values, -1]
                    start = 0.0
                self._row(start, start, columns, values)
                self._row(-INF, 0.0, [charge, flag], [1.0, -storage.power_mw])
                self._row(-INF, storage.power_mw, [discharge, flag], [1.0, storage.power_mw])
            last = int(self._stored[-1, place])
            self._lp.set_bounds(last, storage.least_last_mwh, storage.energy_mwh)

    def _add_unserved(self) -> None:
        load = np.where(self.study.grid.island >= 0, self._demand, 0.0).max(axis=0)
        allowed = self._voll is not None
        self._load_bus = np.flatnonzero(load > 0) if allowed else np.zeros(0, dtype=np.int64)
        wanted = np.maximum(self._demand[:, self._load_bus], 0.0)
        self._unserved = self._columns(
            np.zeros(len(self._load_bus)), wanted, np.full(len(self._load_bus), self._voll or 0.0)
        )

    def _add_balances(self) -> None:
        grid = self.study.grid
        groups = (
            (self._output, self._bus, 1.0),
            (self._unserved, self._load_bus, 1.0),
            (self._discharge, self._storage_bus, 1.0),
            (self._charge, self._storage_bus, -1.0),
        )
        self._balance = np.zeros((self.n_hours, grid.n_islands), dtype=np.int64)
        for hour in range(self.n_hours):
            for island in range(grid.n_islands):
                total = float(self._demand[hour, grid.island == island].sum())
                parts = [c[hour, grid.island[bus] == island] for c, bus, _ in groups]
                signs = [np.full(len(p), s) for p, (_, _, s) in zip(parts, groups, strict=True)]
                columns, values = np.concatenate(parts), np.concatenate(signs)
                self._balance[hour, island] = self._lp.add_row(total, total, columns, values)
