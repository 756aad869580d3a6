"""Hosting capacity with redispatch: a linear program that maximises the load at a site.

Generators in service move freely between Pmin and Pmax (widened to the base point, so that
the base point is always allowed); the dispatch must hold the base case and, if asked, every
single outage without action after it. What the program never needs to see, it never gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from sim.grid.nodal.hosting import Binding, Hosted, Site, generation_limit
from sim.grid.nodal.limits import Limit, Limits
from sim.grid.nodal.lp import INF, GrowingLp, Solution
from sim.grid.nodal.operating import by_island
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats

KEPT_ROWS = 250
"""Limits kept from site to site; beyond that, those that do not bind are dropped."""

ROUNDS = 200


class FreeDispatch:
    """Answers hosting questions for one study with redispatch `dc-opf` or `n1-secure`."""

    def __init__(self, study: Study):
        self.study = study
        self._limits = Limits(study, with_outages=study.settings.security == "n1")
        self._held: list[Limit] = []
        self._on = np.flatnonzero(study.network.generator_on)
        self._bus = study.network.generators.bus[self._on]
        self._base_mw = study.base.output_mw[self._on]
        self._lp = GrowingLp()
        self._build()

    def _build(self) -> None:
        generators, on = self.study.network.generators, self._on
        lower = np.minimum(generators.min_mw[on], self._base_mw)
        upper = np.maximum(generators.max_mw[on], self._base_mw)
        self._columns = self._lp.add_columns(lower, upper, np.zeros(len(on)))
        zero = np.zeros(1)
        self._load = int(self._lp.add_columns(zero, zero + INF, zero - 1.0)[0])
        island = self.study.grid.island[self._bus]
        load = np.array([self._load])
        for i in range(self.study.grid.n_islands):
            inside = island == i
            total = float(self._base_mw[inside].sum())
            self._lp.add_row(
                total,
                total,
                np.concatenate([self._columns[inside], load]),
                np.concatenate([np.ones(inside.sum()), [0.0]]),
            )
        self._balances = self.study.grid.n_islands

    def at_sites(self, sites: Sequence[Site]) -> Iterator[Hosted]:
        """One answer for each site, each alone."""
        for site in sites:
            yield self._answer(tuple((int(bus), float(share)) for bus, share in site))

    def _answer(self, site: tuple[tuple[int, float], ...]) -> Hosted:
        most, binding = generation_limit(self.study, site)
        if binding.kind == "island":
            return Hosted(site, most, binding)
        share = np.zeros(len(self.study.network.buses))
        for bus, part in site:
            share[bus] += part
        self._move_load(share)
        solution = self._solve(share)
        hosted = Hosted(site, float(solution.value[self._load]), self._binding(solution, binding))
        self._forget(solution)
        return hosted

    def _move_load(self, share: Floats) -> None:
        """Put the load's coefficients at this site into all rows."""
        for island, part in enumerate(by_island(self.study.grid, share)):
            self._lp.set_value(island, self._load, -float(part))
        for i, limit in enumerate(self._held):
            self._lp.set_value(self._balances + i, self._load, -float(limit.per_mw @ share))

    def _solve(self, share: Floats) -> Solution:
        network, grid = self.study.network, self.study.grid
        for _ in range(ROUNDS):
            solution = self._lp.solve()
            change = network.at_bus(self._bus, solution.value[: len(self._on)] - self._base_mw)
            change -= share * solution.value[self._load]
            flow = self.study.base.flow_mw + grid.transfer(change)
            known = {(limit.branch, limit.outage) for limit in self._held}
            broken = self._limits.broken(flow, known)
            if not broken:
                break
            for limit in broken:
                self._hold(limit, share)
        return solution

    def _hold(self, limit: Limit, share: Floats) -> None:
        per_generator = limit.per_mw[self._bus]
        shift = float(per_generator @ self._base_mw) - limit.at_base_mw
        self._lp.add_row(
            limit.lower_mw + shift if np.isfinite(limit.lower_mw) else -INF,
            limit.upper_mw + shift if np.isfinite(limit.upper_mw) else INF,
            np.concatenate([self._columns, [self._load]]),
            np.concatenate([per_generator, [-float(limit.per_mw @ share)]]),
        )
        self._held.append(limit)

    def _binding(self, solution: Solution, generation: Binding) -> Binding:
        """The limit with the largest shadow price; none means that generation runs out."""
        price = np.abs(solution.dual[self._balances :])
        if not len(price) or price.max() < 1e-7:
            return generation
        limit = self._held[int(np.argmax(price))]
        if limit.outage < 0:
            return Binding("base", limit.branch)
        return Binding("n1", limit.branch, limit.outage)

    def _forget(self, solution: Solution) -> None:
        if len(self._held) <= KEPT_ROWS:
            return
        idle = np.abs(solution.dual[self._balances :]) < 1e-9
        self._lp.drop_rows(self._balances + np.flatnonzero(idle))
        self._held = [limit for limit, drop in zip(self._held, idle, strict=True) if not drop]
