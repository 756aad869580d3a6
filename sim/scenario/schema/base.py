"""The base of all scenario parts: closed, frozen, strict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

SchemaVersion = Annotated[Literal[1], Field(description="form of the file; an older one is read")]


def _whole(value: object) -> object:
    """1e5 is a whole number; true and "5" are not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""Names of limits: in pydantic, which leaves them where a number may be missing; in JSON schema."""


def standard(part: Any) -> Any:
    """A JSON schema that editors understand: limits under their standard names."""
    if isinstance(part, list):
        return [standard(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    return {
        LIMITS.get(key, key) if isinstance(inner, int | float) else key: standard(inner)
        for key, inner in part.items()
    }


class Strict(BaseModel):
    """Base of all scenario parts: closed and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The JSON schema, with every limit under the name that the standard gives it."""
        found: dict[str, Any] = standard(super().model_json_schema(*args, **kwargs))
        return found


def refuse_duplicates(kind: str, names: list[str]) -> None:
    """Refuse a list in which a name stands twice.

    Raises:
        ValueError: with the name.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{kind} name {name!r} is used twice; give each its own name")


def refuse_idle(part: BaseModel, fields: Sequence[str], why: str) -> None:
    """Refuse fields that would be read and then change nothing.

    What stands at its default passes: a resolved scenario says every field.

    Raises:
        ValueError: with the field, and why it changes nothing.
    """
    for field in fields:
        if getattr(part, field) != type(part).model_fields[field].default:
            raise ValueError(f"{field} changes nothing {why}; leave it out")
