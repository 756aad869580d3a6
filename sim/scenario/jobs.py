"""Training jobs of a scenario: from their spec to what the simulation runs."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

from sim import arch
from sim.cluster.training import (
    Cause,
    Failures,
    JobPlan,
    Maintenance,
    Outage,
    Pause,
    Ramps,
    Stragglers,
    by_cause,
    young_daly_interval_s,
)
from sim.cluster.training.plan import NEVER_PS
from sim.cost.training import Phase, TrainingStepCost, training_step
from sim.cost.training_memory import checkpoint_bytes
from sim.cost.training_setup import TrainingSetup
from sim.datum import Datum, data
from sim.flops import parameters
from sim.flops.scaling import law
from sim.hardware.node import Node
from sim.scenario.schema.training import FailuresByCause, PoissonFailures, TrainingSpec
from sim.units import S_PER_H, to_ps

FAILURES = "training/failures.yaml"
ASSUMPTIONS = "training/assumptions.yaml"
STORAGE_BUSY_FRAC = 0.1
"""Largest share of the time in which checkpoints are written beside the steps, where the rule
chooses the interval: copying costs so little that it would save after every step."""
PER_GPU = ("gpu",)
"""Causes whose rate grows with GPUs; the others grow with nodes."""


def stream_name(name: str, spec: TrainingSpec) -> str:
    """What names the random stream of a job: its parts in several regions share one."""
    return name.rpartition(".")[2] if spec.regions else name


def plan_job(
    name: str,
    spec: TrainingSpec,
    node: Node,
    cap_w: float | None,
    horizon_s: float | None = None,
    outages: tuple[Outage, ...] = (),
) -> JobPlan:
    """Cost, length, saving and interruptions of a training job, or of its part at a site.

    Args:
        horizon_s: end of the run, for the step that it cuts. outages: when its power goes.
    """
    return plan_from(name, spec, training_setup(spec, cap_w), node, horizon_s, outages)


def plan_from(
    name: str,
    spec: TrainingSpec,
    setup: TrainingSetup,
    node: Node,
    horizon_s: float | None = None,
    outages: tuple[Outage, ...] = (),
) -> JobPlan:
    """The same for a setup of one's own: the spec says how it saves, fails and pauses."""
    cap_w = setup.cap_w
    parts = setup.regions.count if setup.regions else 1

    @cache
    def step_under(gpu_cap_w: float | None) -> TrainingStepCost:
        return _share(training_step(replace(setup, cap_w=gpu_cap_w), node), parts)

    step = step_under(cap_w)
    checkpoint, background_s = _saving(spec, setup, node)
    failures = _failures(spec, setup, node, checkpoint.time_s + background_s)
    interval_s = spec.checkpoint.interval_s
    if spec.checkpoint.rule == "young-daly" and failures:
        interval_s = young_daly_interval_s(checkpoint.time_s, failures.rate_per_s)
        interval_s = max(interval_s, background_s / STORAGE_BUSY_FRAC)
    ramp = spec.smoothing.ramp_gpu_w_per_s
    return JobPlan(
        name=name,
        step=step,
        steps=_steps(spec, step.tokens * parts, step.model_flops * parts),
        checkpoint=checkpoint,
        checkpoint_interval_s=max(interval_s, background_s),
        idle_gpu_w=node.device.idle_w,
        failures=failures,
        step_under=step_under,
        cap_w=cap_w,
        limit_gpu_w=node.device.limit_w,
        floor_w=spec.smoothing.floor_gpu_w,
        fidelity=spec.fidelity,
        windows_ps=tuple((to_ps(w.from_s), to_ps(w.to_s)) for w in spec.windows),
        background_s=background_s,
        first_save_after_s=spec.checkpoint.first_after_s,
        pauses=_pauses(spec, step),
        maintenance=_maintenance(spec),
        stragglers=_stragglers(spec, setup, node),
        ramps=Ramps(math.inf if ramp is None else ramp, spec.smoothing.start_s),
        wait_w=node.device.active_w,
        until_ps=NEVER_PS if horizon_s is None else to_ps(horizon_s),
        outages=outages,
    )


def training_setup(spec: TrainingSpec, cap_w: float | None = None) -> TrainingSetup:
    """The whole job as the cost model sees it, over all its regions."""
    regions = spec.regions.to_regions() if spec.regions else None
    layout = spec.layout.to_layout()
    if regions:
        layout = replace(layout, dp=layout.dp * regions.count)
    return TrainingSetup(
        arch=arch.load(spec.arch),
        layout=layout,
        sequence_tokens=spec.sequence_tokens,
        global_batch_tokens=spec.global_batch_tokens,
        micro_batch_sequences=spec.micro_batch_sequences,
        recompute=spec.recompute,
        cap_w=cap_w,
        precision=spec.precision,
        context_parallel=spec.context_parallel,
        schedule=spec.schedule,
        dispatcher=spec.dispatcher,
        routed_nodes=spec.routed_nodes,
        multi_token=spec.multi_token,
        fabric=spec.network.to_fabric(),
        regions=regions,
    )


def _share(cost: TrainingStepCost, parts: int) -> TrainingStepCost:
    """One of equal parts of a job: the same step on fewer GPUs."""
    if parts == 1:
        return cost
    return replace(
        cost,
        gpus=cost.gpus // parts,
        tokens=cost.tokens // parts,
        model_flops=cost.model_flops / parts,
    )


def _steps(spec: TrainingSpec, step_tokens: int, step_flops: float) -> int:
    """Steps until the wanted tokens or model FLOPs are done; local SGD may need more of them."""
    tokens = spec.tokens if spec.target_loss is None else tokens_for_loss(spec)
    by_flops = (spec.budget_flops or 0.0) / step_flops
    steps = by_flops if tokens is None else tokens / step_tokens
    if spec.regions and spec.regions.mode == "local-sgd":
        steps /= data(ASSUMPTIONS)["local_sgd.token_efficiency_frac"].value
    return math.ceil(steps)


def tokens_for_loss(spec: TrainingSpec) -> float:
    """Tokens that reach the target loss by the scaling law.

    A mixture counts as a dense model of active^(1 - x) total^x parameters, x an assumption.

    Raises:
        InputError: no number of tokens reaches it.
    """
    count = parameters(arch.load(spec.arch))
    exponent = data(ASSUMPTIONS)["mixture.size_exponent"].value
    active = count.active_excl_input_embedding
    size = active ** (1 - exponent) * max(count.total, active) ** exponent
    return law(spec.scaling_law).tokens_for(spec.target_loss or 0.0, size)


def _saving(spec: TrainingSpec, setup: TrainingSetup, node: Node) -> tuple[Phase, float]:
    """What all GPUs wait for at a checkpoint, and what is written beside the steps, s.

    The storage is that which the job's GPUs pay for, unless its bandwidth is given.
    """
    servers = setup.layout.gpus * node.storage_servers_per_gpu
    bytes_per_s = spec.checkpoint.storage_bytes_per_s
    if bytes_per_s is None:
        bytes_per_s = servers * node.storage_write_bytes_per_s_per_server
    whole = checkpoint_bytes(setup.trained, setup.precision)
    write_s = whole / bytes_per_s
    if spec.checkpoint.mode == "synchronous":
        return Phase("checkpoint", write_s, node.device.active_w), 0.0
    layout = setup.layout
    writers = layout.tp * layout.pp * (layout.dp if layout.zero >= 1 else 1)
    copy_s = whole / writers / data(FAILURES)["checkpoint.snapshot_bytes_per_s"].value
    return Phase("checkpoint", copy_s, node.device.active_w), write_s


def _figure(given: float | None, name: str, figures: dict[str, Datum]) -> float:
    return figures[name].value if given is None else given


def _failures(
    spec: TrainingSpec, setup: TrainingSetup, node: Node, write_s: float
) -> Failures | None:
    """Interruptions of the job; a checkpoint is read as fast as it is written."""
    chosen = spec.failures
    if chosen.kind == "none":
        return None
    figures = data(FAILURES)
    reload = Phase("reload", write_s, node.device.active_w)
    repair_s = _figure(chosen.repair_h, "recovery.repair_h", figures) * S_PER_H
    spares = spare_nodes(spec, setup, node)
    if isinstance(chosen, FailuresByCause):
        causes = failure_causes(chosen, setup.layout.gpus, node)
        return by_cause(causes, reload, spares, repair_s)
    return _alike(chosen, setup, node, reload, spares, repair_s)


def _alike(
    chosen: PoissonFailures,
    setup: TrainingSetup,
    node: Node,
    reload: Phase,
    spares: int,
    repair_s: float,
) -> Failures:
    figures = data(FAILURES)
    mtbf_s = _figure(chosen.gpu_mtbf_h, "rate.gpu_mtbf_h", figures) * S_PER_H
    restart_s = _figure(chosen.restart_s, "recovery.restart_s", figures)
    return Failures(
        rate_per_s=setup.layout.gpus / mtbf_s,
        restart=Phase("restart", restart_s, node.device.idle_w),
        reload=reload,
        spare_nodes=spares,
        repair_s=repair_s,
    )


def spare_nodes(spec: TrainingSpec, setup: TrainingSetup, node: Node) -> int:
    """Nodes that the layout leaves over, of all parts of the job."""
    parts = setup.regions.count if setup.regions else 1
    return max(0, (spec.gpus or 0) * parts - setup.layout.gpus) // node.gpus


def failure_causes(chosen: FailuresByCause, gpus: int, node: Node) -> tuple[Cause, ...]:
    """Causes with the published counts, scaled to a number of GPUs or nodes."""
    figures = data(FAILURES)
    seconds = figures["published.days"].value * 24 * S_PER_H
    detect_s = _figure(chosen.detect_s, "recovery.detect_s", figures)
    swap_s = _figure(chosen.swap_s, "recovery.swap_s", figures)
    start_s = _figure(chosen.start_s, "recovery.start_s", figures)
    factor = chosen.rate_factor * figures["spread.cluster_factor"].value
    found = []
    for key, figure in figures.items():
        group, _, name = key.partition(".")
        if group != "count":
            continue
        if name in PER_GPU:
            rate = figure.value / figures["published.gpus"].value * gpus
        else:
            rate = figure.value / figures["published.nodes"].value * gpus / node.gpus
        takes_node = name != "software"
        time_s = detect_s + start_s + (swap_s if takes_node else 0.0)
        restart = Phase("restart", time_s, node.device.idle_w)
        found.append(Cause(name, rate / seconds * factor, restart, takes_node))
    return tuple(found)


def _pauses(spec: TrainingSpec, step: TrainingStepCost) -> tuple[Pause, ...]:
    """Evaluations, at the power of forward; averages over regions."""
    found = []
    if spec.evaluation:
        power_w = next(p.gpu_power_w for p in step.parts if p.name == "forward")
        phase = Phase("evaluate", spec.evaluation.time_s, power_w)
        found.append(Pause(phase, spec.evaluation.every_steps))
    if step.average:
        part = step.average
        phase = Phase(part.name, part.time_s, part.gpu_power_w)
        found.append(Pause(phase, step.average_steps))
    return tuple(found)


def _maintenance(spec: TrainingSpec) -> Maintenance | None:
    if spec.maintenance is None:
        return None
    figures = data(FAILURES)
    return Maintenance(
        _figure(spec.maintenance.interval_h, "planned.interval_h", figures) * S_PER_H,
        _figure(spec.maintenance.duration_s, "planned.duration_s", figures),
    )


def _stragglers(spec: TrainingSpec, setup: TrainingSetup, node: Node) -> Stragglers | None:
    if spec.stragglers is None:
        return None
    figures = data(FAILURES)
    mtbf_s = _figure(spec.stragglers.node_mtbf_h, "stragglers.node_mtbf_h", figures) * S_PER_H
    return Stragglers(
        rate_per_s=setup.layout.gpus / node.gpus / mtbf_s,
        slow_frac=_figure(spec.stragglers.slow_frac, "stragglers.slow_frac", figures),
        detect_s=_figure(spec.stragglers.detect_s, "stragglers.detect_s", figures),
    )
