"""Memory of the fullest GPU of a training job, and the parameters that a GPU holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sim.arch.blocks import DenseFFN, LatentAttention, MoE, Norms
from sim.datum import data
from sim.errors import CapacityError
from sim.flops import parameters
from sim.flops.activations import ELEMENT_BYTES, activation_bytes
from sim.units import gib

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.layout import Layout
    from sim.cost.training_setup import TrainingSetup
    from sim.hardware.device import Device

ASSUMPTIONS = "training/assumptions.yaml"
FP8_ELEMENT = 0.5
"""Activations kept in fp8 over bf16 (DeepSeek-V3 report, arXiv 2412.19437, section 3.3.3)."""


@dataclass(frozen=True, slots=True)
class HeldParameters:
    """Parameters of one GPU of the fullest stage, embedding and head spread over all stages."""

    dense: float
    expert: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.dense + self.expert


def fullest_stage(layers: int, stages: int) -> float:
    """Layers of the fullest pipeline stage over the mean; 1 where they divide evenly."""
    return math.ceil(layers / stages) * stages / layers


def gpu_parameters(arch: Architecture, layout: Layout, *, of_mean: bool = False) -> HeldParameters:
    """Parameters that a GPU of the fullest stage works with before ZeRO shards them further.

    Dense parameters are divided by tp and pp, routed experts by pp and the larger of tp, ep.
    The fullest stage has more layers than the mean, embedding and head are spread evenly.

    Args:
        of_mean: of a GPU of the mean stage instead.
    """
    count = parameters(arch)
    tables = count.total - count.matrices - count.vectors
    blocks = count.total - count.routed_experts - tables
    fullest = 1.0 if of_mean else fullest_stage(arch.n_layers, layout.pp)
    return HeldParameters(
        dense=(blocks * fullest + tables) / (layout.tp * layout.pp),
        expert=count.routed_experts / (max(layout.tp, layout.ep) * layout.pp) * fullest,
    )


def training_memory(setup: TrainingSetup) -> dict[str, float]:
    """Bytes of the fullest GPU, by what takes them.

    ZeRO shards over the GPUs that hold the same parameters: dp of them for dense ones,
    tp x dp / max(tp, ep) for experts (Rajbhandari et al. 2020,
    doi:10.1109/SC41405.2020.00024). DualPipe holds two copies of the weights and gradients,
    one for each direction (DeepSeek-V3 report, arXiv 2412.19437, table 2).
    """
    layout = setup.layout
    held = gpu_parameters(setup.trained, layout)
    expert_copies = layout.tp * layout.dp / max(layout.tp, layout.ep)
    copies = 2.0 if setup.schedule == "dualpipe" else 1.0

    def sharded(name: str, stage: int) -> float:
        per_parameter = bytes_per_parameter(setup.precision, name)
        if layout.zero < stage:
            return per_parameter * held.total
        return per_parameter * (held.dense / layout.dp + held.expert / expert_copies)

    states = {
        "weights": sharded("weight", 3) * copies,
        "gradients": sharded("gradient", 2) * copies,
        "optimiser": sharded("optimiser", 1),
    }
    stages = stage_activations(setup)
    return states | max(stages.values(), key=lambda kept: sum(kept.values()))


def stage_activations(setup: TrainingSetup) -> dict[str, dict[str, float]]:
    """What the first and the last pipeline stage keep for backward; those between keep less.

    The last has one micro-batch of its own layers, and the logits with their gradients.
    """
    first = _activations(setup)
    pp, tp = setup.layout.pp, setup.layout.tp
    logits = setup.micro_batch_tokens * setup.arch.vocab / tp
    logits *= data(ASSUMPTIONS)["bytes_per_logit"].value
    if pp == 1:
        return {"only": {"activations": first, "logits": logits}}
    share = 1 / pp / _in_flight(setup)
    return {
        "first": {"activations": first, "logits": 0.0},
        "last": {"activations": first * share, "logits": logits},
    }


def bytes_per_parameter(precision: str, name: str) -> float:
    """Bytes of a parameter's weight, gradient or optimiser state."""
    own = f"bytes_per_parameter.{name}_{precision}"
    entries = data(ASSUMPTIONS)
    return (entries[own] if own in entries else entries[f"bytes_per_parameter.{name}"]).value


def _in_flight(setup: TrainingSetup) -> float:
    """Micro-batches of the whole model that the first stage holds its layers of, over pp."""
    layout = setup.layout
    v, pp, m = layout.virtual_stages, layout.pp, setup.micro_batches
    share = 1.0
    if setup.schedule == "dualpipe":
        share = (pp + 1) / pp
    elif v > 1:
        share = 1 + (pp - 1) / (pp * v)
    return min(share, m / pp)


def _activations(setup: TrainingSetup) -> float:
    """What the first pipeline stage keeps for backward.

    It holds the activations of `pp` micro-batches of its own layers, that is of one
    micro-batch of all layers; interleaved more: (pp - 1) / (pp v) of one (Narayanan et al.
    2021, doi:10.1145/3458817.3476209, section 2.2); DualPipe pp + 1 (DeepSeek-V3 report,
    table 2). No more than all `m` micro-batches.
    """
    kept = activation_bytes(
        setup.trained,
        setup.micro_batch_sequences,
        setup.sequence_tokens,
        setup.recompute,
        tp=setup.layout.tp,
    )
    if setup.recompute == "selective":
        kept -= _cheap_to_redo(setup)
    element = FP8_ELEMENT if setup.precision == "fp8" else 1.0
    fullest = fullest_stage(setup.trained.n_layers, setup.layout.pp)
    return kept * _in_flight(setup) * fullest * element / setup.context_parallel


def _cheap_to_redo(setup: TrainingSetup) -> float:
    """Bytes of what selective recomputation makes again from its neighbours."""
    tokens = setup.micro_batch_sequences * setup.sequence_tokens
    return ELEMENT_BYTES * tokens * _redone_elements(setup.trained) / setup.layout.tp


@lru_cache(maxsize=256)
def _redone_elements(arch: Architecture) -> float:
    """Elements a token that selective recomputation makes again, all layers.

    The product of gate and value from both, and the outputs of norms from their inputs
    (Korthikanti et al. 2022, arXiv 2205.05198, section 5, chose the scores; DeepSeek-V3
    report, section 3.2.3, drops norms, the products of gated layers, and the queries, keys and
    values that latent attention projects up).
    """
    elements = 0.0
    for block, invocations, _ in arch.blocks():
        if isinstance(block, DenseFFN) and block.gated:
            elements += invocations * block.width
        elif isinstance(block, MoE) and block.gated:
            elements += invocations * (block.top_k * block.width + block.shared_width)
        elif isinstance(block, Norms):
            elements += invocations * block.width * block.count
        elif isinstance(block, LatentAttention):
            keys = block.nope_dim + block.rope_dim
            elements += invocations * block.n_heads * (2 * keys + block.v_dim)
    return elements


def check_training_memory(setup: TrainingSetup, device: Device) -> dict[str, float]:
    """Memory of the fullest GPU.

    Raises:
        CapacityError: it does not fit; says how many bytes are missing and what takes them.
    """
    parts = training_memory(setup)
    missing = sum(parts.values()) - device.usable_bytes
    if missing > 0:
        taken = ", ".join(f"{name} {gib(value)}" for name, value in parts.items())
        raise CapacityError(
            f"{setup.arch.name} does not fit: a GPU lacks {gib(missing)} ({missing:.0f} bytes) "
            f"of {gib(device.usable_bytes)} usable ({taken})",
            "raise tp, pp, ep or zero, recompute more, or use a smaller micro batch",
            path="layout",
        )
    return parts


def checkpoint_bytes(arch: Architecture, precision: str = "bf16") -> float:
    """Bytes of a checkpoint: weights and optimiser state of all parameters."""
    per_parameter = sum(bytes_per_parameter(precision, name) for name in ("weight", "optimiser"))
    return parameters(arch).total * per_parameter
