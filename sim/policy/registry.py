"""Policies by name. A policy is a pure patch: a scenario in, a changed scenario out.

On the command line a policy is `KIND:key=value,key=value`; a list value joins with `+`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sim.errors import FlopgridError, InputError, UnknownNameError
from sim.scenario.schema import Scenario

Parameters = Mapping[str, str]
Patch = Callable[[Scenario, Parameters], Scenario]


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """A registered policy.

    Args:
        parameters: names it understands -> what they mean.
        says: one line for people. assumes: what its result rests on.
    """

    kind: str
    patch: Patch
    parameters: Mapping[str, str]
    says: str
    assumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with its parameters, ready to apply."""

    kind: PolicyKind
    parameters: Mapping[str, str]

    def apply(self, scenario: Scenario) -> Scenario:
        """The patched scenario.

        Raises:
            InputError: a parameter does not fit this scenario.
        """
        return self.kind.patch(scenario, self.parameters)

    @property
    def label(self) -> str:
        """As it is written on the command line."""
        pairs = ",".join(f"{key}={value}" for key, value in self.parameters.items())
        return f"{self.kind.kind}:{pairs}" if pairs else self.kind.kind


_KINDS: Final[dict[str, PolicyKind]] = {}


def register(kind: PolicyKind) -> PolicyKind:
    """Add a policy; a second one of the same name is a defect."""
    if kind.kind in _KINDS:
        raise FlopgridError(f"policy {kind.kind} is registered twice")
    _KINDS[kind.kind] = kind
    return kind


def policy_kinds() -> dict[str, PolicyKind]:
    """All registered policies."""
    return dict(_KINDS)


def parse_policy(text: str) -> Policy:
    """Read `KIND:key=value,...`.

    Raises:
        InputError: unknown kind or parameter, or a pair without `=`.
    """
    name, _, rest = text.partition(":")
    if name not in _KINDS:
        raise UnknownNameError("policy", name, _KINDS, path=f"--policy {text}")
    kind = _KINDS[name]
    parameters: dict[str, str] = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise InputError(
                f"{pair!r} is not key=value", "write key=value", path=f"--policy {text}"
            )
        if key not in kind.parameters:
            raise UnknownNameError(
                f"parameter of {name}", key, kind.parameters, path=f"--policy {text}"
            )
        parameters[key] = value
    return Policy(kind, parameters)


def number(parameters: Parameters, key: str, low: float, high: float, unit: str) -> float:
    """A required number within limits.

    Raises:
        InputError: missing, no number, or outside the limits.
    """
    text = parameters.get(key)
    if text is None:
        raise InputError(f"{key} is missing", f"give {key}=NUMBER ({low:g} to {high:g} {unit})")
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{key}={text} is not a number", f"give a number of {unit}") from None
    if not low <= value <= high:
        raise InputError(
            f"{key}={value:g} is outside {low:g} to {high:g} {unit}", "give a value within"
        )
    return value
