"""Published figures and counts of the FLOP engine that several claims share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from sim import arch
from sim.arch import FULL, Architecture, Attention, LayerGroup, MoE
from sim.datum import datum, read_table
from sim.flops import Batch, OperationTable, step_operations
from sim.flops import component_parameters as count_components
from sim.units import FLOPS_PER_MAC, KIB, MIB

FACTS = "claims/facts.yaml"
TEXTS = "claims/claims.csv"
COUNTRIES = "claims/countries_electricity_2022.csv"
LONG_TOKENS = 256 * KIB
"""The article's long sequence: 256k tokens, as Jamba's context of 262,144."""
BF16_BYTES = 2


def fact(name: str) -> float:
    """Value of a published figure."""
    return datum(FACTS, name).value


def prefill(model: Architecture, tokens: int) -> OperationTable:
    """One sequence from empty, as a serving engine runs it."""
    return step_operations(model, Batch.uniform(1, tokens, 0))


def block_macs(model: Architecture, tokens: int) -> dict[str, float]:
    """Multiply-accumulates of one Transformer block by part, the whole score matrix.

    Returns:
        MAC per layer of `qkv`, `core` (scores and weighted sum), `out` and `ffn` (dense or
        active experts with their router), averaged over layers. 1 MAC = 2 FLOPs.
    """
    table = prefill(model, tokens)
    parts = dict.fromkeys(("qkv", "core", "out", "ffn"), 0.0)
    for name, flops in zip(table.name, table.full_flops, strict=True):
        block, _, operation = name.partition(".")
        if block.startswith("attention"):
            part = operation.split("#")[0]
        elif block in {"ffn", "moe", "shared"}:
            part = "ffn"
        else:
            continue
        if part in parts:
            parts[part] += float(flops) / FLOPS_PER_MAC / model.n_layers
    return parts


def coefficients(model: Architecture, parts: tuple[str, ...]) -> tuple[float, float, float]:
    """Cost of block parts as a s (hd)^2 + b s^2 (hd), MAC per layer; hd = width of all heads.

    Solved exactly at two lengths.

    Returns:
        a, b, and the relative error of that form at a third length.
    """
    width = attention_of(model).width
    lengths = (512, 2048, 8192)
    scaled = [sum(block_macs(model, s)[p] for p in parts) / (s * width) for s in lengths]
    quadratic = (scaled[1] - scaled[0]) / (lengths[1] - lengths[0])
    linear = (scaled[0] - quadratic * lengths[0]) / width
    predicted = linear * width + quadratic * lengths[2]
    return linear, quadratic, abs(predicted - scaled[2]) / scaled[2]


def attention_of(model: Architecture) -> Attention:
    """The model's softmax attention, the first kind if it has several."""
    return next(block for block, _, _ in model.blocks() if isinstance(block, Attention))


def moe_of(model: Architecture) -> MoE:
    """The model's mixture of experts."""
    return next(block for block, _, _ in model.blocks() if isinstance(block, MoE))


def has_moe(name: str) -> float:
    """1 if a zoo model has a mixture of experts, else 0."""
    return float(any(isinstance(block, MoE) for block, _, _ in arch.load(name).blocks()))


def with_blocks(model: Architecture, change: Callable[[Any], Any]) -> Architecture:
    """The same model with every block passed through `change`."""
    groups = tuple(
        LayerGroup(replace(g.layer, blocks=tuple(change(b) for b in g.layer.blocks)), g.count)
        for g in model.layers
    )
    return replace(model, layers=groups)


def with_attention(model: Architecture, **fields: Any) -> Architecture:
    """The same model with fields of its attention replaced."""
    return with_blocks(model, lambda b: replace(b, **fields) if isinstance(b, Attention) else b)


def without_window(model: Architecture) -> Architecture:
    """The same model with every attention layer seeing the whole context."""
    return with_attention(model, reach=FULL)


def with_top_k(model: Architecture, top_k: int) -> Architecture:
    """The same model with another number of active experts."""
    return with_blocks(model, lambda b: replace(b, top_k=top_k) if isinstance(b, MoE) else b)


@cache
def component_parameters(name: str) -> dict[str, int]:
    """Parameters of a zoo model by component: vocabulary, attention, ffn, norm, ..."""
    return count_components(arch.load(name))


def mib(parameters: float) -> float:
    """MiB of parameters in 16-bit precision."""
    return parameters * BF16_BYTES / MIB


@cache
def countries_twh() -> dict[str, float]:
    """Electricity use by country or territory, TWh per year."""
    return {row["country"]: float(row["consumption_twh"]) for row in read_table(COUNTRIES)}
