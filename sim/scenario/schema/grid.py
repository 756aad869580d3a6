"""The views of the grid."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sim.scenario.schema.base import Strict, Whole


class ZonalGrid(Strict):
    """The zonal view of the grid."""

    kind: Literal["zonal"] = "zonal"
    case: Literal["us-states"] = "us-states"
    samples: Whole = Field(128, ge=8, le=65_536, description="samples over the assumptions' ranges")
    hosting: bool = Field(True, description="also ask what fits in every other zone")
    peak_window_s: float = Field(900.0, gt=0, le=86_400, description="window of the meter's peak")
