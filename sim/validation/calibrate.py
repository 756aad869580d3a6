"""Measures kernels and their power on the user's GPU: a device file for every command.

A backend runs a kernel many times and reads the energy counter; `TorchBackend` does so
with PyTorch and NVML, and tests use a made one. From the measurements follow the achieved
fractions of the peaks, and static power, J per FLOP and J per HBM byte by least squares
over kernels that stay below the power limit (the others run at a lower clock).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from sim.errors import InputError

Kind = Literal["gemm", "copy", "attention", "mixture", "scan"]
HOT_FRAC: Final = 0.93
"""Kernels above this share of the power limit are taken as throttled."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: what it computes and moves.

    Attributes:
        shape: GEMM m, n, k; copy bytes; attention sequences, tokens, heads, head size;
            mixture tokens, width, experts; scan sequences, heads, state size.
    """

    kind: Kind
    shape: tuple[int, ...]
    flops: float
    hbm_bytes: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """A kernel in a steady state: mean time of a call, mean power of the GPU."""

    kernel: Kernel
    time_s: float
    power_w: float


class Backend(Protocol):
    """Runs kernels on a GPU."""

    def describe(self) -> dict[str, str]:
        """Name, driver, clocks: what a source line should say."""

    def limit_w(self) -> float:
        """Power limit that is set."""

    def idle_w(self) -> float:
        """Power with a context and no work."""

    def measure(self, kernel: Kernel) -> Measurement:
        """Run a kernel until its power is steady."""


def gemm(m: int, n: int, k: int) -> Kernel:
    """A bf16 matrix product (a MAC is 2 FLOPs); every operand crosses HBM once."""
    return Kernel("gemm", (m, n, k), 2.0 * m * n * k, 2.0 * (m * k + n * k + m * n))


def copy(size_bytes: int) -> Kernel:
    """A copy reads and writes its bytes."""
    return Kernel("copy", (size_bytes,), 0.0, 2.0 * size_bytes)


def attention(sequences: int, tokens: int, heads: int, size: int) -> Kernel:
    """Causal self-attention in bf16: 4 H h FLOPs for each of s (s + 1) / 2 pairs."""
    pairs = sequences * tokens * (tokens + 1) / 2
    moved = 4.0 * sequences * tokens * heads * size * 2
    return Kernel("attention", (sequences, tokens, heads, size), 4.0 * pairs * heads * size, moved)


def mixture(tokens: int, width: int, experts: int) -> Kernel:
    """One matrix per expert, tokens spread evenly: experts products of width x width."""
    flops = 2.0 * tokens * width * width
    moved = 2.0 * (experts * width * width + 2 * tokens * width)
    return Kernel("mixture", (tokens, width, experts), flops, moved)


def scan(sequences: int, heads: int, size: int) -> Kernel:
    """One step of a recurrent state in fp32: 5 FLOPs an element, read and written."""
    elements = float(sequences * heads * size * size)
    return Kernel("scan", (sequences, heads, size), 5.0 * elements, 8.0 * elements)


SUITE: Final = (
    *(gemm(m, 8192, 8192) for m in (1, 16, 64, 256, 1024, 4096, 16384)),
    *(gemm(m, 4096, 14336) for m in (8, 128, 2048)),
    *(copy(2**power) for power in (26, 28, 30)),
    *(attention(4, tokens, 32, 128) for tokens in (1024, 4096, 8192)),
    *(mixture(tokens, 2048, 64) for tokens in (64, 1024, 16384)),
    *(scan(sequences, 32, 128) for sequences in (16, 128)),
)
"""What `flopgrid calibrate` runs."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the measurements say of a device.

    Attributes:
        figures: by name of the device file.
        power_error_frac: median relative error of the fitted power.
        used, throttled: kernels in that fit, and those left out of it.
    """

    figures: dict[str, float]
    power_error_frac: float
    used: int
    throttled: int


def run_suite(
    backend: Backend,
    suite: Sequence[Kernel] = SUITE,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Measurement]:
    """Measure every kernel."""
    found = []
    for kernel in suite:
        progress(f"{kernel.kind} {'x'.join(str(n) for n in kernel.shape)}")
        found.append(backend.measure(kernel))
    return found


def calibrate(
    measured: Sequence[Measurement], *, matmul_peak_flops: float, hbm_peak: float, limit_w: float
) -> Calibration:
    """Fit a device's efficiencies and power coefficients.

    Args:
        matmul_peak_flops, hbm_peak: of the data sheet, FLOP/s and B/s.

    Raises:
        InputError: too few kernels stay below the power limit, or a kind is missing.
    """
    cold = [m for m in measured if m.power_w < HOT_FRAC * limit_w]
    if len(cold) < 4:
        raise InputError(
            f"calibrate: {len(cold)} of {len(measured)} kernels stay below the power limit "
            f"of {limit_w:g} W; the fit needs 4",
            "raise the power limit, or let the GPU cool",
        )
    rates = np.array(
        [[1.0, m.kernel.flops / m.time_s, m.kernel.hbm_bytes / m.time_s] for m in cold]
    )
    power = np.array([m.power_w for m in cold])
    coefficients = _non_negative(rates, power)
    error = np.abs(rates @ coefficients / power - 1)
    static_w, flop_j, byte_j = (float(c) for c in coefficients)
    figures = {
        "matmul_frac": _best(measured, "gemm", lambda k: k.flops) / matmul_peak_flops,
        "attention_frac": _best(measured, "attention", lambda k: k.flops) / matmul_peak_flops,
        "hbm_frac": _best(measured, "copy", lambda k: k.hbm_bytes) / hbm_peak,
        "static_w": static_w,
        "flop_j": flop_j,
        "hbm_byte_j": byte_j,
        "limit_w": limit_w,
    }
    return Calibration(figures, float(np.median(error)), len(cold), len(measured) - len(cold))


def _non_negative(rates: NDArray[np.float64], power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares of the relative error, no coefficient below zero."""
    scale = rates.max(axis=0)
    scale[scale == 0] = 1.0
    found, _ = nnls(rates / scale / power[:, None], np.ones_like(power))
    return np.asarray(found / scale)


def _best(measured: Sequence[Measurement], kind: Kind, amount: Callable[[Kernel], float]) -> float:
    """Median of the three best rates of a kind."""
    rates = sorted(amount(m.kernel) / m.time_s for m in measured if m.kernel.kind == kind)
    if not rates:
        raise InputError(f"calibrate: no {kind} kernel was measured", "run the whole suite")
    return float(np.median(rates[-3:]))


def device_yaml(
    calibration: Calibration, figures: dict[str, Any], described: dict[str, str], as_of: str
) -> str:
    """A device file: the figures of `figures` with the measured ones in their place.

    Args:
        figures: entries of a known device's file by dotted name (`device_figures`).
        described: what the backend says of itself; becomes the source.
    """
    source = "measured by flopgrid calibrate: " + ", ".join(
        f"{key} {value}" for key, value in described.items()
    )
    lines = [f"# {source}, {as_of}."]
    section = ""
    for name, datum in figures.items():
        head, _, key = name.rpartition(".")
        if head != section:
            section = head
            lines.append(f"{head}:")
        value = calibration.figures.get(key)
        text, when = (datum.source, datum.as_of) if value is None else (source, as_of)
        shown = repr(datum.value) if value is None else f"{value:.5g}"
        quoted = text.replace('"', "'")
        lines.append(
            f'  {key}: {{value: {shown}, unit: "{datum.unit}", source: "{quoted}", as_of: {when}}}'
        )
    return "\n".join(lines) + "\n"
