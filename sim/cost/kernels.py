"""The kernels of a step on one GPU of a layout: from a step program to times.

Each row of the program becomes one kernel (attention two: prefill and decode) with its law
from `sim.hardware.kernels`. A batch enters through the program's features only, so all
batches of an architecture share one set of matrices: cost = coefficients x features.
Everything is per GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.measured import Measured
from sim.cost.rows import Row, kernel_rows
from sim.flops.features import BATCH_FEATURES
from sim.flops.routing import experts_touched
from sim.hardware.kernels import DTYPES, gemm_flops, joined, kernel_law

if TYPE_CHECKING:
    from sim.cost.layout import Layout
    from sim.flops.program import StepProgram
    from sim.hardware.device import Device
    from sim.hardware.engine import Engine

Floats = NDArray[np.float64]
DECODE_TILE: Final = 128.0
"""Energy-bearing FLOPs per byte of key-value cache: decode kernels multiply tiles of 64 to
128 query rows whatever the group size (FlashAttention-3, arXiv 2407.08608)."""
EXPERT_TILES: Final = (16.0, 64.0)
"""Rows of an expert's tile at one token and at many: block sizes 16 and 64 of vLLM's fused
mixture kernel without a tuned table (vllm/model_executor/layers/fused_moe, 2025)."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What one GPU does in a step, for each of n points.

    Attributes:
        fixed_s: launches and per-unit times of all kernels, shape (n,).
        memory_s, compute_s: per kernel and invocation, shape (n, n_rows), nominal clock.
        nominal_s: one invocation less its launch, nominal clock, shape (n, n_rows).
        layers, sharpness: per kernel, shape (n_rows,).
        matmul_flops: on tensor cores, without waste, shape (n,).
        energy_flops: FLOPs that cost energy, in units of bf16: with the rows that tiles of
            few tokens waste, an fp8 FLOP for a half, shape (n,).
        quantising_s: launches of block-scaled fp8 products, which keep the GPU busy
            beyond their FLOPs and bytes, shape (n,).
        hbm_bytes, weight_bytes: shape (n,).
    """

    fixed_s: Floats
    memory_s: Floats
    compute_s: Floats
    nominal_s: Floats
    layers: Floats
    sharpness: Floats
    matmul_flops: Floats
    energy_flops: Floats
    quantising_s: Floats
    hbm_bytes: Floats
    weight_bytes: Floats

    def rows_s(self, clock_frac: float | Floats = 1.0) -> Floats:
        """Time of one invocation of each kernel less its launch, shape (n, n_rows).

        Args:
            clock_frac: of the nominal clock; only compute slows. A number or shape (n,).
        """
        if isinstance(clock_frac, float) and clock_frac == 1.0:
            return self.nominal_s
        clock = clock_frac if isinstance(clock_frac, float) else clock_frac[:, None]
        compute_s = self.compute_s / clock
        return joined(self.memory_s, compute_s, self.sharpness)

    def kernel_s(self, rows_s: Floats) -> Floats:
        """Time of all kernels of a step, given `rows_s`, shape (n,)."""
        return np.asarray(self.fixed_s + rows_s @ self.layers)

    def compute_share(self, rows_s: Floats) -> Floats:
        """Share of the kernels' time whose larger side is compute, shape (n,)."""
        bound = (rows_s * (self.compute_s > self.memory_s)) @ self.layers
        return np.asarray(bound / np.maximum(rows_s @ self.layers, 1e-30))


class StepKernels:
    """All kernels of a step, compiled for a program, a layout, a device and an engine."""

    def __init__(
        self,
        program: StepProgram,
        layout: Layout,
        device: Device,
        engine: Engine,
        *,
        fp8_block: bool = False,
    ):
        self.program = program
        self.rows = kernel_rows(program, layout, fp8_block=fp8_block)
        self._layout = layout
        self._routing_frac = engine.routing_frac
        self._multiprocessors = device.multiprocessors
        laws = [kernel_law(engine.name, row.family, row.dtype) for row in self.rows]
        share = _column(self.rows, lambda row: row.law_share)
        self.layers = _column(self.rows, lambda row: row.layers)
        self._fixed_s = np.array([law.fixed_s for law in laws]) * share
        self._unit_s = np.array([law.unit_s for law in laws]) * share
        self._half = np.array([law.half for law in laws])
        self.sharpness = np.array([law.sharpness for law in laws])
        peaks = {name: device.matmul_flops(name) for name in DTYPES}
        self._flops_per_s = np.array(
            [
                law.compute_frac * (peaks[row.dtype] if row.tensor else device.vector_flops)
                for law, row in zip(laws, self.rows, strict=True)
            ]
        )
        self._bytes_per_s = np.array([law.memory_frac for law in laws]) * device.hbm_bytes_per_s
        self._gemm = np.flatnonzero([row.family == "gemm" for row in self.rows])
        self._n = _column(self.rows, lambda row: row.n)[self._gemm]
        self._k = _column(self.rows, lambda row: row.k)[self._gemm]
        # One product gives all five terms of all rows.
        self._matrix = np.concatenate(
            [
                np.stack([getattr(row, name) for row in self.rows])
                for name in ("flops", "bytes_", "weight_bytes", "units", "waste")
            ]
        ).T.copy()
        self._measured = Measured(self.rows, laws, layout, device, engine.name)
        self._tensor_layers = self.layers * np.array([row.tensor for row in self.rows])
        self._per_energy = self.layers * np.array(
            [(0.5 if row.dtype.startswith("fp8") else 1.0) * row.tensor for row in self.rows]
        )
        self._decodes = np.flatnonzero(["decode" in row.family for row in self.rows])
        self._mixture = np.flatnonzero([row.family == "moe" for row in self.rows])
        self._quantises = self.layers * np.array(
            [row.family == "gemm" and row.dtype == "fp8_block" for row in self.rows]
        )
        self._linear = np.array([f.kind not in BATCH_FEATURES for f in program.features])
        self._token_columns = [
            i
            for i, feature in enumerate(program.features)
            if feature.kind in {"prefill_tokens", "decode_tokens"}
        ]
        self._experts = [
            (i, f.experts) for i, f in enumerate(program.features) if f.kind == "experts_touched"
        ]

    def evaluate(self, features: Floats) -> Work:
        """Work at points of the program.

        Args:
            features: of the whole replica's batch, shape (n_points, n_features).
        """
        terms = self._rank_features(features) @ self._matrix
        width = len(self.rows)
        flops, moved, weights, units, waste = (
            terms[:, i * width : (i + 1) * width] for i in range(5)
        )
        padded = flops + self._half * waste
        gemm_m = flops[:, self._gemm] / (2 * self._n * self._k)
        padded[:, self._gemm] = gemm_flops(
            gemm_m, self._n, self._k, self._multiprocessors, self._half[self._gemm]
        ) * (gemm_m > 0)
        active = (moved + flops) > 0
        fixed_s = active * self._fixed_s + units * self._unit_s
        memory_s, compute_s = moved / self._bytes_per_s, padded / self._flops_per_s
        nominal_s = joined(memory_s, compute_s, self.sharpness)
        ratio = self._measured.ratio(gemm_m, flops, moved, units, fixed_s + nominal_s)
        return Work(
            fixed_s=(fixed_s * ratio) @ self.layers,
            memory_s=memory_s * ratio,
            compute_s=compute_s * ratio,
            nominal_s=nominal_s * ratio,
            layers=self.layers,
            sharpness=self.sharpness,
            matmul_flops=flops @ self._tensor_layers,
            energy_flops=self._energy_flops(flops, moved, waste),
            quantising_s=active @ (self._fixed_s * self._quantises),
            hbm_bytes=moved @ self.layers,
            weight_bytes=weights @ self.layers,
        )

    def _energy_flops(self, flops: Floats, moved: Floats, waste: Floats) -> Floats:
        """Tiles are computed whole: 128 queries per key-value head, 16 to 64 rows an expert."""
        spent = flops.copy()
        spent[:, self._decodes] = np.maximum(
            flops[:, self._decodes], DECODE_TILE * moved[:, self._decodes]
        )
        if self._mixture.size:
            per_expert = waste[:, self._mixture]
            tokens = flops[:, self._mixture] / np.maximum(per_expert, 1e-30)
            tile = EXPERT_TILES[0] + (EXPERT_TILES[1] - EXPERT_TILES[0]) * tokens / (tokens + 4)
            spent[:, self._mixture] = per_expert * np.maximum(tokens, tile)
        return np.asarray(spent @ self._per_energy)

    def _rank_features(self, features: Floats) -> Floats:
        """Features of one data-parallel rank and one pipeline micro-batch.

        Tokens of one batch choose more alike than independent ones: n of them touch as
        many experts as 1 + routing_frac (n - 1) independent ones.
        """
        layout = self._layout
        if layout.dp == layout.pp == 1 and not self._experts:
            return features
        tokens = self._tokens(features)
        if layout.dp == layout.pp == 1:
            return self._with_experts(features.copy(), tokens)
        micro = np.minimum(layout.pp, np.maximum(tokens, 1.0))
        ranks = micro * np.minimum(layout.dp, np.maximum(tokens / micro, 1.0))
        shared = np.where(self._linear, features / ranks[:, None], features)
        return self._with_experts(shared, tokens / micro)

    def _with_experts(self, shared: Floats, each: Floats) -> Floats:
        """Set the experts that `each` tokens of a micro-batch touch."""
        for index, (experts, top) in self._experts:
            alike = np.where(each > 1, 1 + self._routing_frac * (each - 1), each)
            shared[:, index] = experts_touched(experts, top, alike)
        return shared

    def _tokens(self, features: Floats) -> Floats:
        return np.asarray(features[:, self._token_columns].sum(axis=1))


def _column(rows: list[Row], value: Callable[[Row], float]) -> Floats:
    return np.array([value(row) for row in rows], dtype=float)
