"""Every field of a file, found by walking its contents beside the JSON schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Step = str | int
Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """A field at a place of a file.

    Args:
        model: name of the part that has the field.
        schema: what the JSON schema says of the field.
        steps: keys and indices that lead to it.
    """

    model: str
    field: str
    schema: dict[str, Any]
    steps: Steps


def settle(schema: dict[str, Any], part: dict[str, Any], value: Any) -> tuple[str, dict[str, Any]]:
    """Name and schema of the object that describes a value, through references and unions."""
    if "$ref" in part:
        name = str(part["$ref"]).rsplit("/", 1)[-1]
        return name, schema["$defs"][name]
    for branch in part.get("oneOf", part.get("anyOf", [])):
        name, found = settle(schema, branch, value)
        kind = found.get("properties", {}).get("kind", {})
        if isinstance(value, dict) and found.get("type") == "object":
            named = kind.get("const", kind.get("default"))
            if not kind or "enum" in kind or value.get("kind", kind.get("default")) == named:
                return name, found
        if isinstance(value, list) and found.get("type") == "array":
            return name, found
    return "", part


def spots(
    schema: dict[str, Any],
    value: Any,
    name: str = "",
    part: dict[str, Any] | None = None,
    at: Steps = (),
) -> Iterator[Spot]:
    """Every field below a value; of long lists, those of the first elements.

    Args:
        schema: of the whole file. name, part: of the value; left out, it is the whole file.
        at: where the value stands.
    """
    part, name = (schema, str(schema["title"])) if part is None else (part, name)
    if isinstance(value, dict):
        for field, inner in part.get("properties", {}).items():
            yield Spot(name, field, inner, (*at, field))
            child = value.get(field)
            yield from spots(schema, child, *settle(schema, inner, child), (*at, field))
        inner = part.get("additionalProperties")
        if isinstance(inner, dict):
            for key, child in value.items():
                yield from spots(schema, child, *settle(schema, inner, child), (*at, key))
    if isinstance(value, list):
        inner = part.get("items", {})
        for number, child in enumerate(value[:8]):
            yield from spots(schema, child, *settle(schema, inner, child), (*at, number))


def get(tree: Any, steps: Steps) -> Any:
    """The value at a place; None where there is none."""
    for step in steps:
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def put(tree: Any, steps: Steps, value: Any) -> None:
    """Set one value; the mappings and lists that lead there exist."""
    get(tree, steps[:-1])[steps[-1]] = value


def leaves(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The branches of a field's schema that are no union."""
    if "$ref" in part:
        yield schema["$defs"][str(part["$ref"]).rsplit("/", 1)[-1]]
    elif "oneOf" in part or "anyOf" in part:
        for branch in part.get("oneOf", part.get("anyOf", [])):
            yield from leaves(schema, branch)
    else:
        yield part
