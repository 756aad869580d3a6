"""What the studies of a nodal grid share: settings from the scenario, and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sim.grid.nodal.settings import Settings
from sim.scenario.grid_view import Json
from sim.scenario.schema.nodal import NodalGrid

if TYPE_CHECKING:
    import pyarrow as pa

Tables = dict[str, Any]
"""pyarrow tables by file name."""


def study_settings(grid: NodalGrid, redispatch: Any, security: Any) -> Settings:
    """The settings of a grid, asked in one way."""
    return Settings(
        redispatch=redispatch,
        security=security,
        emergency_factor=grid.emergency_rating_factor,
        emergency_rating=grid.emergency_rating,
        preexisting=grid.preexisting,
        susceptance=grid.susceptance,
        least_effect_frac=grid.least_effect_frac if redispatch == "none" else 0.0,
    )


def as_table(rows: Sequence[Json]) -> pa.Table:
    """Rows as a table of the run folder."""
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows))
