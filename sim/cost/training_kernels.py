"""Kernels of one micro-batch of training on one GPU: forward, backward, recomputation.

Times come from the laws fitted on measured kernels (`sim.hardware.kernels`), with what
training does differently from serving:

- norms and residuals are split over tensor parallelism by tokens (sequence parallelism);
- latent attention expands its latents and runs the ordinary attention kernel;
- routed experts take the law of measured mixtures, without the skew of serving batches but
  with the imbalance of a balanced router (an assumption);
- backward is twice forward, for flash attention 2.5 times its FLOPs at the measured ratio of
  the backward kernel's speed;
- selective recomputation makes again what it did not keep: norms, products of gated layers,
  up-projections of latents, and the scores of naive attention.

Power is static + energy per FLOP and byte, as in serving. Where a pass would draw more than
the GPU's limit, or a cap, the clock falls and its compute side slows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.kernels import StepKernels, busy_class
from sim.cost.layout import Layout
from sim.datum import datum
from sim.flops import BF16, compile_step
from sim.flops.features import BATCH_FEATURES
from sim.flops.precision import FP8
from sim.flops.training import BACKWARD, attention_kernel, backward_factor
from sim.hardware.engine import load_engine
from sim.hardware.kernels import joined, kernel_law
from sim.hardware.power import clock_under_cap, stretch_under_cap

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.rows import Row
    from sim.cost.training_setup import TrainingPrecision, TrainingSetup
    from sim.flops import StepProgram
    from sim.hardware.device import Device

Floats = NDArray[np.float64]
LIBRARY: Final = "vllm"
"""Whose kernels: PyTorch's matrix products (cuBLAS; DeepGEMM in fp8) and FlashAttention-3."""
HEAD: Final = "lm_head"
ATTENTION: Final = ("prefill_attention", "latent_prefill")
ASSUMPTIONS: Final = "training/assumptions.yaml"


@dataclass(frozen=True, slots=True, eq=False)
class Pass:
    """One pass of a micro-batch through all layers, if one GPU held them all.

    Attributes:
        fixed_s: launches. memory_s, compute_s: per kernel, all its invocations, shape (n_rows,).
        matmul_flops: on tensor cores. dynamic_j: energy beside the static power.
    """

    fixed_s: float
    memory_s: Floats
    compute_s: Floats
    sharpness: Floats
    matmul_flops: float
    hbm_bytes: float
    dynamic_j: float

    def time_s(self, clock_frac: float = 1.0) -> float:
        """Time at a clock; only compute slows with it."""
        rows_s = joined(self.memory_s, self.compute_s / clock_frac, self.sharpness)
        return self.fixed_s + float(rows_s.sum())

    def at_limit(self, device: Device, cap_w: float | None) -> tuple[float, float, float]:
        """(time_s, power_w, clock) at the clock that keeps the GPU's limit and the cap.

        Raises:
            CapacityError: the cap lies below what the lowest clock draws.
        """
        limit_w = device.limit_w if cap_w is None else min(cap_w, device.limit_w)
        nominal_w = np.array([self.power_w(device)])
        kept_w = self.hbm_bytes * device.hbm_byte_j / self.time_s() * (1 + device.model_error_frac)
        clock = clock_under_cap(device, nominal_w, limit_w, kept_w)
        longer = float(stretch_under_cap(device, nominal_w, limit_w, kept_w, clock)[0])
        return (
            self.time_s(float(clock[0])) * longer,
            min(float(nominal_w[0]), limit_w),
            float(clock[0]),
        )

    def power_w(self, device: Device) -> float:
        """Power at the nominal clock, whatever the limit."""
        active_w = device.static_w + self.dynamic_j / self.time_s()
        return active_w * (1 + device.model_error_frac)


@dataclass(frozen=True, slots=True, eq=False)
class MicroBatch:
    """A micro-batch on the GPUs of a tensor- and context-parallel group, all layers.

    Attributes:
        forward, backward: of one GPU. redone: what selective recomputation does again.
        weight_share: share of backward's time in the gradients of weights.
        model_flops: matrix FLOPs of the whole micro-batch.
        all_reduces: tensor-parallel sums of a forward pass.
        dispatch_bytes: sent to experts and back by the whole micro-batch.
        key_value_bytes: keys and values of the micro-batch, all layers.
    """

    forward: Pass
    backward: Pass
    redone: Pass
    weight_share: float
    model_flops: float
    all_reduces: float
    dispatch_bytes: float
    key_value_bytes: float


def micro_batch(setup: TrainingSetup, device: Device) -> MicroBatch:
    """The micro-batch of a setup; what does not matter to it is shared by a search."""
    layout = setup.layout
    found = _micro_batch(
        setup.trained,
        Layout(tp=layout.tp, ep=layout.ep),
        setup.micro_batch_sequences,
        setup.sequence_tokens,
        setup.context_parallel,
        setup.precision,
        setup.attention_speed_frac,
        setup.head_runs,
        device,
    )
    if setup.multi_token:
        return replace(found, model_flops=_model_flops(setup))
    return found


def _model_flops(setup: TrainingSetup) -> float:
    """Matrix FLOPs of a micro-batch without the modules of multi-token prediction."""
    program = compile_step(setup.arch, BF16, "expanded")
    tokens = setup.sequence_tokens
    features = program.uniform_features(setup.micro_batch_sequences, tokens, 0, tokens)
    return float((program.evaluate(features)["flops"] * program.is_matmul).sum())


@lru_cache(maxsize=1024)
def _micro_batch(
    arch: Architecture,
    ways: Layout,
    sequences: int,
    tokens: int,
    context_ways: int,
    precision: TrainingPrecision,
    attention_speed: float,
    head_runs: float,
    device: Device,
) -> MicroBatch:
    program = compile_step(arch, FP8 if precision == "fp8" else BF16, "expanded")
    features = program.uniform_features(sequences, tokens, 0, tokens)
    values = program.evaluate(features)
    matmul = program.is_matmul
    forward = _forward(program, ways, features, context_ways, precision, device)
    forward = forward.with_attention_at(attention_speed).with_heads(head_runs)
    ones = np.ones(len(forward.rows))
    kernel = attention_kernel(arch)
    backward = forward.backward(_backward_factors(forward.rows, kernel), device)
    return MicroBatch(
        forward=forward.scaled(ones, ones, 1.0, device),
        backward=backward,
        redone=forward.only(_redone(arch, forward.rows, kernel)).scaled(ones, ones, 1.0, device),
        weight_share=_weight_share(forward.rows, backward),
        model_flops=float((values["flops"] * matmul).sum()),
        all_reduces=float(program.layers[program.all_reduce_after].sum()),
        dispatch_bytes=float(values["dispatch_bytes"].sum()),
        key_value_bytes=float(values["cache_write_bytes"].sum()),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Forward:
    """Terms of a forward pass, per kernel."""

    rows: list[Row]
    layers: Floats
    fixed_s: float
    memory_s: Floats
    compute_s: Floats
    sharpness: Floats
    flops: Floats
    energy_flops: Floats
    hbm_bytes: Floats
    weight_frac: Floats

    def with_attention_at(self, speed_frac: float) -> _Forward:
        """The same with attention kernels that compute at another speed."""
        slower = np.where([row.family in ATTENTION for row in self.rows], 1 / speed_frac, 1.0)
        return replace(self, compute_s=self.compute_s * slower)

    def with_heads(self, runs: float) -> _Forward:
        """The same with an output head that runs several times."""
        return self._times(np.array([runs if _plain_name(r) == HEAD else 1.0 for r in self.rows]))

    def only(self, chosen: Floats) -> _Forward:
        """The same with the other kernels left out; each launch taken as equally long."""
        return self._times(chosen)

    def _times(self, runs: Floats) -> _Forward:
        return replace(
            self,
            fixed_s=self.fixed_s * float(runs @ self.layers / self.layers.sum()),
            memory_s=self.memory_s * runs,
            compute_s=self.compute_s * runs,
            flops=self.flops * runs,
            energy_flops=self.energy_flops * runs,
            hbm_bytes=self.hbm_bytes * runs,
        )

    def backward(self, compute: Floats, device: Device) -> Pass:
        """Twice the bytes, but that the second time weights are gradients: read and written."""
        moved = 2 * datum(ASSUMPTIONS, "bytes_per_parameter.gradient").value
        held = np.array([1.0 if row.dtype.startswith("fp8") else 2.0 for row in self.rows])
        memory = BACKWARD + self.weight_frac * (moved / held - 1)
        return self.scaled(compute, memory, BACKWARD, device)

    def scaled(self, compute: Floats, memory: Floats, launches: float, device: Device) -> Pass:
        """A pass with FLOPs, bytes and launches multiplied."""
        moved = float(self.hbm_bytes @ memory)
        rows_s = joined(self.memory_s * memory, self.compute_s * compute, self.sharpness)
        classes = np.array([busy_class(row) for row in self.rows])
        busy_j = float(rows_s @ classes @ np.array(device.busy_w))
        spent = float((self.energy_flops * _work_factors(self.rows, compute)).sum())
        return Pass(
            fixed_s=self.fixed_s * launches,
            memory_s=self.memory_s * memory,
            compute_s=self.compute_s * compute,
            sharpness=self.sharpness,
            matmul_flops=float((self.flops * _work_factors(self.rows, compute)).sum()),
            hbm_bytes=moved,
            dynamic_j=spent * device.flop_j + moved * device.hbm_byte_j + busy_j,
        )


def _forward(
    program: StepProgram,
    ways: Layout,
    features: Floats,
    context_ways: int,
    precision: TrainingPrecision,
    device: Device,
) -> _Forward:
    """Evaluate the serving kernels, then put in what training does differently."""
    ranks = max(1, ways.ep // ways.tp)
    layout = Layout(tp=ways.tp, dp=ranks, ep=max(ways.ep, 1))
    kernels = StepKernels(
        program, layout, device, load_engine(LIBRARY), fp8_block=precision == "fp8"
    )
    linear = np.array([f.kind not in BATCH_FEATURES for f in program.features])
    work = kernels.evaluate(np.where(linear, features * (ranks / context_ways), features))
    memory_s, compute_s = work.memory_s[0].copy(), work.compute_s[0].copy()
    terms = np.where(linear, features / context_ways, features)[0]
    flops = np.array([float(row.flops @ terms) for row in kernels.rows])
    moved = np.array([float(row.bytes_ @ terms) for row in kernels.rows])
    weights = np.array([float(row.weight_bytes @ terms) * row.tensor for row in kernels.rows])
    weight_frac = weights / np.maximum(moved, 1.0)
    for i, row in enumerate(kernels.rows):
        memory, compute, split = _training_factors(row, ways)
        if row.family == "moe":  # the measured ratio holds the imbalance of serving batches
            memory, compute = memory / work.ratio[0, i], compute / work.ratio[0, i]
        memory_s[i], compute_s[i] = memory_s[i] * memory, compute_s[i] * compute
        moved[i] = moved[i] / split
    layers = kernels.layers
    tensor = np.array([row.tensor for row in kernels.rows])
    halved = np.array([0.5 if row.dtype.startswith("fp8") else 1.0 for row in kernels.rows])
    return _Forward(
        rows=kernels.rows,
        layers=np.asarray(layers),
        fixed_s=float(work.fixed_s[0]),
        memory_s=memory_s * layers,
        compute_s=compute_s * layers,
        sharpness=kernels.sharpness,
        flops=flops * layers * tensor,
        energy_flops=flops * layers * tensor * halved,
        hbm_bytes=moved * layers,
        weight_frac=weight_frac,
    )


def _training_factors(row: Row, ways: Layout) -> tuple[float, float, float]:
    """What multiplies a row's memory and compute time, and divides its bytes."""
    if row.family == "elementwise" and row.name.split("#")[0] in {"norm", "residual"}:
        return 1 / ways.tp, 1 / ways.tp, float(ways.tp)
    if row.family == "latent_prefill":
        found, used = kernel_law(LIBRARY, row.family), kernel_law(LIBRARY, "prefill_attention")
        memory = found.memory_frac / used.memory_frac
        return memory, found.compute_frac / used.compute_frac, 1.0
    if row.family == "moe":
        balance = 1 + datum(ASSUMPTIONS, "experts.imbalance_frac").value * (ways.ep > 1)
        return 1.0, balance, 1.0
    return 1.0, 1.0, 1.0


def _redone(arch: Architecture, rows: list[Row], kernel: str) -> Floats:
    """1 for each kernel that selective recomputation runs again, else 0."""
    gated = any(getattr(block, "gated", False) for block, _, _ in arch.blocks())
    names = {"norm", "latent.q_up", "latent.kv_up"}

    def is_redone(name: str) -> bool:
        if name.endswith(".core"):
            return kernel == "naive"
        return name in names or (gated and name.endswith(".activation"))

    return np.array([float(is_redone(_plain_name(row))) for row in rows])


def _weight_share(rows: list[Row], backward: Pass) -> float:
    """Share of backward's time in the gradients of weights: half of what has weights."""
    rows_s = joined(backward.memory_s, backward.compute_s, backward.sharpness)
    weighted = np.array([bool(row.tensor) and row.weight_bytes.any() for row in rows])
    return float(rows_s[weighted].sum() / 2 / backward.time_s())


def _backward_factors(rows: list[Row], kernel: str) -> Floats:
    """Time of the compute side of backward over forward's."""
    attention = datum(ASSUMPTIONS, "attention.backward_speed_frac").value
    narrow = datum(ASSUMPTIONS, "fp8.weight_gradient_speed_frac").value

    def factor(row: Row) -> float:
        plain = backward_factor(_plain_name(row), kernel)
        if row.family in ATTENTION:
            return plain / attention
        # Of the two products of backward the one that makes gradients of weights is slower.
        return plain + (1 / narrow - 1) * row.dtype.startswith("fp8")

    return np.array([factor(row) for row in rows])


def _work_factors(rows: list[Row], compute: Floats) -> Floats:
    """FLOPs of a pass over forward's: its time without the slower kernel."""
    if np.all(compute == 1.0):
        return compute
    return np.array([backward_factor(_plain_name(row), "flash") for row in rows])


def _plain_name(row: Row) -> str:
    return row.name.split("#")[0].removesuffix(" prefill").removesuffix(" decode")
