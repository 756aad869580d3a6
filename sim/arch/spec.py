"""An architecture: layers in order, embeddings, and what the model card says around them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from sim.arch.blocks import (
    Attention,
    Block,
    Kernel,
    LatentAttention,
    Norms,
    OwnBlock,
    Shared,
)
from sim.datum import Datum


@dataclass(frozen=True, slots=True)
class Layer:
    """The blocks of one layer, in order."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """A run of equal layers."""

    layer: Layer
    count: int


class _Remembered:
    """Room for a hash: nested layers take long to hash, and every memo asks for it.

    It is no field: copies and other processes, whose strings hash otherwise, start without.
    """

    __slots__ = ("_hash",)
    _hash: int


@dataclass(frozen=True, slots=True)
class Architecture(_Remembered):
    """What a model is. Everything that `sim.flops` needs, and where it was read.

    Args:
        layers: runs of equal layers, in order.
        positions: learned position embeddings (GPT-2), else 0.
        outer_norms: norms outside the layers (final norm, RWKV's first).
        norm, position, activation: names, for people.
        max_context: longest context in tokens that the config names; 0: none named.
        defaults_used: config fields that the family's published class supplied.
        assumptions: figures of a hypothetical model, each with its range.
    """

    name: str
    family: str
    hidden: int
    vocab: int
    layers: tuple[LayerGroup, ...]
    tied_embeddings: bool
    outer_norms: tuple[Norms, ...]
    norm: str
    position: str
    activation: str
    max_context: int
    dtype: str
    positions: int = 0
    head_bias: bool = False
    defaults_used: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    assumptions: tuple[Datum, ...] = ()
    notes: str = ""
    hugging_face: str = ""

    def __hash__(self) -> int:
        """That of all fields, taken once."""
        try:
            return self._hash
        except AttributeError:
            found = hash(tuple(getattr(self, name) for name in self.__slots__))
            object.__setattr__(self, "_hash", found)
            return found

    @property
    def n_layers(self) -> int:
        """Layers in all."""
        return sum(group.count for group in self.layers)

    def with_kernel(self, kernel: Kernel) -> Architecture:
        """The same model with another attention kernel: same FLOPs, other bytes."""
        groups = tuple(
            LayerGroup(Layer(tuple(_with_kernel(b, kernel) for b in g.layer.blocks)), g.count)
            for g in self.layers
        )
        return replace(self, layers=groups)

    def blocks(self) -> Iterator[tuple[OwnBlock, int, int]]:
        """Distinct blocks in order of first use: (block, invocations, sets of weights)."""
        invocations: dict[Block, int] = {}
        for group in self.layers:
            for block in group.layer.blocks:
                invocations[block] = invocations.get(block, 0) + group.count
        for block, count in invocations.items():
            if isinstance(block, Shared):
                yield block.block, count, min(block.copies, count)
            else:
                yield block, count, count


def grouped(layers: Iterable[Layer]) -> tuple[LayerGroup, ...]:
    """Runs of equal layers, order kept."""
    return tuple(LayerGroup(layer, len(list(run))) for layer, run in groupby(layers))


def _with_kernel(block: Block, kernel: Kernel) -> Block:
    if isinstance(block, Shared):
        inner = block.block
        if isinstance(inner, Attention | LatentAttention):
            return replace(block, block=replace(inner, kernel=kernel))
        return block
    if isinstance(block, Attention | LatentAttention):
        return replace(block, kernel=kernel)
    return block
