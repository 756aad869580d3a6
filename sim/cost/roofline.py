"""Roofline per operation: each takes the larger of its compute time and its memory time.

Williams, Waterman, Patterson 2009, "Roofline", doi:10.1145/1498765.1498785, with an
achieved fraction of each peak. Everything here is per GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.cost.layout import Layout
    from sim.flops import OperationTable
    from sim.hardware.device import Device, MatmulDtype

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GpuWork:
    """Work of one GPU, one entry an operation, shape (n_rows,) or (n_points, n_rows).

    Attributes:
        compute_s: time at the achieved FLOP/s of the operation's unit, nominal clock.
        memory_s: time at the achieved HBM bytes/s.
        flops: matrix and vector FLOPs.
        matmul_flops: the matrix part of them.
        hbm_bytes: bytes to and from HBM.
        weight_bytes: weight bytes among them.
    """

    compute_s: Floats
    memory_s: Floats
    flops: Floats
    matmul_flops: Floats
    hbm_bytes: Floats
    weight_bytes: Floats

    def time_s(self, clock_frac: float = 1.0) -> Floats:
        """Time of each operation; only the compute side slows with the clock."""
        return np.maximum(self.compute_s / clock_frac, self.memory_s)

    def scaled(self, compute: Floats | float, memory: float) -> GpuWork:
        """The same operations with FLOPs and bytes multiplied."""
        return GpuWork(
            self.compute_s * compute,
            self.memory_s * memory,
            self.flops * compute,
            self.matmul_flops * compute,
            self.hbm_bytes * memory,
            self.weight_bytes * memory,
        )


def shards(table_split: NDArray[np.str_], limit: Floats, layout: Layout) -> Floats:
    """Ways that each operation is divided by tensor parallelism: at most `limit`, least 1."""
    divided = table_split != "none"
    return np.where(divided, np.minimum(layout.tp, np.maximum(limit, 1)), 1.0)


def gpu_work(
    table: OperationTable, device: Device, layout: Layout, dtype: MatmulDtype = "bf16"
) -> GpuWork:
    """Work of one GPU of a layout for the operations of one batch of one model replica.

    Expert weights are spread over the larger of tp and ep GPUs; their FLOPs over tp, since
    with uniform routing every GPU of the expert group serves as many tokens as it sends.
    """
    ways = shards(table.split, table.shards, layout)
    expert = table.split == "ep"
    weight_ways = np.where(expert, max(layout.tp, layout.ep), ways)
    cache_ways = np.minimum(layout.tp, np.maximum(table.cache_shards, 1))
    flops = table.flops / ways
    matmul = table.kind == "matmul"
    cached = table.cache_read_bytes + table.cache_write_bytes
    weight_bytes = table.weight_bytes / weight_ways
    hbm_bytes = weight_bytes + table.activation_bytes / ways + cached / cache_ways
    achieved = np.where(
        matmul,
        device.matmul_flops(dtype) * np.where(cached > 0, device.attention_frac, device.matmul_frac),
        device.vector_flops * device.vector_frac,
    )
    return GpuWork(
        compute_s=flops / achieved,
        memory_s=hbm_bytes / (device.hbm_bytes_per_s * device.hbm_frac),
        flops=flops,
        matmul_flops=np.where(matmul, flops, 0.0),
        hbm_bytes=hbm_bytes,
        weight_bytes=weight_bytes,
    )
