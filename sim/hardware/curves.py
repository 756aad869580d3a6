"""Measured efficiency curves: what a kernel takes over what its law says.

A law of `sim.hardware.kernels` is smooth; measured kernels have steps (tiles, split work).
The ratio of both is tabled over two powers of two, for matrix products tokens and weight
elements, for mixtures tokens per expert and expert-parallel ways, for decode attention
sequences x key-value heads and context (`CURVE_AXES`). Times are interpolated between the nodes on
logarithmic axes and never fall along the first: more tokens, or more context, never make a
kernel faster. Beyond the nodes the ratio stays that of the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.datum import read_table

Floats = NDArray[np.float64]
TABLE: Final = "hardware/kernel_curves.csv"
FALLBACK: Final = "vllm"
CURVE_AXES: Final = {
    "gemm": ("tokens", "weight elements of one GPU"),
    "moe": ("tokens per expert", "expert-parallel GPUs"),
    "decode_attention": ("context", "sequences x key-value heads of one GPU"),
}
"""Families with curves: the first axis is the one along which time never falls."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Ratios measured / law on a grid: `ratio[j, i]` at x = 2**xs[i], y = 2**ys[j]."""

    xs: Floats
    ys: Floats
    ratio: Floats


@cache
def kernel_curve(engine: str, family: str, dtype: str) -> Curve | None:
    """The curve of an engine's kernels; without one of its own, vLLM's; None where none is."""
    rows = _rows()
    for owner in (engine, FALLBACK, "any"):
        if (owner, family, dtype) in rows:
            return rows[owner, family, dtype]
    return None


@cache
def _rows() -> dict[tuple[str, str, str], Curve]:
    found: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for row in read_table(TABLE):
        key = (row["engine"], row["family"], row["dtype"])
        found.setdefault(key, []).append(
            (float(row["y_log2"]), float(row["x_log2"]), float(row["ratio"]))
        )
    return {key: _grid(points) for key, points in found.items()}


def _grid(points: list[tuple[float, float, float]]) -> Curve:
    ys, xs = sorted({p[0] for p in points}), sorted({p[1] for p in points})
    ratio = np.ones((len(ys), len(xs)))
    for y, x, value in points:
        ratio[ys.index(y), xs.index(x)] = value
    return Curve(np.array(xs), np.array(ys), ratio)


def rising(law_s: Floats, ratio: Floats) -> Floats:
    """Logarithms (base two) of law x ratio, made to rise along the last axis."""
    return np.asarray(np.log2(np.maximum.accumulate(law_s * ratio, axis=-1)))


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Evenly spaced powers of two."""

    first: float
    step: float
    count: int

    @property
    def nodes(self) -> Floats:
        """Powers of two of the nodes."""
        return np.asarray(self.first + self.step * np.arange(self.count), dtype=float)

    def place(self, values: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Node to the left of each value, and how far it is to the next, 0..1."""
        at = (np.log2(np.maximum(values, 1e-9)) - self.first) / self.step
        at = np.minimum(np.maximum(at, 0.0), self.count - 1.0)
        left = np.minimum(at.astype(np.int64), self.count - 2)
        return left, at - left


def spread(curve: Curve, xs: Floats, ys: Floats) -> Floats:
    """Ratios on another grid (powers of two), the edge's beyond the curve's own nodes."""
    rows = np.array([np.interp(xs, curve.xs, np.log2(row)) for row in curve.ratio])
    columns = [np.interp(ys, curve.ys, rows[:, i]) for i in range(len(xs))]
    return np.asarray(np.exp2(np.array(columns).T))
