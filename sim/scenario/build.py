"""From a resolved scenario to SimPy processes: one site after the other, wired to its meters."""

from __future__ import annotations

from dataclasses import dataclass, field

import simpy

from sim.cluster.training import TrainingJob
from sim.facility.meter import SiteMeter, SitePlant
from sim.hardware.node import load_node
from sim.randomness import stream
from sim.scenario.faults import FaultLog, check_faults, darken, held_shares, site_faults
from sim.scenario.fleets import Fleet, build_fleet
from sim.scenario.jobs import plan_job, stream_name
from sim.scenario.resolve import within
from sim.scenario.schema import Control, Scenario, ServingSpec, Site
from sim.scenario.service_streams import ServiceStreams
from sim.scenario.site_building import site_building
from sim.scenario.site_supply import site_supply
from sim.scenario.sites import keep_facility, needs_process
from sim.units import S_PER_H, to_ps


@dataclass(frozen=True, slots=True)
class SiteRun:
    """A site in a running simulation."""

    spec: Site
    plant: SitePlant
    meter: SiteMeter
    jobs: dict[str, TrainingJob]
    fleets: dict[str, Fleet]


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything that runs, on one clock in picoseconds."""

    scenario: Scenario
    seed: int
    env: simpy.Environment
    sites: tuple[SiteRun, ...]
    horizon_ps: int
    streams: ServiceStreams
    faults: FaultLog = field(default_factory=FaultLog)


@dataclass(slots=True)
class _Wiring:
    """What the workloads of one site are built into."""

    jobs: dict[str, TrainingJob] = field(default_factory=dict)
    fleets: dict[str, Fleet] = field(default_factory=dict)


def build(scenario: Scenario, seed: int, only: Site | None = None) -> Simulation:
    """Build a resolved scenario.

    Args:
        only: one of its sites, to be built without the others; None for all.

    Raises:
        InputError: with the dotted path of the field at fault; CapacityError if it does not fit.
    """
    env = simpy.Environment(initial_time=0)
    sites, log = [], FaultLog()
    horizon_s = scenario.horizon_h * S_PER_H
    check_faults(scenario.control, [site.name for site in scenario.sites], horizon_s)
    streams = ServiceStreams(scenario, seed)
    for number, site in enumerate(scenario.sites):
        if only is None or site == only:
            with within(f"sites[{number}]"):
                sites.append(_build_site(env, scenario, site, seed, log, streams))
    return Simulation(scenario, seed, env, tuple(sites), to_ps(horizon_s), streams, log)


def gpu_cap_w(control: Control) -> float | None:
    """Power cap of each GPU, None for none."""
    return control.power_cap.gpu_w if control.power_cap.kind == "static" else None


def _build_site(
    env: simpy.Environment,
    scenario: Scenario,
    site: Site,
    seed: int,
    log: FaultLog,
    streams: ServiceStreams,
) -> SiteRun:
    node = load_node(site.cluster.node)
    nodes = site.cluster.nodes or 0
    with within("facility"):
        building = site_building(site.facility, nodes, node, scenario.epoch)
        plant = SitePlant(site.name, nodes, node, building)
        supply = site_supply(site.facility, plant, scenario.epoch)
    wiring = _Wiring()
    faults = site_faults(scenario.control, site.name, bool(site.facility.generators))
    shares = held_shares([workload.gpus or 0 for workload in site.workloads])
    for number, workload in enumerate(site.workloads):
        with within(f"workloads[{number}]"):
            name = f"{site.name}.{workload.name}"
            if isinstance(workload, ServingSpec):
                horizon_s = scenario.horizon_h * S_PER_H
                cap_w = gpu_cap_w(scenario.control)
                told = scenario.record.requests == "all"
                spec, fed = streams.fed(site.name, workload)
                wiring.fleets[workload.name] = build_fleet(
                    env, name, spec, node, horizon_s, cap_w, seed, tell_requests=told, fed=fed
                )
                if faults:
                    darken(wiring.fleets[workload.name].fleet, faults, shares[number])
            else:
                horizon_s = scenario.horizon_h * S_PER_H
                outages = faults.outages(shares[number]) if faults else ()
                cap_w = gpu_cap_w(scenario.control)
                plan = plan_job(name, workload, node, cap_w, horizon_s, outages)
                rng = stream(seed, "failures", stream_name(name, workload))
                wiring.jobs[workload.name] = TrainingJob(env, plan, rng)
    idle_gpus = (site.cluster.gpus or 0) - _busy_gpus(wiring)
    signals = [j.chip_w for j in wiring.jobs.values()]
    signals += [f.chip_w for f in wiring.fleets.values()]
    floor_w = site.facility.swing.floor_frac * node.device.limit_w
    for job in wiring.jobs.values():
        if floor_w:
            job.set_floor_w(floor_w)
    meter = SiteMeter(plant, idle_gpus, signals, supply)
    if faults:
        log.feel(env, site.name, faults, meter)
    if needs_process(meter):
        env.process(keep_facility(env, meter, site.facility, scenario.epoch))
    return SiteRun(site, plant, meter, wiring.jobs, wiring.fleets)


def _busy_gpus(wiring: _Wiring) -> int:
    """GPUs that a workload holds; those a layout leaves over idle."""
    training = sum(j.plan.step.gpus for j in wiring.jobs.values())
    return training + sum(f.gpus for f in wiring.fleets.values())
