"""Answers to claims: texts, sources and the computed judgement put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sim import arch
from sim.claims.base import Claim, Judgement, Verdict, claims, find_claim
from sim.claims.figures import FACTS, TEXTS
from sim.datum import datum, read_table

SOURCED_FROM = "flopgrid's FLOP engine"


@dataclass(frozen=True, slots=True)
class Answer:
    """A claim with its verdict.

    Args:
        statement, original: the claim in English and the phrase it renders.
        how: what is computed.
        judgement: verdict, value, condition and arithmetic.
        sources: where the figures come from.
    """

    id: str
    statement: str
    original: str
    how: str
    judgement: Judgement
    sources: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.judgement.verdict

    @property
    def value(self) -> float:
        """The figure that decides."""
        return self.judgement.value

    @property
    def unit(self) -> str:
        """Its unit."""
        return self.judgement.unit

    @property
    def value_text(self) -> str:
        """Value and unit for people."""
        return f"{number(self.value)} {self.unit}"

    @property
    def condition(self) -> str:
        """Where the verdict holds, or the claim would."""
        return self.judgement.condition

    @property
    def arithmetic(self) -> tuple[str, ...]:
        """The computation, line by line."""
        return self.judgement.arithmetic

    def to_json(self) -> dict[str, Any]:
        """Plain data, DESIGN.md section 10."""
        return {
            "id": self.id,
            "statement": self.statement,
            "original": self.original,
            "verdict": self.verdict,
            "value": self.value,
            "unit": self.unit,
            "condition": self.condition,
            "how": self.how,
            "arithmetic": list(self.arithmetic),
            "sources": list(self.sources),
        }


def number(value: float) -> str:
    """Whole numbers in full, others to four digits."""
    if math.isfinite(value) and value == round(value) and abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:,.4g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.4g}"


def answer_claims(ids: Sequence[str], tell: Callable[[str], None]) -> list[Answer]:
    """Answer claims by id, all of them when no id is given.

    Args:
        tell: progress, one line per claim.

    Raises:
        UnknownNameError: no such claim; nothing is computed then.
    """
    wanted = [find_claim(identifier) for identifier in ids] or list(claims().values())
    answers = []
    for found in wanted:
        tell(f"{found.id}: {found.how}")
        answers.append(_answer(found))
    return answers


def _answer(found: Claim) -> Answer:
    statement, original = _texts()[found.id]
    return Answer(
        id=found.id,
        statement=statement,
        original=original,
        how=found.how,
        judgement=found.judge(found.measure()),
        sources=_sources(found),
    )


@cache
def _texts() -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["statement"], row["original"]) for row in read_table(TEXTS)}


def _sources(found: Claim) -> tuple[str, ...]:
    """Sources of the figures, each once, in the order of first use."""
    of_models = [source for name in found.archs for source in arch.load(name).sources]
    of_facts = [
        f"{fact.source} ({fact.as_of})" for fact in (datum(FACTS, name) for name in found.facts)
    ]
    engine = [f"{SOURCED_FROM} on these architectures"] if found.archs else []
    return tuple(dict.fromkeys([*of_facts, *found.references, *of_models, *engine]))
