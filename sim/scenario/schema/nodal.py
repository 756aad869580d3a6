"""The view of the grid over buses and branches, and the studies that need no site."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.scenario.schema.base import Strict, Whole, refuse_idle

Redispatch = Literal["none", "dc-opf", "n1-secure"]
Security = Literal["base", "n1"]


def refuse_contradiction(redispatch: str, security: str) -> None:
    """Refuse pairs that say nothing.

    Raises:
        ValueError: with the reason.
    """
    if redispatch == "dc-opf" and security == "n1":
        raise ValueError(
            "redispatch dc-opf with security n1: a dispatch chosen for the base case says nothing "
            "about outages; give n1-secure, or security base"
        )
    if redispatch == "n1-secure" and security == "base":
        raise ValueError("redispatch n1-secure survives outages; give security n1")


class Ask(Strict):
    """One way to ask: who redispatches, and what the wires must survive."""

    redispatch: Redispatch = "none"
    security: Security = "base"

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        refuse_contradiction(self.redispatch, self.security)
        return self


class BusLoad(Strict):
    """A load at a bus."""

    bus: Whole = Field(ge=0)
    load_mw: float = Field(gt=0, le=1e6)


class HostingStudy(Strict):
    """The largest new load at every bus (of some voltages and areas), each alone."""

    kind: Literal["hosting-every-bus"]
    ask: list[Ask] = Field(
        [Ask(), Ask(security="n1")], min_length=1, max_length=6, description="ways to ask"
    )
    load_mw: list[Annotated[float, Field(gt=0, le=1e6)]] = Field(
        [150.0, 1000.0], min_length=1, max_length=8, description="loads asked for"
    )
    least_kv: float = Field(0.0, ge=0, le=2000)
    area: list[Whole] = Field([], max_length=1000, description="default: all areas")
    joint_sites: Whole = Field(
        10, ge=0, le=200, description="also the total of the best 1, 2, ... sites at once"
    )


class EveryStateStudy(Strict):
    """Hosting, base and N-1 with a fixed dispatch, at buses of every state (synthetic USA)."""

    kind: Literal["every-state"]
    load_mw: float = Field(150.0, gt=0, le=1e6, description="load asked for")
    least_kv: float = Field(230.0, ge=0, le=2000)
    buses_per_state: Whole = Field(20, ge=1, le=10_000)
    states: list[str] = Field([], max_length=60, description="names; default: all")
    least_effect_frac: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        [0.0], min_length=1, max_length=4, description="one answer for each, see the grid's own"
    )


class CascadeStudy(Strict):
    """What follows when the load connects anyway: overloads, trips, islands, load lost."""

    kind: Literal["cascade"]
    loads: list[BusLoad] = Field([], max_length=256, description="beside the sites")
    outages: Literal["none", "n1-overloads"] | list[Whole] = Field(
        "n1-overloads",
        description="rows from 1 that trip at once; each outage that overloads with the load; none",
    )
    most_outages: Whole = Field(20, ge=1, le=100_000, description="the worst overloads first")
    trip_threshold_frac: float | None = Field(None, gt=0, le=10, description="over the rating")
    hidden_failure_frac: float | None = Field(None, ge=0, le=1)
    runs: Whole = Field(0, ge=0, le=100_000, description="Monte-Carlo runs for each outage")
    redispatch_first: bool = Field(
        True,
        description="also follow each outage after the best redispatch for the base case, with "
        "the load that no dispatch can serve left off",
    )

    @model_validator(mode="after")
    def _hidden_failures_are_drawn(self) -> Self:
        if not self.runs:
            refuse_idle(self, ["hidden_failure_frac"], "with runs 0, in which nothing is drawn")
        return self


Study = Annotated[HostingStudy | EveryStateStudy | CascadeStudy, Field(discriminator="kind")]


class NodalGrid(Strict):
    """Buses and branches: a DC model with its outages; sites stand `at: {bus: N}`.

    The settings are those of `flopgrid grid hosting`; every answer repeats them.
    """

    kind: Literal["nodal"]
    case: str = Field("activsg2000", min_length=1, description="a name of `grid list`, or a path")
    redispatch: Redispatch = "none"
    security: Security = "n1"
    emergency_rating: Literal["a", "b", "c"] = "a"
    emergency_rating_factor: float = Field(1.0, gt=0, le=10)
    preexisting: Literal["left-out", "frozen"] = "left-out"
    least_effect_frac: float = Field(
        0.0, ge=0, lt=1, description="limits that feel less of the load are left out; 0: none are"
    )
    susceptance: Literal["1/(x tap)", "1/x", "x/(r2+x2)"] = "1/(x tap)"
    voltage: Literal["none", "if-available", "required"] = Field(
        "none", description="AC power flow with the extra `ac`: base case and worst outages"
    )
    study: Study | None = None
    samples: Whole = Field(128, ge=8, le=65_536, description="samples over the load's range")
    hosting: Literal[False] = False
    peak_window_s: float = Field(900.0, gt=0, le=86_400, description="window of the meter's peak")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        refuse_contradiction(self.redispatch, self.security)
        if self.least_effect_frac and self.redispatch != "none":
            raise ValueError("least_effect_frac needs redispatch none; give redispatch: none, or 0")
        return self
