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
from sim.cost.rows import Row, kernel_rows, row_law
from sim.flops.features import BATCH_FEATURES
from sim.flops.routing import experts_touched
from sim.hardware.kernels import DTYPES, gemm_flops, joined

if TYPE_CHECKING:
    from sim.cost.layout import Layout
    from sim.flops.program import StepProgram
    from sim.hardware.device import Device
    from sim.hardware.engine import Engine
    from sim.hardware.kernels import KernelLaw

Floats = NDArray[np.float64]
NARROW: Final = ("gemm", "moe")
"""Families whose fp8 FLOPs cost half of bf16's; attention over an fp8 cache is counted whole."""
BUSY: Final = ("gemm", "block", "mixture", "block mixture", "attention")
"""Classes of kernels by the power that they draw beyond their FLOPs and bytes: plain matrix
products (and element-wise kernels), block-scaled fp8 products, mixtures, mixtures of block-scaled
fp8 weights, attention and scans."""


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What one GPU does in a step, for each of n points.

    Attributes:
        fixed_s: launches and per-unit times of all kernels, shape (n,).
        memory_s, compute_s: per kernel and invocation, shape (n, n_rows), nominal clock.
        nominal_s: one invocation less its launch, nominal clock, shape (n, n_rows).
        ratio: measured over the law's time, a factor of all three, shape (n, n_rows).
        layers, sharpness: per kernel, shape (n_rows,).
        matmul_flops: on tensor cores, without waste, shape (n,).
        energy_flops: FLOPs that cost energy, in units of bf16: an fp8 FLOP for a half, (n,).
        busy_s: time of the kernels of each class of `BUSY`, nominal clock, shape (n, 5).
        hbm_bytes, weight_bytes: shape (n,).
        head_s: the part of the kernels' time in the output head, nominal clock, shape (n,).
    """

    fixed_s: Floats
    memory_s: Floats
    compute_s: Floats
    nominal_s: Floats
    ratio: Floats
    layers: Floats
    sharpness: Floats
    matmul_flops: Floats
    energy_flops: Floats
    busy_s: Floats
    hbm_bytes: Floats
    weight_bytes: Floats
    head_s: Floats

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
        laws = [row_law(engine.name, row) for row in self.rows]
        self.layers = _column(self.rows, lambda row: row.layers)
        self._set_laws(laws, device)
        self._measured = Measured(self.rows, laws, layout, device, engine.name)
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
        self._set_weights()
        kinds = [feature.kind for feature in program.features]
        self._linear = np.array([kind not in BATCH_FEATURES for kind in kinds])
        self._token_columns = [
            i for i, kind in enumerate(kinds) if kind in {"prefill_tokens", "decode_tokens"}
        ]
        self._experts = [
            (i, f.experts) for i, f in enumerate(program.features) if f.kind == "experts_touched"
        ]

    def _set_laws(self, laws: list[KernelLaw], device: Device) -> None:
        """Coefficients of all rows, in their units."""
        share = _column(self.rows, lambda row: row.law_share)
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

    def _set_weights(self) -> None:
        """What the rows count for in FLOPs, energy, classes of power and the head."""
        self._tensor_layers = self.layers * np.array([row.tensor for row in self.rows])
        self._per_energy = self.layers * np.array(
            [
                (0.5 if row.dtype.startswith("fp8") and row.family in NARROW else 1.0) * row.tensor
                for row in self.rows
            ]
        )
        self._classes = self.layers[:, None] * np.array([busy_class(row) for row in self.rows])
        self._head = self.layers * np.array([_is_head(row, self.program) for row in self.rows])

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
            ratio=ratio,
            layers=self.layers,
            sharpness=self.sharpness,
            matmul_flops=flops @ self._tensor_layers,
            energy_flops=flops @ self._per_energy,
            busy_s=((fixed_s + nominal_s) * ratio) @ self._classes,
            hbm_bytes=moved @ self.layers,
            weight_bytes=weights @ self.layers,
            head_s=((fixed_s + nominal_s) * ratio) @ self._head,
        )

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
        micro = self.micro_batches(features)
        ranks = micro * np.minimum(layout.dp, np.maximum(tokens / micro, 1.0))
        shared = np.where(self._linear, features / ranks[:, None], features)
        return self._with_experts(shared, tokens / micro)

    def micro_batches(self, features: Floats) -> Floats:
        """Parts in which a batch goes through the stages: one per stage, if it has the tokens."""
        return np.minimum(float(self._layout.pp), np.maximum(self._tokens(features), 1.0))

    def _with_experts(self, shared: Floats, each: Floats) -> Floats:
        """Set the experts that `each` tokens of a micro-batch touch."""
        for index, (experts, top) in self._experts:
            alike = np.where(each > 1, 1 + self._routing_frac * (each - 1), each)
            shared[:, index] = experts_touched(experts, top, alike)
        return shared

    def _tokens(self, features: Floats) -> Floats:
        return np.asarray(features[:, self._token_columns].sum(axis=1))


def _is_head(row: Row, program: StepProgram) -> bool:
    """Whether a row works on the tokens whose logits are asked for, and on nothing else."""
    used = [f.kind for f, flops in zip(program.features, row.flops, strict=True) if flops]
    return bool(used) and set(used) == {"logits"}


def busy_class(row: Row) -> list[float]:
    """A 1 at the row's place in `BUSY`."""
    names = {"moe": "mixture", "elementwise": "gemm", "gemm": "gemm"}
    name = names.get(row.family, "attention")
    if row.dtype == "fp8_block":
        name = {"gemm": "block", "mixture": "block mixture"}.get(name, name)
    return [float(name == known) for known in BUSY]


def _column(rows: list[Row], value: Callable[[Row], float]) -> Floats:
    return np.array([value(row) for row in rows], dtype=float)
