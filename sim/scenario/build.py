"""From a resolved scenario to SimPy processes: one site after the other, wired to its meters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import simpy

from sim import arch
from sim.cluster.training import Failures, JobPlan, TrainingJob, young_daly_interval_s
from sim.cost.training import Phase, training_step
from sim.cost.training_memory import checkpoint_bytes
from sim.cost.training_setup import TrainingSetup
from sim.datum import data
from sim.facility.meter import SiteMeter, SitePlant
from sim.hardware.node import Node, load_node
from sim.randomness import stream
from sim.scenario.fleets import Fleet, build_fleet
from sim.scenario.resolve import within
from sim.scenario.schema import Control, Scenario, ServingSpec, Site, TrainingSpec
from sim.scenario.sites import keep_facility, needs_process, site_building, site_supply
from sim.units import S_PER_H, to_ps

FAILURES = "training/failures.yaml"


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


@dataclass(slots=True)
class _Wiring:
    """What the workloads of one site are built into."""

    jobs: dict[str, TrainingJob] = field(default_factory=dict)
    fleets: dict[str, Fleet] = field(default_factory=dict)


def build(scenario: Scenario, seed: int) -> Simulation:
    """Build a resolved scenario.

    Raises:
        InputError: with the dotted path of the field at fault; CapacityError if it does not fit.
    """
    env = simpy.Environment(initial_time=0)
    sites = []
    for number, site in enumerate(scenario.sites):
        with within(f"sites[{number}]"):
            sites.append(_build_site(env, scenario, site, seed))
    horizon_ps = to_ps(scenario.horizon_h * S_PER_H)
    return Simulation(scenario, seed, env, tuple(sites), horizon_ps)


def gpu_cap_w(control: Control) -> float | None:
    """Power cap of each GPU, None for none."""
    return control.power_cap.gpu_w if control.power_cap.kind == "static" else None


def _build_site(env: simpy.Environment, scenario: Scenario, site: Site, seed: int) -> SiteRun:
    node = load_node(site.cluster.node)
    nodes = site.cluster.nodes or 0
    with within("facility"):
        building = site_building(site.facility, nodes, node, scenario.epoch)
        plant = SitePlant(site.name, nodes, node, building)
        supply = site_supply(site.facility, plant, scenario.epoch)
    wiring = _Wiring()
    for number, workload in enumerate(site.workloads):
        with within(f"workloads[{number}]"):
            name = f"{site.name}.{workload.name}"
            if isinstance(workload, ServingSpec):
                horizon_s = scenario.horizon_h * S_PER_H
                cap_w = gpu_cap_w(scenario.control)
                wiring.fleets[workload.name] = build_fleet(
                    env, name, workload, node, horizon_s, cap_w, seed
                )
            else:
                plan = plan_job(name, workload, node, gpu_cap_w(scenario.control))
                rng = stream(seed, "failures", name)
                wiring.jobs[workload.name] = TrainingJob(env, plan, rng)
    idle_gpus = (site.cluster.gpus or 0) - _busy_gpus(wiring)
    signals = [j.chip_w for j in wiring.jobs.values()]
    signals += [f.chip_w for f in wiring.fleets.values()]
    meter = SiteMeter(plant, idle_gpus, signals, supply)
    if needs_process(meter):
        env.process(keep_facility(env, meter, site.facility))
    return SiteRun(site, plant, meter, wiring.jobs, wiring.fleets)


def _busy_gpus(wiring: _Wiring) -> int:
    """GPUs that a workload holds; those a layout leaves over idle."""
    training = sum(j.plan.step.gpus for j in wiring.jobs.values())
    return training + sum(f.gpus for f in wiring.fleets.values())


def plan_job(name: str, spec: TrainingSpec, node: Node, cap_w: float | None) -> JobPlan:
    """Cost, length and checkpoints of a training job."""
    setup = TrainingSetup(
        arch=arch.load(spec.arch),
        layout=spec.layout.to_layout(),
        sequence_tokens=spec.sequence_tokens,
        global_batch_tokens=spec.global_batch_tokens,
        micro_batch_sequences=spec.micro_batch_sequences,
        recompute=spec.recompute,
        cap_w=cap_w,
    )
    step = training_step(setup, node)
    checkpoint = _checkpoint(setup, node)
    failures = _failures(spec, setup, node, checkpoint)
    interval_s = spec.checkpoint.interval_s
    if spec.checkpoint.rule == "young-daly" and failures:
        interval_s = young_daly_interval_s(checkpoint.time_s, failures.rate_per_s)
    return JobPlan(
        name=name,
        step=step,
        steps=_steps(spec, step.tokens, step.model_flops),
        checkpoint=checkpoint,
        checkpoint_interval_s=interval_s,
        idle_gpu_w=node.device.idle_w,
        failures=failures,
    )


def _failures(
    spec: TrainingSpec, setup: TrainingSetup, node: Node, checkpoint: Phase
) -> Failures | None:
    """Interruptions of the job; a checkpoint is read as fast as it is written."""
    chosen = spec.failures
    if chosen.kind == "none":
        return None
    figures = data(FAILURES)

    def figure(given: float | None, name: str) -> float:
        return figures[name].value if given is None else given

    mtbf_s = figure(chosen.gpu_mtbf_h, "rate.gpu_mtbf_h") * S_PER_H
    restart_s = figure(chosen.restart_s, "recovery.restart_s")
    return Failures(
        rate_per_s=setup.layout.gpus / mtbf_s,
        restart=Phase("restart", restart_s, node.device.idle_w),
        reload=Phase("reload", checkpoint.time_s, node.device.active_w),
        spare_nodes=((spec.gpus or 0) - setup.layout.gpus) // node.gpus,
        repair_s=figure(chosen.repair_h, "recovery.repair_h") * S_PER_H,
    )


def _steps(spec: TrainingSpec, step_tokens: int, step_flops: float) -> int:
    """Steps until the wanted tokens or model FLOPs are done."""
    if spec.tokens is not None:
        return math.ceil(spec.tokens / step_tokens)
    return math.ceil((spec.budget_flops or 0.0) / step_flops)


def _checkpoint(setup: TrainingSetup, node: Node) -> Phase:
    """Writing weights and optimiser state to the storage that the job's GPUs pay for."""
    servers = setup.layout.gpus * node.storage_servers_per_gpu
    bytes_per_s = servers * node.storage_write_bytes_per_s_per_server
    time_s = checkpoint_bytes(setup.arch) / bytes_per_s
    return Phase("checkpoint", time_s, node.device.active_w)
