"""Which function reads which `model_type`. One small function per family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sim.arch.blocks import Norms
from sim.arch.fields import Fields
from sim.arch.spec import Layer
from sim.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader found in a config."""

    hidden: int
    vocab: int
    layers: list[Layer]
    tied_embeddings: bool
    outer_norms: tuple[Norms, ...]
    norm: str
    position: str
    activation: str
    max_context: int = 0
    positions: int = 0
    head_bias: bool = False
    notes: str = ""


Reader = Callable[[Fields], Read]
_READERS: dict[str, Reader] = {}


def reader(*families: str) -> Callable[[Reader], Reader]:
    """Register a reader for the `model_type`s it understands; a duplicate is a defect."""

    def register(function: Reader) -> Reader:
        for family in families:
            if family in _READERS:
                raise ValueError(f"two readers for {family!r}")
            _READERS[family] = function
        return function

    return register


def find_reader(family: str) -> Reader:
    """The reader of a `model_type`.

    Raises:
        UnknownNameError: no reader knows the family.
    """
    if family not in _READERS:
        raise UnknownNameError("model_type", family, _READERS, path="model_type")
    return _READERS[family]


def families() -> list[str]:
    """All `model_type`s that can be read."""
    return sorted(_READERS)
