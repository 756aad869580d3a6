"""The building of a site."""

from __future__ import annotations

from pydantic import Field

from sim.scenario.schema.base import Strict


class Facility(Strict):
    """The building of a site."""

    pue_design: float = Field(1.2, ge=1.0, le=3.0, description="facility energy / IT energy")
