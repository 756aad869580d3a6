"""Laws of a unit commitment, recomputed from its schedule and the case alone.

Every hour balances in every island; units stay within their limits, ramps, starts and minimum
times; the reserve is there; storages hold what went in and came out; the flows are those of the
schedule solved anew; and the cost is the sum of its parts. The program and its rows are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.errors import LawViolation
from sim.grid.nodal.fresh import fresh_flows
from sim.grid.nodal.operating import demand_mw

if TYPE_CHECKING:
    from sim.grid.nodal.commitment import Commitment
    from sim.grid.nodal.commitment_spec import Horizon, Storage
    from sim.grid.nodal.study import Study
    from sim.grid.nodal.tables import Bools, Cost, Floats

OFF_MW: Final = 1e-3
"""What the solver and rounding may miss, MW or MWh."""
FLOW_MW: Final = 1e-2
"""What a flow may be beyond its limit, and off what was told."""
COST_FRAC: Final = 1e-6


def check_commitment(
    study: Study,
    horizon: Horizon,
    found: Commitment,
    storages: Sequence[Storage] = (),
    unserved_usd_per_mwh: float | None = None,
) -> None:
    """All laws of a commitment and its dispatch.

    Raises:
        LawViolation: with the hour, the place and the numbers.
    """
    law = _Law(study, horizon, found)
    law.balances(storages)
    law.outputs()
    law.starts()
    law.ramps()
    for hours, state, word in (
        (horizon.least_up_h, found.is_on, "on"),
        (horizon.least_down_h, ~found.is_on, "off"),
    ):
        if len(hours):
            law.minimum_times(hours.tolist(), state, word)
    law.reserve()
    law.storages(storages)
    law.flows(storages)
    law.cost(unserved_usd_per_mwh or 0.0)


class _Law:
    """The laws of one schedule."""

    def __init__(self, study: Study, horizon: Horizon, found: Commitment):
        self.study = study
        self.horizon = horizon
        self.found = found
        self.units = study.network.generators
        alive = study.grid.island[self.units.bus] >= 0
        self.in_program = alive & (self.units.max_mw > 0)
        self.top_mw = np.maximum(horizon.top_mw(study.network), 0.0)
        self.ramp_mw = horizon.ramp_mw(study.network)

    def _broken(self, hour: int, what: str, told: float, wanted: str) -> LawViolation:
        name = self.study.network.name
        return LawViolation(f"case {name}, hour {hour}: {what} {told!r}, must be {wanted}")

    def _each(self, bad: Bools, what: str, told: Floats, wanted: str) -> None:
        """Refuse the first entry of (n_hours, n_units) that is bad."""
        for hour, unit in np.argwhere(bad).tolist():
            where = f"{what} of generator {unit + 1}"
            raise self._broken(hour, where, float(told[hour, unit]), wanted)

    def _injection(self, storages: Sequence[Storage]) -> Floats:
        """Generation, storage and unserved load less demand, (n_hours, n_buses)."""
        network, found = self.study.network, self.found
        demand = self.horizon.demand_mw(network, demand_mw(network))
        injection = found.unserved_mw - demand
        for hour in range(len(injection)):
            np.add.at(injection[hour], self.units.bus, found.output_mw[hour])
        for place, storage in enumerate(storages):
            injection[:, storage.bus] += found.discharge_mw[:, place] - found.charge_mw[:, place]
        return np.where(self.study.grid.island >= 0, injection, 0.0)

    def balances(self, storages: Sequence[Storage]) -> None:
        """Every island in every hour."""
        injection, island = self._injection(storages), self.study.grid.island
        for number in range(self.study.grid.n_islands):
            off = injection[:, island == number].sum(axis=1)
            allowed = OFF_MW * max(1.0, 1e-3 * float(np.abs(injection).sum(axis=1).max()))
            for hour in np.flatnonzero(np.abs(off) > allowed).tolist():
                what = f"MW left over in island {number}"
                raise self._broken(hour, what, float(off[hour]), "0")
        if (self.found.unserved_mw < -OFF_MW).any():
            raise self._broken(0, "unserved MW", float(self.found.unserved_mw.min()), "at least 0")

    def outputs(self) -> None:
        """Between least and most while on, nothing while off."""
        on, output = self.found.is_on, self.found.output_mw
        least = np.where(on, np.minimum(self.units.min_mw, self.top_mw), 0.0)
        most = np.where(on, self.top_mw, 0.0)
        self._each(output < least - OFF_MW, "output", output, "its least at least")
        self._each(output > most + OFF_MW, "output", output, "its most at most")

    def _before(self) -> Bools:
        """What ran in the hour before each; before the first as in it, where not known."""
        on, was_on = self.found.is_on, self.horizon.was_on
        first = on[:1] if was_on is None else np.where(self.in_program, was_on, on[0])[None]
        return np.concatenate([first, on[:-1]])

    def starts(self) -> None:
        """A start is where a unit runs that did not."""
        started = self.found.is_on & ~self._before()
        off = started != self.found.starts
        self._each(off, "starts", self.found.starts.astype(float), "as it ran")

    def ramps(self) -> None:
        """Outputs move within ramps; at a start and before a stop within the larger least."""
        on, output, before = self.found.is_on, self.found.output_mw, self._before()
        edge = np.maximum(self.ramp_mw, self.units.min_mw) + OFF_MW
        started = on & ~before
        stops = on & ~np.concatenate([on[1:], np.ones_like(on[:1])])
        self._each((started | stops) & (output > edge), "output", output, "less by a start or stop")
        was_mw = self.horizon.was_mw
        known = self.horizon.was_on is not None and was_mw is not None
        then = np.concatenate([output[:1] if not known else [was_mw], output[:-1]])
        moved = np.abs(output - then)
        steady = on & before & self.in_program
        self._each(steady & (moved > self.ramp_mw + OFF_MW), "move", moved, "within its ramp")

    def minimum_times(self, least_h: Sequence[int], state: Bools, word: str) -> None:
        """A stretch that begins in the horizon lasts its hours, unless the horizon ends it."""
        hours = len(state)
        before = self._before()
        for unit in np.flatnonzero(self.in_program).tolist():
            hour = 0
            for is_so, stretch in groupby(state[:, unit].tolist()):
                length, began = len(list(stretch)), hour
                hour += length
                same_before = began == 0 and before[0, unit] == self.found.is_on[0, unit]
                if is_so and not same_before and hour < hours and length < least_h[unit]:
                    what = f"hours {word} of generator {unit + 1}"
                    raise self._broken(began, what, length, f"at least {least_h[unit]}")

    def reserve(self) -> None:
        """Room of the units that run."""
        room = np.where(self.found.is_on & self.in_program, self.top_mw - self.found.output_mw, 0.0)
        wanted = self.horizon.reserve_mw
        for hour in range(len(wanted)):
            held = float(room[hour].sum())
            if held < wanted[hour] - OFF_MW * max(1.0, 1e-3 * float(wanted[hour])):
                raise self._broken(hour, "MW of reserve", held, f"at least {wanted[hour]!r}")

    def storages(self, storages: Sequence[Storage]) -> None:
        """What is stored follows from what came and went, within power and energy."""
        found = self.found
        for place, storage in enumerate(storages):
            charge, discharge = found.charge_mw[:, place], found.discharge_mw[:, place]
            moved = charge * storage.charge_frac - discharge / storage.discharge_frac
            held = storage.first_mwh + np.cumsum(moved)
            told = found.stored_mwh[:, place]
            both = np.minimum(charge, discharge)
            for bad, what, values in (
                (np.abs(held - told) > OFF_MW, "stored MWh", told),
                ((told < -OFF_MW) | (told > storage.energy_mwh + OFF_MW), "stored MWh", told),
                (charge > storage.power_mw + OFF_MW, "charged MW", charge),
                (discharge > storage.power_mw + OFF_MW, "discharged MW", discharge),
                (both > OFF_MW, "MW charged and discharged at once", both),
            ):
                for hour in np.flatnonzero(bad).tolist():
                    wanted = f"what storage {place + 1} can hold, {float(held[hour])!r} MWh"
                    raise self._broken(hour, what, float(values[hour]), wanted)
            if told[-1] < storage.least_last_mwh - OFF_MW:
                wanted = f"at least {storage.least_last_mwh!r}"
                raise self._broken(len(told) - 1, "stored MWh", float(told[-1]), wanted)

    def flows(self, storages: Sequence[Storage]) -> None:
        """Flows solved anew are those told, and within their ratings."""
        rating = self.study.network.branches.rating_mw
        every = fresh_flows(self.study, self._injection(storages).T)
        for hour, flow in enumerate(every.T):
            off = np.abs(flow - self.found.flow_mw[hour])
            over = np.where(self.study.grid.branch_on, np.abs(flow) - rating, 0.0)
            for values, wanted in ((off, "as told"), (over, "within its rating")):
                worst = int(values.argmax())
                if values[worst] > FLOW_MW:
                    raise self._broken(hour, f"flow of branch {worst + 1}", flow[worst], wanted)

    def cost(self, unserved_usd_per_mwh: float) -> None:
        """Starts, fuel and unserved load, and their sum."""
        found = self.found
        costs = self.units.cost
        startup = sum(found.starts[:, k].sum() * c.startup_usd for k, c in enumerate(costs))
        operation = sum(
            _fuel_usd(c, found.output_mw[found.is_on[:, k], k])
            for k, c in enumerate(costs)
            if self.in_program[k]
        )
        short = float(found.unserved_mw.sum()) * unserved_usd_per_mwh
        told = (found.startup_usd, found.operation_usd, found.unserved_usd, found.objective_usd)
        again = (startup, operation, short, startup + operation + short)
        for name, one, other in zip(
            ("starts", "operation", "unserved", "all"), told, again, strict=True
        ):
            if not abs(one - other) <= COST_FRAC * max(1.0, abs(again[-1])):
                raise self._broken(0, f"USD of {name}", one, f"{float(other)!r}")


def _fuel_usd(cost: Cost, output_mw: Floats) -> float:
    """Cost of the hours in which a unit runs, from the case's own figures."""
    if not cost.points:
        powers = np.arange(len(cost.polynomial))
        return float((np.array(cost.polynomial) * output_mw[:, None] ** powers).sum())
    if len(cost.points) == 1:
        return float(cost.points[0][1] * len(output_mw))
    x, y = (np.array(column) for column in zip(*cost.points, strict=True))
    inside = np.interp(output_mw, x, y)
    below = y[0] + (output_mw - x[0]) * (y[1] - y[0]) / (x[1] - x[0])
    above = y[-1] + (output_mw - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
    return float(
        np.where(output_mw < x[0], below, np.where(output_mw > x[-1], above, inside)).sum()
    )
