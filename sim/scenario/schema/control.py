"""Run-time rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.scenario.schema.base import Strict


class NoCap(Strict):
    """No power cap."""

    kind: Literal["none"] = "none"


class StaticCap(Strict):
    """Every GPU is capped, all the time."""

    kind: Literal["static"]
    gpu_w: float = Field(ge=100, le=700)


class Control(Strict):
    """Run-time rules."""

    power_cap: Annotated[NoCap | StaticCap, Field(discriminator="kind")] = NoCap()
