"""The table of operations of one step, and its totals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.arch import Architecture
from sim.flops.attention import LatentForm
from sim.flops.batch import Batch
from sim.flops.features import Floats
from sim.flops.precision import BF16, Precision
from sim.flops.program import StepProgram, compile_step


@dataclass(frozen=True, slots=True, eq=False)
class OperationTable:
    """One row per kind of operation and layer group; all columns have shape (n_rows,).

    Args:
        name: what. layers: invocations per step.
        kind: `matmul` (tensor cores) or `vector`. counted: part of `total_flops`.
        flops: FLOPs of the row (1 MAC = 2 FLOPs), all its invocations together.
        weight_bytes: weights read. activation_bytes: between operations, read and written.
        cache_read_bytes, cache_write_bytes: key-value cache and states.
        split: parallel dimension that divides work and weights: `tp`, `ep` or `none`.
        shards: into at most how many parts. cache_shards: the same of its cache.
        all_reduce_after: a tensor-parallel all-reduce of `all_reduce_width` elements per
            token follows each invocation.
        dispatch_bytes: all-to-all payload under expert parallelism.
        n, k: output and inner width of the matrix product (0: none).
        full_flops: as a matmul counter sees them.
    """

    hidden: int
    name: tuple[str, ...]
    layers: NDArray[np.int64]
    kind: tuple[str, ...]
    counted: NDArray[np.bool_]
    flops: Floats
    weight_bytes: Floats
    activation_bytes: Floats
    cache_read_bytes: Floats
    cache_write_bytes: Floats
    dispatch_bytes: Floats
    full_flops: Floats
    split: tuple[str, ...]
    shards: NDArray[np.int64]
    cache_shards: NDArray[np.int64]
    all_reduce_after: NDArray[np.bool_]
    all_reduce_width: NDArray[np.int64]
    n: NDArray[np.int64]
    k: NDArray[np.int64]

    @property
    def total_flops(self) -> int:
        """Matrices, scans and convolutions; no norm, softmax or activation work."""
        return _exact(self.flops[self.counted])

    @property
    def matmul_flops(self) -> int:
        """FLOPs on tensor cores."""
        return _exact(self.flops[np.array(self.kind) == "matmul"])

    @property
    def vector_flops(self) -> int:
        """FLOPs on the element-wise units, counted or not."""
        return _exact(self.flops[np.array(self.kind) == "vector"])

    @property
    def cache_bytes(self) -> Floats:
        """Cache read plus written, per row."""
        return np.asarray(self.cache_read_bytes + self.cache_write_bytes)

    @property
    def total_bytes(self) -> float:
        """All bytes moved: weights, activations, cache."""
        return math.fsum(
            map(
                math.fsum,
                (self.weight_bytes, self.activation_bytes, self.cache_bytes),
            )
        )


def _exact(values: Floats) -> int:
    return round(math.fsum(values))


def step_operations(
    arch: Architecture,
    batch: Batch,
    precision: Precision = BF16,
    latent: LatentForm = "auto",
) -> OperationTable:
    """Operations of one step of `arch` on `batch`: what a serving engine executes.

    Causal, windowed, logits of the last position of each sequence; see each block's module
    for its formula and source. FLOPs, 1 MAC = 2 FLOPs.
    """
    return table(compile_step(arch, precision, latent), batch)


def table(program: StepProgram, batch: Batch) -> OperationTable:
    """One point of a compiled program."""
    values = program.evaluate(program.of_batch(batch)[None, :])
    return OperationTable(
        hidden=program.arch.hidden,
        name=program.name,
        layers=program.layers,
        kind=program.kind,
        counted=program.counted,
        split=program.split,
        shards=program.shards,
        cache_shards=program.cache_shards,
        all_reduce_after=program.all_reduce_after,
        all_reduce_width=program.all_reduce_width,
        n=program.n,
        k=program.k,
        **{quantity: rows[0] for quantity, rows in values.items()},
    )


def flops_matmul_full(arch: Architecture, batch: Batch) -> int:
    """FLOPs as a matmul counter (torch FlopCounterMode) sees them; 1 MAC = 2 FLOPs.

    Prefill: full score matrix (cached keys included), logits at every position, no
    element-wise work. Decode: min(C + 1, w) keys in windowed layers. Latent attention:
    non-absorbed, with every cached latent expanded again.
    """
    return _exact(table(compile_step(arch), batch).full_flops)
