"""The loop closed: every interval the grid hears the meters, and the rules hear the grid.

    meters -> grid (price, carbon, shortage) -> rules (proposals) -> orders -> workloads, storage

One SimPy process. Between two ticks nothing changes but what the workloads do by themselves.
An order takes effect after the response time, if the site complies; a training job obeys at
the edge of a step. What the meter then shows above the limit is booked as missed: the grid had
to carry it.
"""

from __future__ import annotations

from collections.abc import Generator

import simpy

from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fluid import FluidFleet
from sim.control.allocate import SiteOrders, allocate, combine
from sim.control.rule import Rule
from sim.control.view import GridSignals, SiteView
from sim.randomness import stream
from sim.scenario.build import SiteRun
from sim.scenario.coupling import Draw, GridSide
from sim.scenario.desk import SiteDesk, open_fleets
from sim.scenario.schema.control import IntervalCoupling
from sim.signals import StepSignal
from sim.units import to_ps, to_s

NO_LIMIT_W = -1.0
"""What the recorded limit shows where there is none."""
RuleAt = tuple[Rule, frozenset[str]]
"""A rule and the names of the sites it holds at; none: at all."""


class ControlLoop:
    """The process that closes the loop; its rules are those that `loop_checks` has passed.

    Attributes:
        desks: the sites with their rules and books.
        signals: recorded beside the meters: price and limit of each site.
    """

    def __init__(
        self,
        env: simpy.Environment,
        spec: IntervalCoupling,
        grid: GridSide,
        sites: tuple[SiteRun, ...],
        rules: tuple[RuleAt, ...],
        seed: int,
    ):
        self.env = env
        self.spec = spec
        self.grid = grid
        self.desks = tuple(SiteDesk(site, _mine(rules, site), spec) for site in sites)
        self._peers = {d.name: _peers(d, self.desks) for d in self.desks}
        self._coins = {d.name: stream(seed, "compliance", d.name) for d in self.desks}
        self._price = {d.name: StepSignal(f"{d.name}.price_usd_per_mwh") for d in self.desks}
        self._limit = {d.name: StepSignal(f"{d.name}.limit_w", NO_LIMIT_W) for d in self.desks}
        self.signals = (*self._price.values(), *self._limit.values())
        env.process(self.keep_ticking())

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the loop's answers rest on."""
        told = [line for d in self.desks for rule in d.rules for line in rule.assumes]
        return (*self.grid.assumptions, *dict.fromkeys(told))

    @property
    def now_ps(self) -> int:
        """The clock, whole picoseconds."""
        return int(self.env.now)

    def keep_ticking(self) -> Generator[simpy.Event, None, None]:
        """Tick at once, and then after every interval."""
        while True:
            self.tick()
            yield self.env.timeout(to_ps(self.spec.interval_s))

    def tick(self) -> None:
        """Meters to the grid, the grid's signals to the rules, orders to the sites."""
        for desk in self.desks:
            desk.close_interval(self.now_ps)
        views = {d.name: d.view(self.now_ps) for d in self.desks}
        draws = {d.name: _draw(d, views[d.name]) for d in self.desks}
        signals = self.grid.tick(to_s(self.now_ps), self.spec.interval_s, draws)
        for desk in self.desks:
            elsewhere = {name: signals[name] for name in self._peers[desk.name]}
            self._decide(desk, views[desk.name].told(signals[desk.name], elsewhere))
        self._exchange_requests()

    def finish(self) -> None:
        """Close the last interval, when the run has ended."""
        for desk in self.desks:
            desk.close_interval(self.now_ps)

    def _decide(self, desk: SiteDesk, view: SiteView) -> None:
        """Ask the rules, allocate, and send the orders on their way."""
        orders = allocate(view, combine(desk.ask(view)), tuple(self.spec.responses))
        if self._coins[desk.name].random() >= self.spec.compliance_frac:
            desk.book.refused_orders += orders != desk.orders
            orders = desk.orders
        before = desk.open_interval(view, orders)
        self._tell(desk.name, view.grid, orders)
        if orders == before:
            return
        if self.spec.respond_s:
            self.env.process(self._obey_later(desk, before, orders))
        else:
            desk.obey(before, orders, self.now_ps)

    def _obey_later(
        self, desk: SiteDesk, before: SiteOrders, orders: SiteOrders
    ) -> Generator[simpy.Event, None, None]:
        yield self.env.timeout(to_ps(self.spec.respond_s))
        desk.obey(before, orders, self.now_ps)

    def _tell(self, name: str, grid: GridSignals, orders: SiteOrders) -> None:
        """Show price and limit to whoever records them."""
        limit_w = NO_LIMIT_W if orders.limit_w is None else orders.limit_w
        self._price[name].set(self.now_ps, grid.price_usd_per_mwh)
        self._limit[name].set(self.now_ps, limit_w)

    def _exchange_requests(self) -> None:
        """What one site hands over, another gets in the same moment."""
        received: dict[FluidFleet, float] = {}
        fleets = {d.name: d.open_fleets() for d in self.desks}
        for desk in self.desks:
            for name, fleet in fleets[desk.name].items():
                shares = {fleets[p][name]: f for p, f in desk.orders.shift_frac.items()}
                if isinstance(fleet, CompiledFleet):
                    whole = {t: f for t, f in shares.items() if isinstance(t, CompiledFleet)}
                    fleet.set_moves(whole, desk.delay_s)
                    continue
                fleet.set_moved(self.now_ps, sum(shares.values()))
                for there, share in shares.items():
                    if isinstance(there, FluidFleet):
                        rate = share * fleet.offered_per_s()
                        received[there] = received.get(there, 0.0) + rate
        for group in fleets.values():
            for fleet in group.values():
                if isinstance(fleet, FluidFleet):
                    fleet.set_received(self.now_ps, received.get(fleet, 0.0))


def _draw(desk: SiteDesk, view: SiteView) -> Draw:
    return Draw(
        desk.site.spec.at.place, view.import_w, view.full_import_w, desk.take_largest_rise_w()
    )


def _mine(rules: tuple[RuleAt, ...], site: SiteRun) -> tuple[Rule, ...]:
    return tuple(rule for rule, names in rules if not names or site.spec.name in names)


def _peers(desk: SiteDesk, desks: tuple[SiteDesk, ...]) -> tuple[str, ...]:
    """Other sites that have all the fleets of this one that can hand requests over, by name."""
    own = _open(desk.site)
    return tuple(d.name for d in desks if d is not desk and own and own <= _open(d.site))


def _open(site: SiteRun) -> set[tuple[str, type]]:
    """Fleets that can hand requests over: name and kind, for like goes to like."""
    return {(name, type(fleet)) for name, fleet in open_fleets(site).items()}
