"""Features of one batch, fast: what `StepProgram.of_batch` gives, without its overheads.

A step of a few hundred decoding sequences is asked for millions of times; decoding
sequences need three sums only. Both ways are held equal by a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.flops.features import BATCH_FEATURES, Feature, batch_feature, sequence_feature

if TYPE_CHECKING:
    from sim.arch import Reach
    from sim.flops.program import StepProgram

Floats = NDArray[np.float64]


class BatchSums:
    """The features of a program for one batch after another."""

    def __init__(self, program: StepProgram):
        self._features = program.features
        self._of_batch = {i for i, f in enumerate(program.features) if f.kind in BATCH_FEATURES}
        self._prefill_only = [f.kind.startswith("prefill") for f in program.features]

    def features(
        self, prefill: Sequence[tuple[int, int]], decode_contexts: Sequence[int]
    ) -> Floats:
        """Shape (n_features,); arguments as in `ReplicaCost.cost`."""
        values = self._decode(decode_contexts)
        new = context = np.zeros(0, dtype=np.int64)
        if prefill:
            new, context = np.array(prefill, dtype=np.int64).T
            self._add_prefill(values, new, context)
        sequences = float(len(decode_contexts) + np.count_nonzero(new))
        tokens = float(len(decode_contexts) + int(new.sum()))
        longest = float(((new + context) * (new > 1)).max(initial=0))
        for i in self._of_batch:
            values[i] = _batch_value(self._features[i], tokens, sequences, longest)
        return values

    def _decode(self, contexts: Sequence[int]) -> Floats:
        values = np.zeros(len(self._features))
        count = len(contexts)
        if count == 0:
            return values
        total = sum(contexts)
        array: NDArray[np.int64] | None = None
        for i, feature in enumerate(self._features):
            kind = feature.kind
            if i in self._of_batch or self._prefill_only[i] or kind == "fft":
                continue
            if kind in {"sequences", "logits", "decode_tokens"}:
                values[i] = count
            elif kind == "decode_context" or (kind[7:] == "cached" and not feature.reach.bounded):
                values[i] = total
            elif kind == "decode_matrix" or (not feature.reach.bounded and kind[7:] == "pairs"):
                values[i] = total + count
            else:
                array = np.array(contexts, dtype=np.int64) if array is None else array
                values[i] = _bounded(kind, feature.reach, array)
        return values

    def _add_prefill(
        self, values: Floats, new: NDArray[np.int64], context: NDArray[np.int64]
    ) -> None:
        logits = np.minimum(new, 1)
        for i, feature in enumerate(self._features):
            if i not in self._of_batch:
                values[i] += float(np.sum(sequence_feature(feature, new, context, logits)))


def _bounded(kind: str, reach: Reach, contexts: NDArray[np.int64]) -> float:
    """Decode features that need each context: windows, chunks, resumed sequences."""
    if kind == "resumed":
        return float(np.count_nonzero(contexts))
    is_window = reach.kind == "window"
    read = np.minimum(contexts, reach.size - 1) if is_window else contexts % reach.size
    extra = len(contexts) if kind == "decode_pairs" else 0
    return float(read.sum()) + extra


def _batch_value(feature: Feature, tokens: float, logits: float, longest: float) -> float:
    found = batch_feature(feature, np.array([tokens]), np.array([logits]), np.array([longest]))
    return float(found[0])
