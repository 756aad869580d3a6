"""Training jobs of a scenario: from their spec to what the simulation runs."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

from sim import arch
from sim.cluster.training import Failures, JobPlan, young_daly_interval_s
from sim.cost.training import Phase, TrainingStepCost, training_step
from sim.cost.training_memory import checkpoint_bytes
from sim.cost.training_setup import TrainingSetup
from sim.datum import data
from sim.hardware.node import Node
from sim.scenario.schema import TrainingSpec
from sim.units import S_PER_H

FAILURES = "training/failures.yaml"


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

    @cache
    def step_under(gpu_cap_w: float | None) -> TrainingStepCost:
        return training_step(replace(setup, cap_w=gpu_cap_w), node)

    step = step_under(cap_w)
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
        step_under=step_under,
        cap_w=cap_w,
        limit_gpu_w=node.device.limit_w,
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
