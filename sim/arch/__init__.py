"""What a model is: frozen specs, read from any Hugging Face `config.json` or from the zoo."""

from sim.arch.blocks import (
    FULL,
    Attention,
    Block,
    DenseFFN,
    Indexer,
    LatentAttention,
    Mamba1,
    Mamba2,
    MoE,
    Norms,
    Reach,
)
from sim.arch.load import from_config, load, names
from sim.arch.registry import families
from sim.arch.spec import Architecture, Layer, LayerGroup, grouped

__all__ = [
    "FULL",
    "Architecture",
    "Attention",
    "Block",
    "DenseFFN",
    "Indexer",
    "LatentAttention",
    "Layer",
    "LayerGroup",
    "Mamba1",
    "Mamba2",
    "MoE",
    "Norms",
    "Reach",
    "families",
    "from_config",
    "grouped",
    "load",
    "names",
]
