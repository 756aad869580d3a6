"""A GPU: peaks, efficiencies, overheads and the power law, read from `sim/data/hardware`.

A GPU is a name of `DEVICES` or a device file of the user (`sim.hardware.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from sim.datum import Datum
from sim.errors import UnknownNameError
from sim.hardware.figures import (
    NODE_SECTIONS,
    Head,
    check_complete,
    is_file,
    over,
    read_file,
    shipped,
)

MatmulDtype = Literal["bf16", "fp8", "fp8_block", "w4"]


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU. Efficiencies are achieved over peak, 0..1; `figures` holds the sources.

    `idle_w` is with a model loaded, `unloaded_w` without a process on the GPU, `loading_w` while
    a model is read.

    Peaks are those of the data sheet (`sheet`), scaled where the GPU was measured to reach
    another share of them than the reference device (`at_reference_efficiency`).
    `calibrated`: times and powers were fitted on measurements of this GPU; else every answer
    says `basis`, the sentence on where they come from.
    """

    name: str
    matmul_bf16_flops: float
    matmul_fp8_flops: float
    vector_flops: float
    multiprocessors: float
    hbm_bytes_per_s: float
    memory_bytes: float
    reserved_bytes: float
    matmul_frac: float
    attention_frac: float
    vector_frac: float
    hbm_frac: float
    step_s: float
    sampling_s_per_logit: float
    tensor_parallel_s_per_layer: float
    limit_w: float
    idle_w: float
    unloaded_w: float
    loading_w: float
    active_w: float
    sqrt_compute_w: float
    sqrt_memory_w: float
    model_error_frac: float
    static_w: float
    flop_j: float
    hbm_byte_j: float
    link_byte_j: float
    sampling_w: float
    gemm_w: float
    block_gemm_w: float
    mixture_w: float
    block_mixture_w: float
    attention_w: float
    clock_exponent: float
    min_clock_frac: float
    figures: tuple[Datum, ...]
    calibrated: bool = True
    basis: str = ""

    @property
    def usable_bytes(self) -> float:
        """Memory left for weights, cache and activations."""
        return self.memory_bytes - self.reserved_bytes

    @property
    def busy_w(self) -> tuple[float, ...]:
        """Power above static while a kernel runs, by class: `sim.cost.kernels.BUSY`."""
        return (
            self.gemm_w, self.block_gemm_w, self.mixture_w, self.block_mixture_w,
            self.attention_w,
        )  # fmt: skip

    def sheet(self, name: str) -> float:
        """A figure as its source gives it: `peak.hbm_bytes_per_s`.

        Raises:
            UnknownNameError: the device has no such figure.
        """
        found = {figure.name: figure.value for figure in self.figures}
        if name not in found:
            raise UnknownNameError("figure", name, found)
        return found[name]

    def matmul_flops(self, dtype: MatmulDtype) -> float:
        """Peak matrix FLOP/s for a precision."""
        return self.matmul_fp8_flops if dtype.startswith("fp8") else self.matmul_bf16_flops


DEVICES: Final = ("h100-sxm", "h200-sxm", "h800-sxm", "a100-80-sxm", "v100-sxm", "b200-sxm")
"""Names of the devices; each has a data file of its name."""

REFERENCE: Final = "h100-sxm"
"""The device that a file without `like` is like: the one that was fitted on measurements."""
UNMEASURED_POWER_ERROR_FRAC: Final = 0.25
"""Range of the power of a GPU without power measurements: an assumption, three times the
8.1 % that the fitted law misses by on models that it has not seen."""


def load_device(name: str = REFERENCE) -> Device:
    """A device by name, or from a device file.

    Raises:
        UnknownNameError: no such device.
        InputError: the file is wrong.
    """
    return _shipped_device(name) if not is_file(name) else _device(name)


@cache
def _shipped_device(name: str) -> Device:
    return _device(name)


def _device(name: str) -> Device:
    head = device_head(name)
    device = build_device(device_label(name), device_figures(name))
    if name != REFERENCE:
        device = at_reference_efficiency(device, _shipped_device(REFERENCE))
    return replace(device, calibrated=head.calibrated, basis=head.basis)


def at_reference_efficiency(device: Device, reference: Device) -> Device:
    """The same achieved rates, as peaks at which the reference's kernels would reach them.

    Kernel laws are shares of a peak that the reference reaches. A device that was measured to
    reach another share of its data sheet's peak gets that peak scaled; `sheet` keeps it.
    """
    compute = device.matmul_frac / reference.matmul_frac
    memory = device.hbm_frac / reference.hbm_frac
    return replace(
        device,
        matmul_bf16_flops=device.matmul_bf16_flops * compute,
        matmul_fp8_flops=device.matmul_fp8_flops * compute,
        hbm_bytes_per_s=device.hbm_bytes_per_s * memory,
        matmul_frac=reference.matmul_frac,
        attention_frac=device.attention_frac / compute,
        hbm_frac=reference.hbm_frac,
    )


def device_label(name: str) -> str:
    """What answers call a device: its name, or the stem of its file."""
    return Path(name).stem.removesuffix(".device") if is_file(name) else name


def device_head(name: str) -> Head:
    """Whether a device is calibrated, and what its figures rest on."""
    head, _ = _own(name)
    if head.basis or head.calibrated:
        return head
    like = head.like or REFERENCE
    return replace(
        head, basis=f"data-sheet peaks; efficiencies, overheads and shares of power of {like}"
    )


def device_figures(name: str) -> dict[str, Datum]:
    """All figures of a device, the gaps of its file filled from the device that it is like."""
    head, own = _own(name)
    own = {key: f for key, f in own.items() if key.split(".")[0] not in NODE_SECTIONS}
    if not head.like and not is_file(name):
        return own
    like = head.like or REFERENCE
    if like not in DEVICES:
        raise UnknownNameError("GPU", like, DEVICES, path="device.like")
    found = dict(over(own, device_figures(like), like))
    check_complete(own, name)
    if not head.calibrated and "power.model_error_frac" not in own:
        error = found["power.model_error_frac"]
        found[error.name] = _power_error(error, device_label(name), device_head(name).basis)
    return found


def _power_error(figure: Datum, label: str, basis: str) -> Datum:
    """The range of an unmeasured power; its source is where every answer says so."""
    return replace(
        figure,
        low=-UNMEASURED_POWER_ERROR_FRAC,
        high=UNMEASURED_POWER_ERROR_FRAC,
        distribution="uniform",
        source=f"assumption: {label} is UNCALIBRATED: {basis}",
    )


def _own(name: str) -> tuple[Head, dict[str, Datum]]:
    """Head and own figures of a name or file.

    Raises:
        UnknownNameError: neither.
    """
    if is_file(name):
        return read_file(Path(name))
    if name not in DEVICES:
        raise UnknownNameError("GPU", name, DEVICES)
    return shipped(name)


def build_device(name: str, figures: Mapping[str, Datum]) -> Device:
    """A device from its figures, for example sampled ones."""
    values: dict[str, Any] = {key.split(".")[-1]: figure.value for key, figure in figures.items()}
    return Device(name=name, figures=tuple(figures.values()), **values)
