"""The base of all scenario parts: closed, frozen, strict."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

SchemaVersion = Annotated[Literal[1], Field(description="form of the file; an older one is read")]


def _whole(value: object) -> object:
    """1e5 is a whole number; true and "5" are not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Strict(BaseModel):
    """Base of all scenario parts: closed and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def refuse_duplicates(kind: str, names: list[str]) -> None:
    """Refuse a list in which a name stands twice.

    Raises:
        ValueError: with the name.
    """
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{kind} name {name!r} is used twice; give each its own name")
