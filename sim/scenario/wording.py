"""What a schema's complaint means, in the words of the one who wrote the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from sim.errors import nearest
from sim.scenario.yamlfile import Plain, describe

_UNITS: Final = {
    "usd_per_mwh": "USD/MWh", "tokens_per_s": "tokens/s", "bytes_per_s": "bytes/s",
    "flops_per_s": "FLOP/s", "per_s": "1/s", "per_h": "1/h", "w": "W", "mw": "MW", "kw": "kW",
    "j": "J", "mwh": "MWh", "kwh": "kWh", "s": "s", "ms": "ms", "h": "h", "ps": "ps", "d": "d",
    "hz": "Hz", "bytes": "bytes", "flops": "FLOP", "tokens": "tokens", "usd": "USD", "kg": "kg",
    "c": "°C", "km": "km", "frac": "as a fraction (1 = all)",
}  # fmt: skip
_WHAT: Final = {
    "greater_than_equal": ("ge", "below the least value"),
    "greater_than": ("gt", "not above"),
    "less_than_equal": ("le", "above the largest value"),
    "less_than": ("lt", "not below"),
    "multiple_of": ("multiple_of", "not a multiple of"),
}
_TYPES: Final = {
    "integer": "a whole number", "number": "a number", "string": "text",
    "boolean": "true or false", "array": "a list", "object": "a mapping", "null": "null",
}  # fmt: skip
_LENGTHS: Final = {
    "too_short": ("min_length", "elements, fewer than the least number", "add some"),
    "too_long": ("max_length", "elements, more than the largest number", "remove some"),
    "string_too_short": ("min_length", "characters, fewer than the least number", "add some"),
    "string_too_long": ("max_length", "characters, more than the largest number", "shorten it"),
}
_MISSING: Final = ("missing", "union_tag_not_found")


def words(
    kind: str, detail: dict[str, Any], part: dict[str, Any], around: dict[str, Any], name: str
) -> tuple[str, str]:
    """What is wrong, and what to do."""
    value = detail.get("input")
    if kind in _MISSING:
        allowed = choices(part)
        return "is missing", f"add it: {', '.join(allowed)}" if allowed else f"add `{name}: ...`"
    if kind == "extra_forbidden":
        return "unknown key", _suggest(name, list(around.get("properties", {})))
    if kind == "union_tag_invalid":
        tags = re.findall(r"'([^']*)'", str(detail["ctx"]["expected_tags"]))
        return f"unknown {name} {detail['ctx']['tag']!r}", _suggest(detail["ctx"]["tag"], tags)
    if kind in ("literal_error", "enum"):
        return f"{describe(value)} is not one of the choices", _suggest(str(value), choices(part))
    if kind in _WHAT:
        limit, said = _WHAT[kind]
        number, unit = detail["ctx"][limit], _unit(part, name)
        shown = f"{number:g}" if isinstance(number, float) else str(number)
        end = f" {unit}" if unit and not unit.startswith("as ") else ""
        return f"{describe(value)} is {said} {shown}{end}", _wanted(part, name)
    if kind in _LENGTHS:
        limit, said, todo = _LENGTHS[kind]
        return f"has {len(value or ())} {said} {detail['ctx'][limit]}", todo
    if kind == "string_pattern_mismatch":
        todo = str(part.get("description") or "give a name of that form")
        return f"{describe(value)} does not match {detail['ctx']['pattern']}", todo
    wrong_type = kind.endswith(("_type", "_parsing", "_from_float"))
    if wrong_type and part.get("type") in _TYPES and part.get("type") != _type_of(value):
        return f"{describe(value)} is not {_TYPES[part['type']]}", _wanted(part, name)
    return _sentence(str(detail["msg"]), value, part)


def _sentence(message: str, value: Plain, part: dict[str, Any]) -> tuple[str, str]:
    """A validator's own message; what stands after its first `; ` says what to do."""
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    what, _, todo = message.partition("; ")
    what = what[:1].lower() + what[1:] if what[1:2].islower() else what
    subject = "" if isinstance(value, dict | list) else f"{describe(value)}: "
    return f"{subject}{what}", todo or _first_line(part)


def _first_line(part: dict[str, Any]) -> str:
    """The description of a field, or the first line of a longer one."""
    return str(part.get("description", "")).partition("\n")[0]


def _type_of(value: Plain) -> str:
    """The JSON-schema type of a plain value."""
    types = {
        str: "string", bool: "boolean", int: "integer", float: "number", list: "array",
        type(None): "null",
    }  # fmt: skip
    return types.get(type(value), "object")


def _wanted(part: dict[str, Any], name: str) -> str:
    """What to give: kind of value, and its unit."""
    wanted, unit = _TYPES.get(str(part.get("type")), "a value"), _unit(part, name)
    if part.get("type") == "integer" and not unit:
        return f"give {wanted} of {name.replace('_', ' ')}"
    if part.get("type") in ("integer", "number") and unit:
        return f"give {wanted} {unit if unit.startswith('as ') else f'in {unit}'}"
    return f"give {wanted}"


def _unit(part: dict[str, Any], name: str) -> str:
    """The unit of a field: said in its schema, or the suffix of its name."""
    if "unit" in part:
        return str(part["unit"])
    words = name.split("_")
    suffixes = ("_".join(words[start:]) for start in range(1, len(words)))
    return next((_UNITS[suffix] for suffix in suffixes if suffix in _UNITS), "")


def _suggest(name: str, known: Sequence[str]) -> str:
    """The nearest known name, or all of them."""
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else f"known: {', '.join(known) or 'none'}"


def choices(part: dict[str, Any]) -> list[str]:
    """The values that a field allows, if it lists them."""
    values = [part["const"]] if "const" in part else part.get("enum", [])
    return [str(value) for value in values]
