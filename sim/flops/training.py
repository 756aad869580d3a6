"""Training: FLOPs of forward, backward and recomputation; bytes of weights, states, activations.

Bytes per parameter in mixed precision (Rajbhandari et al. 2020, ZeRO, section 3.1):

| part                 | AdamW / Adam | AdamW, 8-bit states | SGD with momentum |
|----------------------|--------------|---------------------|-------------------|
| weights (bf16)       | 2            | 2                   | 2                 |
| gradients (bf16)     | 2            | 2                   | 2                 |
| master weights, fp32 | 4            | 4                   | 4                 |
| first moment         | 4            | 1                   | 4                 |
| second moment        | 4            | 1                   | 0                 |

Gradients accumulated in fp32 (Megatron-LM) take 4 instead of 2. ZeRO stage 1 divides the
optimiser's part over data parallelism, stage 2 the gradients too, stage 3 the weights too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from sim.arch import Architecture
from sim.errors import InputError
from sim.flops.batch import Batch
from sim.flops.count import parameters
from sim.flops.table import OperationTable, step_operations

Recompute = Literal["none", "selective", "full"]
FP32_GRADIENT_BYTES: Final = 4.0
BACKWARD: Final = 2.0
# FlashAttention's backward runs 5 matrix products where forward runs 2: it makes the scores
# again (Dao et al. 2022; torch's sdpa_backward_flop_count). A fused scan does likewise.
FLASH_BACKWARD: Final = 2.5


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Bytes per parameter of an optimiser in mixed precision; AdamW and Adam keep the same."""

    name: str
    master_bytes: float
    first_moment_bytes: float
    second_moment_bytes: float
    gradient_bytes: float = 2.0
    weight_bytes: float = 2.0

    @property
    def state_bytes(self) -> float:
        """Master weights and moments."""
        return self.master_bytes + self.first_moment_bytes + self.second_moment_bytes

    @property
    def total_bytes(self) -> float:
        """Weights, gradients and states together, unsharded."""
        return self.weight_bytes + self.gradient_bytes + self.state_bytes


ADAMW: Final = Optimizer("adamw", 4, 4, 4)
ADAM: Final = Optimizer("adam", 4, 4, 4)
ADAMW_FP32_GRADIENTS: Final = Optimizer("adamw-fp32-gradients", 4, 4, 4, FP32_GRADIENT_BYTES)
ADAMW_8BIT: Final = Optimizer("adamw-8bit", 4, 1, 1)
SGD_MOMENTUM: Final = Optimizer("sgd-momentum", 4, 4, 0)
OPTIMIZERS: Final = {
    o.name: o for o in (ADAMW, ADAM, ADAMW_FP32_GRADIENTS, ADAMW_8BIT, SGD_MOMENTUM)
}


@dataclass(frozen=True, slots=True)
class TrainingFlops:
    """FLOPs of one training step (1 MAC = 2 FLOPs).

    Args:
        forward, backward: what the model needs. recompute: forward work done again.
    """

    forward: float
    backward: float
    recompute: float

    @property
    def model(self) -> float:
        """Forward and backward: the numerator of MFU."""
        return self.forward + self.backward

    @property
    def hardware(self) -> float:
        """With recomputation: the numerator of HFU."""
        return self.model + self.recompute


def training_batch(n_sequences: int, sequence_tokens: int) -> Batch:
    """Whole sequences with logits at every position."""
    new = [sequence_tokens] * n_sequences
    return Batch(new, [0] * n_sequences, new)


def backward_factor(name: str, kernel: str) -> float:
    """Backward FLOPs over forward FLOPs of a row: 2, or 2.5 where backward recomputes inside."""
    is_attention = name.endswith(".core") and not name.startswith("indexer")
    if is_attention and kernel == "flash":
        return FLASH_BACKWARD
    return FLASH_BACKWARD if name.endswith((".scan", ".wkv")) else BACKWARD


def attention_kernel(arch: Architecture) -> str:
    """`naive` where all attention of a model writes its scores to memory, else `flash`."""
    kernels = {getattr(block, "kernel", None) for block, _, _ in arch.blocks()} - {None}
    return "naive" if kernels == {"naive"} else "flash"


def training_flops(
    arch: Architecture,
    n_sequences: int,
    sequence_tokens: int,
    recompute: Recompute = "none",
    *,
    causal: bool = True,
) -> TrainingFlops:
    """FLOPs of one step over `n_sequences` x `sequence_tokens` tokens.

    Backward is twice forward for matrices, 2.5 times for flash attention. Full
    recomputation repeats every block's forward (not the lm_head); selective repeats the
    attention core, which the flash kernel has counted already (Korthikanti et al. 2022,
    equations 8 and 9).

    Args:
        causal: False counts the whole score matrix, as model-FLOPs formulas do.
    """
    step = step_operations(arch, training_batch(n_sequences, sequence_tokens))
    flops = np.where(step.counted, step.flops, 0.0)
    if not causal:
        is_core = np.array([name.endswith(".core") for name in step.name])
        flops = np.where(is_core, step.full_flops, flops)
    kernel = attention_kernel(arch)
    factors = np.array([backward_factor(name, kernel) for name in step.name])
    return TrainingFlops(
        forward=float(flops.sum()),
        backward=float((flops * factors).sum()),
        recompute=float((flops * _repeated(step, recompute, kernel)).sum()),
    )


def _repeated(step: OperationTable, recompute: Recompute, kernel: str) -> np.ndarray:
    if recompute == "full":
        return np.array([float(name not in {"embedding", "lm_head"}) for name in step.name])
    repeats = recompute == "selective" and kernel == "naive"
    return np.array([float(repeats and name.endswith(".core")) for name in step.name])


@dataclass(frozen=True, slots=True)
class Sharding:
    """How training state is divided.

    Args:
        zero_stage: 0 to 3. dp: data-parallel ranks. tp, pp: tensor and pipeline ranks.
        ep: expert-parallel ranks (out of dp x tp) that divide the routed experts.
        sequence_parallel: norms and residuals are divided by tp too.
    """

    zero_stage: int = 0
    dp: int = 1
    tp: int = 1
    pp: int = 1
    ep: int = 1
    sequence_parallel: bool = True

    def __post_init__(self) -> None:
        if self.zero_stage not in range(4):
            raise InputError(f"ZeRO stage {self.zero_stage} is not 0, 1, 2 or 3", "choose one")
        for name in ("dp", "tp", "pp", "ep"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is below 1", "give ranks >= 1")
        if self.dp * self.tp % self.ep:
            raise InputError(
                f"ep {self.ep} does not divide dp x tp = {self.dp * self.tp}", "choose a divisor"
            )


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes per device."""

    weight_bytes: float
    gradient_bytes: float
    optimizer_bytes: float
    activation_bytes: float

    @property
    def total_bytes(self) -> float:
        """All of it."""
        return (
            self.weight_bytes + self.gradient_bytes + self.optimizer_bytes + self.activation_bytes
        )


def zero_factors(stage: int, ranks: int) -> tuple[float, float, float]:
    """Share of weights, gradients and optimiser states that one of `ranks` holds."""
    divided = 1 / ranks
    return (
        divided if stage >= 3 else 1.0,
        divided if stage >= 2 else 1.0,
        divided if stage >= 1 else 1.0,
    )


def state_memory(
    arch: Architecture, optimizer: Optimizer = ADAMW, sharding: Sharding | None = None
) -> TrainingMemory:
    """Weights, gradients and optimiser states per device; activations 0.

    Dense parameters are divided by tp x pp and replicated dp times, routed experts by
    ep x pp and replicated dp x tp / ep times; ZeRO divides over the replicas. Layers are
    taken to divide evenly over pp.
    """
    shards = sharding or Sharding()
    counts = parameters(arch)
    dense = (counts.total - counts.routed_experts) / (shards.tp * shards.pp)
    experts = counts.routed_experts / (shards.ep * shards.pp)
    dense_share = zero_factors(shards.zero_stage, shards.dp)
    expert_share = zero_factors(shards.zero_stage, shards.dp * shards.tp // shards.ep)
    held = [dense * d + experts * e for d, e in zip(dense_share, expert_share, strict=True)]
    return TrainingMemory(
        weight_bytes=held[0] * optimizer.weight_bytes,
        gradient_bytes=held[1] * optimizer.gradient_bytes,
        optimizer_bytes=held[2] * optimizer.state_bytes,
        activation_bytes=0.0,
    )
