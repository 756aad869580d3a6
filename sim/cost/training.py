"""Time, energy and memory of one training step, part by part.

A step runs `m` micro-batches through `pp` stages of a 1F1B pipeline with `v` model chunks a
GPU: bubble over useful time = (pp - 1) / (v m) (Narayanan et al. 2021,
doi:10.1145/3458817.3476209, section 2.2); DualPipe has (pp / 2 - 1) (F + 2 B - 3 W) and
zero-bubble ZB1P (pp - 1) (F + B - 2 W) with F forward, B whole backward and W the part of it
that makes the gradients of weights (DeepSeek-V3 report, arXiv 2412.19437, table 2). Then
gradients are reduced over dp and the optimiser runs. The embedding and the head are spread over
all stages; where layers do not divide evenly, the fullest stage sets the pace; and in a
synchronous step the slowest GPU does (`training_pace`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.layout import check_layout
from sim.cost.training_exchange import (
    expert_exchange,
    gradient_exchange,
    region_exchange,
    sorting_bytes,
)
from sim.cost.training_kernels import MicroBatch, Pass, micro_batch
from sim.cost.training_memory import check_training_memory, fullest_stage, gpu_parameters
from sim.cost.training_pace import slowest_frac, unpaired_share
from sim.cost.training_phases import Part, Phase, phases_of
from sim.cost.training_setup import TrainingSetup, check_setup
from sim.datum import datum
from sim.hardware.collectives import Transfer, all_gather, all_reduce
from sim.hardware.power import capped_power_w, clock_for_cap

if TYPE_CHECKING:
    from sim.hardware.device import Device
    from sim.hardware.node import Node

__all__ = ["Part", "Phase", "TrainingStepCost", "least_cap_w", "training_step"]
ASSUMPTIONS = "training/assumptions.yaml"
NODE_EXPERTS = 8
"""Experts on more GPUs than this exchange over the network, on processors of the GPU."""


@dataclass(frozen=True, slots=True)
class TrainingStepCost:
    """The cost of an optimiser step: its parts, and what follows from them.

    Attributes:
        model_flops: 3 x the forward matrix FLOPs of all tokens, no recomputation (causal).
        gpu_memory_bytes: largest memory of a GPU, by what takes it.
        clock_frac: clock of the compute parts over the nominal one.
        stages: of the pipeline. forward_frac: share of a micro-batch's time that is forward.
        average: what local SGD does after every `average_steps` steps; None without.
    """

    parts: tuple[Part, ...]
    gpus: int
    tokens: int
    model_flops: float
    gpu_memory_bytes: dict[str, float]
    clock_frac: float
    peak_flops: float
    stages: int = 1
    forward_frac: float = 1 / 3
    average: Part | None = None
    average_steps: int = 0

    @property
    def time_s(self) -> float:
        """Duration of the step."""
        return sum(p.time_s for p in self.parts)

    @property
    def mean_time_s(self) -> float:
        """Duration with its share of the averaging of local SGD."""
        extra_s = self.average.time_s / self.average_steps if self.average else 0.0
        return self.time_s + extra_s

    @property
    def energy_j(self) -> float:
        """Chip energy of all GPUs."""
        return self.gpus * sum(p.energy_j for p in self.parts)

    @property
    def mfu(self) -> float:
        """Model FLOPs utilisation, of the dense bf16 peak."""
        return self.model_flops / (self.mean_time_s * self.gpus * self.peak_flops)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The step as stretches of constant power of the whole job, in order."""
        return phases_of(self.parts, self.stages, self.forward_frac)


def training_step(setup: TrainingSetup, node: Node) -> TrainingStepCost:
    """Cost of one optimiser step.

    Raises:
        InputError: the layout cannot divide the model.
        CapacityError: a GPU's memory does not hold it (says how many bytes are missing), or
            the power cap is below what the lowest clock draws.
    """
    check_layout(setup.trained, setup.layout, node)
    check_setup(setup)
    memory = check_training_memory(setup, node.device)
    return step_without_memory_check(setup, node, memory)


def step_without_memory_check(
    setup: TrainingSetup, node: Node, memory: dict[str, float]
) -> TrainingStepCost:
    """The same for a setup that is known to fit."""
    device = node.device
    batch = micro_batch(setup, device)
    compute, clock_frac = _compute_parts(setup, batch, device)
    busy = (*compute, *exchange_parts(setup, batch, node))
    times_s = {part.name: part.time_s for part in busy}
    forward_frac = _forward_share(busy, _passes(setup))
    weights_s = times_s["backward"] * batch.weight_share
    bubble_s = _bubble_s(setup, times_s["forward"], weights_s, busy)
    bubble = Part("bubble", "pipeline", bubble_s, device.active_w)
    waits = (_uneven(setup, busy, device), bubble)
    compute_s = sum(part.time_s for part in compute)
    after, average = _synchronise_parts(setup, node, compute_s)
    parts = tuple(_under_cap(part, setup.cap_w, device) for part in (*busy, *waits, *after))
    return TrainingStepCost(
        parts=parts,
        gpus=setup.layout.gpus,
        tokens=setup.step_tokens,
        model_flops=3 * batch.model_flops * setup.micro_batches * setup.replicas,
        gpu_memory_bytes=memory,
        clock_frac=clock_frac,
        peak_flops=device.matmul_bf16_flops,
        stages=setup.layout.pp,
        forward_frac=forward_frac,
        average=average and _under_cap(average, setup.cap_w, device),
        average_steps=setup.regions.local_steps if setup.regions and average else 0,
    )


def least_cap_w(setup: TrainingSetup, node: Node) -> float:
    """Lowest power cap that the job can run under: what its hungriest part draws at least."""
    batch = micro_batch(setup, node.device)
    passes = (batch.forward, batch.backward)
    device = node.device
    return max(capped_power_w(device, p.power_w(device), device.min_clock_frac) for p in passes)


def _compute_parts(
    setup: TrainingSetup, batch: MicroBatch, device: Device
) -> tuple[tuple[Part, ...], float]:
    """Forward, recomputation and backward of all micro-batches; and the lowest clock used."""
    passes = {"forward": batch.forward, "backward": batch.backward}
    if setup.recompute != "none":
        passes["recompute"] = batch.forward if setup.recompute == "full" else batch.redone
    # Each GPU holds 1/pp of the layers and sees every micro-batch of its pipeline.
    repeats = setup.micro_batches / setup.layout.pp
    slower = 1.0
    if setup.schedule == "dualpipe" and setup.layout.ep > NODE_EXPERTS:
        alone = unpaired_share(setup)
        slower = alone + (1 - alone) / (1 - _figure("overlap.exchange_processors_frac"))
    timed = [_compute_part(n, w, repeats * slower, setup, device) for n, w in passes.items()]
    return tuple(part for part, _ in timed), min(clock for _, clock in timed)


def _compute_part(
    name: str, work: Pass, repeats: float, setup: TrainingSetup, device: Device
) -> tuple[Part, float]:
    """One pass of all micro-batches, at the clock that keeps the limit."""
    own_s, power_w, clock = work.at_limit(device, setup.cap_w)
    slowest = slowest_frac(setup.layout.gpus)
    time_s = own_s * work.time_s(clock / (1 + slowest)) / work.time_s(clock)
    part = Part(
        name=name,
        phase="pipeline",
        time_s=time_s * repeats,
        gpu_power_w=(power_w * own_s + device.active_w * (time_s - own_s)) / time_s,
        matmul_flops=work.matmul_flops * repeats,
        hbm_bytes=work.hbm_bytes * repeats,
    )
    return part, clock


def _under_cap(part: Part, cap_w: float | None, device: Device) -> Part:
    """Waiting and moving bytes under a cap: the clock falls, the time stays."""
    if cap_w is None or part.gpu_power_w <= cap_w:
        return part
    clock_for_cap(device, part.gpu_power_w, cap_w)
    return replace(part, gpu_power_w=cap_w)


def exchange_parts(setup: TrainingSetup, batch: MicroBatch, node: Node) -> tuple[Part, ...]:
    """Exposed exchanges within a pipeline stage, and what they do to memory.

    Forward and backward each do them once, and so does a forward pass that is made again.
    """
    layout = setup.layout
    repeats = _passes(setup) * setup.micro_batches / layout.pp
    width_bytes = setup.micro_batch_tokens * setup.arch.hidden * 2.0
    reduce = all_reduce(width_bytes, layout.tp, layout.tp_link(node))
    exposed = 1 - _figure("overlap.tensor_frac")
    parts = [_link_part("tensor parallel", reduce, repeats * batch.all_reduces * exposed, node)]
    if layout.pp > 1:
        link = node.nvlink if layout.gpus <= node.gpus else node.network
        sent = width_bytes / layout.tp
        hop = Transfer(link.latency_s + sent / link.bytes_per_s, sent)
        hops = 2.0 * setup.micro_batches * layout.virtual_stages
        parts.append(_link_part("stage hand-over", hop, hops * (1 - _stage_overlap()), node))
    if setup.context_parallel > 1:
        ways = setup.context_parallel
        link = setup.fabric.ring(ways, layout.tp, node)
        keys = all_gather(batch.key_value_bytes / layout.tp, ways, link)
        shown = repeats * (1 - _figure("overlap.context_frac"))
        parts.append(_link_part("context parallel", keys, shown, node))
    if layout.ep > 1:
        exchange, shown = expert_exchange(setup, batch, node)
        parts.append(_link_part("expert exchange", exchange, repeats * shown, node))
    if batch.dispatch_bytes:
        moved = sorting_bytes(setup, batch) * repeats
        parts.append(_memory_part("expert sorting", "pipeline", moved, node.device))
    return tuple(parts)


def _passes(setup: TrainingSetup) -> int:
    """Times that a micro-batch passes through the layers: forward, backward, forward again."""
    return 3 if setup.recompute == "full" else 2


def _stage_overlap() -> float:
    return _figure("overlap.gradient_frac")


def _figure(name: str) -> float:
    return datum(ASSUMPTIONS, name).value


def _link_part(
    name: str, transfer: Transfer, repeats: float, node: Node, phase: str = "pipeline"
) -> Part:
    """A part in which a GPU only moves bytes over its links (each byte leaves and enters HBM).

    It polls meanwhile, so it draws what a GPU with a kernel but without load draws.
    """
    device = node.device
    if transfer.time_s == 0 or repeats == 0:
        return Part(name, phase, 0.0, device.active_w)
    hbm_bytes = 2 * transfer.link_bytes
    moved_j = hbm_bytes * device.hbm_byte_j + transfer.link_bytes * device.link_byte_j
    power_w = (device.active_w + moved_j / transfer.time_s) * (1 + device.model_error_frac)
    return Part(
        name=name,
        phase=phase,
        time_s=transfer.time_s * repeats,
        gpu_power_w=min(device.limit_w, power_w),
        hbm_bytes=hbm_bytes * repeats,
        link_bytes=transfer.link_bytes * repeats,
    )


def _forward_share(busy: tuple[Part, ...], passes: int) -> float:
    """Share of forward in a micro-batch; of the exchanges each pass has an equal part."""
    times_s = {part.name: part.time_s for part in busy}
    total_s = sum(times_s.values())
    exchanged_s = total_s - sum(times_s.get(n, 0.0) for n in ("forward", "backward", "recompute"))
    return (times_s["forward"] + exchanged_s / passes) / total_s


def _uneven(setup: TrainingSetup, busy: tuple[Part, ...], device: Device) -> Part:
    """Waiting for the stage that holds a layer more than the mean."""
    share = fullest_stage(setup.trained.n_layers, setup.layout.pp) - 1
    return Part("uneven stages", "pipeline", share * sum(p.time_s for p in busy), device.active_w)


def _bubble_s(
    setup: TrainingSetup, forward_s: float, weights_s: float, busy: tuple[Part, ...]
) -> float:
    """Waiting at the ends of the pipeline.

    Args:
        forward_s, weights_s: of all micro-batches, forward and the gradients of weights.
    """
    pp, m = setup.layout.pp, setup.micro_batches
    busy_s = sum(p.time_s for p in busy)
    backward_s = busy_s - forward_s
    if setup.schedule == "dualpipe":
        return (pp / 2 - 1) / m * max(0.0, forward_s + 2 * backward_s - 3 * weights_s)
    if setup.schedule == "zb1p":
        return (pp - 1) / m * max(0.0, forward_s + backward_s - 2 * weights_s)
    return (pp - 1) / (setup.layout.virtual_stages * m) * busy_s


def _synchronise_parts(
    setup: TrainingSetup, node: Node, compute_s: float
) -> tuple[tuple[Part, ...], Part | None]:
    """The exposed part of the gradient and weight exchange, the regions', and the optimiser."""
    device = node.device
    both, exposed = gradient_exchange(setup, node, compute_s)
    parts = [_link_part("gradient exchange", both, exposed, node, "exchange")]
    average = None
    if setup.regions:
        transfer, exposed = region_exchange(setup, compute_s)
        part = _link_part("region exchange", transfer, exposed, node, "regions")
        if setup.regions.mode == "local-sgd":
            average = replace(part, name="average over regions")
        else:
            parts.append(part)
    parts.append(_optimiser_part(setup, device))
    return tuple(parts), average


def _optimiser_part(setup: TrainingSetup, device: Device) -> Part:
    """Adam on the parameters of each GPU; those of other stages than the fullest wait for it."""
    layout = setup.layout
    held = gpu_parameters(setup.trained, layout).total
    busy_frac = gpu_parameters(setup.trained, layout, of_mean=True).total / held
    owned = held / (layout.dp if layout.zero >= 1 else 1)
    traffic = owned * _figure("bytes_per_parameter.optimiser_traffic")
    part = _memory_part("optimiser", "optimiser", traffic, device)
    mean_w = busy_frac * part.gpu_power_w + (1 - busy_frac) * device.active_w
    return replace(part, gpu_power_w=mean_w, hbm_bytes=part.hbm_bytes * busy_frac)


def _memory_part(name: str, phase: str, moved_bytes: float, device: Device) -> Part:
    """A part in which a GPU only moves bytes through its memory."""
    rate = device.hbm_bytes_per_s * device.hbm_frac
    power_w = (device.static_w + rate * device.hbm_byte_j) * (1 + device.model_error_frac)
    power_w = min(device.limit_w, power_w)
    return Part(name, phase, moved_bytes / rate, power_w, hbm_bytes=moved_bytes)
