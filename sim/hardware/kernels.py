"""Time of one GPU kernel: a roofline with measured efficiencies, launch and waves.

    t = fixed + unit_s * units + (memory_s^q + (compute_s / clock)^q)^(1/q)

`memory_s` is bytes over `memory_frac` of the HBM bandwidth, `compute_s` FLOPs over
`compute_frac` of the tensor peak of the row's precision. FLOPs include what tiles and
minimum lengths waste: `half` says how much. A small `q` rounds the corner of the roofline
(Williams, Waterman, Patterson 2009, doi:10.1145/1498765.1498785). The coefficients are
fitted on measured kernels; `tools/fit_kernels.py` reproduces them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sim.datum import read_table
from sim.errors import UnknownNameError

Floats = NDArray[np.float64]
Family = Literal[
    "gemm",
    "moe",
    "decode_attention",
    "prefill_attention",
    "latent_decode",
    "latent_prefill",
    "elementwise",
    "scan",
]
Dtype = Literal["bf16", "fp8", "fp8_block", "w4"]
DTYPES: Final[tuple[Dtype, ...]] = get_args(Dtype)

TABLE: Final = "hardware/kernels.csv"
FALLBACK: Final = "vllm"
TILE: Final = 128
"""Rows and columns of a matrix-product tile of one streaming multiprocessor."""


@dataclass(frozen=True, slots=True)
class KernelLaw:
    """Coefficients of one kind of kernel in one precision.

    Attributes:
        fixed_s: launch and tail of a call.
        unit_s: per unit of parallel work beyond bytes and FLOPs: sequences x key-value heads
            in decode attention, experts touched in a mixture.
        memory_frac, compute_frac: achieved over peak, both at saturation.
        half: waste. GEMM: tile waves that a call takes at least; prefill attention: keys added
            to every query; mixture: tokens added to every expert touched.
        sharpness: q of the module's formula; large is a sharp corner.
    """

    fixed_s: float
    unit_s: float
    memory_frac: float
    compute_frac: float
    half: float
    sharpness: float


@cache
def kernel_law(engine: str, family: Family, dtype: Dtype = "bf16") -> KernelLaw:
    """The law of an engine's kernels; where it has none of its own, vLLM's.

    Raises:
        UnknownNameError: no engine has such a kernel.
    """
    rows = {(r["engine"], r["family"], r["dtype"]): r for r in read_table(TABLE)}
    tried = [(engine, family, dtype), (FALLBACK, family, dtype), ("any", family, dtype)]
    row = next((rows[key] for key in tried if key in rows), None)
    if row is None:
        raise UnknownNameError("kernel", " ".join(tried[0]), [" ".join(key) for key in rows])
    return KernelLaw(
        *(
            float(row[name])
            for name in ("fixed_s", "unit_s", "memory_frac", "compute_frac", "half", "sharpness")
        )
    )


def tile_waves(m: Any, n: Any, multiprocessors: float, half: Any) -> Floats:
    """Waves of 128 x 128 tiles over the multiprocessors, at least about `half`.

    A tile that is filled to less than a half in m costs nearly as much as a full one.
    """
    rows = np.asarray(m, dtype=float) / TILE
    rows = rows + 0.5 * (1 - np.exp(-2 * rows))
    tiles = rows * np.maximum(np.asarray(n, dtype=float) / TILE, 1.0)
    return np.asarray(np.hypot(tiles / multiprocessors, half))


def gemm_flops(m: Any, n: Any, k: Any, multiprocessors: float, half: Any) -> Floats:
    """FLOPs that a matrix product of m x n x k costs in whole tiles (a MAC is 2)."""
    wave = 2.0 * multiprocessors * TILE * TILE
    return np.asarray(wave * tile_waves(m, n, multiprocessors, half) * k)


def joined(memory_s: Any, compute_s: Any, sharpness: Any) -> Floats:
    """The rounded larger of two times: (a^q + b^q)^(1/q), exact for one of them zero."""
    larger = np.maximum(memory_s, compute_s)
    ratio = np.minimum(memory_s, compute_s) / np.maximum(larger, 1e-300)
    return np.asarray(larger * (1 + ratio**sharpness) ** (1 / sharpness))
