"""A batch: how many new tokens each sequence brings on top of how many cached ones.

A prefill chunk, a decode step and a mixed batch are the same thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One engine step.

    Args:
        new_tokens: new tokens of each sequence, shape (n_sequences,).
        context_tokens: tokens already cached, shape (n_sequences,).
        logit_tokens: positions of each sequence that go through the lm_head,
            shape (n_sequences,); by default the last one.

    Raises:
        InputError: shapes differ, a count is negative, or no sequence is given.
    """

    new_tokens: Ints
    context_tokens: Ints
    logit_tokens: Ints

    def __init__(
        self,
        new_tokens: Sequence[int] | Ints,
        context_tokens: Sequence[int] | Ints,
        logit_tokens: Sequence[int] | Ints | None = None,
    ):
        new = _counts("new_tokens", new_tokens)
        context = _counts("context_tokens", context_tokens)
        last = np.minimum(new, 1)
        logits = last if logit_tokens is None else _counts("logit_tokens", logit_tokens)
        if not new.shape == context.shape == logits.shape:
            raise InputError(
                f"new_tokens {new.shape}, context_tokens {context.shape} and logit_tokens "
                f"{logits.shape} differ in length",
                "give one number per sequence",
            )
        for name, value in (
            ("new_tokens", new),
            ("context_tokens", context),
            ("logit_tokens", logits),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def uniform(cls, n_sequences: int, new_tokens: int, context_tokens: int = 0) -> Self:
        """`n_sequences` equal sequences."""
        return cls([new_tokens] * n_sequences, [context_tokens] * n_sequences)

    @property
    def n_sequences(self) -> int:
        """Sequences in the batch."""
        return len(self.new_tokens)

    @property
    def tokens(self) -> int:
        """New tokens in all."""
        return int(self.new_tokens.sum())


def _counts(name: str, values: Sequence[int] | Ints) -> Ints:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"{name}: need a list of whole numbers, got {values!r}", "mend the batch")
    if array.min() < 0:
        raise InputError(f"{name}: {array.min()} tokens is below 0", "mend the batch")
    return array.astype(np.int64)
