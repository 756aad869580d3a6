"""Time, energy and memory of one training step, part by part.

A step runs `m` micro-batches through `pp` stages of a 1F1B pipeline with `v` model chunks a
GPU: bubble over useful time = (pp - 1) / (v m) (Narayanan et al. 2021,
doi:10.1145/3458817.3476209, section 2.2). Then gradients are reduced over dp and the
optimiser runs. Stages are taken as equal (the embedding and the head are spread over all).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sim.cost.layout import Layout, check_layout
from sim.cost.roofline import Floats, GpuWork, gpu_work, shard
from sim.cost.training_memory import check_training_memory, gpu_parameters
from sim.cost.training_setup import TrainingSetup
from sim.datum import datum
from sim.flops import compile_step
from sim.flops.training import BACKWARD, backward_factor
from sim.hardware.collectives import Transfer, all_gather, all_reduce, all_to_all, reduce_scatter
from sim.hardware.power import active_power_w, clock_for_cap

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.hardware.device import Device
    from sim.hardware.node import Node

ASSUMPTIONS = "training/assumptions.yaml"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a step, on one GPU (the mean over the job's GPUs)."""

    name: str
    phase: str
    time_s: float
    gpu_power_w: float
    matmul_flops: float = 0.0
    hbm_bytes: float = 0.0
    link_bytes: float = 0.0

    @property
    def energy_j(self) -> float:
        """Chip energy of one GPU."""
        return self.time_s * self.gpu_power_w


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a step during which the job's power is taken as constant."""

    name: str
    time_s: float
    gpu_power_w: float


@dataclass(frozen=True, slots=True)
class TrainingStepCost:
    """The cost of an optimiser step: its parts, and what follows from them.

    Attributes:
        model_flops: 3 x the forward matrix FLOPs of all tokens, no recomputation (causal).
        gpu_memory_bytes: largest memory of a GPU, by what takes it.
        clock_frac: clock of the compute parts over the nominal one.
    """

    parts: tuple[Part, ...]
    gpus: int
    tokens: int
    model_flops: float
    gpu_memory_bytes: dict[str, float]
    clock_frac: float
    peak_flops: float

    @property
    def time_s(self) -> float:
        """Duration of the step."""
        return sum(p.time_s for p in self.parts)

    @property
    def energy_j(self) -> float:
        """Chip energy of all GPUs."""
        return self.gpus * sum(p.energy_j for p in self.parts)

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation, of the dense bf16 peak."""
        return self.model_flops / (self.time_s * self.gpus * self.peak_flops)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The parts merged into stretches of constant power, in order."""
        names = list(dict.fromkeys(p.phase for p in self.parts))
        merged = []
        for name in names:
            parts = [p for p in self.parts if p.phase == name]
            time_s = sum(p.time_s for p in parts)
            if time_s > 0:
                merged.append(Phase(name, time_s, sum(p.energy_j for p in parts) / time_s))
        return tuple(merged)


def training_step(setup: TrainingSetup, node: Node) -> TrainingStepCost:
    """Cost of one optimiser step.

    Raises:
        InputError: the layout cannot divide the model.
        CapacityError: a GPU's memory does not hold it (says how many bytes are missing), or
            the power cap is below what the lowest clock draws.
    """
    check_layout(setup.arch, setup.layout, node)
    memory = check_training_memory(setup, node.device)
    forward = _forward(setup, node.device)
    compute, clock_frac = _compute_parts(setup, forward, node.device)
    busy = (*compute, *_exchange_parts(setup, forward, node))
    bubble = _bubble(setup, busy, node.device)
    compute_s = sum(p.time_s for p in compute)
    parts = (*busy, bubble, *_synchronise_parts(setup, node, compute_s))
    return TrainingStepCost(
        parts=tuple(_under_cap(part, setup.cap_w, node.device) for part in parts),
        gpus=setup.layout.gpus,
        tokens=setup.step_tokens,
        model_flops=3 * forward.model_flops * setup.micro_batches * setup.layout.dp,
        gpu_memory_bytes=memory,
        clock_frac=clock_frac,
        peak_flops=node.device.matmul_bf16_flops,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Forward:
    """One micro-batch through the whole model, logits at every position.

    Args:
        work: of one GPU, if it held all layers.
        backward: FLOPs of the backward pass over those of the forward one, by row.
        model_flops: matrix FLOPs of the replica.
    """

    work: GpuWork
    backward: Floats
    model_flops: float
    all_reduces: float
    dispatch_bytes: float


def _forward(setup: TrainingSetup, device: Device) -> _Forward:
    # Only these parts of a layout matter here, so a search shares the work.
    ways = Layout(tp=setup.layout.tp, ep=setup.layout.ep)
    return _micro_batch(
        setup.arch, ways, setup.micro_batch_sequences, setup.sequence_tokens, device
    )


@lru_cache(maxsize=1024)
def _micro_batch(
    arch: Architecture, ways: Layout, sequences: int, tokens: int, device: Device
) -> _Forward:
    program = compile_step(arch)
    values = program.evaluate(program.uniform_features(sequences, tokens, 0, tokens))
    sharding = shard(program, device, ways, sequence_parallel=True)
    return _Forward(
        work=gpu_work(values, sharding),
        backward=np.array([backward_factor(name, "flash") for name in program.name]),
        model_flops=float((values["flops"] * sharding.matmul).sum()),
        all_reduces=float(program.layers[program.all_reduce_after].sum()),
        dispatch_bytes=float(values["dispatch_bytes"].sum()),
    )


def _compute_parts(
    setup: TrainingSetup, forward: _Forward, device: Device
) -> tuple[tuple[Part, ...], float]:
    """Forward, recomputation and backward of all micro-batches; and the lowest clock used."""
    passes = {
        "forward": forward.work,
        "backward": forward.work.scaled(forward.backward, BACKWARD),
    }
    if setup.recompute == "full":
        passes["recompute"] = forward.work
    # Each GPU holds 1/pp of the layers and sees every micro-batch of its pipeline.
    repeats = setup.micro_batches / setup.layout.pp
    timed = [_compute_part(n, w, repeats, setup, device) for n, w in passes.items()]
    return tuple(part for part, _ in timed), min(clock for _, clock in timed)


def _compute_part(
    name: str, work: GpuWork, repeats: float, setup: TrainingSetup, device: Device
) -> tuple[Part, float]:
    """One pass of all micro-batches, at the clock that keeps the cap."""
    nominal_w = _utilisation_power_w(work, float(work.time_s().sum()), device)
    clock = 1.0 if setup.cap_w is None else clock_for_cap(device, nominal_w, setup.cap_w)
    part = Part(
        name=name,
        phase="pipeline",
        time_s=float(work.time_s(clock).sum()) * repeats,
        gpu_power_w=nominal_w if setup.cap_w is None else min(nominal_w, setup.cap_w),
        matmul_flops=float(work.matmul_flops.sum()) * repeats,
        hbm_bytes=float(work.hbm_bytes.sum()) * repeats,
    )
    return part, clock


def _under_cap(part: Part, cap_w: float | None, device: Device) -> Part:
    """Waiting and moving bytes under a cap: the clock falls, the time stays."""
    if cap_w is None or part.gpu_power_w <= cap_w:
        return part
    clock_for_cap(device, part.gpu_power_w, cap_w)
    return replace(part, gpu_power_w=cap_w)


def _utilisation_power_w(work: GpuWork, time_s: float, device: Device) -> float:
    return active_power_w(
        device,
        float(work.matmul_flops.sum()) / time_s / device.matmul_bf16_flops,
        float(work.hbm_bytes.sum()) / time_s / device.hbm_bytes_per_s,
    )


def _exchange_parts(setup: TrainingSetup, forward: _Forward, node: Node) -> tuple[Part, ...]:
    """Exchanges within a pipeline stage: tensor parallel (exposed) and experts (part hidden).

    Forward and backward each do the forward's exchanges once.
    """
    layout = setup.layout
    repeats = 2 * setup.micro_batches / layout.pp
    tokens = setup.micro_batch_sequences * setup.sequence_tokens
    reduce = all_reduce(tokens * setup.arch.hidden * 2.0, layout.tp, layout.tp_link(node))
    parts = [
        _link_part(
            "tensor parallel", "pipeline", reduce, repeats * forward.all_reduces, node.device
        )
    ]
    if layout.ep > 1:
        # The tp GPUs of a replica share its tokens, so each sends its part of the payload.
        exchange = all_to_all(forward.dispatch_bytes / layout.tp, layout.ep, layout.ep_link(node))
        exposed = 1 - datum(ASSUMPTIONS, "overlap.expert_frac").value
        parts.append(
            _link_part("expert exchange", "pipeline", exchange, repeats * exposed, node.device)
        )
    return tuple(parts)


def _link_part(name: str, phase: str, transfer: Transfer, repeats: float, device: Device) -> Part:
    """A part in which a GPU only moves bytes over its links (each byte leaves and enters HBM)."""
    if transfer.time_s == 0 or repeats == 0:
        return Part(name, phase, 0.0, device.active_w)
    hbm_bytes = 2 * transfer.link_bytes
    memory_util = min(1.0, hbm_bytes / transfer.time_s / device.hbm_bytes_per_s)
    return Part(
        name=name,
        phase=phase,
        time_s=transfer.time_s * repeats,
        gpu_power_w=active_power_w(device, 0.0, memory_util),
        hbm_bytes=hbm_bytes * repeats,
        link_bytes=transfer.link_bytes * repeats,
    )


def _bubble(setup: TrainingSetup, busy: tuple[Part, ...], device: Device) -> Part:
    """Waiting at the ends of the pipeline, at the power of a GPU that polls."""
    layout = setup.layout
    share = (layout.pp - 1) / (layout.virtual_stages * setup.micro_batches)
    time_s = share * sum(p.time_s for p in busy)
    return Part("bubble", "pipeline", time_s, device.active_w)


def _synchronise_parts(setup: TrainingSetup, node: Node, compute_s: float) -> tuple[Part, ...]:
    """The exposed part of the gradient and weight exchange, and the optimiser.

    Up to ZeRO 1 gradients are reduced and weights gathered once a step. ZeRO 2 keeps no
    whole gradient, so every micro-batch reduces its own; ZeRO 3 keeps no whole weights, so
    every micro-batch gathers them for forward and for backward (Rajbhandari et al. 2020,
    section 7). What is hidden is hidden behind compute, so at most as long as that takes.
    """
    layout, device = setup.layout, node.device
    held = gpu_parameters(setup.arch, layout)
    link = layout.dp_link(node)
    gradient_bytes = datum(ASSUMPTIONS, "bytes_per_parameter.gradient").value
    weight_bytes = datum(ASSUMPTIONS, "bytes_per_parameter.weight").value
    reduces = setup.micro_batches if layout.zero >= 2 else 1
    gathers = 2 * setup.micro_batches if layout.zero == 3 else 1
    reduce = reduce_scatter(held.total * gradient_bytes, layout.dp, link)
    gather = all_gather(held.total * weight_bytes, layout.dp, link)
    both = Transfer(
        reduce.time_s * reduces + gather.time_s * gathers,
        reduce.link_bytes * reduces + gather.link_bytes * gathers,
    )
    hidden_s = min(datum(ASSUMPTIONS, "overlap.gradient_frac").value * both.time_s, compute_s)
    exposed = 1 - hidden_s / both.time_s if both.time_s else 0.0
    traffic = datum(ASSUMPTIONS, "bytes_per_parameter.optimiser_traffic").value
    owned = held.total / (layout.dp if layout.zero >= 1 else 1)
    optimiser_s = owned * traffic / (device.hbm_bytes_per_s * device.hbm_frac)
    return (
        _link_part("gradient exchange", "synchronise", both, exposed, device),
        Part(
            "optimiser",
            "synchronise",
            optimiser_s,
            active_power_w(device, 0.0, device.hbm_frac),
            hbm_bytes=owned * traffic,
        ),
    )
