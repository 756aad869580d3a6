"""Run-time rules by name: one file each under `sim/control/rules`, found through this registry.

A rule is a frozen dataclass of knobs. At each control tick `propose` gets the view of its
site and its own memory of the tick before, and returns a proposal and the new memory. It
changes nothing itself: `allocate` turns the proposals of all rules into orders.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Final, Protocol, TypeVar

from sim.control.view import Proposal, SiteView
from sim.errors import FlopgridError, InputError

Memory = Any
"""What a rule keeps from tick to tick: any immutable value; None at the start."""


class Rule(Protocol):
    """A run-time rule; `needs` names what the grid must publish: price, carbon, load-rank."""

    kind: ClassVar[str]
    says: ClassVar[str]
    needs: ClassVar[frozenset[str]]
    assumes: ClassVar[tuple[str, ...]]

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:
        """What the rule asks for until the next tick, and what it remembers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Knob:
    """Limits, unit and meaning of one field of a rule or policy."""

    low: float
    high: float
    unit: str
    says: str


def knob(default: Any, low: float, high: float, unit: str, says: str) -> Any:
    """A dataclass field with its limits, unit and meaning; MISSING as default: required."""
    return dataclasses.field(default=default, metadata={"knob": Knob(low, high, unit, says)})


def knobs(kind: type) -> dict[str, tuple[dataclasses.Field[Any], Knob]]:
    """The knobs of a rule or policy class, by name."""
    return {
        f.name: (f, f.metadata["knob"]) for f in dataclasses.fields(kind) if "knob" in f.metadata
    }


def check_knobs(rule: Any) -> None:
    """Refuse a value outside its knob's limits.

    Raises:
        InputError: with value, limits and unit.
    """
    for name, (_, limits) in knobs(type(rule)).items():
        value = getattr(rule, name)
        if isinstance(value, int | float) and not limits.low <= value <= limits.high:
            raise InputError(
                f"{name} = {value:g} is outside {limits.low:g} to {limits.high:g} {limits.unit}",
                "give a value within",
                path=name,
            )


_RULES: Final[dict[str, type[Rule]]] = {}
R = TypeVar("R", bound=type[Any])


def register(rule: R) -> R:
    """Class decorator: add a rule; a second one of the same name is a defect."""
    if rule.kind in _RULES:
        raise FlopgridError(f"rule {rule.kind} is registered twice")
    _RULES[rule.kind] = rule
    return rule


def rules() -> dict[str, type[Rule]]:
    """All registered rules, by kind."""
    return dict(_RULES)
