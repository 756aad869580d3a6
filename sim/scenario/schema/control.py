"""Run-time rules, and the loop with the grid in which they act."""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, create_model, model_validator

import sim.control.rules
from sim.control.allocate import RESPONSES, Response
from sim.control.rule import Rule, knobs, rules
from sim.scenario.schema.base import Name, Strict, Whole

assert sim.control.rules  # noqa: S101 - imported for its registrations


class NoCap(Strict):
    """No power cap."""

    kind: Literal["none"] = "none"


class StaticCap(Strict):
    """Every GPU is capped, all the time."""

    kind: Literal["static"]
    gpu_w: float = Field(ge=100, le=700)


class NoCoupling(Strict):
    """The grid is asked once, after the run."""

    kind: Literal["none"] = "none"


class IntervalCoupling(Strict):
    """Every interval the grid is dispatched with the sites' power, and the rules answer it.

    Needs `grid.kind: zonal` or `nodal`. The hour of the year is that of `epoch` and the clock;
    loads are those of its year, wind and sun those of `weather_year`.
    """

    kind: Literal["interval"]
    interval_s: float = Field(300.0, ge=1, le=3600, description="time between two control ticks")
    weather_year: Whole = Field(2022, ge=2022, le=2022)
    load_zone: str = Field(
        "",
        description="on a nodal grid: zone whose hours all loads of the case follow, its highest "
        "hour at the case's own load; empty: they stand still",
    )
    respond_s: float = Field(0.0, ge=0, le=3600, description="from an order to its effect")
    compliance_frac: float = Field(1.0, ge=0, le=1, description="orders that a site obeys")
    lowest_cap_w: float = Field(300.0, ge=200, le=700, description="deepest run-time cap")
    responses: list[Response] = Field(
        list(RESPONSES), description="what a site may do to keep a limit, first one first"
    )

    @model_validator(mode="after")
    def _responds_in_time(self) -> Self:
        if self.respond_s >= self.interval_s:
            raise ValueError(
                f"respond_s {self.respond_s:g} is not below interval_s {self.interval_s:g}; "
                f"give a longer interval"
            )
        return self


class RuleSpec(Strict):
    """A run-time rule at some sites, or at all."""

    kind: str
    sites: list[Name] = Field([], description="sites under the rule; empty: all")

    def to_rule(self) -> Rule:
        """The rule itself."""
        kind = rules()[self.kind]
        return kind(**{name: getattr(self, name) for name in knobs(kind)})


def _spec(kind: str, rule: type[Rule]) -> type[RuleSpec]:
    """The schema of a registered rule: its knobs with their limits."""
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for name, (field, limits) in knobs(rule).items():
        default = ... if field.default is dataclasses.MISSING else field.default
        said = f"{limits.says} [{limits.unit}]" if limits.unit else limits.says
        fields[name] = (float, Field(default, ge=limits.low, le=limits.high, description=said))
    return create_model(f"{rule.__name__}Rule", __base__=RuleSpec, __doc__=rule.says, **fields)


if TYPE_CHECKING:
    AnyRule = RuleSpec
else:
    _SPECS = (_spec(kind, rule) for kind, rule in sorted(rules().items()))
    AnyRule = Annotated[functools.reduce(operator.or_, _SPECS), Field(discriminator="kind")]


class VoltageSag(Strict):
    """The voltage at the sites falls (or rises) for a moment: a fault on a line near by."""

    kind: Literal["voltage-sag"]
    at_s: float = Field(ge=0, le=1e7)
    duration_s: float = Field(0.1, gt=0, le=3600)
    voltage_pu: float = Field(ge=0, le=2, description="while it lasts")
    sites: list[Name] = Field([], description="that feel it; empty: all")


class FrequencyExcursion(Strict):
    """The frequency of the grid leaves its band for a while."""

    kind: Literal["frequency-excursion"]
    at_s: float = Field(ge=0, le=1e7)
    duration_s: float = Field(5.0, gt=0, le=3600)
    frequency_hz: float = Field(ge=50, le=70, description="while it lasts")
    sites: list[Name] = Field([], description="that feel it; empty: all")


Fault = Annotated[VoltageSag | FrequencyExcursion, Field(discriminator="kind")]
Share = Annotated[float, Field(ge=0, le=1)]


class RidesThrough(Strict):
    """How the sites stand faults. What goes to its UPS leaves the grid; what has none goes dark.

    Shares are of a site's load; `stay_frac` of it stays connected whatever comes. What goes dark
    first are the workloads named last: a training job that loses any GPU starts again from its
    last checkpoint, and requests under way in a fleet wait again.
    """

    stay_frac: Share = Field(0.0, description="stays on the grid through every fault")
    without_ups_frac: Share = Field(
        0.0, description="of what does not stay: has no UPS, and stands what the ITI curve says"
    )
    ups_blocks: Whole = Field(20, ge=1, le=1000)
    generators: bool = Field(True, description="they carry on when the UPS batteries are empty")
    back: Literal["staged", "manual"] = "staged"
    off_grid_s: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="from the end of a fault until what left comes back; default: 10 s in stages, "
        "an hour by hand (assumptions)",
    )
    restart_s: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="from power to work: servers boot and load (an assumption, 60 to 1800)",
    )


class Control(Strict):
    """Run-time rules, and faults of the grid that the sites feel."""

    power_cap: Annotated[NoCap | StaticCap, Field(discriminator="kind")] = NoCap()
    coupling: Annotated[NoCoupling | IntervalCoupling, Field(discriminator="kind")] = NoCoupling()
    rules: list[AnyRule] = Field([], max_length=32)
    faults: list[Fault] = Field([], max_length=1000, description="in the order of their times")
    ride_through: RidesThrough = RidesThrough()

    @model_validator(mode="after")
    def _rules_act_in_the_loop(self) -> Self:
        if self.rules and self.coupling.kind == "none":
            raise ValueError("rules act in the loop with the grid; add coupling: {kind: interval}")
        return self
