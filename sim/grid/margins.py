"""Room for more load in the power balance, over hours and samples.

The balance without any new load comes first: what is short then is allowed to stay short. The
margin of a zone is the largest load that fits there beside the other sites, less its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.grid.balance import TOLERANCE_MW, Cut, Members, Solution, State
from sim.grid.network import FloatArray, Network
from sim.grid.sampling import Draws, available_mw, demand_mw, limits_mw

SHORT_MW: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Margins:
    """Room at one zone.

    Args:
        margin_mw: room left with all sites placed, shape (n_hours, 1 + n_samples).
        short_mw: unserved at the zone before the load, same shape.
        short_total_mw: unserved in the whole network before the load, same shape.
        cuts: what stops more load, nominal figures, one per hour.
    """

    zone: str
    margin_mw: FloatArray
    short_mw: FloatArray
    short_total_mw: FloatArray
    cuts: tuple[Cut, ...]

    @property
    def hour(self) -> int:
        """The hour with the least room at nominal figures."""
        return int(np.argmin(self.margin_mw[:, 0]))

    @property
    def worst_mw(self) -> FloatArray:
        """The least room over the hours, shape (1 + n_samples,)."""
        return np.asarray(self.margin_mw.min(axis=0))

    @property
    def was_short(self) -> npt.NDArray[np.bool_]:
        """Whether the zone is short at any hour before the load, shape (1 + n_samples,)."""
        return np.asarray(self.short_mw.max(axis=0) > SHORT_MW)

    @property
    def cut(self) -> Cut:
        """What stops more load at the worst hour."""
        return self.cuts[self.hour]


class PowerMargins:
    """Margins of many zones of one network, with its arrays drawn once."""

    def __init__(self, network: Network, draws: Draws):
        """Draw availability and limits."""
        self.network, self.draws = network, draws
        self.available = available_mw(network, draws)
        self.forward, self.reverse = limits_mw(network, draws)
        self._demand: dict[tuple[int, int], FloatArray] = {}

    def demand(self, hour: int, view: int) -> FloatArray:
        """Load of every zone, shape (1 + n_samples, n_zones)."""
        if (hour, view) not in self._demand:
            seen = self.network.hours[hour].views[view]
            self._demand[hour, view] = demand_mw(self.network, seen, self.draws)
        return self._demand[hour, view]

    def state(self, members: Members, hour: int, sample: int, load: FloatArray) -> State:
        """One hour of one sample on the nodes of a balance model."""
        return members.state(
            load, self.available[hour, sample], self.forward[sample], self.reverse[sample]
        )

    def of(
        self, members: Members, targets: Sequence[int], sites_mw: FloatArray | None = None
    ) -> dict[int, Margins]:
        """Margins of some zones.

        Args:
            members: the balance model, zonal or copper plate.
            targets: indices of the zones asked for; each must have a balance.
            sites_mw: new load by sample and zone, shape (1 + n_samples, n_zones); None for none.
        """
        shape = (len(self.network.hours), 1 + self.draws.n_samples)
        room, short, total = ({t: np.zeros(shape) for t in targets} for _ in range(3))
        cuts: dict[int, list[Cut]] = {t: [] for t in targets}
        for h, hour in enumerate(self.network.hours):
            for view in sorted({hour.view_of[t] for t in targets}):
                group = [t for t in targets if hour.view_of[t] == view]
                for s in range(shape[1]):
                    found = self._solve(members, (h, view, s), group, sites_mw)
                    for target, (margin, base, cut) in found.items():
                        room[target][h, s] = margin
                        short[target][h, s] = base[members.node_of[target]]
                        total[target][h, s] = base.sum()
                        cuts[target] += [cut] if cut else []
        return {
            t: Margins(self.network.zones[t].name, room[t], short[t], total[t], tuple(cuts[t]))
            for t in targets
        }

    def _solve(
        self,
        members: Members,
        at: tuple[int, int, int],
        group: list[int],
        sites_mw: FloatArray | None,
    ) -> dict[int, tuple[float, FloatArray, Cut | None]]:
        """Margin, unserved before, and (for the nominal row) the cut, of zones with one view.

        Most hours are not short, so nobody is allowed to be short at first; where that fails,
        the shortfall without any new load is found and allowed.
        """
        hour, view, sample = at
        load = self.demand(hour, view)[sample]
        state = self.state(members, hour, sample, load)
        none = np.zeros(len(members.balance.zones))
        members.balance.allow_unserved(none)
        found = self._with_sites(members, at, state, load, group, sites_mw)
        if max(solution.new_unserved_mw for solution, _, _ in found.values()) > TOLERANCE_MW:
            base = members.balance.least_unserved(state).unserved_mw
            members.balance.allow_unserved(base)
            found = self._with_sites(members, at, state, load, group, sites_mw)
        else:
            base = none
        return {
            target: (solution.extra_mw - own - solution.new_unserved_mw, base, cut)
            for target, (solution, own, cut) in found.items()
        }

    def _with_sites(
        self,
        members: Members,
        at: tuple[int, int, int],
        state: State,
        load: FloatArray,
        group: list[int],
        sites_mw: FloatArray | None,
    ) -> dict[int, tuple[Solution, float, Cut | None]]:
        """Solution with the other sites placed, own load, and the cut."""
        hour, _, sample = at
        found: dict[int, tuple[Solution, float, Cut | None]] = {}
        by_node: dict[int, tuple[Solution, Cut | None]] = {}
        for k, target in enumerate(group):
            node, own = int(members.node_of[target]), 0.0
            if sites_mw is not None:
                others = sites_mw[sample].copy()
                own, others[target] = float(others[target]), 0.0
                state = self.state(members, hour, sample, load + others)
            if sites_mw is not None or node not in by_node:
                changed = state if sites_mw is not None or k == 0 else None
                solution = members.balance.largest_extra(node, changed)
                cut = members.balance.cut(node, solution, state) if sample == 0 else None
                by_node[node] = solution, cut
            found[target] = (by_node[node][0], own, by_node[node][1])
        return found

    def dispatch(self, members: Members, hour: int, view: int, sites_mw: FloatArray) -> Solution:
        """The nominal dispatch with the sites placed: the least unserved energy."""
        load = self.demand(hour, view)[0] + sites_mw
        return members.balance.least_unserved(self.state(members, hour, 0, load))
