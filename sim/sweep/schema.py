"""What a sweep file may say. Closed: an unknown key is an error."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Values = Annotated[list[JsonValue], Field(min_length=1, max_length=100_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]


class SweepFile(BaseModel):
    """A study: one base scenario, and what is varied about it.

    Every combination of the `axes` is run with every row of `zip` and every seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="use small letters, digits and '-', at most 63",
    )
    question: str = ""
    base: str = Field(min_length=1, description="the scenario file, relative to this file")
    axes: dict[str, Values] = Field(
        {}, description="values for each dotted path; all combinations are run"
    )
    zipped: dict[str, Values] = Field(
        {}, alias="zip", description="values for dotted paths that change together, row by row"
    )
    seeds: list[Seed] = Field([1], min_length=1, max_length=100_000)
