"""The views of the grid over a year (regions) and over seconds (dynamic)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.scenario.schema.base import Name, Strict, Whole, refuse_idle


class RegionsGrid(Strict):
    """Every hour of a year: dispatch, prices, shortage, emissions, adequacy, a trip of each site.

    A site's load over the year is its meter: `mean` or `peak` of the run, constant, or the run's
    hours from its epoch on, `repeat`ed to the end of the year.
    """

    kind: Literal["regions"]
    case: Literal["us-states", "us-balancing-areas"] = "us-states"
    year: Whole = Field(2024, ge=2023, le=2024, description="of the load")
    weather_year: Whole = Field(2022, ge=2022, le=2022, description="of wind, sun and water")
    mixed_years: bool = Field(False, description="allow the two to differ; it is refused otherwise")
    first_day: Whole = Field(0, ge=0, le=365, description="0 is 1 January")
    days: Whole | None = Field(None, ge=1, le=366, description="default: to the end of the year")
    site_load: Literal["mean", "peak", "repeat"] = "mean"
    flexible_usd_per_mwh: float | None = Field(
        None, gt=0, le=100_000, description="the sites may be curtailed at this price"
    )
    adequacy: bool = Field(True, description="LOLE before and after, and the room left")
    load_uncertainty_frac: float = Field(0.0, ge=0, le=0.33, description="of the load forecast")
    trip: bool = Field(True, description="frequency when a site leaves at once")
    samples: Whole = Field(128, ge=8, le=65_536, description="samples over the assumptions' ranges")
    hosting: Literal[False] = False
    peak_window_s: float = Field(900.0, gt=0, le=86_400, description="window of the meter's peak")

    @model_validator(mode="after")
    def _uncertainty_is_of_adequacy(self) -> Self:
        if not self.adequacy:
            refuse_idle(self, ["load_uncertainty_frac"], "with adequacy: false")
        return self

    @model_validator(mode="after")
    def _no_mixed_years(self) -> Self:
        if self.year != self.weather_year and not self.mixed_years:
            raise ValueError(
                f"load of {self.year} with wind and sun of {self.weather_year}; mixing years "
                "breaks the weather behind both: allow it with mixed_years: true"
            )
        return self


class TripEvent(Strict):
    """Load leaves, in equal blocks within `within_s`, and may come back.

    Without `mw`: the peak of the named sites, of all without names.
    """

    kind: Literal["trip"]
    at_s: float = Field(1.0, ge=0, le=3600)
    mw: float | None = Field(None, gt=0, le=1e6)
    sites: list[Name] | None = Field(None, min_length=1)
    share_frac: float = Field(
        1.0, gt=0, le=1, description="of that load, what leaves; the rest rides through"
    )
    blocks: Whole = Field(1, ge=1, le=1000)
    within_s: float = Field(0.0, ge=0, le=3600)
    returns_after_s: float | None = Field(None, gt=0, le=3600, description="after the last block")
    returns_within_s: float = Field(0.0, ge=0, le=3600)

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if self.mw is not None and self.sites is not None:
            raise ValueError("mw and sites are both given; give one of them")
        return self

    @model_validator(mode="after")
    def _nothing_is_said_in_vain(self) -> Self:
        if self.returns_after_s is None:
            refuse_idle(self, ["returns_within_s"], "without returns_after_s: nothing returns")
        if self.blocks == 1:
            refuse_idle(self, ["within_s"], "with one block, which leaves at once")
        return self


class GenerationLossEvent(Strict):
    """Generation leaves at once (or load arrives)."""

    kind: Literal["generation-loss"]
    at_s: float = Field(1.0, ge=0, le=3600)
    mw: float = Field(gt=0, le=1e6)


class PulseEvent(Strict):
    """Load goes up and down; without figures, the swing and the step time of the training jobs."""

    kind: Literal["pulse"]
    at_s: float = Field(1.0, ge=0, le=3600)
    mw: float | None = Field(None, gt=0, le=1e6, description="peak to peak")
    hz: float | None = Field(None, gt=0, le=100)
    duty_frac: float = Field(0.5, gt=0, lt=1)


Event = Annotated[TripEvent | GenerationLossEvent | PulseEvent, Field(discriminator="kind")]


class DynamicGrid(Strict):
    """Seconds: the frequency of an interconnection under trips, returns and pulses.

    Inertia and load are the usual ones, those given, or those of an `hour` of the dispatch.
    """

    kind: Literal["dynamic"]
    case: Literal["eastern", "western", "ercot"]
    events: list[Event] = Field(min_length=1, max_length=64)
    hour: datetime | None = Field(None, strict=False, description="UTC, 2023 or 2024")
    inertia_gws: float | None = Field(None, gt=0, le=1e5)
    load_mw: float | None = Field(None, gt=0, le=1e7)
    response_mw: float = Field(
        0.0, ge=0, le=1e6, description="load of data centres that leaves fast below 59.85 Hz"
    )
    duration_s: float = Field(60.0, gt=0, le=3600, description="after the last event")
    samples: Whole = Field(32, ge=8, le=4096, description="samples over the assumptions' ranges")
    hosting: Literal[False] = False
    peak_window_s: float = Field(1.0, gt=0, le=86_400, description="window of the meter's peak")

    @model_validator(mode="after")
    def _one_state(self) -> Self:
        if self.hour is not None and (self.inertia_gws is not None or self.load_mw is not None):
            raise ValueError("hour and inertia_gws or load_mw are both given; give one of them")
        return self
