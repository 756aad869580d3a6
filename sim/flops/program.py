"""An architecture compiled for many batches: coefficient matrices over batch features.

Cost per row = coefficients (rows x features) times features (points x features). The table
of one step is one point of the same program: one meaning, no second implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sim.arch import Architecture
from sim.errors import InputError
from sim.flops.attention import LatentForm
from sim.flops.batch import Batch
from sim.flops.blocks import PlacedOperation, architecture_operations
from sim.flops.features import (
    BATCH_FEATURES,
    RESUMED,
    SEQUENCES,
    Feature,
    Floats,
    batch_feature,
    sequence_feature,
)
from sim.flops.operation import Coefficients, Operation
from sim.flops.precision import BF16, FP32_BYTES, Precision

Quantity = Literal[
    "flops",
    "full_flops",
    "weight_bytes",
    "activation_bytes",
    "cache_read_bytes",
    "cache_write_bytes",
    "dispatch_bytes",
]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True, slots=True, eq=False)
class StepProgram:
    """Everything about a step of one architecture that does not depend on the batch.

    Row columns have shape (n_rows,); see `OperationTable` for their meaning.

    Args:
        features: the columns of every matrix, in order.
        matrices: per quantity, shape (n_rows, n_features).
    """

    arch: Architecture
    precision: Precision
    features: tuple[Feature, ...]
    matrices: dict[Quantity, Floats]
    name: tuple[str, ...]
    layers: NDArray[np.int64]
    kind: tuple[str, ...]
    counted: NDArray[np.bool_]
    split: tuple[str, ...]
    shards: NDArray[np.int64]
    cache_shards: NDArray[np.int64]
    all_reduce_width: NDArray[np.int64]
    n: NDArray[np.int64]
    k: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return len(self.name)

    @property
    def all_reduce_after(self) -> NDArray[np.bool_]:
        """Rows whose output is summed over the tensor-parallel ranks."""
        return self.all_reduce_width > 0

    @property
    def is_matmul(self) -> NDArray[np.bool_]:
        """Rows that run on tensor cores."""
        return np.array([kind == "matmul" for kind in self.kind])

    def of_batch(self, batch: Batch) -> Floats:
        """Features of a batch, shape (n_features,)."""
        new, context = batch.new_tokens, batch.context_tokens
        columns = [
            np.zeros(1)
            if feature.kind in BATCH_FEATURES
            else np.array(
                [
                    np.asarray(sequence_feature(feature, new, context, batch.logit_tokens)).sum(
                        dtype=None if feature.kind == "fft" else np.int64
                    )
                ],
                dtype=float,
            )
            for feature in self.features
        ]
        prefill = new > 1
        longest = float(((new + context) * prefill).max())
        found = self._with_batch_features(
            np.stack(columns, axis=1),
            np.array([float(batch.tokens)]),
            np.array([float(batch.logit_tokens.sum())]),
            np.array([longest]),
        )
        return np.asarray(found[0])

    def uniform_features(
        self, n_sequences: Any, new_tokens: Any, context_tokens: Any, logits: Any = 1
    ) -> Floats:
        """Features of many uniform batches at once.

        Args:
            n_sequences, new_tokens, context_tokens, logits: whole numbers or arrays that
                broadcast to shape (n_points,); `logits` is per sequence.

        Returns:
            shape (n_points, n_features).

        Raises:
            InputError: a count is negative.
        """
        count, new, context, heads = (
            np.atleast_1d(array)
            for array in np.broadcast_arrays(
                *(
                    np.asarray(x, dtype=np.int64)
                    for x in (n_sequences, new_tokens, context_tokens, logits)
                )
            )
        )
        if min(count.min(), new.min(), context.min(), heads.min()) < 0:
            raise InputError("a batch has a negative count", "give whole numbers >= 0")
        heads = np.where(new > 0, heads, 0)
        columns = [
            np.zeros(count.shape)
            if feature.kind in BATCH_FEATURES
            else np.asarray(sequence_feature(feature, new, context, heads) * count, dtype=float)
            for feature in self.features
        ]
        return self._with_batch_features(
            np.stack(columns, axis=1),
            (count * new).astype(float),
            (count * heads).astype(float),
            ((new + context) * (new > 1) * (count > 0)).astype(float),
        )

    def _with_batch_features(
        self, columns: Floats, tokens: Floats, logits: Floats, longest: Floats
    ) -> Floats:
        for index, feature in enumerate(self.features):
            if feature.kind in BATCH_FEATURES:
                columns[:, index] = batch_feature(feature, tokens, logits, longest)
        return columns

    def evaluate(
        self, features: Floats, quantities: tuple[Quantity, ...] = QUANTITIES
    ) -> dict[Quantity, Floats]:
        """Every quantity of every row at every point.

        Args:
            features: shape (n_points, n_features).

        Returns:
            per quantity, shape (n_points, n_rows).
        """
        columns = np.ascontiguousarray(features.T)
        return {quantity: _product(self.matrices[quantity], columns) for quantity in quantities}


def _product(matrix: Floats, columns: Floats) -> Floats:
    """Rows of a sparse matrix times features, shape (n_points, n_rows).

    Most rows have one to four coefficients. Adding them up beats a dense product, whose
    threads cost ten times more than they bring on a busy machine, and is exact and
    repeatable to the last bit.
    """
    found = np.zeros((matrix.shape[0], columns.shape[1]))
    for row, column in zip(*np.nonzero(matrix), strict=True):
        found[row] += matrix[row, column] * columns[column]
    return found.T


def compile_step(
    arch: Architecture,
    precision: Precision = BF16,
    latent: LatentForm = "auto",
    popularity: tuple[float, ...] = (),
) -> StepProgram:
    """Compile an architecture once; cached.

    Args:
        latent: form of latent attention; `auto` is non-absorbed in prefill, absorbed in decode.
        popularity: shares of the routed experts, shape (n_experts,); `()`: uniform routing.
    """
    return _compile(arch, precision, latent, popularity)


@lru_cache(maxsize=256)
def _compile(
    arch: Architecture, precision: Precision, latent: LatentForm, popularity: tuple[float, ...]
) -> StepProgram:
    placed = architecture_operations(arch, latent)
    tables = [_byte_tables(entry, precision, popularity) for entry in placed]
    features = tuple(
        dict.fromkeys(
            feature
            for table in tables
            for coefficients in table.values()
            for feature in coefficients
        )
    )
    matrices = {
        quantity: np.array(
            [[table[quantity].get(feature, 0.0) for feature in features] for table in tables],
            dtype=float,
        )
        for quantity in QUANTITIES
    }
    operations = [entry.operation for entry in placed]
    return StepProgram(
        arch=arch,
        precision=precision,
        features=features,
        matrices=matrices,
        name=tuple(op.name for op in operations),
        layers=np.array([entry.invocations for entry in placed]),
        kind=tuple(op.kind for op in operations),
        counted=np.array([op.counted for op in operations]),
        split=tuple(op.split for op in operations),
        shards=np.array([op.shards for op in operations]),
        cache_shards=np.array([op.cache_shards for op in operations]),
        all_reduce_width=np.array([op.all_reduce_width for op in operations]),
        n=np.array([op.n for op in operations]),
        k=np.array([op.k for op in operations]),
    )


def stored_bytes(op: Operation, precision: Precision) -> float:
    """Bytes of one set of an operation's weights, scales included."""
    quantised = op.role == "expert" or (op.role == "linear" and precision.scope == "linear")
    matrix = precision.weights if quantised else precision.kept
    return op.weights * matrix.element_bytes + op.vectors * precision.kept.element_bytes


def _byte_tables(
    entry: PlacedOperation, precision: Precision, popularity: tuple[float, ...]
) -> dict[Quantity, Coefficients]:
    op, count = entry.operation, entry.invocations
    act, cache = precision.activations.element_bytes, precision.cache.element_bytes
    kept = precision.kept.element_bytes
    state = op.cache.state * FP32_BYTES + op.cache.short_state * kept
    read = stored_bytes(op, precision) / op.weight_units
    on = op.weights_on
    if on is not None and on.kind == "experts_touched":
        on = on._replace(popularity=popularity)
    weights = {on: read} if on is not None and read else {}
    return {
        "flops": _scaled(op.flops, count),
        "full_flops": _scaled(op.full_flops, count),
        "weight_bytes": _scaled(weights, count),
        "activation_bytes": _scaled(op.activation, count * act),
        "cache_read_bytes": {
            **_scaled(op.cache_read, count * cache),
            **({RESUMED: count * state} if state else {}),
        },
        "cache_write_bytes": {
            **_scaled(op.cache_write, count * cache),
            **({SEQUENCES: count * state} if state else {}),
        },
        "dispatch_bytes": _scaled(op.dispatch, count * act),
    }


def _scaled(coefficients: Coefficients, factor: float) -> dict[Feature, float]:
    return {feature: value * factor for feature, value in coefficients.items() if value}
