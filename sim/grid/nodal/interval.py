"""The wires interval by interval: what a set of sites may draw, at which price, and what is over.

The factorisation, the pairs of branch and outage, and each program are kept from call to call;
only loads change. `redispatch: none` has no prices: the generators in service pick up the sites'
MW in proportion to their headroom, and where a line would be over its limit the sites are cut so
that the sum of the cuts is least. With `dc-opf` and `n1-secure` the cheapest dispatch is found
anew, and the sites are cut before any other load.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np

from sim.grid.nodal.lp import GrowingLp, Infeasible
from sim.grid.nodal.operating import Point, by_island, demand_mw, headroom_mw, pickup
from sim.grid.nodal.opf import DcOpf, Interruptible, Optimum
from sim.grid.nodal.pairs import unique
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import TOLERANCE_MW, Study
from sim.grid.nodal.tables import Floats, Ints, Network

UNSERVED_USD_PER_MWH: Final = 9000.0
CUT_USD_PER_MWH: Final = 5000.0
"""Price of load that goes unserved, and of a site that is cut before it: an order of who goes
first more than a value; both lie above every marginal cost."""
GAP_FRAC: Final = 1e-6
"""Cost that the tangents of curved costs may miss."""
ROUNDS: Final = 60


@dataclass(frozen=True, slots=True)
class WiresAnswer:
    """What the wires say to the sites in an interval.

    Attributes:
        price_usd_per_mwh: LMP at each site's bus; None with a fixed dispatch.
        short_mw: what each site must give up of its full power so that all limits hold.
        unserved_mw: load that goes unserved with what the sites drew, all in all.
        over: branch rows from 0 that are over a limit with what the sites drew, and not
            without them. over_mw: the worst of them.
        binding: branch rows from 0 with a price, or that cut a site.
        added_usd_per_h: cost of generation with the sites less that without; None with a fixed
            dispatch.
    """

    price_usd_per_mwh: Floats | None
    short_mw: Floats
    unserved_mw: float
    over: tuple[int, ...]
    over_mw: float
    binding: tuple[int, ...]
    added_usd_per_h: float | None


class WiresDispatch(Protocol):
    """A way to dispatch an interval."""

    def unserved_before_mw(self, scale: float) -> float:
        """Load that goes unserved without any site."""

    def solve(self, scale: float, drawn_mw: Floats, full_mw: Floats) -> WiresAnswer:
        """What the wires say.

        Args:
            scale: load of the case over the load in its tables.
            drawn_mw: what each site drew. full_mw: with nothing held back.
        """


def wires_dispatch(
    network: Network, settings: Settings, buses: Ints, *, scaled: bool = False
) -> WiresDispatch:
    """The dispatch that the settings ask for.

    Args:
        buses: index of each site's bus.
        scaled: the case's load will move: units may then go down to zero, as if each could be
            stopped, because the case commits its units for one load.

    Raises:
        InputError: a site's bus is out of service, or no dispatch meets the case's own load.
    """
    if settings.redispatch == "none":
        return FixedWires(Study(network, settings), buses)
    if scaled:
        least = np.minimum(network.generators.min_mw, 0.0)
        network = replace(network, generators=replace(network.generators, min_mw=least))
    return FreeWires(Study(network, settings), buses)


class FreeWires:
    """DC-OPF, secure against single outages if the settings ask for it."""

    def __init__(self, study: Study, buses: Ints):
        self.study = study
        self.buses = buses
        self._opf = DcOpf(
            study,
            secure=study.settings.redispatch == "n1-secure",
            unserved_usd_per_mwh=UNSERVED_USD_PER_MWH,
            strict=False,
            interruptible=Interruptible(buses, CUT_USD_PER_MWH),
            gap_frac=GAP_FRAC,
        )
        self._alone: dict[float, Optimum] = {}

    def solve(self, scale: float, drawn_mw: Floats, full_mw: Floats) -> WiresAnswer:
        """See `WiresDispatch`; nothing is over a limit, it goes unserved instead."""
        alone = self._without_sites(scale)
        best = self._optimum(scale, drawn_mw)
        fullest = best if np.array_equal(drawn_mw, full_mw) else self._optimum(scale, full_mw)
        binding = tuple(sorted({limit.branch for limit, _ in fullest.binding}))
        return WiresAnswer(
            price_usd_per_mwh=best.price_usd_per_mwh[self.buses],
            short_mw=np.where(fullest.cut_mw > TOLERANCE_MW, fullest.cut_mw, 0.0),
            unserved_mw=_whole(float(best.unserved_mw.sum())),
            over=(),
            over_mw=0.0,
            binding=binding,
            added_usd_per_h=_generation_usd(best) - _generation_usd(alone),
        )

    def unserved_before_mw(self, scale: float) -> float:
        """Load that goes unserved without any site."""
        return _whole(float(self._without_sites(scale).unserved_mw.sum()))

    def _without_sites(self, scale: float) -> Optimum:
        if scale not in self._alone:
            self._alone[scale] = self._optimum(scale, np.zeros(len(self.buses)))
        return self._alone[scale]

    def _optimum(self, scale: float, sites_mw: Floats) -> Optimum:
        own = (scale - 1.0) * self.study.network.buses.load_mw
        self._opf.set_load(own, sites_mw)
        return self._opf.optimum()


def _generation_usd(best: Optimum) -> float:
    """Cost of generation alone, per hour."""
    cut = float(best.cut_mw.sum())
    native = float(best.unserved_mw.sum()) - cut
    lost = native * UNSERVED_USD_PER_MWH + cut * CUT_USD_PER_MWH
    return best.objective_usd_per_h - lost


def _whole(mw: float) -> float:
    return mw if mw > TOLERANCE_MW else 0.0


@dataclass(frozen=True, slots=True)
class _Hour:
    """The case under one load: flows without the sites, and what a MW at each site moves.

    Attributes:
        per_mw: flow per MW at each site, (n_branches, n_sites).
        room_mw: what each site's island can still generate.
    """

    flow_mw: Floats
    per_mw: Floats
    room_mw: Floats


@dataclass(frozen=True, slots=True)
class _Row:
    """A limit on the sites: `base + per_mw . load` within +- limit; outage -1: base case."""

    branch: int
    outage: int
    base_mw: float
    per_mw: Floats
    limit_mw: float


class FixedWires:
    """The case's dispatch, scaled with its load; new load is picked up by headroom."""

    def __init__(self, study: Study, buses: Ints):
        self.study = study
        self.buses = buses
        self._hours: dict[float, _Hour] = {}
        self._n1 = study.settings.security == "n1"
        self._least = study.settings.least_effect_frac

    def solve(self, scale: float, drawn_mw: Floats, full_mw: Floats) -> WiresAnswer:
        """See `WiresDispatch`; a line that is over carries it, and is counted."""
        hour = self._hour(scale)
        rows = self._broken(hour, drawn_mw)
        over = [abs(r.base_mw + float(r.per_mw @ drawn_mw)) - r.limit_mw for r in rows]
        cut, binding = self._cut(hour, full_mw)
        return WiresAnswer(
            price_usd_per_mwh=None,
            short_mw=cut,
            unserved_mw=self._beyond_generation(hour, drawn_mw),
            over=tuple(sorted({row.branch for row in rows})),
            over_mw=max(over, default=0.0),
            binding=binding,
            added_usd_per_h=None,
        )

    def _hour(self, scale: float) -> _Hour:
        """The case under a load, solved once."""
        if scale not in self._hours:
            self._hours[scale] = self._solved(scale)
        return self._hours[scale]

    def _solved(self, scale: float) -> _Hour:
        grid, network = self.study.grid, self.study.network
        point = self.study.base if scale == 1.0 else self._scaled_point(scale)
        share = pickup(grid, headroom_mw(network, point.output_mw))
        island = grid.island[self.buses]
        moved = np.zeros((len(network.buses), len(self.buses)))
        for column, (bus, where) in enumerate(zip(self.buses, island, strict=True)):
            inside = grid.island == where
            moved[inside, column] = share[inside]
            moved[bus, column] -= 1.0
        at_bus = network.at_bus(network.generators.bus, headroom_mw(network, point.output_mw))
        return _Hour(point.flow_mw, grid.transfer(moved), by_island(grid, at_bus)[island])

    def _scaled_point(self, scale: float) -> Point:
        """All loads by a factor, and the outputs of each island by what balances it."""
        study = self.study
        network, grid = study.network, study.grid
        more = (scale - 1.0) * network.buses.load_mw
        given = by_island(grid, network.at_bus(network.generators.bus, study.base.output_mw))
        wanted = by_island(grid, more)
        factor = 1.0 + np.divide(wanted, given, out=np.zeros_like(wanted), where=given > 0)
        output = study.base.output_mw * factor[grid.island[network.generators.bus]]
        injection = network.at_bus(network.generators.bus, output) - demand_mw(network) - more
        injection = np.where(grid.island >= 0, injection, 0.0)
        return Point(output, injection, grid.flows(injection), factor)

    def _broken(self, hour: _Hour, load_mw: Floats) -> list[_Row]:
        """Limits that the sites' load breaks; what is over without them may not get worse."""
        flow = hour.flow_mw + hour.per_mw @ load_mw
        limit = np.maximum(self.study.base_limit_mw, np.abs(hour.flow_mw))
        rows = [
            _Row(int(b), -1, float(hour.flow_mw[b]), hour.per_mw[b], float(limit[b]))
            for b in np.flatnonzero(np.abs(flow) > limit + TOLERANCE_MW)
        ]
        if self._n1:
            rows += self._broken_after_outage(hour, flow)
        if self._least:
            rows = [row for row in rows if np.abs(row.per_mw).max() > self._least]
        return rows

    def _broken_after_outage(self, hour: _Hour, flow: Floats) -> list[_Row]:
        pairs = unique(self.study.pairs.suspects(flow), len(flow))
        before = pairs.after(hour.flow_mw)
        limit = np.maximum(self.study.pair_limit_mw(pairs), np.abs(before))
        over = np.flatnonzero(np.abs(pairs.after(flow)) > limit + TOLERANCE_MW)
        rows = []
        for i in over.tolist():
            branch, outage = int(pairs.branch[i]), int(pairs.outage[i])
            per_mw = hour.per_mw[branch] + pairs.lodf[i] * hour.per_mw[outage]
            rows.append(_Row(branch, outage, float(before[i]), per_mw, float(limit[i])))
        return rows

    def _cut(self, hour: _Hour, full_mw: Floats) -> tuple[Floats, tuple[int, ...]]:
        """The least sum of cuts under which all limits hold, and the branches that ask for it."""
        program = _Cuts(hour, full_mw, self.study.grid.island[self.buses])
        load, held = full_mw, set[tuple[int, int]]()
        for _ in range(ROUNDS):
            fresh = [r for r in self._broken(hour, load) if (r.branch, r.outage) not in held]
            if not fresh and not program.is_new:
                break
            held |= {(row.branch, row.outage) for row in fresh}
            for row in fresh:
                program.hold(row)
            load = full_mw - program.cuts_mw()
        cut = full_mw - load
        return np.where(cut > TOLERANCE_MW, cut, 0.0), tuple(sorted({b for b, _ in held}))

    def _beyond_generation(self, hour: _Hour, load_mw: Floats) -> float:
        """What the sites drew beyond all headroom of their islands."""
        island = self.study.grid.island[self.buses]
        return _whole(sum(_excess(hour, load_mw, island, where) for where in np.unique(island)))

    def unserved_before_mw(self, scale: float) -> float:  # noqa: ARG002
        """None: the dispatch is the case's own."""
        return 0.0


def _excess(hour: _Hour, load_mw: Floats, island: Ints, where: int) -> float:
    inside = island == where
    return max(0.0, float(load_mw[inside].sum()) - float(hour.room_mw[inside][0]))


class _Cuts:
    """The program that cuts sites: `min sum(cut)` within the limits, and within headroom."""

    def __init__(self, hour: _Hour, full_mw: Floats, island: Ints):
        self.full_mw = full_mw
        self._lp = GrowingLp()
        # A hair dearer from site to site: equal cuts would have no one answer.
        cost: Floats = 1.0 + 1e-6 * np.arange(len(full_mw), dtype=np.float64)
        self._columns = self._lp.add_columns(np.zeros(len(full_mw)), full_mw, cost)
        self.is_new = False
        for where in np.unique(island):
            if (over := _excess(hour, full_mw, island, where)) > TOLERANCE_MW:
                inside = self._columns[island == where]
                self._lp.add_row(over, np.inf, inside, np.ones(len(inside)))
                self.is_new = True

    def hold(self, row: _Row) -> None:
        """Keep a limit from now on."""
        flow = row.base_mw + float(row.per_mw @ self.full_mw)
        self._lp.add_row(flow - row.limit_mw, flow + row.limit_mw, self._columns, row.per_mw)

    def cuts_mw(self) -> Floats:
        """Of each site; all of it where even that does not help."""
        self.is_new = False
        try:
            return self._lp.solve().value
        except Infeasible:
            return self.full_mw
