"""Measures kernels and their power on the user's GPU: a device file for every command.

A backend runs a kernel many times and reads the energy counter; `TorchBackend` does so
with PyTorch and NVML, `MadeBackend` makes the figures up for a trial and for tests. Power is
taken as in `sim.cost.steps`:

    P = static + what the kernel's class draws + J/FLOP x FLOP/s + J/B x HBM B/s

The static power is that of a GPU that only launches empty kernels. The rest follows by least
squares over kernels that stay below the power limit (the others run at a lower clock). Most of
these are bound by memory and move bytes at one rate, so that what a class draws and what a byte
costs cannot be told apart by them alone: each figure is held to the known device's, loosely.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from sim.datum import Datum
from sim.errors import InputError

Kind = Literal["launch", "gemm", "copy", "attention", "decode_attention", "mixture", "scan", "sort"]
Floats = NDArray[np.float64]
COMPUTE_BOUND: Final = 400.0
"""FLOPs per byte from which the time of a throttled kernel goes with the clock."""
HOT_FRAC: Final = 0.93
"""Kernels above this share of the power limit are taken as throttled."""
CLASSES: Final[dict[Kind, str]] = {
    "gemm": "gemm_w",
    "copy": "gemm_w",
    "attention": "attention_w",
    "decode_attention": "attention_w",
    "scan": "attention_w",
    "mixture": "mixture_w",
    "sort": "sampling_w",
}
"""The figure that holds what a kind draws beyond its FLOPs and bytes (`sim.cost.kernels`)."""
NOISE_FRAC, PRIOR_FRAC = 0.03, 0.5
"""Spread of a measured power about the law, and of a figure about the known device's."""
LARGE_ROWS, SMALL_ROWS, WIDE, LONG_TOKENS = 1024, 32, 4096, 4096
"""Which kernels the efficiencies are medians of, as in the reference device's file."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: what it computes and moves.

    Attributes:
        shape: GEMM m, n, k; copy bytes; attention sequences, tokens, heads, head size;
            mixture tokens, width, experts; scan sequences, heads, state size; sort
            sequences, vocabulary; launch: empty.
    """

    kind: Kind
    shape: tuple[int, ...]
    flops: float
    hbm_bytes: float

    @property
    def name(self) -> str:
        """For people: `gemm 1024x8192x8192`."""
        return f"{self.kind} {'x'.join(str(n) for n in self.shape)}".strip()


@dataclass(frozen=True, slots=True)
class Measurement:
    """A kernel in a steady state.

    Attributes:
        time_s: mean of a call. power_w: mean of the GPU, by its energy counter.
        peak_w: largest instantaneous power seen, clock_mhz: mean SM clock; None: not read.
    """

    kernel: Kernel
    time_s: float
    power_w: float
    peak_w: float | None = None
    clock_mhz: float | None = None


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


def launch() -> Kernel:
    """An empty kernel: what a waiting GPU draws."""
    return Kernel("launch", (), 0.0, 0.0)


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


def decode_attention(sequences: int, tokens: int, heads: int, size: int) -> Kernel:
    """One query of each sequence against its cached keys and values, bf16."""
    pairs = float(sequences * tokens)
    moved = 2.0 * pairs * heads * size * 2
    return Kernel(
        "decode_attention", (sequences, tokens, heads, size), 4.0 * pairs * heads * size, moved
    )


def mixture(tokens: int, width: int, experts: int) -> Kernel:
    """One matrix per expert, tokens spread evenly: experts products of width x width."""
    flops = 2.0 * tokens * width * width
    moved = 2.0 * (experts * width * width + 2 * tokens * width)
    return Kernel("mixture", (tokens, width, experts), flops, moved)


def scan(sequences: int, heads: int, size: int) -> Kernel:
    """One step of a recurrent state in fp32: 5 FLOPs an element, read and written."""
    elements = float(sequences * heads * size * size)
    return Kernel("scan", (sequences, heads, size), 5.0 * elements, 8.0 * elements)


def sort(sequences: int, vocabulary: int) -> Kernel:
    """Logits in fp32, sorted: read and written with their places, once at least."""
    return Kernel("sort", (sequences, vocabulary), 0.0, 16.0 * sequences * vocabulary)


SUITE: Final = (
    launch(),
    *(gemm(m, 8192, 8192) for m in (1, 16, 64, 256, 1024, 4096, 16384)),
    *(gemm(m, 4096, 14336) for m in (8, 128, 2048)),
    *(copy(2**power) for power in (28, 29, 30)),
    *(attention(4, tokens, 32, 128) for tokens in (1024, 4096, 8192)),
    *(decode_attention(64, tokens, 32, 128) for tokens in (512, 2048, 4096)),
    *(mixture(tokens, 2048, 64) for tokens in (64, 1024, 16384)),
    *(scan(sequences, 32, 128) for sequences in (128, 512)),
    *(sort(sequences, 128_256) for sequences in (64, 256)),
)
"""What `flopgrid calibrate` runs; every operand is larger than the second-level cache."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the measurements say of a device.

    Attributes:
        figures: by name of the device file.
        power_error_frac: median relative error of the fitted power.
        used, throttled: kernels in that fit, and those left out of it.
    """

    figures: dict[str, float] = field(repr=False)
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
    for number, kernel in enumerate(suite, start=1):
        progress(f"{number}/{len(suite)} {kernel.name}")
        found.append(backend.measure(kernel))
    return found


def calibrate(
    measured: Sequence[Measurement],
    known: Mapping[str, float],
    *,
    limit_w: float,
    idle_w: float,
) -> Calibration:
    """Fit a device's efficiencies and power figures.

    Args:
        known: figures of the device that it is like, by dotted name: the peaks of its data
            sheet, and the powers that the fit starts from.
        idle_w: with a context and no work.

    Raises:
        InputError: too few kernels stay below the power limit, or a kind is missing.
    """
    nominal = [at_nominal_clock(m, measured, limit_w) for m in measured]
    peak, bandwidth = known["peak.matmul_bf16_flops"], known["peak.hbm_bytes_per_s"]
    static_w = _median(measured, "launch", lambda m: m.power_w)
    figures = {
        "matmul_frac": _median(nominal, "gemm", _flops_per_s, _is_large) / peak,
        "attention_frac": _median(nominal, "attention", _flops_per_s, _is_long) / peak,
        "hbm_frac": _median(nominal, "gemm", _bytes_per_s, _is_small) / bandwidth,
        "limit_w": limit_w,
        "idle_w": idle_w,
        "static_w": static_w,
    }
    cold = [m for m in measured if not _is_hot(m, limit_w) and m.kernel.kind in CLASSES]
    names = [*sorted({CLASSES[m.kernel.kind] for m in cold}), "flop_j", "hbm_byte_j"]
    if len(cold) < len(names):
        raise InputError(
            f"calibrate: {len(cold)} of {len(measured)} kernels stay below the power limit "
            f"of {limit_w:g} W; the fit needs {len(names)}",
            "raise the power limit, or let the GPU cool",
        )
    rates = np.array([_rates(m, names) for m in cold])
    power = np.array([m.power_w for m in cold])
    prior = np.array([known[f"power.{name}"] for name in names])
    found = _near(prior, rates, power - static_w, power)
    error = np.abs((static_w + rates @ found) / power - 1)
    figures |= dict(zip(names, found.tolist(), strict=True))
    return Calibration(figures, float(np.median(error)), len(cold), len(measured) - len(cold))


def at_nominal_clock(
    m: Measurement, measured: Sequence[Measurement], limit_w: float
) -> Measurement:
    """A throttled kernel bound by compute as it would run at the clock of the others.

    Without it the slow-down would count twice: here, and when the power limit acts.
    """
    clocks = [other.clock_mhz for other in measured if other.clock_mhz is not None]
    in_memory = m.kernel.flops < COMPUTE_BOUND * m.kernel.hbm_bytes
    if m.clock_mhz is None or in_memory or not _is_hot(m, limit_w):
        return m
    return replace(m, time_s=m.time_s * min(1.0, m.clock_mhz / max(clocks)))


def _is_hot(m: Measurement, limit_w: float) -> bool:
    return m.power_w >= HOT_FRAC * limit_w


def _rates(m: Measurement, names: Sequence[str]) -> list[float]:
    """What each figure is multiplied with in a kernel's power."""
    classes = [float(name == CLASSES[m.kernel.kind]) for name in names[:-2]]
    return [*classes, _flops_per_s(m), _bytes_per_s(m)]


def _flops_per_s(m: Measurement) -> float:
    """Of tensor cores: a scan computes on the vector units."""
    return 0.0 if m.kernel.kind == "scan" else m.kernel.flops / m.time_s


def _bytes_per_s(m: Measurement) -> float:
    return m.kernel.hbm_bytes / m.time_s


def _is_large(kernel: Kernel) -> bool:
    return kernel.shape[0] >= LARGE_ROWS and min(kernel.shape[1:]) >= WIDE


def _is_small(kernel: Kernel) -> bool:
    return kernel.shape[0] <= SMALL_ROWS


def _is_long(kernel: Kernel) -> bool:
    return kernel.shape[1] >= LONG_TOKENS


def _near(prior: Floats, rates: Floats, power: Floats, total: Floats) -> Floats:
    """Least squares of the error relative to the total power, figures held to their prior.

    Solved for figure / prior, none below zero.
    """
    matrix = np.vstack(
        [rates * prior / total[:, None] / NOISE_FRAC, np.eye(len(prior)) / PRIOR_FRAC]
    )
    wanted = np.concatenate([power / total / NOISE_FRAC, np.ones(len(prior)) / PRIOR_FRAC])
    return np.asarray(lsq_linear(matrix, wanted, bounds=(0.0, np.inf)).x * prior)


def _median(
    measured: Sequence[Measurement],
    kind: Kind,
    value: Callable[[Measurement], float],
    keep: Callable[[Kernel], bool] = lambda _: True,
) -> float:
    """Median over the kernels of a kind that `keep` names."""
    values = [value(m) for m in measured if m.kernel.kind == kind and keep(m.kernel)]
    if not values:
        raise InputError(f"calibrate: no {kind} kernel was measured", "run the whole suite")
    return float(np.median(values))


def device_yaml(
    calibration: Calibration,
    figures: dict[str, Datum],
    described: dict[str, str],
    as_of: str,
    *,
    like: str = "h100-sxm",
    calibrated: bool = True,
) -> str:
    """A device file: the figures of `figures` with the measured ones in their place.

    Args:
        figures: entries of a known device's file by dotted name (`device_figures`).
        described: what the backend says of itself; becomes the source.
        like: the device that `figures` are of. calibrated: False for made-up measurements.
    """
    source = "measured by flopgrid calibrate: " + ", ".join(
        f"{key} {value}" for key, value in described.items()
    )
    basis = _quoted(f"{source}, {as_of}; kernel laws and all else of {like}")
    head = f'{{like: {like}, calibrated: {str(calibrated).lower()}, basis: "{basis}"}}'
    lines = [f"# {_quoted(source)}, {as_of}.", f"device: {head}"]
    section = ""
    for name, datum in figures.items():
        first, _, key = name.rpartition(".")
        if first != section:
            section = first
            lines.append(f"{first}:")
        value = calibration.figures.get(key)
        lines.append(f"  {key}: {_entry(datum, value, source, as_of)}")
    return "\n".join(lines) + "\n"


def _entry(datum: Datum, value: float | None, source: str, as_of: str) -> str:
    if value is not None:
        shown = f"{value:.5g}"
        return _flow(shown, datum.unit, source, as_of, "")
    ranged = ""
    if datum.low is not None and datum.high is not None:
        ranged = f", low: {datum.low!r}, high: {datum.high!r}, distribution: {datum.distribution}"
    return _flow(repr(datum.value), datum.unit, datum.source, datum.as_of, ranged)


def _flow(value: str, unit: str, source: str, as_of: str, ranged: str) -> str:
    text = _quoted(source)
    return f'{{value: {value}, unit: "{unit}", source: "{text}", as_of: {as_of}{ranged}}}'


def _quoted(text: str) -> str:
    """Fit for a double-quoted YAML scalar on one line."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())
