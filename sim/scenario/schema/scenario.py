"""A scenario: sites at places, a grid, rules, and what is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from sim.scenario.schema.base import Name, SchemaVersion, Strict, Whole, refuse_duplicates
from sim.scenario.schema.control import Control
from sim.scenario.schema.facility import Facility
from sim.scenario.schema.grid import ZonalGrid
from sim.scenario.schema.nodal import NodalGrid
from sim.scenario.schema.regions import DynamicGrid, RegionsGrid
from sim.scenario.schema.services import ServiceSpec
from sim.scenario.schema.serving import ServingSpec
from sim.scenario.schema.training import TrainingSpec


class At(Strict):
    """Where a site connects: in a zone, or (on a nodal grid) at a bus."""

    zone: str = Field(
        "",
        description="zone of the grid case, for example TX-ERCOT or VA; each: one in every zone",
    )
    bus: Whole | None = Field(None, ge=0, description="bus number, on a grid of kind nodal")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.zone and self.bus is not None:
            raise ValueError("zone and bus are both given; give one of them")
        if not self.zone and self.bus is None:
            raise ValidationError.from_exception_data(
                "At", [{"type": "missing", "loc": ("zone",), "input": {}}]
            )
        return self

    @property
    def place(self) -> str:
        """The zone, or the bus, in words."""
        return self.zone or f"bus {self.bus}"


class Cluster(Strict):
    """The servers of a site. Give `nodes` or `gpus`; without, what its workloads need."""

    node: str = "dgx-h100"
    nodes: Whole | None = Field(None, ge=1, le=10_000_000)
    gpus: Whole | None = Field(None, ge=8, le=80_000_000)


Workload = Annotated[TrainingSpec | ServingSpec, Field(discriminator="kind")]


class Site(Strict):
    """A data centre: a cluster in a building at a place, with its workloads."""

    name: Name
    at: At
    cluster: Cluster
    facility: Facility = Facility()
    workloads: list[Workload] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _distinct_workloads(self) -> Self:
        refuse_duplicates("workload", [w.name for w in self.workloads])
        return self


def _zonal_by_default(value: object) -> object:
    """A grid that names no kind is zonal."""
    return {"kind": "zonal", **value} if isinstance(value, dict) else value


Grid = Annotated[
    Annotated[ZonalGrid | RegionsGrid | DynamicGrid | NodalGrid, Field(discriminator="kind")],
    BeforeValidator(_zonal_by_default),
]
WITHOUT_SITES = ("regions", "dynamic")
"""Kinds of grid that have something to tell without a data centre."""


class Record(Strict):
    """What a run writes beside its summary."""

    requests: Literal["none", "all"] = "none"
    signals: bool = True


class Scenario(Strict):
    """A scenario, with every default filled in."""

    schema_version: SchemaVersion = 1
    name: Name
    question: str = ""
    epoch: datetime = Field(datetime(2024, 8, 20, tzinfo=UTC), strict=False)
    horizon_h: float = Field(gt=0, le=2500)
    seeds: list[Annotated[Whole, Field(ge=0, le=2**31 - 1)]] = Field([1], min_length=1)
    services: list[ServiceSpec] = Field(
        [], max_length=64, description="streams of requests that several workloads answer"
    )
    sites: list[Site] = Field(max_length=256)
    grid: Grid = ZonalGrid()
    control: Control = Control()
    record: Record = Record()

    @model_validator(mode="after")
    def _has_sites(self) -> Self:
        studied = isinstance(self.grid, NodalGrid) and self.grid.study is not None
        if not self.sites and not studied and self.grid.kind not in WITHOUT_SITES:
            detail = {"field_type": "List", "min_length": 1, "actual_length": 0}
            raise ValidationError.from_exception_data(
                "Scenario",
                [{"type": "too_short", "loc": ("sites",), "input": [], "ctx": detail}],
            )
        return self

    @model_validator(mode="after")
    def _distinct_sites(self) -> Self:
        refuse_duplicates("site", [s.name for s in self.sites])
        refuse_duplicates("service", [s.name for s in self.services])
        return self
