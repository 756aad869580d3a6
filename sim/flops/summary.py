"""Tables for people: one architecture, many side by side, the difference of two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.arch import Architecture
from sim.flops.batch import Batch
from sim.flops.blocks import architecture_operations
from sim.flops.count import memory, parameters
from sim.flops.features import Floats
from sim.flops.precision import BF16, Precision
from sim.flops.program import compile_step, stored_bytes
from sim.flops.table import OperationTable, flops_matmul_full, step_operations
from sim.units import MIB

# Which component of a model a row belongs to, by the first part of its name.
COMPONENTS = {
    "embedding": "vocabulary",
    "lm_head": "vocabulary",
    "attention": "attention",
    "latent": "attention",
    "indexer": "attention",
    "ffn": "ffn",
    "moe": "experts",
    "shared": "experts",
    "norm": "norms",
    "shared norm": "norms",
}
OTHER_COMPONENT = "mixers"


def component(row_name: str) -> str:
    """The component of a row: vocabulary, attention, ffn, experts, norms or mixers."""
    head = row_name.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0].split("#", maxsplit=1)[0]
    return COMPONENTS.get(head, OTHER_COMPONENT)


def show(
    arch: Architecture, batch: Batch | None = None, precision: Precision = BF16
) -> dict[str, Any]:
    """Everything about one architecture and one step, under the contract's keys.

    FLOPs: 1 MAC = 2 FLOPs; `flops` is what a serving engine executes, `flops_matmul_full`
    what a matmul counter sees. Default batch: one token, nothing cached.
    """
    step_batch = batch or Batch.uniform(1, 1)
    counts, held = parameters(arch), memory(arch, precision)
    step = step_operations(arch, step_batch, precision)
    return {
        "name": arch.name,
        "family": arch.family,
        "hugging_face": arch.hugging_face,
        "layers": arch.n_layers,
        "hidden": arch.hidden,
        "vocab": arch.vocab,
        "norm": arch.norm,
        "position": arch.position,
        "activation": arch.activation,
        "max_context": arch.max_context,
        "tied_embeddings": arch.tied_embeddings,
        "precision": precision.name,
        "params_total": counts.total,
        "params_active": counts.active,
        "params_active_excl_input_embedding": counts.active_excl_input_embedding,
        "params_input_embedding": counts.input_embedding,
        "params_lm_head": counts.lm_head,
        "params_routed_experts": counts.routed_experts,
        "weight_bytes": _whole(held.weight_bytes),
        "kv_bytes_per_token": _whole(held.kv_bytes_per_token),
        "window_kv_bytes_per_token": _whole(held.window_kv_bytes_per_token),
        "state_bytes_per_sequence": _whole(held.state_bytes_per_sequence),
        "flops": step.total_flops,
        "flops_matmul_full": flops_matmul_full(arch, step_batch),
        "elementwise_flops": round(float(step.flops[~step.counted].sum())),
        "operations": operation_rows(step),
        "defaults_used": list(arch.defaults_used),
        "sources": list(arch.sources),
        "assumptions": [datum.describe() for datum in arch.assumptions],
        "notes": arch.notes,
    }


def _whole(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)


def operation_rows(step: OperationTable) -> list[dict[str, Any]]:
    """The table of a step as a list of rows."""
    return [
        {
            "name": name,
            "layers": int(step.layers[i]),
            "kind": step.kind[i],
            "counted": bool(step.counted[i]),
            "flops": _whole(step.flops[i]),
            "weight_bytes": _whole(step.weight_bytes[i]),
            "activation_bytes": _whole(step.activation_bytes[i]),
            "cache_bytes": _whole(step.cache_bytes[i]),
            "cache_read_bytes": _whole(step.cache_read_bytes[i]),
            "cache_write_bytes": _whole(step.cache_write_bytes[i]),
            "split": step.split[i],
        }
        for i, name in enumerate(step.name)
    ]


def decode_flops(arch: Architecture, context_tokens: Any) -> Floats:
    """FLOPs of decoding one token on top of `context_tokens`, shape (n_points,)."""
    program = compile_step(arch)
    features = program.uniform_features(1, 1, context_tokens)
    rows = program.evaluate(features, ("flops",))["flops"]
    return np.asarray(rows[:, program.counted].sum(axis=1))


def zoo_rows(
    architectures: Iterable[Architecture], contexts: Sequence[int] = (2048, 131072)
) -> list[dict[str, Any]]:
    """`arch list`: total, active, cache per token, state, FLOPs per token at each context."""
    rows = []
    for arch in architectures:
        counts, held = parameters(arch), memory(arch)
        flops = decode_flops(arch, np.array(contexts))
        rows.append(
            {
                "name": arch.name,
                "family": arch.family,
                "params_total": counts.total,
                "params_active": counts.active,
                "kv_bytes_per_token": _whole(held.kv_bytes_per_token),
                "window_kv_bytes_per_token": _whole(held.window_kv_bytes_per_token),
                "state_bytes_per_sequence": _whole(held.state_bytes_per_sequence),
                **{
                    f"flops_per_token_at_{context}": round(float(value))
                    for context, value in zip(contexts, flops, strict=True)
                },
            }
        )
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """FLOPs per decoded token and memory of several models against context.

    Args:
        context_tokens: shape (n_points,).
        flops_per_token, cache_bytes, memory_bytes: shape (n_models, n_points);
            memory is weights and the cache of one sequence.
        crossovers: (quantity, first model, second model, context) where two curves cross.
    """

    names: tuple[str, ...]
    context_tokens: Floats
    flops_per_token: Floats
    cache_bytes: Floats
    memory_bytes: Floats
    crossovers: tuple[tuple[str, str, str, float], ...]


def compare(
    architectures: Sequence[Architecture],
    context_tokens: Sequence[int] | None = None,
    precision: Precision = BF16,
) -> Curves:
    """Curves of several models, 1k to 1M tokens of context by default."""
    contexts = np.asarray(
        context_tokens if context_tokens is not None else np.geomspace(2**10, 2**20, 81).round(),
        dtype=np.int64,
    )
    names = tuple(arch.name for arch in architectures)
    flops = np.stack([decode_flops(arch, contexts) for arch in architectures])
    held = [memory(arch, precision) for arch in architectures]
    cache = np.stack([one.cache_bytes(contexts) for one in held])
    total = cache + np.array([[one.weight_bytes] for one in held])
    points = contexts.astype(float)
    crossings = [
        *_crossovers("flops_per_token", names, points, flops),
        *_crossovers("cache_bytes", names, points, cache),
        *_crossovers("memory_bytes", names, points, total),
    ]
    return Curves(names, points, flops, cache, total, tuple(crossings))


def _crossovers(
    quantity: str, names: tuple[str, ...], contexts: Floats, curves: Floats
) -> list[tuple[str, str, str, float]]:
    """Where the difference of two curves changes sign, by linear interpolation."""
    found = []
    for i, first in enumerate(names):
        for j in range(i + 1, len(names)):
            gap = curves[i] - curves[j]
            for k in np.flatnonzero(np.sign(gap[:-1]) * np.sign(gap[1:]) < 0):
                share = gap[k] / (gap[k] - gap[k + 1])
                at = contexts[k] + share * (contexts[k + 1] - contexts[k])
                found.append((quantity, first, names[j], float(at)))
    return found


def weight_components(arch: Architecture, precision: Precision = BF16) -> dict[str, float]:
    """Stored weight bytes of each component."""
    found: dict[str, float] = {}
    for entry in architecture_operations(arch):
        if entry.operation.owned:
            name = component(entry.operation.name)
            held = entry.copies * stored_bytes(entry.operation, precision)
            found[name] = found.get(name, 0.0) + held
    return found


def diff(
    first: Architecture, second: Architecture, precision: Precision = BF16
) -> list[dict[str, Any]]:
    """Weight MiB of each component of two models and their difference (second - first).

    Llama-2-7B against Llama-3-8B gives the article's 1504, -1536, 2496 and 2464 MiB.
    """
    a, b = weight_components(first, precision), weight_components(second, precision)
    rows = [_diff_row(name, a.get(name, 0.0), b.get(name, 0.0)) for name in dict.fromkeys([*a, *b])]
    return [*rows, _diff_row("total", sum(a.values()), sum(b.values()))]


def _diff_row(name: str, first: float, second: float) -> dict[str, Any]:
    return {
        "component": name,
        "first_mib": first / MIB,
        "second_mib": second / MIB,
        "difference_mib": (second - first) / MIB,
    }
