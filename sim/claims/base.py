"""What a claim is: numbers are measured, a verdict is judged from them, never written down.

`measure` asks the engine or the data and returns plain numbers. `judge` is a pure function
of those numbers, so a test can perturb them and see the verdict flip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from sim.errors import UnknownNameError

Verdict = Literal[
    "true", "false", "true-if", "indeterminate", "sourced", "not-testable", "provisional"
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the numbers say.

    Args:
        verdict: `sourced` rests on a published figure; `provisional` lacks a model that the
            condition names; `indeterminate` is what the data cannot tell.
        value: the figure that decides, in `unit`.
        condition: scope in which the verdict holds, or under which the claim would.
        arithmetic: the computation, line by line, with its numbers.
    """

    verdict: Verdict
    value: float
    unit: str
    condition: str
    arithmetic: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim under test.

    Args:
        id: A01 to A49.
        measure: numbers from the engine or from data; no argument, no state.
        judge: verdict from those numbers alone.
        how: what is computed, in one line.
        archs: zoo names whose sources the answer cites.
        facts: names in `sim/data/claims/facts.yaml` that the answer cites.
        references: other sources.
    """

    id: str
    measure: Callable[[], Numbers]
    judge: Callable[[Numbers], Judgement]
    how: str
    archs: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


_CLAIMS: dict[str, Claim] = {}
Judge = Callable[[Numbers], Judgement]


def claim(
    identifier: str,
    measure: Callable[[], Numbers],
    how: str,
    *,
    archs: tuple[str, ...] = (),
    facts: tuple[str, ...] = (),
    references: tuple[str, ...] = (),
) -> Callable[[Judge], Judge]:
    """Register the decorated judge as the answer to a claim.

    Raises:
        ValueError: the claim has an answer already.
    """

    def register(judge: Judge) -> Judge:
        if identifier in _CLAIMS:
            raise ValueError(f"claim {identifier} is registered twice")
        _CLAIMS[identifier] = Claim(identifier, measure, judge, how, archs, facts, references)
        return judge

    return register


def claims() -> dict[str, Claim]:
    """All registered claims by id, in order."""
    return dict(sorted(_CLAIMS.items()))


def find_claim(identifier: str) -> Claim:
    """One claim; upper and lower case are the same.

    Raises:
        UnknownNameError: no such claim, with the nearest id.
    """
    found = _CLAIMS.get(identifier.upper())
    if found is None:
        raise UnknownNameError("claim", identifier, _CLAIMS)
    return found


def near(value: float, target: float, tolerance_frac: float = 1e-9) -> bool:
    """Equal within a share of the target; exact claims use the default."""
    return abs(value - target) <= tolerance_frac * abs(target)
