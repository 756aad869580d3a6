"""Roofline per operation: each takes the larger of its compute time and its memory time.

Williams, Waterman, Patterson 2009, "Roofline", doi:10.1145/1498765.1498785, with an
achieved fraction of each peak. Everything here is per GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sim.cost.layout import Layout
    from sim.flops import StepProgram
    from sim.flops.program import Quantity
    from sim.hardware.device import Device, MatmulDtype

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sharding:
    """How the operations of a program fall on one GPU of a layout; shapes (n_rows,).

    Attributes:
        work_ways: GPUs that share the row's FLOPs and activations.
        weight_ways: GPUs that share its weights; cache_ways: its cache.
        flops_per_s: achieved rate of the unit that it runs on, nominal clock.
        matmul: rows on tensor cores. attention: the rows with the key-value cache.
    """

    work_ways: Floats
    weight_ways: Floats
    cache_ways: Floats
    flops_per_s: Floats
    bytes_per_s: float
    matmul: NDArray[np.bool_]
    attention: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class GpuWork:
    """Work of one GPU, per operation: shape (n_points, n_rows).

    Attributes:
        compute_s: time at the achieved FLOP/s of the operation's unit, nominal clock.
        memory_s: time at the achieved HBM bytes/s.
        matmul_flops: FLOPs on tensor cores. hbm_bytes: to and from HBM, weights included.
    """

    compute_s: Floats
    memory_s: Floats
    matmul_flops: Floats
    hbm_bytes: Floats
    weight_bytes: Floats

    def time_s(self, clock_frac: float | Floats = 1.0) -> Floats:
        """Time of each operation; only the compute side slows with the clock."""
        return np.maximum(self.compute_s / clock_frac, self.memory_s)

    def scaled(self, compute: Floats | float, memory: float) -> GpuWork:
        """The same operations with FLOPs and bytes multiplied."""
        return GpuWork(
            self.compute_s * compute,
            self.memory_s * memory,
            self.matmul_flops * compute,
            self.hbm_bytes * memory,
            self.weight_bytes * memory,
        )


def shard(
    program: StepProgram,
    device: Device,
    layout: Layout,
    dtype: MatmulDtype = "bf16",
    sequence_parallel: bool = False,
) -> Sharding:
    """Lay a program out over the tensor-parallel GPUs of one replica.

    Expert weights are spread over the larger of tp and ep GPUs; their FLOPs over tp, since
    with uniform routing a GPU of the expert group serves as many tokens as it sends.

    Args:
        sequence_parallel: rows that tensor parallelism repeats on every GPU (norms) are
            split by tokens instead (Korthikanti et al. 2022, arXiv 2205.05198).
    """
    split = np.array(program.split)
    matmul = program.is_matmul
    attention = matmul & program.matrices["cache_write_bytes"].any(axis=1)
    repeated_ways = layout.tp if sequence_parallel else 1
    tp_ways = np.minimum(layout.tp, np.maximum(program.shards, 1))
    work_ways = np.select([split == "none", split == "ep"], [repeated_ways, layout.tp], tp_ways)
    weight_ways = np.select(
        [split == "none", split == "ep"], [1, max(layout.tp, layout.ep)], tp_ways
    )
    achieved = np.where(attention, device.attention_frac, device.matmul_frac)
    return Sharding(
        work_ways=work_ways.astype(float),
        weight_ways=weight_ways.astype(float),
        cache_ways=np.minimum(layout.tp, np.maximum(program.cache_shards, 1)).astype(float),
        flops_per_s=np.where(
            matmul,
            device.matmul_flops(dtype) * achieved,
            device.vector_flops * device.vector_frac,
        ),
        bytes_per_s=device.hbm_bytes_per_s * device.hbm_frac,
        matmul=matmul,
        attention=attention,
    )


def gpu_work(values: Mapping[Quantity, Floats], sharding: Sharding) -> GpuWork:
    """Work of one GPU for evaluated points of a program, arrays (n_points, n_rows)."""
    flops = values["flops"] / sharding.work_ways
    weight_bytes = values["weight_bytes"] / sharding.weight_ways
    cache_bytes = values["cache_read_bytes"] + values["cache_write_bytes"]
    hbm_bytes = (
        weight_bytes
        + values["activation_bytes"] / sharding.work_ways
        + cache_bytes / sharding.cache_ways
    )
    return GpuWork(
        compute_s=flops / sharding.flops_per_s,
        memory_s=hbm_bytes / sharding.bytes_per_s,
        matmul_flops=flops * sharding.matmul,
        hbm_bytes=hbm_bytes,
        weight_bytes=weight_bytes,
    )
