"""What a sweep file may say. Closed: an unknown key is an error."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from sim.scenario.schema.base import SchemaVersion

Values = Annotated[list[JsonValue], Field(min_length=1, max_length=100_000)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Condition = Annotated[str, Field(min_length=1, max_length=500)]
Column = Annotated[str, Field(min_length=1, max_length=200)]

ASSUMPTIONS = "assumptions"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(_Closed):
    """From where to where a sampled value goes.

    Args:
        mode: the peak of a triangular distribution; by default the middle.
        step: values are rounded to whole multiples of it.
    """

    low: float
    high: float
    distribution: Literal["uniform", "triangular", "log-uniform"] = "uniform"
    mode: float | None = None
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low {self.low:g} is above high {self.high:g}; swap them")
        if self.distribution == "log-uniform" and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm; give a low above 0")
        if self.mode is not None and not self.low <= self.mode <= self.high:
            raise ValueError(
                f"mode {self.mode:g} is outside {self.low:g} to {self.high:g}; mend the range"
            )
        return self


class Samples(_Closed):
    """Points spread over ranges.

    A Latin hypercube pairs the ranges at random, so that what moves a result can be told even
    among a hundred of them; with `sobol` use far more runs than ranges, since its columns go
    together where there are few.
    `saltelli` is the design that Sobol indices with total effects need: count x (ranges + 2)
    runs. The two others have count runs.
    """

    method: Literal["latin-hypercube", "sobol", "saltelli"] = "latin-hypercube"
    count: int = Field(256, ge=2, le=100_000)
    seed: Seed = 1
    over: dict[str, Range] = Field({}, description="a range for each dotted path")
    assumptions: list[Condition] = Field(
        [], description="patterns of figures that are assumed: '*' or 'grid/frequency.yaml:*'"
    )

    @model_validator(mode="after")
    def _something(self) -> Samples:
        if not self.over and not self.assumptions:
            raise ValueError("samples over nothing; give `over` or `assumptions`")
        return self


class Refine(_Closed):
    """Search the largest value for which a condition holds, for every other combination.

    It is taken for granted that the condition holds below some value and not above it.
    """

    path: str
    low: float
    high: float
    holds: Condition = Field(description="a condition on the result columns")
    tolerance_frac: float = Field(0.05, ge=1e-6, le=1)
    step: float = Field(1, gt=0, description="values are whole multiples of it")

    @model_validator(mode="after")
    def _ordered(self) -> Refine:
        if not 0 < self.low < self.high:
            raise ValueError(
                f"low {self.low:g} and high {self.high:g} are no range above 0; give 0 < low < high"
            )
        return self


class Response(_Closed):
    """A curve: mean of `value` over `x`, one line for each of `by`, interval over the seeds."""

    kind: Literal["response"]
    value: Column
    x: Column
    by: Column | None = None


class HeatMap(_Closed):
    """A table in colours: mean of `value` over `x` and `y`."""

    kind: Literal["heat-map"]
    value: Column
    x: Column
    y: Column


class Pareto(_Closed):
    """The runs that no other run beats in everything."""

    kind: Literal["pareto"]
    minimise: list[Column] = []
    maximise: list[Column] = []
    by: Column | None = None

    @model_validator(mode="after")
    def _two(self) -> Pareto:
        if len(self.minimise) + len(self.maximise) < 2:
            raise ValueError("a front needs two figures or more; name another one")
        return self


class Effects(_Closed):
    """What moves `value` most, apart for each of `by`.

    Of what is sampled: Sobol indices (with the design `saltelli`) or rank correlations; else
    main effects of the axes.
    """

    kind: Literal["effects"]
    value: Column
    by: Column | None = None


class Verdict(_Closed):
    """How probable it is that a condition holds, and which sampled figure decides it.

    Args:
        says: the verdict in words.
        margin: a figure that is above 0 where it holds; it tells what decides where all runs
            agree.
    """

    kind: Literal["verdict"]
    holds: Condition
    says: str = ""
    margin: Condition | None = None
    by: Column | None = None


class Boundary(_Closed):
    """The values that `refine` found, as bars or over one axis."""

    kind: Literal["boundary"]
    by: Column


Shown = Annotated[
    Response | HeatMap | Pareto | Effects | Verdict | Boundary, Field(discriminator="kind")
]


class SweepFile(_Closed):
    """A study: one base scenario, and what is varied about it.

    Every combination of the `axes` is run with every policy, row of `zip`, sample and seed,
    but for those that a condition of `where` leaves out.
    """

    schema_version: SchemaVersion = 1
    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="use small letters, digits and '-', at most 63",
    )
    question: str = ""
    base: str = Field(min_length=1, description="the scenario file, relative to this file")
    fixed: dict[str, JsonValue] = Field(
        {}, alias="set", description="a value for dotted paths that is the same in all runs"
    )
    axes: dict[str, Values] = Field(
        {}, description="values for each dotted path; all combinations are run"
    )
    policies: list[Condition] = Field(
        [], max_length=1000, description="none, or KIND:key=value,... as for whatif"
    )
    zipped: dict[str, Values] = Field(
        {}, alias="zip", description="values for dotted paths that change together, row by row"
    )
    samples: Samples | None = Field(None, description="`assumptions`, or what is sampled and how")
    seeds: list[Seed] = Field([1], min_length=1, max_length=100_000)
    where: list[Condition] = Field(
        [], description="conditions on the varied paths; a combination must meet all"
    )
    refine: Refine | None = None
    figures: bool = Field(False, description="draw figures and a report for every single run")
    show: list[Shown] = []

    @field_validator("samples", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`samples: assumptions` draws every assumption that the base scenario reads."""
        return {"assumptions": ["*"]} if value == ASSUMPTIONS else value

    @field_validator("where", mode="before")
    @classmethod
    def _one_condition(cls, value: Any) -> Any:
        """One condition need not be a list."""
        return [value] if isinstance(value, str) else value
