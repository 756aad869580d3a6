"""One kind of operation of one block: what it costs as sums over batch features.

Everything is per invocation of the block; FLOPs count multiply and add separately
(1 MAC = 2 FLOPs). Element counts become bytes when a program is compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sim.flops.features import DECODE_TOKENS, PREFILL_TOKENS, STEPS, Feature

Unit = Literal["matmul", "vector"]
Split = Literal["tp", "ep", "none"]
Role = Literal["linear", "expert", "kept"]
Coefficients = Mapping[Feature, float]
NOTHING: Coefficients = {}


def per_token(value: float) -> dict[Feature, float]:
    """The same for each new token, prefill or decode."""
    return {PREFILL_TOKENS: value, DECODE_TOKENS: value}


@dataclass(frozen=True, slots=True)
class Cache:
    """What one invocation keeps per sequence.

    Args:
        growing: elements per token without bound.
        windowed: elements per token, up to `window` tokens.
        state: fp32 elements whatever the length (SSM, WKV).
        short_state: elements in the model's dtype (convolution, token shift).
    """

    growing: int = 0
    windowed: int = 0
    window: int = 0
    state: int = 0
    short_state: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the table, before a batch is known.

    Args:
        kind: `matmul` runs on tensor cores, `vector` on the element-wise units.
        counted: False for norm, softmax and activation work, which no FLOP total includes.
        flops: FLOPs by feature. full: FLOPs as a matmul counter sees them; None: as `flops`
            if a counted matmul, else nothing.
        weights: matrix parameters. vectors: other parameters (norms, biases, decays).
        role: which format the weights take. owned: False if tied to another row's weights.
        weights_on: feature whose value says how often the weights are read;
            `weight_units` is into how many units (experts) they fall.
        activation: elements read and written between operations.
        cache_read, cache_write: elements of the key-value cache.
        split: which parallel dimension divides it; shards: into at most how many parts.
        all_reduce_width: elements per token of the tensor-parallel all-reduce after it; 0: none.
        dispatch: elements that expert parallelism sends (all-to-all).
        n, k: output and inner width of the matrix product; 0 where it is none.
    """

    name: str
    kind: Unit
    counted: bool = True
    flops: Coefficients = field(default_factory=dict)
    full: Coefficients | None = None
    weights: int = 0
    vectors: int = 0
    role: Role = "linear"
    owned: bool = True
    weights_on: Feature | None = STEPS
    weight_units: int = 1
    activation: Coefficients = field(default_factory=dict)
    cache_read: Coefficients = field(default_factory=dict)
    cache_write: Coefficients = field(default_factory=dict)
    cache: Cache = Cache()
    split: Split = "none"
    shards: int = 1
    cache_shards: int = 1
    all_reduce_width: int = 0
    dispatch: Coefficients = field(default_factory=dict)
    n: int = 0
    k: int = 0

    @property
    def full_flops(self) -> Coefficients:
        """FLOPs of a matmul counter."""
        if self.full is not None:
            return self.full
        return self.flops if self.counted and self.kind == "matmul" else NOTHING


def linear(
    name: str,
    n_in: int,
    n_out: int,
    *,
    bias: bool | int = False,
    norm: int = 0,
    role: Role = "linear",
    split: Split = "none",
    shards: int = 1,
    all_reduce_width: int = 0,
) -> Operation:
    """A matrix product on every new token: 2 n_in n_out FLOPs each (1 MAC = 2 FLOPs).

    Args:
        bias: True for one bias per output, or how many.
        norm: parameters of a norm fused with it.
    """
    biases = n_out * bias if isinstance(bias, bool) else bias
    return Operation(
        name=name,
        kind="matmul",
        flops=per_token(2 * n_in * n_out),
        weights=n_in * n_out,
        vectors=biases + norm,
        role=role,
        activation=per_token(n_in + n_out),
        split=split,
        shards=shards,
        all_reduce_width=all_reduce_width,
        n=n_out,
        k=n_in,
    )


def elementwise(
    name: str,
    flops: Coefficients,
    elements: float = 0,
    *,
    vectors: int = 0,
    shards: int = 1,
    split: Split = "tp",
    counted: bool = False,
) -> Operation:
    """Norm, softmax or activation work: its own vector row, in no FLOP total.

    Args:
        elements: read and written per token; 0 where fused into a neighbour.
        shards: into how many parts tensor parallelism divides it; 1: every rank does it all.
    """
    return Operation(
        name=name,
        kind="vector",
        counted=counted,
        flops=flops,
        vectors=vectors,
        role="kept",
        activation=per_token(elements),
        split=split if shards > 1 else "none",
        shards=shards,
    )
