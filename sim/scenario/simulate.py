"""Run a built simulation to its horizon, check its laws, and measure it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sim.cluster.serving.compiled import announce
from sim.cluster.training import check_training_laws
from sim.errors import LawViolation
from sim.facility.meter import check_boundary_laws, energy_by_cause_j
from sim.facility.supply_book import SupplyBook
from sim.record.integral import Integrator, Measure
from sim.record.timeline import Timeline
from sim.scenario.build import Simulation, SiteRun, build
from sim.scenario.couple import couple
from sim.scenario.loop import ControlLoop
from sim.scenario.loop_checks import check_rules
from sim.scenario.schema import Scenario, ServingSpec
from sim.scenario.schema.control import IntervalCoupling
from sim.scenario.sites import job_swing_w
from sim.signals import StepSignal
from sim.units import PS_PER_H, to_s

BOUNDARIES = ("chip", "it", "facility")
COMPILED = ("request", "cells")
"""Fidelities of serving fleets that run on the compiled engine."""
SLICES = 50
"""Slices of the horizon after which progress is told."""

Tell = Callable[[str], None]


class Notice(str):
    """A line of progress that is told at once, however short the run is."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """A site after the run: what its meters measured.

    Attributes:
        power: boundary -> power over the horizon; its integral is the energy in J. `import` is
            what the grid saw, where a supply stands behind the meter.
        causes_w: cause -> mean power.
        swing_w: peak-to-peak swing of the IT and power train within a training step.
        chip_j_by_hour: chip energy of each hour, for a building in its weather.
        supply: what the supply did, where there is one.
    """

    run: SiteRun
    power: dict[str, Measure]
    causes_w: dict[str, float]
    swing_w: float
    chip_j_by_hour: tuple[float, ...] = ()
    supply: SupplyBook | None = None

    @property
    def name(self) -> str:
        """The site's name."""
        return self.run.spec.name

    @property
    def zone(self) -> str:
        """The zone in which it stands."""
        return self.run.spec.at.place


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run after its horizon.

    Attributes:
        total: boundary -> power of all sites together.
        timelines: every recorded signal.
        loop: the loop with the grid, if the scenario closes it.
    """

    simulation: Simulation
    sites: tuple[SiteOutcome, ...]
    total: dict[str, Measure]
    timelines: tuple[Timeline, ...]
    loop: ControlLoop | None = None

    @property
    def duration_s(self) -> float:
        """Length of the run."""
        return to_s(self.simulation.horizon_ps)

    @property
    def sites_felt(self) -> tuple[SiteOutcome, ...]:
        """Sites that a fault of the scenario touches."""
        return tuple(s for s in self.sites if s.name in self.simulation.faults.sites)

    def peak_w(self, site: SiteOutcome) -> float:
        """Peak of what the grid sees of a site, over the window that the grid asks for."""
        seen = site.power["import" if "import" in site.power else "facility"]
        return seen.peaks[self.simulation.scenario.grid.peak_window_s]


class Total:
    """A signal that is the sum of others."""

    def __init__(self, name: str, parts: list[StepSignal]):
        self.parts = parts
        self.signal = StepSignal(name, math.fsum(p.value for p in parts))
        for part in parts:
            part.subscribe(self._follow)

    def _follow(self, time_ps: int, _value: float) -> None:
        self.signal.set(time_ps, math.fsum(p.value for p in self.parts))


def simulate(
    scenario: Scenario,
    seed: int,
    tell: Tell | None = None,
    watch: Callable[[Simulation], None] | None = None,
) -> Outcome:
    """Run a resolved scenario.

    Args:
        tell: called with a line of progress now and then.
        watch: called with the simulation before it begins.

    Raises:
        InputError: the scenario cannot be built.
        LawViolation: a law does not hold in the run.
    """
    if tell:
        announce_compiling(scenario, tell)
    simulation = build(scenario, seed)
    if watch:
        watch(simulation)
    recorders = {
        site.spec.name: {b: Integrator.of(_meter(site, b)) for b in _recorded(site, simulation)}
        for site in simulation.sites
    }
    books = {site.spec.name: _book(site) for site in simulation.sites}
    jobs = {
        job.plan.name: Integrator.of(job.chip_w)
        for site in simulation.sites
        for job in site.jobs.values()
    }
    totals = {
        b: Total(f"total.{b}_w", [_meter(site, b) for site in simulation.sites]) for b in BOUNDARIES
    }
    total_recorders = {b: Integrator.of(t.signal) for b, t in totals.items()}
    loop = close_loop(simulation)
    shown = [Integrator.of(signal) for signal in _beside(simulation, loop)]
    _advance(simulation, tell)
    if loop:
        loop.finish()
    windows_s = (1.0, scenario.grid.peak_window_s)
    end_ps = simulation.horizon_ps

    def measure(recorder: Integrator) -> Measure:
        return recorder.measure(0, end_ps, windows_s)

    sites = []
    for site in simulation.sites:
        mine, book = recorders[site.spec.name], books[site.spec.name]
        power = {b: measure(r) for b, r in mine.items()}
        hours_j = _chip_j_by_hour(site, mine["chip"], end_ps)
        _check_site(site, end_ps, power, jobs, hours_j)
        sites.append(_settled(site, power, hours_j, book, to_s(end_ps)))
    total = {b: measure(r) for b, r in total_recorders.items()}
    _check_totals(sites, total)
    kept = [r.timeline for group in recorders.values() for r in group.values()]
    kept += [r.timeline for r in shown]
    return Outcome(simulation, tuple(sites), total, tuple(kept), loop)


def _settled(
    site: SiteRun,
    power: dict[str, Measure],
    hours_j: tuple[float, ...],
    book: SupplyBook | None,
    end_s: float,
) -> SiteOutcome:
    """What a site did, its supply closed and checked."""
    if book is not None:
        book.close(end_s)
        book.check_laws(site.spec.name, power["facility"].integral, power["import"].integral)
    causes_w = _causes_w(site, power["chip"].mean, end_s, hours_j)
    return SiteOutcome(site, power, causes_w, site_swing_w(site), hours_j, book)


def announce_compiling(scenario: Scenario, tell: Tell) -> None:
    """Say that the serving engine will be compiled, where the run needs it and it is not stored."""
    workloads = [workload for site in scenario.sites for workload in site.workloads]
    if any(isinstance(w, ServingSpec) and w.fidelity in COMPILED for w in workloads):
        announce(lambda line: tell(Notice(line)))


def close_loop(simulation: Simulation) -> ControlLoop | None:
    """The loop with the grid that the scenario asks for, or None.

    Raises:
        InputError: the grid cannot be coupled, or a rule does not fit the sites.
    """
    control = simulation.scenario.control
    if not isinstance(control.coupling, IntervalCoupling):
        return None
    check_rules(simulation.scenario)
    grid = couple(simulation, control.coupling)
    rules = tuple((spec.to_rule(), frozenset(spec.sites)) for spec in control.rules)
    return ControlLoop(
        simulation.env, control.coupling, grid, simulation.sites, rules, simulation.seed
    )


def _meter(site: SiteRun, boundary: str) -> StepSignal:
    meter = site.meter
    return {
        "chip": meter.chip_w,
        "it": meter.it_w,
        "facility": meter.facility_w,
        "import": meter.import_w,
    }[boundary]


def _recorded(site: SiteRun, simulation: Simulation) -> tuple[str, ...]:
    """The boundaries, and what the grid sees where that is something else."""
    faults = simulation.faults.sites.get(site.spec.name)
    leaves = faults is not None and bool(faults.off_grid)
    plain = site.meter.supply.plant.is_bare and not leaves
    return BOUNDARIES if plain else (*BOUNDARIES, "import")


def _beside(simulation: Simulation, loop: ControlLoop | None) -> Iterator[StepSignal]:
    """Signals that are recorded beside the powers: of the loop, workloads and batteries."""
    yield from loop.signals if loop else ()
    for site in simulation.sites:
        yield from (job.chip_w for job in site.jobs.values())
        yield from (fleet.chip_w for fleet in site.fleets.values())
        if site.meter.supply.plant.battery.energy_j > 0:
            yield from (site.meter.battery_w, site.meter.stored_j)


def _book(site: SiteRun) -> SupplyBook | None:
    if site.meter.supply.plant.is_bare:
        return None
    book = SupplyBook(site.meter.supply.plant)
    site.meter.supplied.subscribe(book.follow)
    return book


def _chip_j_by_hour(site: SiteRun, chip: Integrator, end_ps: int) -> tuple[float, ...]:
    """Chip energy of each hour, for a building in its weather; empty without."""
    if site.plant.building.hourly is None:
        return ()
    starts = range(0, end_ps, PS_PER_H)
    return tuple(chip.integral(t, min(t + PS_PER_H, end_ps)) for t in starts)


def _causes_w(
    site: SiteRun, mean_chip_w: float, duration_s: float, hours_j: tuple[float, ...]
) -> dict[str, float]:
    """Mean power by cause."""
    if not hours_j:
        return site.plant.parts(mean_chip_w).causes()
    found = energy_by_cause_j(site.plant, duration_s, hours_j)
    return {cause: energy_j / duration_s for cause, energy_j in found.items()}


def _advance(simulation: Simulation, tell: Tell | None) -> None:
    """Let the clock run to the horizon, with progress in slices."""
    for number in range(1, SLICES + 1):
        simulation.env.run(until=simulation.horizon_ps * number // SLICES)
        if tell:
            tell(f"simulated {number / SLICES:4.0%} of {to_s(simulation.horizon_ps) / 3600:g} h")


def _check_site(
    site: SiteRun,
    end_ps: int,
    power: dict[str, Measure],
    jobs: dict[str, Integrator],
    hours_j: tuple[float, ...],
) -> None:
    """All laws of a site: each workload against its own count, each boundary, the sum."""
    for job in site.jobs.values():
        check_training_laws(job, end_ps, jobs[job.plan.name].integral(0, end_ps))
    for fleet in site.fleets.values():
        fleet.fleet.check_laws()
    check_boundary_laws(
        site.plant,
        to_s(end_ps),
        power["chip"].integral,
        power["it"].integral,
        power["facility"].integral,
        hours_j,
    )


def _check_totals(sites: list[SiteOutcome], total: dict[str, Measure]) -> None:
    for boundary, measured in total.items():
        summed_j = math.fsum(s.power[boundary].integral for s in sites)
        if not math.isclose(summed_j, measured.integral, rel_tol=1e-9):
            raise LawViolation(
                f"total {boundary} energy {measured.integral:.9e} J, sum of sites {summed_j:.9e} J"
            )


def site_swing_w(site: SiteRun) -> float:
    """Peak-to-peak swing of what the grid sees within a training step, all jobs in step.

    Cooling follows heat too slowly to take part; everything else follows the chips, but for
    what power supplies store and what a battery smooths.
    """
    chip_w = 0.0
    for job in site.jobs.values():
        floor_w = job.floor_w
        phases = [(p.time_s, max(p.gpu_power_w, floor_w)) for p in job.plan.step.phases]
        chip_w += job_swing_w(site.spec.facility, phases, job.plan.step.gpus)
    low, high = site.plant.parts(0.0), site.plant.parts(chip_w)
    fast_w = (high.facility_w - high.cooling_w) - (low.facility_w - low.cooling_w)
    return max(0.0, fast_w)
