"""A made-up GPU for a trial of `flopgrid calibrate` without one, and for its tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.hardware.power import clock_for_cap
from sim.validation.calibrate import CLASSES, Kernel, Measurement

if TYPE_CHECKING:
    from sim.hardware.device import Device

LAUNCH_S = 4e-6
"""An empty kernel, launched one after the other."""
CLOCK_MHZ = 1980.0
"""Of kernels below the power limit."""


@dataclass(frozen=True, slots=True)
class MadeBackend:
    """A roofline of a device's own figures, with a linear power law."""

    device: Device

    def describe(self) -> dict[str, str]:
        """Says that nothing was measured."""
        return {"GPU": f"made up from {self.device.name}", "driver": "none"}

    def limit_w(self) -> float:
        """The device's limit."""
        return self.device.limit_w

    def idle_w(self) -> float:
        """The device's idle power."""
        return self.device.idle_w

    def measure(self, kernel: Kernel) -> Measurement:
        """The larger of compute and memory time; power by the device's figures.

        A kernel that would pass the limit runs at the clock that keeps it.
        """
        device = self.device
        frac = device.attention_frac if kernel.kind == "attention" else device.matmul_frac
        flops = 0.0 if kernel.kind == "scan" else kernel.flops
        compute_s = flops / (frac * device.matmul_bf16_flops)
        memory_s = kernel.hbm_bytes / (device.hbm_frac * device.hbm_bytes_per_s)
        time_s = max(LAUNCH_S, compute_s, memory_s)
        spent_j = device.flop_j * flops + device.hbm_byte_j * kernel.hbm_bytes
        power_w = device.static_w + self._class_w(kernel) + spent_j / time_s
        clock_frac = clock_for_cap(device, power_w, device.limit_w)
        time_s = max(LAUNCH_S, compute_s / clock_frac, memory_s)
        power_w = min(power_w, device.limit_w)
        return Measurement(kernel, time_s, power_w, power_w, CLOCK_MHZ * clock_frac)

    def _class_w(self, kernel: Kernel) -> float:
        name = CLASSES.get(kernel.kind)
        return 0.0 if name is None else float(getattr(self.device, name))
