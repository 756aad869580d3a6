"""The claims as one HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sim.claims import Answer
from sim.report.pages import template


def render_claims(answers: Sequence[Answer]) -> str:
    """All answers, with their arithmetic, conditions and sources, as HTML text."""
    counts = Counter(answer.verdict for answer in answers)
    return template("claims.html.j2").render(answers=answers, counts=counts.most_common())
