"""The claims under test: each is answered from the simulator's own numbers.

None of the 49 claims is pure opinion, so none is `not-testable`; the ones that only a
published figure can answer are `sourced`.
"""

from sim.claims import (  # noqa: F401  (each registers its claims)
    attention,
    attention_variants,
    deepseek_moe,
    energy,
    grid,
    jamba,
    llama3,
    mamba,
    memory,
    moe,
    scale,
    structure,
)
from sim.claims.answers import Answer, answer_claims
from sim.claims.base import VERDICTS, Claim, Judgement, Verdict, claims, find_claim

__all__ = [
    "VERDICTS",
    "Answer",
    "Claim",
    "Judgement",
    "Verdict",
    "answer_claims",
    "claims",
    "find_claim",
]
