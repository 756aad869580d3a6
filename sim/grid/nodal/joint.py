"""How much several buses host together when each may take a share of its own choosing.

With equal shares the weakest bus stops all others; here a linear program places the load where
it fits, so the answer is what a region can take at most. Limits are added as they are broken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.errors import LawViolation
from sim.grid.nodal.hosting import Binding
from sim.grid.nodal.limits import Limit, Limits
from sim.grid.nodal.lp import INF, GrowingLp, Solution
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Ints

ROUNDS = 200


@dataclass(frozen=True, slots=True)
class Placed:
    """The largest total load of several buses and where it goes.

    Args:
        load_mw: by bus asked for, in their order.
    """

    hosting_mw: float
    load_mw: Floats
    binding: Binding


class FreePlacement:
    """The program for some buses of one study.

    With redispatch `none` each MW is picked up in proportion to headroom, else generators move
    freely between Pmin and Pmax.

    Args:
        most_mw: the largest load of each bus (a site has a size); default none.
    """

    def __init__(self, study: Study, buses: Ints, *, most_mw: float = INF):
        self.study = study
        self._buses = buses
        self._fixed = study.settings.redispatch == "none"
        self._limits = Limits(study, with_outages=study.settings.security == "n1")
        self._held: list[Limit] = []
        self._on = np.flatnonzero(study.network.generator_on & ~self._fixed)
        self._gen_bus = study.network.generators.bus[self._on]
        self._lp = GrowingLp()
        self._build(most_mw)

    def _build(self, most_mw: float) -> None:
        study, g = self.study, self.study.network.generators
        base = study.base.output_mw[self._on]
        self._change = self._lp.add_columns(
            np.minimum(g.min_mw[self._on] - base, 0.0),
            np.maximum(g.max_mw[self._on] - base, 0.0),
            np.zeros(len(base)),
        )
        alive = study.grid.island[self._buses] >= 0
        most = np.where(alive, most_mw, 0.0)
        self._load = self._lp.add_columns(np.zeros(len(most)), most, np.full(len(most), -1.0))
        for island in range(study.grid.n_islands):
            self._add_island(island)
        self._first_limit = self._lp.n_rows

    def _add_island(self, island: int) -> None:
        """Balance of an island; with a fixed dispatch, its headroom."""
        study = self.study
        load = self._load[study.grid.island[self._buses] == island]
        if self._fixed:
            room = float(study.island_room_mw[island])
            self._lp.add_row(-INF, room, load, np.ones(len(load)))
            return
        change = self._change[study.grid.island[self._gen_bus] == island]
        values = np.concatenate([np.ones(len(change)), -np.ones(len(load))])
        self._lp.add_row(0.0, 0.0, np.concatenate([change, load]), values)

    def answer(self) -> Placed:
        """The optimum, with all limits held.

        Raises:
            LawViolation: limits are still broken after many rounds (a defect).
        """
        for _ in range(ROUNDS):
            solution = self._lp.solve()
            flow = self.study.base.flow_mw + self.study.grid.transfer(self._injection(solution))
            known = {(limit.branch, limit.outage) for limit in self._held}
            broken = self._limits.broken(flow, known)
            if not broken:
                load = solution.value[self._load]
                return Placed(float(load.sum()), load, self._binding(solution))
            for limit in broken:
                self._hold(limit)
        raise LawViolation(f"joint hosting: limits still broken after {ROUNDS} rounds")

    def _picked_up(self, per_mw: Floats) -> Floats:
        """Effect on a limit of the generators that pick up 1 MW, by island."""
        grid = self.study.grid
        alive = grid.island >= 0
        weighted = per_mw[alive] * self.study.pickup[alive]
        return np.bincount(grid.island[alive], weighted, grid.n_islands).astype(np.float64)

    def _injection(self, solution: Solution) -> Floats:
        """Change of injections by bus."""
        network, grid = self.study.network, self.study.grid
        load = solution.value[self._load]
        injection = -network.at_bus(self._buses, load)
        if self._fixed:
            alive = grid.island >= 0
            total = np.bincount(grid.island[alive], -injection[alive], grid.n_islands)
            return injection + np.where(alive, self.study.pickup * total[grid.island], 0.0)
        return injection + network.at_bus(self._gen_bus, solution.value[self._change])

    def _hold(self, limit: Limit) -> None:
        effect = -limit.per_mw[self._buses]
        if self._fixed:
            effect = effect + self._picked_up(limit.per_mw)[self.study.grid.island[self._buses]]
        self._lp.add_row(
            limit.lower_mw - limit.at_base_mw if np.isfinite(limit.lower_mw) else -INF,
            limit.upper_mw - limit.at_base_mw if np.isfinite(limit.upper_mw) else INF,
            np.concatenate([self._change, self._load]),
            np.concatenate([limit.per_mw[self._gen_bus], effect]),
        )
        self._held.append(limit)

    def _binding(self, solution: Solution) -> Binding:
        """The limit with the largest shadow price; none means that generation runs out."""
        price = np.abs(solution.dual[self._first_limit :])
        if not len(price) or price.max() < 1e-7:
            if not (self.study.grid.island[self._buses] >= 0).any():
                return Binding("island", reason="all of the buses are out of service")
            return Binding("generation", reason="generators in service at Pmax")
        limit = self._held[int(np.argmax(price))]
        if limit.outage < 0:
            return Binding("base", limit.branch)
        return Binding("n1", limit.branch, limit.outage)
