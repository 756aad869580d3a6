"""A site's desk in the loop: what it sees, what its rules remember, what it has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fluid import FluidFleet
from sim.cluster.serving.observe import Integral
from sim.cluster.training import TrainingJob
from sim.control.allocate import SiteOrders
from sim.control.rule import Rule
from sim.control.rules.shift import ShiftRequests
from sim.control.view import GridSignals, Proposal, SiteView, WorkloadView
from sim.errors import CapacityError
from sim.facility.supply import SupplyOrder
from sim.scenario.build import SiteRun
from sim.scenario.fleets import Fleet
from sim.scenario.loop_checks import movable
from sim.scenario.schema.control import IntervalCoupling
from sim.units import J_PER_MWH, MEGA, S_PER_H, to_s

OpenFleet = FluidFleet | CompiledFleet
LADDER_W = 50.0
"""Step between two caps that a run-time rule may choose."""
MILLION = 1e6
LEAST_W = 1.0
"""Below this nothing counts as held back."""


@dataclass(slots=True)
class SiteBook:
    """What a site did in the loop so far.

    Attributes:
        import_mwh: energy taken from the grid, exports deducted.
        restrained_h: hours with an order in force.
        held_back_mwh: in them, what the building did not draw of its full power: work that
            waits or is lost.
        relief_mwh: in them, what the grid did not have to give; storage and supply included.
        missed_mwh: metered above the limit in force.
        orders: changes of the orders. refused_orders: changes that the site did not follow.
        cost_usd: metered energy at the price of its interval. carbon_kg: likewise.
        largest_rise_mw: largest rise of the meter between two intervals.
        moved: requests handed to other sites. moved_usd: what the way cost. moved_wait_s: time
            that the way added, over all of them.
    """

    import_mwh: float = 0.0
    restrained_h: float = 0.0
    held_back_mwh: float = 0.0
    relief_mwh: float = 0.0
    missed_mwh: float = 0.0
    orders: int = 0
    refused_orders: int = 0
    suspended_gpu_h: float = 0.0
    capped_gpu_h: float = 0.0
    cost_usd: float = 0.0
    carbon_kg: float = 0.0
    largest_rise_mw: float = 0.0
    moved: float = 0.0
    moved_usd: float = 0.0
    moved_wait_s: float = 0.0


class SiteDesk:
    """A site in the loop.

    Attributes:
        orders: in force. book: what it did so far.
    """

    def __init__(self, site: SiteRun, rules: tuple[Rule, ...], spec: IntervalCoupling):
        self.site = site
        self.rules = rules
        self.spec = spec
        self.orders = SiteOrders()
        self.book = SiteBook()
        self._memories: list[Any] = [None] * len(rules)
        self._meter = Integral(site.meter.import_w)
        self._building = Integral(site.meter.facility_w)
        self._metered_j, self._built_j, self._since_ps = 0.0, 0.0, 0
        self._import_w: float | None = None
        self._told = GridSignals()
        self._full_w = self._full_import_w = 0.0
        self._rise = _LargestRise()
        site.meter.import_w.subscribe(self._rise)
        ladder = _ladder(site.plant.node.device.limit_w, spec.lowest_cap_w)
        self._training = {n: _TrainingPower(j, ladder) for n, j in site.jobs.items()}
        self._caps = {n: _usable(ladder, f.costs.at) for n, f in site.fleets.items()}

    @property
    def name(self) -> str:
        """The site's name."""
        return self.site.spec.name

    def fluid_fleets(self) -> dict[str, FluidFleet]:
        """Its fleets that are fluids, by workload."""
        found = self.open_fleets().items()
        return {name: fleet for name, fleet in found if isinstance(fleet, FluidFleet)}

    def whole_fleets(self) -> dict[str, CompiledFleet]:
        """Its fleets of which every request is simulated, by workload."""
        found = self.open_fleets().items()
        return {name: fleet for name, fleet in found if isinstance(fleet, CompiledFleet)}

    def open_fleets(self) -> dict[str, OpenFleet]:
        """Its fleets that can hand requests over, by workload."""
        return open_fleets(self.site)

    @property
    def delay_s(self) -> float:
        """What the way to another site adds."""
        return max((r.latency_s for r in self.rules if isinstance(r, ShiftRequests)), default=0.0)

    def take_largest_rise_w(self) -> float:
        """Largest rise of the meter from one moment to the next since the last call."""
        return self._rise.take()

    def view(self, now_ps: int) -> SiteView:
        """What the site shows at a tick, before the grid has spoken."""
        workloads = tuple(
            [view.now() for view in self._training.values()]
            + [self._serving(name, fleet) for name, fleet in self.site.fleets.items()]
        )
        plant, time_s = self.site.plant, to_s(now_ps)
        fixed_w = plant.parts(0.0, time_s).facility_w
        own_w, battery_w, generation_w = _supply_w(self.site, self.spec.interval_s)
        view = SiteView(
            name=self.name,
            time_s=time_s,
            interval_s=self.spec.interval_s,
            import_w=0.0,
            fixed_w=fixed_w,
            meter_w_per_chip_w=(plant.parts(MEGA, time_s).facility_w - fixed_w) / MEGA,
            other_chip_w=self.site.meter.idle_w,
            workloads=workloads,
            grid=GridSignals(),
            own_w=own_w,
            battery_w=battery_w,
            generation_w=generation_w,
        )
        return view.metered(view.full_import_w if self._import_w is None else self._import_w)

    def _serving(self, name: str, fleet: Fleet) -> WorkloadView:
        return WorkloadView(
            name,
            "serving",
            fleet.gpus,
            self._caps[name],
            cache(fleet.expected_power_w),
            fleet.idle_power_w,
        )

    def ask(self, view: SiteView) -> list[Proposal]:
        """What each rule proposes; the rules' memories move on."""
        proposals = []
        for number, rule in enumerate(self.rules):
            proposal, self._memories[number] = rule.propose(view, self._memories[number])
            proposals.append(proposal)
        return proposals

    def open_interval(self, view: SiteView, orders: SiteOrders) -> SiteOrders:
        """Put orders in force; returns those that were before."""
        before, self.orders = self.orders, orders
        self._told, self._full_w = view.grid, view.full_w
        self._full_import_w = view.full_import_w
        self.book.orders += orders != before
        return before

    def close_interval(self, now_ps: int) -> None:
        """Book what the meter showed since the last tick."""
        span_s = to_s(now_ps - self._since_ps)
        if span_s <= 0:
            return
        total_j, built_j = self._meter.at(now_ps), self._building.at(now_ps)
        metered_j, self._metered_j = total_j - self._metered_j, total_j
        drawn_j, self._built_j, self._since_ps = built_j - self._built_j, built_j, now_ps
        mean_w = metered_j / span_s
        if self._import_w is not None:
            rise_mw = (mean_w - self._import_w) / MEGA
            self.book.largest_rise_mw = max(self.book.largest_rise_mw, rise_mw)
        self._import_w = mean_w
        book, orders, hours = self.book, self.orders, span_s / S_PER_H
        book.import_mwh += metered_j / J_PER_MWH
        book.cost_usd += metered_j / J_PER_MWH * self._told.price_usd_per_mwh
        book.carbon_kg += metered_j / J_PER_MWH * self._told.carbon_kg_per_mwh
        if self._full_import_w - orders.expected_w > LEAST_W:
            book.restrained_h += hours
            if orders.hold_work:
                book.held_back_mwh += max(0.0, self._full_w * span_s - drawn_j) / J_PER_MWH
            full_j = self._full_import_w * span_s
            book.relief_mwh += max(0.0, full_j - metered_j) / J_PER_MWH
        if orders.limit_w is not None:
            book.missed_mwh += max(0.0, metered_j - orders.limit_w * span_s) / J_PER_MWH
        self._book_moved()
        gpus = {n: j.plan.step.gpus for n, j in self.site.jobs.items()}
        gpus |= {n: f.gpus for n, f in self.site.fleets.items()}
        book.suspended_gpu_h += sum(gpus[name] for name in orders.suspend) * hours
        book.capped_gpu_h += sum(gpus[name] for name in orders.caps_w) * hours

    def _book_moved(self) -> None:
        """What the requests that were handed over since the last tick cost on their way."""
        total = sum(fleet.moved(self._since_ps) for fleet in self.open_fleets().values())
        moved, self.book.moved = total - self.book.moved, total
        for rule in self.rules:
            if isinstance(rule, ShiftRequests):
                self.book.moved_usd += moved / MILLION * rule.usd_per_million
                self.book.moved_wait_s += moved * rule.latency_s

    def obey(self, before: SiteOrders, orders: SiteOrders, now_ps: int) -> None:
        """Give the supply and the workloads what changed between two orders."""
        if not self.site.meter.supply.plant.is_bare:
            target_w = orders.expected_w if orders.battery_w or orders.generation_w else None
            price = self._told.price_usd_per_mwh
            order = SupplyOrder(import_target_w=target_w, price_usd_per_mwh=price)
            self.site.meter.command(now_ps, order)
        for name, job in self.site.jobs.items():
            if name in orders.suspend and name not in before.suspend:
                job.suspend()
            if name in before.suspend and name not in orders.suspend:
                job.resume()
            if orders.caps_w.get(name) != before.caps_w.get(name):
                job.set_cap(orders.caps_w.get(name))
        for name, fleet in self.site.fleets.items():
            if orders.caps_w.get(name) != before.caps_w.get(name):
                fleet.fleet.set_cap(now_ps, orders.caps_w.get(name))
            if orders.admit_frac.get(name, 1.0) != before.admit_frac.get(name, 1.0):
                fleet.fleet.set_admission(now_ps, orders.admit_frac.get(name, 1.0))


def open_fleets(site: SiteRun) -> dict[str, OpenFleet]:
    """Fleets of a site that can hand requests over: fluids, and those simulated whole."""
    return {
        name: fleet.fleet
        for name, fleet in site.fleets.items()
        if isinstance(fleet.fleet, FluidFleet | CompiledFleet) and movable(fleet.costs.spec)
    }


def full_power_w(site: SiteRun) -> float:
    """Power at the meter with every workload running and nothing held back."""
    steps = [job.plan.step for job in site.jobs.values()]
    chips_w = sum(step.energy_j / step.time_s for step in steps)
    chips_w += sum(fleet.expected_power_w(None) for fleet in site.fleets.values())
    return site.plant.parts(chips_w + site.meter.idle_w).facility_w


def _supply_w(site: SiteRun, interval_s: float) -> tuple[float, float, float]:
    """What runs behind the meter by itself, and what battery and backup sets could give."""
    supply = site.meter.supply
    plant, now = supply.plant, supply.planned
    if plant.is_bare or now is None:
        return 0.0, 0.0, 0.0
    backup = [g.rule == "backup" for g in plant.generators]
    states = zip(backup, now.generators, strict=True)
    running_w = sum(state.output_w for is_backup, state in states if not is_backup)
    backup_w = sum(g.capacity_w for g in plant.generators if g.rule == "backup")
    battery_w = plant.battery.most_discharge_w(supply.state.stored_j, interval_s)
    return now.pv_w + now.wind_w + running_w, battery_w, backup_w


class _LargestRise:
    """The largest rise between two values of a signal since it was last taken."""

    def __init__(self) -> None:
        self._value: float | None = None
        self._rise = 0.0

    def __call__(self, _time_ps: int, value: float) -> None:
        if self._value is not None:
            self._rise = max(self._rise, value - self._value)
        self._value = value

    def take(self) -> float:
        rise, self._rise = self._rise, 0.0
        return rise


class _TrainingPower:
    """A training job's mean power in steps under the caps that a rule may choose."""

    def __init__(self, job: TrainingJob, ladder_w: tuple[float | None, ...]):
        self.job = job
        self.idle_w = job.plan.step.gpus * job.plan.idle_gpu_w
        self.chip_w_at = cache(self._chip_w_at)
        rungs = ladder_w if job.plan.step_under else ladder_w[:1]
        self.caps_w = _usable(rungs, self.chip_w_at)

    def now(self) -> WorkloadView:
        """The job at a tick: when it is done, it idles."""
        gpus, name = self.job.plan.step.gpus, self.job.plan.name.rpartition(".")[2]
        if self.job.done_at_ps is not None:
            idle_w = self.idle_w
            return WorkloadView(name, "training", gpus, (None,), lambda _cap: idle_w, idle_w)
        return WorkloadView(name, "training", gpus, self.caps_w, self.chip_w_at, self.idle_w)

    def _chip_w_at(self, cap_w: float | None) -> float:
        plan = self.job.plan
        caps = [cap for cap in (cap_w, plan.cap_w) if cap is not None]
        step = plan.step
        if cap_w is not None and plan.step_under is not None:
            step = plan.step_under(min(caps))
        return step.energy_j / step.time_s


def _ladder(top_w: float, lowest_w: float) -> tuple[float | None, ...]:
    """No cap, and then every rung below the top down to the lowest."""
    rungs = int((top_w - lowest_w) // LADDER_W)
    return (None, *(top_w - LADDER_W * (k + 1) for k in range(rungs)))


def _usable(
    ladder: tuple[float | None, ...], price: Callable[[float | None], object]
) -> tuple[float | None, ...]:
    """The ladder down to the lowest cap that the chips can keep."""
    for last in range(len(ladder), 1, -1):
        try:
            price(ladder[last - 1])
        except CapacityError:
            continue
        return ladder[:last]
    return ladder[:1]
