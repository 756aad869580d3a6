"""A GPU: peaks, efficiencies, overheads and the power law, read from `sim/data/hardware`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sim.datum import Datum, data
from sim.errors import UnknownNameError

MatmulDtype = Literal["bf16", "fp8", "fp8_block", "w4"]


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU. Efficiencies are achieved over peak, 0..1; `figures` holds the sources."""

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
    active_w: float
    sqrt_compute_w: float
    sqrt_memory_w: float
    model_error_frac: float
    static_w: float
    flop_j: float
    hbm_byte_j: float
    link_byte_j: float
    sampling_w: float
    quantising_w: float
    clock_exponent: float
    min_clock_frac: float
    figures: tuple[Datum, ...]

    @property
    def usable_bytes(self) -> float:
        """Memory left for weights, cache and activations."""
        return self.memory_bytes - self.reserved_bytes

    def matmul_flops(self, dtype: MatmulDtype) -> float:
        """Peak matrix FLOP/s for a precision."""
        return self.matmul_fp8_flops if dtype.startswith("fp8") else self.matmul_bf16_flops


DEVICES = ("h100-sxm",)
"""Names of the devices; each has a data file of its name."""


@cache
def load_device(name: str = "h100-sxm") -> Device:
    """A device by name.

    Raises:
        UnknownNameError: no such device.
    """
    return build_device(name, device_figures(name))


def device_figures(name: str) -> dict[str, Datum]:
    """The figures of a device's data file."""
    if name not in DEVICES:
        raise UnknownNameError("GPU", name, DEVICES)
    return data(f"hardware/{name}.yaml")


def build_device(name: str, figures: Mapping[str, Datum]) -> Device:
    """A device from its figures, for example sampled ones."""
    values = {key.split(".")[-1]: figure.value for key, figure in figures.items()}
    return Device(name=name, figures=tuple(figures.values()), **values)
