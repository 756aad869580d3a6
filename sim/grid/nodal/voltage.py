"""Voltages with a new load: AC power flow by lightsim2grid (the optional extra `ac`).

lightsim2grid solves, but never holds a generator within its reactive limits, so that is done
here: a generator beyond a limit is pinned there and no longer holds its voltage (the rule of
MATPOWER's `enforce_q_lims`; nobody is released again). The generators of the reference bus
take what losses change and are not pinned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.operating import headroom_mw, pickup
from sim.grid.nodal.tables import Bools, Floats, Ints, Network

LOW_PU, HIGH_PU = 0.90, 1.05
"""Voltage range after an outage."""

POWER_FACTOR = 0.98

NOTICEABLE_PU = 0.001
"""A bus counts if the load moves it by more than this.

Without it, buses that stand at a limit before the load would stop any load anywhere.
"""

PROBE_MW = 150.0
"""Load at which outages are compared."""

SCREENED = 3
"""Outages compared for each one that is kept."""

_NO_LOAD = 1e-9
"""MW that stands for a load of zero, so that every bus has a load to change."""

_ROUNDS = 12
_TOLERANCE_MVAR = 1e-3


@dataclass(frozen=True, slots=True)
class AcPoint:
    """An AC operating point, or none.

    Args:
        voltage_pu: by bus; NaN if no operating point was found.
        pinned: generators (rows from 0) held at a reactive limit.
    """

    found: bool
    voltage_pu: Floats
    angle_rad: Floats
    pinned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class VoltageHosting:
    """The largest load before a voltage leaves its range.

    Args:
        hosting_mw: to within the step asked for.
        reason: `voltage`, `no operating point found`, or `none` up to the most that was tried.
        bus, voltage_pu, outage: what happens just beyond (outage: branch row from 0).
        preexisting: buses (index) out of range before the load, in the base case.
    """

    hosting_mw: float
    reason: str
    bus: int | None = None
    voltage_pu: float | None = None
    outage: int | None = None
    preexisting: tuple[int, ...] = field(default=())


class AcGrid:
    """A network for lightsim2grid.

    Raises:
        InputError: the extra `ac` is missing, or the case has no reference bus in service.
    """

    def __init__(self, network: Network):
        self.network = network
        if network.branches.x_pu.size and (network.buses.kind == 3).sum() == 0:
            raise InputError(f"case {network.name}: no reference bus", "give one bus the type 3")
        self._grid = _library()(_tables(network))
        self._line = np.cumsum(~_is_trafo(network)) - 1
        self._trafo = np.cumsum(_is_trafo(network)) - 1
        angle = np.radians(network.buses.angle_deg)
        self._start = network.buses.voltage_pu * np.exp(1j * angle)
        self._held = network.buses.kind[network.generators.bus] == 3

    def solve(
        self,
        *,
        output_mw: Floats | None = None,
        extra_mw: Floats | None = None,
        power_factor: float = POWER_FACTOR,
        outages: Sequence[int] = (),
        reactive_limits: bool = True,
    ) -> AcPoint:
        """Solve with more load, another dispatch, or branches out.

        Args:
            output_mw: by generator; default as in the case.
            extra_mw: load on top of the case by bus, at `power_factor` lagging.
            outages: branch rows from 0.
        """
        grid = self._grid.copy()
        active, reactive = self._loads(extra_mw, power_factor)
        for bus in np.flatnonzero(active != self.network.buses.load_mw).tolist():
            grid.change_p_load(bus, float(active[bus]))
            grid.change_q_load(bus, float(reactive[bus]))
        output = self.network.generators.output_mw if output_mw is None else output_mw
        for row in np.flatnonzero(output != self.network.generators.output_mw).tolist():
            grid.change_p_gen(row, float(output[row]))
        for row in outages:
            if _is_trafo(self.network)[row]:
                grid.deactivate_trafo(int(self._trafo[row]))
            else:
                grid.deactivate_powerline(int(self._line[row]))
        return self._within_limits(grid, output, active, reactive, reactive_limits)

    def _loads(self, extra_mw: Floats | None, power_factor: float) -> tuple[Floats, Floats]:
        if not 0 < power_factor <= 1:
            raise InputError(f"power_factor {power_factor:g} is not in 0 to 1", "give a share")
        buses = self.network.buses
        if extra_mw is None:
            return buses.load_mw.copy(), buses.load_mvar.copy()
        per_mw = math.tan(math.acos(power_factor))
        return buses.load_mw + extra_mw, buses.load_mvar + extra_mw * per_mw

    def _within_limits(
        self, grid: Any, output: Floats, active: Floats, reactive: Floats, limits: bool
    ) -> AcPoint:
        pinned: list[int] = []
        free = self.network.generator_on & ~self._held
        start = self._start
        for _ in range(_ROUNDS):
            voltage = grid.ac_pf(start, 30, 1e-8)
            if not len(voltage):
                nothing = np.full(len(active), np.nan)
                return AcPoint(False, nothing, nothing, tuple(sorted(pinned)))
            over = self._over(np.array(grid.get_gen_res()[1]), free) if limits else {}
            if not over:
                break
            for row, mvar in over.items():
                bus = int(self.network.generators.bus[row])
                active[bus] -= output[row]
                reactive[bus] -= mvar
                grid.deactivate_gen(row)
                grid.change_p_load(bus, float(active[bus]))
                grid.change_q_load(bus, float(reactive[bus]))
                free[row] = False
                pinned.append(row)
            start = voltage
        return AcPoint(True, np.abs(voltage), np.angle(voltage), tuple(sorted(pinned)))

    def _over(self, mvar: Floats, free: Bools) -> dict[int, float]:
        """Generators beyond a reactive limit, and that limit."""
        g = self.network.generators
        high = free & (mvar > g.max_mvar + _TOLERANCE_MVAR)
        low = free & (mvar < g.min_mvar - _TOLERANCE_MVAR)
        limit = np.where(high, g.max_mvar, g.min_mvar)
        return {row: float(limit[row]) for row in np.flatnonzero(high | low).tolist()}


class VoltageCheck:
    """Hosting by voltage at single buses, base case and worst outages.

    Args:
        worst: outages looked at for each bus (see `outages`).
    """

    def __init__(self, network: Network, *, worst: int = 10, power_factor: float = POWER_FACTOR):
        self.network = network
        self._ac = AcGrid(network)
        self._dc = DcGrid(network)
        self._power_factor = power_factor
        self._worst = worst
        output = np.where(network.generator_on, network.generators.output_mw, 0.0)
        self._room = headroom_mw(network, output)
        self._output = output
        self._before: dict[int | None, AcPoint] = {}

    def outages(self, bus: int) -> Ints:
        """The outages that hurt a load at the bus most, worst first.

        Of the branches (not radial) that carry most of the load, those after whose loss a probe
        load drives a voltage furthest out of range, or leaves no operating point.
        """
        injection = pickup(self._dc, self._room)
        injection = np.where(self._dc.island == self._dc.island[bus], injection, 0.0)
        injection[bus] -= 1
        share = np.abs(self._dc.transfer(injection))[self._dc.outages]
        screened = self._dc.outages[np.argsort(-share, kind="stable")[: SCREENED * self._worst]]
        if len(screened) <= self._worst:
            return screened
        severity = np.array([self._severity(bus, outage) for outage in screened.tolist()])
        return screened[np.argsort(-severity, kind="stable")[: self._worst]]

    def _severity(self, bus: int, outage: int) -> float:
        """How far the probe load drives a voltage out of range (pu; under 0: within it)."""
        before = self._start_point(outage)
        if not before.found:
            return -np.inf  # the outage alone has no operating point: not the load's doing
        point = self.at(bus, PROBE_MW, outage)
        if not point.found:
            return np.inf
        moved = np.abs(point.voltage_pu - before.voltage_pu) > NOTICEABLE_PU
        beyond = [_beyond(float(v)) for v in point.voltage_pu[moved & (self._dc.island >= 0)]]
        return max(beyond, default=-np.inf)

    def at(self, bus: int, load_mw: float, outage: int | None = None) -> AcPoint:
        """The operating point with a load at a bus, picked up in proportion to headroom."""
        extra = np.zeros(len(self.network.buses))
        extra[bus] = load_mw
        island = self._dc.island[self.network.generators.bus] == self._dc.island[bus]
        room = np.where(island, self._room, 0.0)
        share = load_mw / room.sum() if room.sum() > 0 else 0.0
        return self._ac.solve(
            output_mw=self.network.generators.output_mw + room * share,
            extra_mw=extra,
            power_factor=self._power_factor,
            outages=() if outage is None else (outage,),
        )

    def hosting(
        self, bus: int, *, most_mw: float = 2000.0, step_mw: float = 5.0, low_only: bool = False
    ) -> VoltageHosting:
        """The largest load at a bus (index), by halving between 0 and `most_mw`.

        Args:
            low_only: count only voltages that are too low; those too high can often be mended
                by set points and shunts, which the solution leaves as they are.
        """
        room = np.where(
            self._dc.island[self.network.generators.bus] == self._dc.island[bus], self._room, 0.0
        )
        cases: list[int | None] = [None, *self.outages(bus).tolist()]
        before = self._out_of_range(self._start_point(None))
        low, high = 0.0, min(most_mw, float(room.sum()))
        failed = self._first_failure(bus, high, cases, low_only)
        if failed is None:
            return VoltageHosting(high, "none", preexisting=tuple(before))
        while high - low > step_mw:
            middle = (low + high) / 2
            failure = self._first_failure(bus, middle, cases, low_only)
            if failure is None:
                low = middle
            else:
                high, failed = middle, failure
        return VoltageHosting(low, *failed, preexisting=tuple(before))

    def _start_point(self, outage: int | None) -> AcPoint:
        if outage not in self._before:
            self._before[outage] = self._ac.solve(outages=() if outage is None else (outage,))
        return self._before[outage]

    def _out_of_range(self, point: AcPoint) -> list[int]:
        alive = self._dc.island >= 0
        bad = alive & ((point.voltage_pu < LOW_PU) | (point.voltage_pu > HIGH_PU))
        return [int(i) for i in np.flatnonzero(bad)]

    def _pushed_out(self, before: AcPoint, point: AcPoint) -> list[int]:
        """Buses that the load pushes out of range, and moves noticeably."""
        old = set(self._out_of_range(before))
        moved = np.abs(point.voltage_pu - before.voltage_pu)
        return [i for i in self._out_of_range(point) if i not in old and moved[i] > NOTICEABLE_PU]

    def _first_failure(
        self, bus: int, load_mw: float, cases: Sequence[int | None], low_only: bool
    ) -> tuple[str, int | None, float | None, int | None] | None:
        """What goes wrong at this load and did not go wrong without it."""
        for outage in cases:
            before = self._start_point(outage)
            if not before.found:
                continue
            point = self.at(bus, load_mw, outage)
            if not point.found:
                return "no operating point found", None, None, outage
            new = self._pushed_out(before, point)
            if low_only:
                new = [i for i in new if point.voltage_pu[i] < LOW_PU]
            if new:
                worst = max(new, key=lambda i: _beyond(float(point.voltage_pu[i])))
                return "voltage", worst, float(point.voltage_pu[worst]), outage
        return None


def _beyond(voltage_pu: float) -> float:
    """How far a voltage is out of range, pu."""
    return max(LOW_PU - voltage_pu, voltage_pu - HIGH_PU)


def _library() -> Any:
    try:
        return import_module("lightsim2grid.network").init_from_matpower
    except ImportError as error:
        raise InputError(
            "an AC power flow needs the optional extra 'ac'", "pip install 'flopgrid[ac]'"
        ) from error


def _is_trafo(network: Network) -> Bools:
    b = network.branches
    result: Bools = b.is_transformer | (b.shift_deg != 0)
    return result


def _tables(network: Network) -> dict[str, Any]:
    """The network as the matrices that lightsim2grid reads; every bus gets a load."""
    buses, g, b = network.buses, network.generators, network.branches
    ones = np.ones(len(buses))
    load = np.where(buses.load_mw == 0, _NO_LOAD, buses.load_mw)
    bus = [
        buses.number, buses.kind, load, buses.load_mvar, buses.shunt_mw, buses.shunt_mvar,
        buses.area, buses.voltage_pu, buses.angle_deg,
        np.where(buses.base_kv > 0, buses.base_kv, 1), buses.zone, 1.1 * ones, 0.9 * ones,
    ]  # fmt: skip
    gen = [
        buses.number[g.bus], g.output_mw, g.output_mvar, g.max_mvar, g.min_mvar, g.setpoint_pu,
        np.full(len(g), network.base_mva), network.generator_on, g.max_mw, g.min_mw,
    ]  # fmt: skip
    unlimited = np.zeros(len(b))
    branch = [
        buses.number[b.start], buses.number[b.end], b.r_pu, b.x_pu, b.charging_pu, unlimited,
        unlimited, unlimited, np.where(_is_trafo(network), b.tap, 0.0), b.shift_deg,
        network.branch_on, unlimited - 360, unlimited + 360,
    ]  # fmt: skip
    return {
        "version": "2",
        "baseMVA": network.base_mva,
        "bus": np.column_stack(bus).astype(float),
        "gen": np.column_stack(gen).astype(float),
        "branch": np.column_stack(branch).astype(float),
    }
