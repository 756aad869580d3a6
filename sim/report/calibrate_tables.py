"""What `flopgrid calibrate` measured, against the kernel laws and the device it is like."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from sim.errors import InputError
from sim.hardware.device import REFERENCE, device_figures, device_head, load_device
from sim.hardware.figures import is_file
from sim.hardware.kernels import gemm_flops, joined, kernel_law
from sim.validation.calibrate import at_nominal_clock, calibrate, device_yaml, run_suite

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.hardware.device import Device
    from sim.validation.calibrate import Backend, Kernel, Measurement

Row = dict[str, Any]
KNOWN_GPUS = {
    "H200": "h200-sxm",
    "H800": "h800-sxm",
    "H100": "h100-sxm",
    "A100": "a100-80-sxm",
    "V100": "v100-sxm",
    "B200": "b200-sxm",
}
"""Words in a GPU's own name -> the device whose data sheet holds."""


def calibrated(
    backend: Backend, like: str | None, *, fake: bool, progress: Callable[[str], None]
) -> Row:
    """Measure everything and write the device file as text.

    Args:
        like: the device whose data sheet holds; None: by the GPU's name.
        fake: the backend makes its figures up, and the file says so.

    Raises:
        InputError: no data sheet is known for the GPU, or the fit has too few kernels.
    """
    described = backend.describe()
    chosen = like or known_gpu(described["GPU"], fake=fake)
    device, figures = load_device(chosen), device_figures(chosen)
    limit_w = backend.limit_w()
    measured = run_suite(backend, progress=progress)
    result = calibrate(
        measured,
        {name: figure.value for name, figure in figures.items()},
        limit_w=limit_w,
        idle_w=backend.idle_w(),
    )
    as_of = dt.datetime.now(tz=dt.UTC).date().isoformat()
    base = device_head(chosen).like or REFERENCE if is_file(chosen) else chosen
    text = device_yaml(result, figures, described, as_of, like=base, calibrated=not fake)
    return {
        "like": chosen,
        "described": described,
        "calibrated": not fake,
        "kernels": [_row(m, at_nominal_clock(m, measured, limit_w), device) for m in measured],
        "figures": [
            {
                "name": name,
                "measured": result.figures[key],
                "like": figure.value,
                "unit": figure.unit,
                "ratio": result.figures[key] / figure.value if figure.value else 0.0,
            }
            for name, figure in figures.items()
            if (key := name.rpartition(".")[2]) in result.figures
        ],
        "power_fit": {
            "used": result.used,
            "throttled": result.throttled,
            "median_error_frac": result.power_error_frac,
        },
        "device_file": text,
    }


def known_gpu(name: str, *, fake: bool) -> str:
    """The device by the name that a GPU gives itself.

    Raises:
        InputError: none; a data sheet must be given.
    """
    if fake:
        return REFERENCE
    for word, device in KNOWN_GPUS.items():
        if word in name:
            return device
    raise InputError(
        f"no data sheet ships for the GPU {name!r}",
        "fill one (`flopgrid calibrate --template`) and name it with --like FILE",
    )


def _row(m: Measurement, nominal: Measurement, device: Device) -> Row:
    return {
        "kernel": m.kernel.name,
        "time_s": m.time_s,
        "nominal_clock_s": nominal.time_s,
        "law_s": law_s(m.kernel, device),
        "power_w": m.power_w,
        "peak_w": m.peak_w,
        "clock_mhz": m.clock_mhz,
        "flops_per_s": m.kernel.flops / m.time_s,
        "bytes_per_s": m.kernel.hbm_bytes / m.time_s,
    }


def law_s(kernel: Kernel, device: Device) -> float | None:
    """What the kernel law says, with this device's peaks; None where it is of another kind."""
    if kernel.kind == "gemm":
        law = kernel_law("any", "gemm")
        m, n, k = kernel.shape
        flops = float(gemm_flops(m, n, k, device.multiprocessors, law.half))
    elif kernel.kind == "attention":
        law, flops = kernel_law("any", "prefill_attention"), kernel.flops
    elif kernel.kind == "decode_attention":
        law, flops = kernel_law("any", "decode_attention"), 0.0
    else:
        return None
    memory_s = kernel.hbm_bytes / (law.memory_frac * device.hbm_bytes_per_s)
    compute_s = flops / (law.compute_frac * device.matmul_bf16_flops)
    return law.fixed_s + float(joined(memory_s, compute_s, law.sharpness))
