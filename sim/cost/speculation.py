"""Speculative decoding: several tokens proposed by a draft, verified in one pass.

A pass verifies k proposed tokens and one more for every sequence; with acceptance a it yields
(1 - a^(k+1)) / (1 - a) tokens on average (Leviathan et al. 2023, arXiv 2211.17192, eq. 1). The
cost of one token for every sequence is the pass and its k draft steps over that number, so
engines that count one token per sequence and step need not know of it. The cache is read once
per pass; weights are read once; FLOPs, logits and sampling grow with k + 1. What depends on the
pair of models is an assumption: `sim/data/hardware/speculation.yaml`. The draft's own memory is
not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.datum import data
from sim.errors import InputError
from sim.flops.features import BATCH_FEATURES, batch_feature

if TYPE_CHECKING:
    from sim.flops.program import StepProgram

Floats = NDArray[np.float64]
FIGURES: Final = "hardware/speculation.yaml"
PER_TOKEN: Final = ("decode_tokens", "logits", "decode_pairs", "decode_matrix")


@dataclass(frozen=True, slots=True)
class Speculation:
    """How decoding speculates.

    Attributes:
        draft_tokens: proposed for each pass, at least 1.
        acceptance_frac: of the proposed tokens, each given the ones before, 0..1.
        draft_cost_frac: time and energy of proposing a token over a plain decode step.

    Raises:
        InputError: a figure out of its range.
    """

    draft_tokens: int
    acceptance_frac: float
    draft_cost_frac: float

    def __post_init__(self) -> None:
        if self.draft_tokens < 1:
            raise InputError(f"draft_tokens = {self.draft_tokens}, must be at least 1")
        if not 0 <= self.acceptance_frac <= 1:
            raise InputError(f"acceptance_frac = {self.acceptance_frac:g}, must be 0 to 1")
        if self.draft_cost_frac < 0:
            raise InputError(f"draft_cost_frac = {self.draft_cost_frac:g}, must not be negative")

    @property
    def tokens_per_pass(self) -> float:
        """Mean tokens of a sequence that one pass of the target yields, 1 to k + 1."""
        powers = self.acceptance_frac ** np.arange(self.draft_tokens + 1)
        return float(powers.sum())

    def per_token(self, verified: Floats, plain: Floats) -> Floats:
        """Cost of one token for every sequence.

        Args:
            verified: cost of a pass over k + 1 tokens. plain: of a plain decode step.
        """
        drafted = self.draft_tokens * self.draft_cost_frac * plain
        return np.asarray((verified + drafted) / self.tokens_per_pass)


def assumed_speculation() -> Speculation:
    """The assumptions of the data file."""
    figures = data(FIGURES)
    tokens, accepted, cost = (
        figures[f"speculation.{name}"].value
        for name in ("draft_tokens", "acceptance_frac", "draft_cost_frac")
    )
    return Speculation(int(tokens), accepted, cost)


def verifying(program: StepProgram, features: Floats, draft_tokens: int) -> Floats:
    """Features of passes that verify, from those of plain decode steps, shape (n, n_features)."""
    kinds = [feature.kind for feature in program.features]
    factor = np.array([draft_tokens + 1.0 if kind in PER_TOKEN else 1.0 for kind in kinds])
    found = features * factor
    tokens = found[:, kinds.index("decode_tokens")]
    logits = found[:, kinds.index("logits")]
    for index, feature in enumerate(program.features):
        if feature.kind in BATCH_FEATURES:
            found[:, index] = batch_feature(feature, tokens, logits, np.zeros_like(tokens))
    return np.asarray(found)
