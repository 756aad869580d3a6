"""From a block spec to its operations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sim.arch import (
    H3,
    Architecture,
    Attention,
    DenseFFN,
    GatedDeltaNet,
    Hyena,
    LatentAttention,
    LinearAttention,
    Mamba1,
    Mamba2,
    MoE,
    Norms,
    OwnBlock,
    Projection,
    Rwkv4,
    RwkvMatrix,
)
from sim.flops.attention import LatentForm, attention_operations, latent_operations
from sim.flops.convolutional import h3_operations, hyena_operations
from sim.flops.ffn import (
    embedding_operations,
    ffn_operations,
    moe_operations,
    norm_operations,
    projection_operations,
)
from sim.flops.operation import Operation
from sim.flops.recurrent import (
    delta_operations,
    linear_attention_operations,
    rwkv4_operations,
    rwkv_matrix_operations,
)
from sim.flops.ssm import mamba1_operations, mamba2_operations

_OPERATIONS: dict[type[Any], Callable[[Any, int], list[Operation]]] = {
    Norms: norm_operations,
    Attention: attention_operations,
    LatentAttention: latent_operations,
    DenseFFN: ffn_operations,
    Projection: projection_operations,
    MoE: moe_operations,
    Mamba1: mamba1_operations,
    Mamba2: mamba2_operations,
    LinearAttention: linear_attention_operations,
    GatedDeltaNet: delta_operations,
    Rwkv4: rwkv4_operations,
    RwkvMatrix: rwkv_matrix_operations,
    Hyena: hyena_operations,
    H3: h3_operations,
}


@dataclass(frozen=True, slots=True)
class PlacedOperation:
    """An operation, how often a step runs it, and how many sets of its weights exist."""

    operation: Operation
    invocations: int
    copies: int


def block_operations(block: OwnBlock, hidden: int, latent: LatentForm = "auto") -> list[Operation]:
    """Operations of one invocation of a block."""
    if isinstance(block, LatentAttention):
        return latent_operations(block, hidden, latent)
    return _OPERATIONS[type(block)](block, hidden)


def architecture_operations(
    arch: Architecture, latent: LatentForm = "auto"
) -> list[PlacedOperation]:
    """Every operation of a step, embedding first, lm_head last; names are unique."""
    lookup, head = embedding_operations(
        arch.vocab,
        arch.hidden,
        arch.positions,
        tied=arch.tied_embeddings,
        head_bias=arch.head_bias,
    )
    placed = [PlacedOperation(lookup, 1, 1)]
    for block, invocations, copies in arch.blocks():
        placed += [
            PlacedOperation(operation, invocations, copies)
            for operation in block_operations(block, arch.hidden, latent)
        ]
    for block in arch.outer_norms:
        placed += [
            PlacedOperation(operation, 1, 1) for operation in norm_operations(block, arch.hidden)
        ]
    placed.append(PlacedOperation(head, 1, 1))
    return _with_unique_names(placed)


def _with_unique_names(placed: list[PlacedOperation]) -> list[PlacedOperation]:
    seen: dict[str, int] = {}
    unique = []
    for entry in placed:
        name = entry.operation.name
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            entry = replace(entry, operation=replace(entry.operation, name=f"{name}#{seen[name]}"))  # noqa: PLW2901
        unique.append(entry)
    return unique
