"""`weather: by-zone`: the shipped climate that stands for the zone in which a site lies."""

from __future__ import annotations

from sim.datum import read_table
from sim.errors import InputError
from sim.scenario.schema.facility import Facility

BY_ZONE = "by-zone"
TABLE = "facility/climate_of_zone.csv"


def with_zone_weather(facility: Facility, zone: str | None) -> Facility:
    """The facility with the climate of its zone wherever it says `by-zone`.

    Raises:
        InputError: the zone has no climate, or the site has no zone.
    """
    changes: dict[str, object] = {}
    for part in ("cooling", "pv", "wind"):
        spec = getattr(facility, part)
        if spec is not None and spec.weather == BY_ZONE:
            climate = climate_of(zone, f"facility.{part}.weather")
            changes[part] = spec.model_copy(update={"weather": climate})
    return facility.model_copy(update=changes) if changes else facility


def climate_of(zone: str | None, path: str = "") -> str:
    """The climate that stands for a zone.

    Raises:
        InputError: it has none.
    """
    for row in read_table(TABLE):
        if row["zone"] == zone:
            return row["climate"]
    raise InputError(
        f"no shipped climate stands for {'a site without a zone' if zone is None else zone}",
        "name a climate or an EPW file",
        path=path,
    )
