"""What all questions about one network under one set of settings share."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.operating import Point, base_point, by_island, headroom_mw, pickup
from sim.grid.nodal.pairs import PairIndex, Pairs
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.tables import Bools, Floats, Ints, Network

TOLERANCE_MW = 1e-6
"""A flow counts as over its limit beyond this."""

UNRATED_BOUND_MW = 300.0
"""Flow over the base flow that an unrated branch is expected to stay under (speed only)."""


class Study:
    """The linear model, the base point, the limits and what is over them already.

    Args:
        network: the system.
        settings: the conventions.
    """

    def __init__(self, network: Network, settings: Settings | None = None):
        self.network = network
        self.settings = settings or Settings()
        self.grid = DcGrid(network, convention=self.settings.susceptance)
        self.base: Point = base_point(self.grid)
        self.room_mw = headroom_mw(network, self.base.output_mw)

    @cached_property
    def island_room_mw(self) -> Floats:
        """Headroom of all generators by island."""
        generators = self.network.generators
        return by_island(self.grid, self.network.at_bus(generators.bus, self.room_mw))

    @cached_property
    def pickup(self) -> Floats:
        """Injection by bus per MW of new load in its island."""
        return pickup(self.grid, self.room_mw)

    @cached_property
    def over_at_base(self) -> Bools:
        """Branches over rating A before any load or outage."""
        over: Bools = np.abs(self.base.flow_mw) > self.network.branches.rating_mw + TOLERANCE_MW
        return over

    @cached_property
    def base_limit_mw(self) -> Floats:
        """Limit of each branch in the base case; what is over already is treated as set."""
        limit = np.where(self.grid.branch_on, self.network.branches.rating_mw, np.inf)
        return np.where(self.over_at_base, self._relaxed(self.base.flow_mw), limit)

    def _relaxed(self, flow_mw: Floats) -> Floats:
        if self.settings.preexisting == "frozen":
            return np.abs(flow_mw)
        return np.full(len(flow_mw), np.inf)

    @cached_property
    def emergency_limit_mw(self) -> Floats:
        """Limit of each branch after an outage, before what is over already is looked at."""
        limit = self.settings.emergency_limit_mw(self.network)
        return np.where(self.grid.branch_on, limit, np.inf)

    @cached_property
    def pairs(self) -> PairIndex:
        """Index of branches and outages under the emergency limits."""
        base = np.abs(self.base.flow_mw)
        rated = np.isfinite(self.network.branches.rating_mw) & ~self.over_at_base
        bound = np.where(rated, self.network.branches.rating_mw, base + UNRATED_BOUND_MW)
        return PairIndex(self.grid, self.emergency_limit_mw, bound)

    @cached_property
    def over_after_outage(self) -> Pairs:
        """Branch and outage pairs over the emergency limit before any load comes."""
        return self.pairs.violations(self.base.flow_mw, TOLERANCE_MW)

    @cached_property
    def _set_apart(self) -> tuple[Ints, Floats]:
        """Codes of the pairs set apart, sorted, and the limits that they get instead."""
        pairs = self.over_after_outage
        after = pairs.after(self.base.flow_mw)
        if self.settings.preexisting == "frozen" and self.settings.emergency_factor > 1:
            pairs, after = self._over_at_factor_one()
        code = pairs.code(len(self.network.branches))
        order = np.argsort(code)
        relaxed = np.maximum(self._relaxed(after), self.emergency_limit_mw[pairs.branch])
        return code[order], relaxed[order]

    def _over_at_factor_one(self) -> tuple[Pairs, Floats]:
        limit = self.emergency_limit_mw / self.settings.emergency_factor
        pairs = PairIndex(self.grid, limit, self.pairs.bound_mw).violations(
            self.base.flow_mw, TOLERANCE_MW
        )
        return pairs, pairs.after(self.base.flow_mw)

    def pair_limit_mw(self, pairs: Pairs) -> Floats:
        """Limit of each pair, with those set apart at their own, shape (n,)."""
        limit = self.emergency_limit_mw[pairs.branch]
        code, relaxed = self._set_apart
        if not len(code):
            return limit
        wanted = pairs.code(len(self.network.branches))
        where = np.minimum(np.searchsorted(code, wanted), len(code) - 1)
        return np.where(code[where] == wanted, relaxed[where], limit)
