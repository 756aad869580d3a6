"""Memory of the fullest GPU of a training job, and the parameters that a GPU holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.datum import datum
from sim.errors import CapacityError
from sim.flops import parameters
from sim.flops.activations import activation_bytes
from sim.units import gib

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.layout import Layout
    from sim.cost.training_setup import TrainingSetup
    from sim.hardware.device import Device

ASSUMPTIONS = "training/assumptions.yaml"


@dataclass(frozen=True, slots=True)
class HeldParameters:
    """Parameters of one GPU, stages taken as equal."""

    dense: float
    expert: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.dense + self.expert


def gpu_parameters(arch: Architecture, layout: Layout) -> HeldParameters:
    """Parameters that one GPU works with before ZeRO shards them further.

    Dense parameters are divided by tp and pp, routed experts by pp and the larger of tp, ep.
    """
    count = parameters(arch)
    dense = count.total - count.routed_experts
    return HeldParameters(
        dense=dense / (layout.tp * layout.pp),
        expert=count.routed_experts / (max(layout.tp, layout.ep) * layout.pp),
    )


def training_memory(setup: TrainingSetup) -> dict[str, float]:
    """Bytes of the fullest GPU, by what takes them.

    ZeRO shards over the GPUs that hold the same parameters: dp of them for dense ones,
    tp x dp / max(tp, ep) for experts (Rajbhandari et al. 2020,
    doi:10.1109/SC41405.2020.00024). The first stage of 1F1B holds the activations of `pp`
    micro-batches of its own layers, that is of one micro-batch of all layers (more when
    interleaved: Narayanan et al. 2021, doi:10.1145/3458817.3476209, section 2.2).
    """
    layout = setup.layout
    held = gpu_parameters(setup.arch, layout)
    expert_copies = layout.tp * layout.dp / max(layout.tp, layout.ep)

    def sharded(name: str, stage: int) -> float:
        per_parameter = datum(ASSUMPTIONS, f"bytes_per_parameter.{name}").value
        if layout.zero < stage:
            return per_parameter * held.total
        return per_parameter * (held.dense / layout.dp + held.expert / expert_copies)

    v, pp = layout.virtual_stages, layout.pp
    in_flight = min(1.0, setup.micro_batches / pp)
    interleaving = 1 + (pp - 1) / (pp * v) if v > 1 else 1.0
    all_layers_bytes = activation_bytes(
        setup.arch,
        setup.micro_batch_sequences,
        setup.sequence_tokens,
        setup.recompute,
        tp=layout.tp,
    )
    return {
        "weights": sharded("weight", 3),
        "gradients": sharded("gradient", 2),
        "optimiser": sharded("optimiser", 1),
        "activations": all_layers_bytes * in_flight * interleaving,
    }


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


def checkpoint_bytes(arch: Architecture) -> float:
    """Bytes of a checkpoint: weights and optimiser state of all parameters."""
    per_parameter = sum(
        datum(ASSUMPTIONS, f"bytes_per_parameter.{name}").value for name in ("weight", "optimiser")
    )
    return parameters(arch).total * per_parameter
