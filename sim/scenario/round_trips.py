"""Published round trips between states, for services that name where their users are."""

from __future__ import annotations

from functools import cache
from statistics import fmean
from typing import Final

from sim.datum import read_table

TABLE: Final = "network/round_trips.csv"
MS_PER_S: Final = 1e3
ASSUMED: Final = (
    "round trips between states are medians on one provider's network between its data centres "
    "(2026-07-30); the last mile of a user is not in them"
)


@cache
def published_s() -> dict[tuple[str, str], float]:
    """Median round trip by the users' state and the site's; mean where a state has several points.

    Within a state it is known only where two points were measured.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for row in read_table(TABLE):
        pair = row["from_state"], row["to_state"]
        found.setdefault(pair, []).append(float(row["round_trip_ms"]) / MS_PER_S)
    return {pair: fmean(values) for pair, values in found.items()}


def states() -> tuple[str, ...]:
    """States with a point of measurement."""
    return tuple(sorted({state for pair in published_s() for state in pair}))


def state_of(zone: str) -> str:
    """The state of a zone of the grid: TX of TX-ERCOT."""
    return zone.partition("-")[0]
