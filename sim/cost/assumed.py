"""What the cost of a step assumes: one line each, for every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sim.cost.steps import StepModel
    from sim.hardware.device import Device

NOT_OF_STEPS: Final = (
    "efficiency.", "overhead.", "power.active_w", "power.sqrt_", "power.unloaded_w",
    "power.loading_w",
)  # fmt: skip
"""Figures of a device that serving steps do not use: kernels and engines have their own, and a
replica that steps has its model loaded."""


def gpu_lines(device: Device) -> list[str]:
    """Whether the GPU is calibrated; first, so that nobody overlooks it."""
    if device.calibrated:
        return []
    return [f"{device.name} is UNCALIBRATED: {device.basis}"]


def assumption_lines(model: StepModel) -> list[str]:
    """All assumptions behind a step: GPU, node links, engine, model."""
    device = model.node.device
    used = [f for f in device.figures if not f.name.startswith(NOT_OF_STEPS)]
    links = [f for f in model.node.figures if f.name.startswith("links.")]
    figures = [*used, *links, *model.engine.figures, *model.arch.assumptions]
    return [
        *gpu_lines(device),
        "energy is that of the GPUs (chip boundary): no host, fans, cooling",
        *(f.describe() for f in figures if f.is_assumption),
    ]
