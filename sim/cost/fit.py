"""Whether a batch fits on a layout, and what fills the memory of its GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.arch.blocks import Attention, LatentAttention, MoE
from sim.cost.capacity import UNBOUNDED_TOKENS, cache_tokens, weight_bytes_per_gpu
from sim.cost.layout import check_layout
from sim.errors import CapacityError, InputError
from sim.flops import memory
from sim.units import gib

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.layout import Layout
    from sim.cost.steps import StepModel
    from sim.hardware.node import Node

SERVED_PRECISIONS: Final = ("bf16", "fp16", "fp8", "fp8-kv8", "mxfp4")
"""Precisions that have measured kernels."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Memory of a replica with a batch in it.

    Attributes:
        weight_bytes: of the fullest GPU. usable_bytes: of one GPU.
        cache_tokens: tokens of growing cache that the replica holds beside the weights and
            the fixed state of the batch; None where the cache does not grow.
        used_tokens: of the batch.
    """

    weight_bytes: float
    usable_bytes: float
    cache_tokens: int | None
    used_tokens: int


def check_batch(model: StepModel, sequences: int, tokens_each: int) -> Fit:
    """Whether a batch of equal sequences fits.

    Args:
        tokens_each: tokens in the cache of one sequence, at the end of the step.

    Raises:
        CapacityError: says how many bytes are missing.
    """
    device, arch = model.node.device, model.arch
    held = cache_tokens(model.program, model.layout, device, sequences, tokens_each)
    used = sequences * tokens_each
    if used > held:
        missing = (used - held) * memory(arch, model.program.precision).kv_bytes_per_token
        raise CapacityError(
            f"{sequences} sequences of {tokens_each} tokens do not fit: the replica of "
            f"{model.layout.gpus} x {device.name} holds {held} tokens of cache, {used} are "
            f"needed; it lacks {gib(missing)} ({missing:.0f} bytes)",
            f"give {_what_fits(held, tokens_each)}, more GPUs or a smaller format",
            path="batch",
        )
    return Fit(
        weight_bytes=weight_bytes_per_gpu(arch, model.layout, model.program.precision),
        usable_bytes=device.usable_bytes,
        cache_tokens=None if held >= UNBOUNDED_TOKENS else held,
        used_tokens=used,
    )


def _what_fits(held: int, tokens_each: int) -> str:
    """The batch that fits, or the length of one sequence where none does."""
    most = held // tokens_each
    return f"a batch of at most {most}" if most else f"sequences of at most {held} tokens"


def check_serving(arch: Architecture, layout: Layout, node: Node) -> None:
    """Refuse a layout that a serving engine cannot run.

    Raises:
        InputError: names the dimension, its value and its limit.
    """
    check_layout(arch, layout, node)
    if reason := undivided(arch, layout.tp):
        raise InputError(
            f"tp {layout.tp} does not divide {reason} of {arch.name}",
            f"give tp of {_listed(divisors_that_serve(arch, node.gpus))}",
            path="layout.tp",
        )
    if layout.dp > 1 and is_mixture(arch) and layout.ep != layout.tp * layout.dp:
        raise InputError(
            f"ep {layout.ep} with dp {layout.dp}: one replica holds each expert once",
            f"give ep {layout.tp * layout.dp} (tp x dp), or dp 1",
            path="layout.ep",
        )


def is_mixture(arch: Architecture) -> bool:
    """Whether the model has routed experts."""
    return any(isinstance(block, MoE) for block, _, _ in arch.blocks())


def undivided(arch: Architecture, tp: int) -> str:
    """The heads that tensor parallelism of `tp` ways cannot split; "" if it can.

    Key-value heads are repeated where there are fewer of them than ways.
    """
    for block, _, _ in arch.blocks():
        if isinstance(block, Attention | LatentAttention) and block.n_heads % tp:
            return f"the {block.n_heads} attention heads"
        if isinstance(block, Attention) and block.n_kv_heads % tp and tp % block.n_kv_heads:
            return f"the {block.n_kv_heads} key-value heads"
    return ""


def divisors_that_serve(arch: Architecture, most: int) -> list[int]:
    """Tensor-parallel ways up to `most` that split all heads."""
    return [tp for tp in range(1, most + 1) if not undivided(arch, tp)]


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
