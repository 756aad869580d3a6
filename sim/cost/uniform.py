"""Many steps at once: each with equal decoding sequences and equal prompt chunks.

What tables are sampled from, and what a steady state is made of. Features of a step are sums
over its sequences, so a step of both kinds is the sum of two uniform batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from sim.flops.features import BATCH_FEATURES, batch_feature

if TYPE_CHECKING:
    from sim.flops.program import StepProgram

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Steps; whole numbers of shape (n,).

    Attributes:
        decodes: decoding sequences. contexts: tokens that each has cached.
        chunks: prompt chunks. new, cached: tokens that each brings, and has cached.
    """

    decodes: Ints
    contexts: Ints
    chunks: Ints
    new: Ints
    cached: Ints

    def batches(self) -> Iterator[tuple[tuple[tuple[int, int], ...], tuple[int, ...]]]:
        """Each step as arguments of `StepCoster.cost`."""
        columns = (self.decodes, self.contexts, self.chunks, self.new, self.cached)
        for decodes, context, chunks, new, cached in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            yield ((new, cached),) * chunks, (context,) * decodes


@runtime_checkable
class UniformCoster(Protocol):
    """A step coster that answers many uniform steps at once."""

    def uniform_costs(self, points: Points) -> Floats:
        """`time_s, energy_j, flops, hbm_bytes, weight_bytes, link_bytes` per step, (n, 6)."""


def point_features(program: StepProgram, points: Points) -> Floats:
    """Features of the steps, shape (n, n_features)."""
    decoding = program.uniform_features(points.decodes, 1, points.contexts)
    prompts = program.uniform_features(points.chunks, points.new, points.cached)
    found = decoding + prompts
    tokens = points.decodes + points.chunks * points.new
    logits = points.decodes + points.chunks * (points.new > 0)
    longest = (points.new + points.cached) * (points.new > 1) * (points.chunks > 0)
    for index, feature in enumerate(program.features):
        if feature.kind in BATCH_FEATURES:
            found[:, index] = batch_feature(
                feature, tokens.astype(float), logits.astype(float), longest.astype(float)
            )
    return np.asarray(found)
