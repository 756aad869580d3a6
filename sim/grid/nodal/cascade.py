"""Cascades: an outage, the overloads that follow, the islands that form, the load that is lost.

Each stage: branches trip, islands form and settle (`island_balance`), flows are solved anew,
and what is loaded beyond the threshold trips in the next stage. With hidden failures, a branch
that shares a bus with one that trips may leave with it, at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sim.errors import LawViolation
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.island_balance import Rules, State, read_rules, settle
from sim.grid.nodal.island_swing import Split, fuels_of, rested, separated, split_of
from sim.grid.nodal.operating import by_island, demand_mw
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Bools, Floats, Ints
from sim.randomness import stream

BALANCE_MW = 1e-6
"""Difference between generation and load of an island that counts as none."""

MAX_STAGES = 1000


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, after it has settled.

    Args:
        tripped: branch rows (from 0) that left at its start; `hidden` those of them that left
            by a hidden failure.
        islands: islands that still have power.
        generation_mw, load_mw: sums over all islands (equal).
        shed_mw, dark_mw: load lost so far by shedding relays, and in islands gone dark.
        lowest_hz: settled frequency of the worst island that still has power.
        splits: islands that separated in this stage, as `island_swing` walks them.
    """

    tripped: tuple[int, ...]
    hidden: tuple[int, ...]
    islands: int
    generation_mw: float
    load_mw: float
    shed_mw: float
    dark_mw: float
    lowest_hz: float
    splits: tuple[Split, ...] = ()


@dataclass(frozen=True, slots=True)
class Cascade:
    """A whole cascade.

    Args:
        first_load_mw: load before the first outage.
        lost_mw: load lost for good (shed or dark), without the dip that frequency causes.
    """

    stages: tuple[Stage, ...]
    first_load_mw: float
    lost_mw: float

    @property
    def depth(self) -> int:
        """Stages in which branches tripped."""
        return sum(bool(stage.tripped) for stage in self.stages)

    @property
    def branches_lost(self) -> int:
        """Branches that tripped in all."""
        return sum(len(stage.tripped) for stage in self.stages)


class Cascader:
    """Runs cascades on one study.

    Args:
        extra_load_mw: load on top of the case, by bus; generators in service pick it up in
            proportion to their headroom before the first outage.
        output_mw: by generator, the dispatch before the first outage in place of that.
        rules: figures of the settling; default those of the data file.
    """

    def __init__(
        self,
        study: Study,
        *,
        extra_load_mw: Floats | None = None,
        output_mw: Floats | None = None,
        rules: Rules | None = None,
    ):
        self.study = study
        self.rules = rules or read_rules()
        network = study.network
        none = np.zeros(len(network.buses))
        self._extra = none if extra_load_mw is None else extra_load_mw
        self._demand = np.where(study.grid.island >= 0, demand_mw(network) + self._extra, 0.0)
        self._setpoint = self._picked_up() if output_mw is None else output_mw
        self._adjacent = self._branches_by_bus()
        self._fuels = fuels_of(network)

    def _picked_up(self) -> Floats:
        study, network = self.study, self.study.network
        island = study.grid.island[network.generators.bus]
        wanted = by_island(study.grid, self._extra)
        room = study.island_room_mw
        share = np.minimum(np.divide(wanted, room, out=np.zeros_like(room), where=room > 0), 1.0)
        factor = np.where(island >= 0, share[island], 0.0)
        return study.base.output_mw + study.room_mw * factor

    def _branches_by_bus(self) -> list[list[int]]:
        b = self.study.network.branches
        lists: list[list[int]] = [[] for _ in range(len(self.study.network.buses))]
        for row, (start, end) in enumerate(zip(b.start.tolist(), b.end.tolist(), strict=True)):
            lists[start].append(row)
            lists[end].append(row)
        return lists

    def run(self, outage: Sequence[int], *, seed: int | None = None) -> Cascade:
        """The cascade that an outage starts.

        Args:
            outage: branch rows (from 0) that trip first; none lets overloads start it.
            seed: with a seed, hidden failures happen; without, none do.

        Raises:
            LawViolation: an island does not balance (a defect).
        """
        random = None if seed is None else stream(seed, "cascade", "hidden-failures")
        on = self.study.grid.branch_on.copy()
        state = self._first_state()
        stages: list[Stage] = []
        due: Ints = np.array(sorted(set(outage)), dtype=np.int64)
        before = self.study.grid.island
        for _ in range(MAX_STAGES):
            due = due[on[due]]
            hidden = self._hidden(due, on, random)
            on[due] = on[hidden] = False
            grid = DcGrid(self.study.network, on, self.study.settings.susceptance)
            splits = self._settle_islands(grid, state, before)
            before = grid.island
            stages.append(replace(self._stage(grid, state, due, hidden), splits=splits))
            due = self._overloaded(grid, state)
            if not len(due):
                break
        first = float(np.maximum(self._demand, 0).sum())
        return Cascade(tuple(stages), first, state.shed_mw + state.dark_mw)

    def _first_state(self) -> State:
        g = self.study.network.generators
        return State(
            generator_bus=g.bus,
            generator_on=self.study.network.generator_on.copy(),
            setpoint_mw=self._setpoint.copy(),
            max_mw=g.max_mw,
            demand_mw=self._demand.copy(),
            first_demand_mw=self._demand.copy(),
            alive=self.study.grid.island >= 0,
        )

    def _hidden(self, due: Ints, on: Bools, random: np.random.Generator | None) -> Ints:
        """Branches exposed to those that trip which leave with them."""
        none: Ints = np.zeros(0, dtype=np.int64)
        if random is None or not len(due):
            return none
        b = self.study.network.branches
        near = {
            row
            for k in due.tolist()
            for bus in (b.start[k], b.end[k])
            for row in self._adjacent[bus]
        }
        exposed = np.array(sorted(near - set(due.tolist())), dtype=np.int64)
        exposed = exposed[on[exposed]]
        fails = random.random(len(exposed)) < self.rules.hidden_failure_frac
        return exposed[fails]

    def _settle_islands(self, grid: DcGrid, state: State, before: Ints) -> tuple[Split, ...]:
        """Bring every island to rest; those that separated, as they were and became."""
        nominal_hz = self.rules.nominal_hz
        splits = [
            split_of(state, buses, self._fuels, nominal_hz)
            for buses in separated(grid.island, before, state.alive)
        ]
        for i in range(grid.n_islands):
            buses = grid.island == i
            if state.alive[buses].any():
                settle(state, buses, self.rules)
        return tuple(rested(split, state, nominal_hz) for split in splits)

    def _injection(self, grid: DcGrid, state: State) -> Floats:
        injection = self.study.network.at_bus(state.generator_bus, state.output_mw)
        injection = np.where(state.alive, injection - state.served_mw, 0.0)
        left = np.abs(by_island(grid, injection))
        if left.max(initial=0.0) > BALANCE_MW * max(1.0, float(state.served_mw.sum()) * 1e-3):
            raise LawViolation(f"an island is out of balance by {left.max():g} MW")
        return injection

    def _overloaded(self, grid: DcGrid, state: State) -> Ints:
        flow = grid.flows(self._injection(grid, state))
        b = self.study.network.branches
        live = grid.branch_on & state.alive[b.start]
        limit = b.rating_mw * self.rules.trip_threshold_frac
        return np.flatnonzero(live & (np.abs(flow) > limit + BALANCE_MW))

    def _stage(self, grid: DcGrid, state: State, due: Ints, hidden: Ints) -> Stage:
        alive = state.alive
        lowest = float(state.deviation_hz[alive].min()) if alive.any() else -self.rules.nominal_hz
        return Stage(
            tripped=tuple(sorted({*due.tolist(), *hidden.tolist()})),
            hidden=tuple(hidden.tolist()),
            islands=len(np.unique(grid.island[alive])),
            generation_mw=float(state.output_mw.sum()),
            load_mw=float(state.served_mw[alive].sum()),
            shed_mw=state.shed_mw,
            dark_mw=state.dark_mw,
            lowest_hz=self.rules.nominal_hz + lowest,
        )


def monte_carlo(cascader: Cascader, outage: Sequence[int], runs: int, seed: int) -> list[Cascade]:
    """Cascades with hidden failures, one for each seed from `seed` on."""
    return [cascader.run(outage, seed=seed + i) for i in range(runs)]
