"""Tables about architectures, as plain rows: list, show, compare, diff."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from sim import arch as archs
from sim.arch import Architecture
from sim.errors import InputError
from sim.flops import (
    BF16,
    Batch,
    compile_step,
    component_parameters,
    flops_matmul_full,
    memory,
    parameters,
    precision,
    step_operations,
)
from sim.flops.features import Floats
from sim.units import KIB, MIB

Row = dict[str, Any]
CONTEXTS = tuple(KIB * 2**n for n in range(11))
"""1k to 1M tokens."""


def zoo_rows() -> list[Row]:
    """One row per architecture of the zoo."""
    rows = []
    for name in archs.names():
        model = archs.load(name)
        count, held = parameters(model), memory(model)
        rows.append(
            {
                "name": name,
                "family": model.family,
                "params_total": count.total,
                "params_active": count.active,
                "kv_bytes_per_token": held.kv_bytes_per_token,
                "window_kv_bytes_per_token": held.window_kv_bytes_per_token,
                "state_bytes_per_sequence": held.state_bytes_per_sequence,
                "decode_flops_2k": decode_flops(model, 2 * KIB),
                "decode_flops_128k": decode_flops(model, 128 * KIB),
                "hypothetical": bool(model.assumptions),
            }
        )
    return rows


def show(name: str, batch: int, new_tokens: int, context: int, dtype: str) -> Row:
    """Everything about one architecture for one batch (`arch show`, DESIGN.md section 10)."""
    model, chosen = archs.load(name), precision(dtype)
    count, held = parameters(model), memory(model, chosen)
    step = Batch.uniform(batch, new_tokens, context)
    table = step_operations(model, step, chosen)
    return {
        "name": model.name,
        "family": model.family,
        "params_total": count.total,
        "params_active": count.active,
        "params_active_excl_input_embedding": count.active_excl_input_embedding,
        "weight_bytes": _whole(held.weight_bytes),
        "kv_bytes_per_token": _whole(held.kv_bytes_per_token),
        "window_kv_bytes_per_token": _whole(held.window_kv_bytes_per_token),
        "state_bytes_per_sequence": _whole(held.state_bytes_per_sequence),
        "flops": table.total_flops,
        "flops_matmul_full": flops_matmul_full(model, step),
        "defaults_used": list(model.defaults_used),
        "assumptions": [figure.describe() for figure in model.assumptions],
        "sources": list(model.sources),
        "notes": model.notes,
        "operations": [
            {
                "name": table.name[i],
                "layers": int(table.layers[i]),
                "kind": table.kind[i],
                "flops": _whole(table.flops[i]),
                "weight_bytes": _whole(table.weight_bytes[i]),
                "activation_bytes": _whole(table.activation_bytes[i]),
                "cache_bytes": _whole(table.cache_bytes[i]),
            }
            for i in range(len(table.name))
        ],
    }


def _whole(value: float) -> int | float:
    """A whole number as an int: counts are exact, expected experts are not."""
    number = float(value)
    return int(number) if number.is_integer() else number


def compare(names: Sequence[str]) -> Row:
    """FLOPs per decoded token and memory against context, with the crossovers.

    Returns:
        `points`: rows per architecture and context; `crossovers`: where two lines cross.
    """
    if len(names) < 2:
        raise InputError("one architecture has nothing to be compared with", "name two or more")
    models = [archs.load(name) for name in names]
    lines = {
        "flops_per_token": [_decode_curve(model) for model in models],
        "memory_bytes": [_memory_curve(model) for model in models],
    }
    points = [
        {
            "name": model.name,
            "context_tokens": context,
            **{quantity: float(curves[i][j]) for quantity, curves in lines.items()},
        }
        for i, model in enumerate(models)
        for j, context in enumerate(CONTEXTS)
    ]
    found = [
        _crossover(quantity, models[a], models[b], curves[a], curves[b])
        for quantity, curves in lines.items()
        for a, b in combinations(range(len(models)), 2)
    ]
    return {"points": points, "crossovers": [row for rows in found for row in rows]}


def decode_flops(model: Architecture, context: int) -> int:
    """FLOPs of one decoded token after `context` others."""
    return step_operations(model, Batch.uniform(1, 1, context)).total_flops


def _decode_curve(model: Architecture) -> Floats:
    """FLOPs of one decoded token at each context, shape (n_contexts,)."""
    program = compile_step(model)
    values = program.evaluate(program.uniform_features(1, 1, np.array(CONTEXTS)), ("flops",))
    return np.asarray(values["flops"][:, program.counted].sum(axis=1))


def _memory_curve(model: Architecture) -> Floats:
    """Weights and one sequence's cache and state at each context, bf16."""
    held = memory(model, BF16)
    return np.asarray(held.weight_bytes + held.cache_bytes(np.array(CONTEXTS)))


def _crossover(
    quantity: str, a: Architecture, b: Architecture, line_a: Floats, line_b: Floats
) -> list[Row]:
    """Contexts at which b and a change places, interpolated between the points."""
    gap = line_a - line_b
    rows = []
    for i in np.flatnonzero(np.sign(gap[:-1]) * np.sign(gap[1:]) < 0):
        share = gap[i] / (gap[i] - gap[i + 1])
        context = round(CONTEXTS[i] + share * (CONTEXTS[i + 1] - CONTEXTS[i]))
        value = line_a[i] + share * (line_a[i + 1] - line_a[i])
        less, more = (a, b) if gap[i] < 0 else (b, a)
        rows.append(
            {
                "quantity": quantity,
                "context_tokens": context,
                "value": float(value),
                "less_before": less.name,
                "less_after": more.name,
                "text": f"{quantity}: {less.name} is below {more.name} up to {context:,} tokens",
            }
        )
    return rows


def diff(name_a: str, name_b: str) -> list[Row]:
    """Parameters by component in A and B, their difference and its MiB at bf16.

    The two embedding tables stand together; norms and biases go with what they belong to.
    """
    model_a, model_b = archs.load(name_a), archs.load(name_b)
    parts_a, parts_b = component_parameters(model_a), component_parameters(model_b)
    names = list(dict.fromkeys([*parts_a, *parts_b]))
    rows = [_diff_row(name, parts_a.get(name, 0), parts_b.get(name, 0)) for name in names]
    total = _diff_row("total", sum(parts_a.values()), sum(parts_b.values()))
    return [*rows, total]


def _diff_row(name: str, a: int, b: int) -> Row:
    return {
        "component": name,
        "params_a": a,
        "params_b": b,
        "params_delta": b - a,
        "mib_delta_bf16": round((b - a) * 2 / MIB, 3),
    }
