"""Hosting capacity with a fixed dispatch: the largest load at a bus, in closed form.

New load L at a bus, picked up elsewhere, moves every flow along a straight line `f + d L`, in
the base case and after each outage. Each limit that holds without the load therefore gives one
largest L, and the answer is the least of them. A check of all limits at some L shows which can
be the least: a limit that holds at L and at 0 holds in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from sim.grid.nodal.pairs import Pairs
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Ints

Kind = Literal["base", "n1", "generation", "island", "none"]

INSENSITIVE = 1e-7
"""MW of flow per MW of load under which a limit is taken not to feel the load."""

NEARBY_FRAC = 0.02
"""Change of a flow, as a share of its limit, under which a branch uses the shared list."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What stops more load: the limit, its branch and outage (indices from 0), and why."""

    kind: Kind
    branch: int | None = None
    outage: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Hosted:
    """The answer for one site.

    Args:
        shares: bus index and share of the load, one or more.
        hosting_mw: the largest total load.
    """

    shares: tuple[tuple[int, float], ...]
    hosting_mw: float
    binding: Binding

    @property
    def bus(self) -> int:
        """Index of the (first) bus."""
        return self.shares[0][0]


Site = Sequence[tuple[int, float]]
"""Bus indices with their shares of the load (sum 1)."""


class FixedDispatch:
    """Answers hosting questions for one study with redispatch `none`."""

    def __init__(self, study: Study):
        self.study = study
        self._flow = study.base.flow_mw
        self._n1 = study.settings.security == "n1"
        self._least = max(INSENSITIVE, study.settings.least_effect_frac)
        self._moved: Floats | None = None

    def at_buses(self, buses: Ints) -> Iterator[Hosted]:
        """One answer for each bus, each alone."""
        return self.at_sites([((int(bus), 1.0),) for bus in buses])

    def at_sites(self, sites: Sequence[Site]) -> Iterator[Hosted]:
        """One answer for each site, each alone."""
        cutoff = self.study.settings.least_effect_frac
        for (answer,) in self.at_cutoffs(sites, (cutoff,)):
            yield answer

    def at_cutoffs(
        self, sites: Sequence[Site], cutoffs: Sequence[float]
    ) -> Iterator[tuple[Hosted, ...]]:
        """Answers for each site, each alone, one for each least effect."""
        step = self.study.grid.block
        for i in range(0, len(sites), step):
            block = sites[i : i + step]
            change = self.study.grid.transfer(self._withdrawals(block))
            for column, site in enumerate(block):
                moved = np.ascontiguousarray(change[:, column])
                self._moved = None  # of another site
                answers = []
                for cutoff in cutoffs:
                    self._least = max(INSENSITIVE, cutoff)
                    answers.append(self._answer(site, moved))
                yield tuple(answers)

    def _withdrawals(self, sites: Sequence[Site]) -> Floats:
        """Injections per MW at each site, with the generators that pick it up."""
        study = self.study
        injection = np.zeros((len(study.network.buses), len(sites)))
        for column, site in enumerate(sites):
            for bus, share in site:
                island = study.grid.island[bus]
                if island >= 0:
                    inside = study.grid.island == island
                    injection[inside, column] += share * study.pickup[inside]
                    injection[bus, column] -= share
        return injection

    def _answer(self, site: Site, change: Floats) -> Hosted:
        shares = tuple((int(bus), float(share)) for bus, share in site)
        most, binding = self._generation(shares)
        if binding.kind != "island":
            most, binding = self._base(change, most, binding)
            if self._n1:
                most, binding = self._after_outages(change, most, binding)
        return Hosted(shares, max(most, 0.0), binding)

    def _generation(self, site: Site) -> tuple[float, Binding]:
        """Limit from the headroom of the generators of each island."""
        return generation_limit(self.study, site)

    def _base(self, change: Floats, most: float, binding: Binding) -> tuple[float, Binding]:
        load = largest_load(self._flow, change, self.study.base_limit_mw, self._least)
        first = int(np.argmin(load))
        if load[first] < most:
            return float(load[first]), Binding("base", first)
        return most, binding

    @cached_property
    def _shared(self) -> Pairs:
        """Pairs that may bind for a branch whose own flow changes little."""
        index = self.study.pairs
        free = index.free_frac(self._flow) - NEARBY_FRAC
        watched = np.flatnonzero(index.limited)
        return index.reaching(watched, np.minimum(free[watched], 1.0))

    @cached_property
    def _shared_numbers(self) -> tuple[Floats, Floats]:
        """Flow after the outage without load, and limit, of the shared pairs."""
        return self._shared.after(self._flow), self.study.pair_limit_mw(self._shared)

    def _after_outages(
        self, change: Floats, most: float, binding: Binding
    ) -> tuple[float, Binding]:
        after, limit = self._shared_numbers
        if self._moved is None:
            self._moved = self._shared.after(change)
        load = largest_load(after, self._moved, limit, self._least)
        most, binding = _tighter(self._shared, load, most, binding)
        index = self.study.pairs
        moved = np.abs(change) * most > NEARBY_FRAC * index.limit_mw
        branches = np.flatnonzero(index.limited & moved)
        free = index.free_frac(self._flow + change * most)
        most, binding = self._check(index.reaching(branches, free[branches]), change, most, binding)
        tight = index.tight(index.free_frac(self._flow + change * most))
        most, binding = self._check(index.whole_rows(tight), change, most, binding)
        beyond = index.beyond(self._flow + change * most)
        return self._check(index.whole_columns(beyond), change, most, binding)

    def _check(
        self, pairs: Pairs, change: Floats, most: float, binding: Binding
    ) -> tuple[float, Binding]:
        """Tighten by those of the pairs that are over their limit at `most`."""
        if not len(pairs):
            return most, binding
        at_most = np.abs(pairs.after(self._flow + change * most))
        over = pairs.where(at_most > self.study.emergency_limit_mw[pairs.branch])
        if not len(over):
            return most, binding
        limit = self.study.pair_limit_mw(over)
        load = largest_load(over.after(self._flow), over.after(change), limit, self._least)
        return _tighter(over, load, most, binding)


def generation_limit(study: Study, site: Site) -> tuple[float, Binding]:
    """The largest load that the generators in service can feed, or why there is none."""
    by_island: dict[int, float] = {}
    for bus, share in site:
        island = int(study.grid.island[bus])
        number = int(study.network.buses.number[bus])
        if island < 0:
            return 0.0, Binding("island", reason=f"bus {number} is out of service")
        if study.island_room_mw[island] <= 0:
            reason = f"no generator in the island of bus {number} can give more"
            return 0.0, Binding("island", reason=reason)
        by_island[island] = by_island.get(island, 0.0) + share
    room = study.island_room_mw
    most = min(float(room[island]) / share for island, share in by_island.items())
    return most, Binding("generation", reason="generators in service at Pmax")


def largest_load(
    flow_mw: Floats, change: Floats, limit_mw: Floats, least_effect: float = INSENSITIVE
) -> Floats:
    """Largest load under which each flow stays within its limit, same shape; `inf` if any does.

    Args:
        flow_mw: flows without the load, within the limits.
        change: MW of flow per MW of load; `least_effect` of it or less is taken for none.
    """
    feels = np.abs(change) > least_effect
    room = limit_mw - np.sign(change) * flow_mw
    result = np.full(flow_mw.shape, np.inf)
    np.divide(np.maximum(room, 0.0), np.abs(change), out=result, where=feels)
    return result


def _tighter(pairs: Pairs, load: Floats, most: float, binding: Binding) -> tuple[float, Binding]:
    if not len(load):
        return most, binding
    first = int(np.argmin(load))
    if load[first] < most:
        return float(load[first]), Binding("n1", int(pairs.branch[first]), int(pairs.outage[first]))
    return most, binding
