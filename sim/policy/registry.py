"""Policies by name. A policy is a pure patch: a scenario in, a changed scenario out.

On the command line a policy is `KIND:key=value,key=value`; a list value joins with `+`. `at=A+B`
gives it to some sites.
Several policies combine in the order in which they are given. The typical value of a knob
comes from `sim/data/policy/typical.yaml`, with its source, or is an assumption with a range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from sim.errors import FlopgridError, InputError, UnknownNameError
from sim.scenario.schema import Scenario

Value = float | str
Values = Mapping[str, Value]
Patch = Callable[[Scenario, Values], Scenario]
REQUIRED: Final = None
AT: Final = "at"
"""Parameter of every policy that acts on sites: which of them, joined with +; all without."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One knob of a policy.

    Args:
        says: what it means. unit: of a number.
        default: taken where it is not given; None: it must be given.
        low, high: limits of a number. choices: the words that are allowed, where it is a word.
        optional: may be left out altogether.
        source: where the default comes from.
    """

    says: str
    unit: str = ""
    default: Value | None = REQUIRED
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    source: str = ""

    @property
    def is_number(self) -> bool:
        """True if the knob is a number within limits."""
        return self.low is not None

    def describe(self) -> str:
        """What it means, its limits and its default, for the help."""
        said = self.says
        if self.is_number:
            said += f", {self.low:g} to {self.high:g} {self.unit}".rstrip()
        elif self.choices:
            said += f": {' | '.join(self.choices)}"
        if self.default is not None:
            said += (
                f" (default {self.default:g})" if self.is_number else f" (default {self.default})"
            )
        return said


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """A registered policy.

    Args:
        parameters: names it understands -> what they mean.
        says: one line for people: what it models.
        metric: the figure that its debate looks at, a key of `compare.figures`.
        assumes: what its result rests on.
        neutral: parameters with which it changes nothing, if it has such.
        decides: what it says alone; another policy that says the same contradicts it. By itself
            only one of its kind.
        everywhere: it holds for the whole scenario, and cannot be given to some sites (`at`).
    """

    kind: str
    patch: Patch
    parameters: Mapping[str, Parameter]
    says: str
    metric: str
    assumes: tuple[str, ...] = ()
    neutral: Mapping[str, Value] = field(default_factory=dict)
    decides: str = ""
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with its parameters, ready to apply."""

    kind: PolicyKind
    parameters: Values

    def apply(self, scenario: Scenario) -> Scenario:
        """The patched scenario.

        Raises:
            InputError: a parameter does not fit this scenario, or names a site that it has not.
        """
        chosen = self._sites(scenario)
        values = {
            name: parameter.default
            for name, parameter in self.kind.parameters.items()
            if parameter.default is not None
        }
        given = {key: value for key, value in self.parameters.items() if key != AT}
        if chosen is None:
            return self.kind.patch(scenario, values | given)
        return patched_at(scenario, chosen, lambda part: self.kind.patch(part, values | given))

    def _sites(self, scenario: Scenario) -> frozenset[str] | None:
        """Sites that it is given to; None for all."""
        if AT not in self.parameters:
            return None
        known = [site.name for site in scenario.sites]
        named = str(self.parameters[AT]).split("+")
        for name in named:
            if name not in known:
                raise UnknownNameError("site", name, known, path=AT)
        return frozenset(named)

    def value(self, key: str) -> Value | None:
        """A parameter as it is given, or its default."""
        return self.parameters.get(key, self.kind.parameters[key].default)

    @property
    def is_neutral(self) -> bool:
        """True if it has no strength with these parameters."""
        neutral = self.kind.neutral
        return bool(neutral) and all(self.value(key) == value for key, value in neutral.items())

    @property
    def label(self) -> str:
        """As it is written on the command line."""
        pairs = ",".join(f"{key}={_text(value)}" for key, value in self.parameters.items())
        return f"{self.kind.kind}:{pairs}" if pairs else self.kind.kind


def patched_at(
    scenario: Scenario, chosen: frozenset[str], patch: Callable[[Scenario], Scenario]
) -> Scenario:
    """A patch of some sites only; rules that it adds hold at them."""
    inside = [site for site in scenario.sites if site.name in chosen]
    part = patch(scenario.model_copy(update={"sites": inside}))
    changed = {before.name: after for before, after in zip(inside, part.sites, strict=True)}
    before = len(scenario.control.rules)
    rules = [
        *scenario.control.rules,
        *(
            r if r.sites else r.model_copy(update={"sites": sorted(chosen)})
            for r in part.control.rules[before:]
        ),
    ]
    control = part.control.model_copy(update={"rules": rules})
    sites = [changed.get(site.name, site) for site in scenario.sites]
    return part.model_copy(update={"sites": sites, "control": control})


def _text(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


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
        InputError: unknown kind or parameter, a value outside its limits, a required one left
            out, or a pair without `=`.
    """
    name, _, rest = text.partition(":")
    if name not in _KINDS:
        raise UnknownNameError("policy", name, _KINDS, path=f"--policy {text}")
    kind = _KINDS[name]
    given = dict(_pair(text, pair) for pair in rest.split(",") if pair)
    at = {AT: given.pop(AT)} if AT in given else {}
    if at and kind.everywhere:
        raise InputError(
            f"{name} holds for the whole scenario", f"leave {AT} out", path=f"--policy {text}"
        )
    for key in given:
        if key not in kind.parameters:
            raise UnknownNameError(
                f"parameter of {name}", key, kind.parameters, path=f"--policy {text}"
            )
    try:
        values = {key: _value(key, kind.parameters[key], word) for key, word in given.items()}
        _nothing_missing(kind, values)
    except InputError as error:
        error.path = f"--policy {text}"
        raise
    return Policy(kind, values | at)


def _pair(text: str, pair: str) -> tuple[str, str]:
    key, equals, value = pair.partition("=")
    if not equals or not value:
        raise InputError(f"{pair!r} is not key=value", "write key=value", path=f"--policy {text}")
    return key, value


def _value(key: str, parameter: Parameter, word: str) -> Value:
    """The word as what the parameter is."""
    if not parameter.is_number:
        if parameter.choices and word not in parameter.choices:
            raise UnknownNameError(key, word, parameter.choices)
        return word
    low, high = parameter.low or 0.0, parameter.high or 0.0
    try:
        value = float(word)
    except ValueError:
        unit = parameter.unit or "a share"
        raise InputError(f"{key}={word} is not a number", f"give a number ({unit})") from None
    if not low <= value <= high:
        raise InputError(
            f"{key}={value:g} is outside {low:g} to {high:g} {parameter.unit}".rstrip(),
            "give a value within",
        )
    return value


def _nothing_missing(kind: PolicyKind, values: Values) -> None:
    for name, parameter in kind.parameters.items():
        if parameter.default is None and not parameter.optional and name not in values:
            raise InputError(f"{name} is missing", f"give {name}=... ({parameter.describe()})")


def parse_policies(text: str) -> tuple[Policy, ...]:
    """Read one policy, or several that hold together, joined with `;`.

    Raises:
        InputError: as `parse_policy`; or two of them contradict each other.
    """
    found = tuple(parse_policy(part.strip()) for part in text.split(";") if part.strip())
    if not found:
        raise InputError("no policy is named", "give KIND:key=value,...", path=f"--policy {text}")
    _no_contradiction(found)
    return found


def apply_all(scenario: Scenario, policies: Sequence[Policy]) -> Scenario:
    """The scenario under all policies, one after the other.

    Raises:
        InputError: a policy does not fit (its label is the path), or two contradict each other.
    """
    _no_contradiction(policies)
    for policy in policies:
        try:
            scenario = policy.apply(scenario)
        except InputError as error:
            error.path = f"--policy {policy.label}" + (f": {error.path}" if error.path else "")
            raise
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise InputError(
                f"does not fit this scenario: {where}: {first['msg']}",
                "leave it out, or change the scenario",
                path=f"--policy {policy.label}",
            ) from error
    return scenario


def _no_contradiction(policies: Sequence[Policy]) -> None:
    """Two policies that say two things about one matter, at the same sites."""
    for number, policy in enumerate(policies):
        for first in policies[:number]:
            if _matter(policy) == _matter(first) and _meet(policy, first):
                raise InputError(
                    f"{policy.label} contradicts {first.label}: both decide {_matter(policy)}",
                    "give one of them, or each to sites of its own (at=...)",
                    path=f"--policy {first.label} + {policy.label}",
                )


def _matter(policy: Policy) -> str:
    return policy.kind.decides or policy.kind.kind


def _meet(one: Policy, other: Policy) -> bool:
    """True if some site is under both."""
    named = [p.parameters[AT] for p in (one, other) if AT in p.parameters]
    if len(named) < 2:
        return True
    first, second = (set(str(names).split("+")) for names in named)
    return bool(first & second)


def number(values: Values, key: str) -> float:
    """A parameter that is a number."""
    return float(values[key])


def word(values: Values, key: str) -> str:
    """A parameter that is a word."""
    return str(values[key])
