"""How much load fits in each zone before a limit binds, and which limit it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sim.errors import InputError
from sim.grid import frequency, reserve, swing
from sim.grid.balance import Members, copper_plate, zonal
from sim.grid.margins import Margins, PowerMargins
from sim.grid.network import FloatArray, Network, Zone
from sim.grid.readings import LIMITS, BoolArray, Limit, counted
from sim.grid.sampling import Draws, draw

Rooms = dict[Limit, tuple[FloatArray, str, str]]
"""By limit: values by row of the draws, place, hour."""

BalanceMargins = dict[Limit, dict[int, Margins]]
"""By limit and index of the zone."""


@dataclass(frozen=True, slots=True)
class Room:
    """Load that fits under one limit: nominal, 5th and 95th percentile, MW; never below 0."""

    limit: Limit
    hosting_mw: float
    low_mw: float
    high_mw: float
    at: str = ""
    hour: str = ""


@dataclass(frozen=True, slots=True)
class Hosting:
    """Hosting capacity of a zone.

    Args:
        rooms: by limit, the assessed ones, in the order of `LIMITS`.
        first: the limit that binds first at nominal figures; None if nothing could be assessed.
        hosting_mw, low_mw, high_mw: the least room over the limits; the range takes the least
            room in every sample.
        first_share: share of the samples in which each limit is the first.
        not_assessed: limits without an answer.
        short_before: share of the samples in which the zone or its interconnection is short
            without any load; ranges and shares leave them out unless they are the most.
    """

    zone: str
    rooms: tuple[Room, ...]
    first: Limit | None
    hosting_mw: float | None
    low_mw: float | None
    high_mw: float | None
    first_share: tuple[tuple[Limit, float], ...]
    not_assessed: tuple[Limit, ...]
    short_before: float = 0.0

    def room(self, limit: Limit) -> Room | None:
        """The room under one limit, None if not assessed."""
        return next((room for room in self.rooms if room.limit == limit), None)


def hosting_by_zone(
    network: Network, *, swing_frac: float | None = None, samples: int = 64, seed: int = 1
) -> tuple[Hosting, ...]:
    """Hosting capacity of every zone, one site at a time.

    Args:
        swing_frac: peak-to-peak swing over the load of the site; None leaves `swing` out.
        samples: draws of the assumptions.

    Raises:
        InputError: a swing outside 0 to 1.
    """
    if swing_frac is not None and not 0 <= swing_frac <= 1:
        raise InputError(
            f"swing_frac: {swing_frac:g} is outside 0 to 1", "give a share of the load"
        )
    draws, margins = _drawn_margins(network, samples, seed)
    found = _by_zone(network, draws, margins, swing_frac, network.zones)
    return tuple(_hosting(*one) for one in found)


def hosting_rooms(
    network: Network, draws: Draws, swing_frac: float | None, zones: Sequence[str]
) -> dict[str, FloatArray]:
    """Least room over the limits of some zones, by row of the draws, MW; never below 0.

    Args:
        draws: any, of which row 0 is the nominal one. zones: their names.

    Returns:
        shape (1 + n_samples,) each; a zone of which nothing can be assessed is left out.
    """
    wanted = [network.zone(name) for name in zones]
    margins = _margins(network, draws, wanted)
    return {
        zone.name: _values([limit for limit in LIMITS if limit in rooms], rooms).min(axis=0)
        for zone, rooms, _ in _by_zone(network, draws, margins, swing_frac, wanted)
        if rooms
    }


@lru_cache(maxsize=4)
def _drawn_margins(network: Network, samples: int, seed: int) -> tuple[Draws, BalanceMargins]:
    """Draws, and the balance of all zones under them; no site is in it, so that runs share it."""
    draws = draw(network, samples, seed)
    return draws, _margins(network, draws, network.zones)


def _margins(network: Network, draws: Draws, zones: Sequence[Zone]) -> BalanceMargins:
    """Margins of the balance for the zones that have one, by limit and index of the zone."""
    power = PowerMargins(network, draws)
    targets = [network.index(zone.name) for zone in zones if network.is_balanced_zone(zone)]
    limits: dict[Limit, Members] = {"energy": copper_plate(network), "interface": zonal(network)}
    return {
        limit: power.of(members, targets) if targets else {} for limit, members in limits.items()
    }


def _by_zone(
    network: Network,
    draws: Draws,
    margins: BalanceMargins,
    swing_frac: float | None,
    zones: Sequence[Zone],
) -> Iterator[tuple[Zone, Rooms, BoolArray]]:
    """Of each zone: its rooms, and the rows in which it was short before any load."""
    for zone in zones:
        i = network.index(zone.name)
        here = {limit: known[i] for limit, known in margins.items() if i in known}
        rooms = _power_rooms(network, here) | _other_rooms(network, zone, draws, swing_frac)
        short = np.zeros(1 + draws.n_samples, dtype=bool)
        for known in here.values():
            short |= known.was_short
        yield zone, rooms, short


def _power_rooms(network: Network, margins: dict[Limit, Margins]) -> Rooms:
    """Room in the balance: values by sample, place, hour."""
    rooms: Rooms = {}
    for limit, found in margins.items():
        place = found.cut.describe() if limit == "interface" else ", ".join(found.cut.zones)
        rooms[limit] = (found.worst_mw, place, network.hours[found.hour].name)
    return rooms


def _other_rooms(network: Network, zone: Zone, draws: Draws, swing_frac: float | None) -> Rooms:
    """Room under reserve, frequency and swing: values by sample, place, no hour."""
    nothing = np.zeros((1 + draws.n_samples, len(network.zones)))
    rooms: Rooms = {}
    margin = reserve.assess(network, zone, draws, nothing)
    if margin.area:
        rooms["reserve"] = (margin.margin_mw, margin.area.name, "")
    figures = network.frequency_of(zone)
    if figures:
        ic = figures.interconnection
        rooms["frequency"] = (frequency.margin_mw(nothing[:, 0], figures, draws), ic, "")
        if swing_frac:
            rooms["swing"] = (swing.allowed_mw(figures, draws) / swing_frac, ic, "")
    return rooms


def _hosting(zone: Zone, rooms: Rooms, short: BoolArray) -> Hosting:
    order = [limit for limit in LIMITS if limit in rooms]
    missing = tuple(limit for limit in LIMITS if limit not in rooms)
    if not order:
        return Hosting(zone.name, (), None, None, None, None, (), missing)
    values = _values(order, rooms)
    least, first = values.min(axis=0), values.argmin(axis=0)
    low, high = _range(least, short)
    return Hosting(
        zone=zone.name,
        rooms=tuple(
            Room(limit, float(row[0]), *_range(row, short), *rooms[limit][1:])
            for limit, row in zip(order, values, strict=True)
        ),
        first=order[first[0]],
        hosting_mw=float(least[0]),
        low_mw=low,
        high_mw=high,
        first_share=_shares(order, counted(first.astype(float), short)),
        not_assessed=missing,
        short_before=float(short[1:].mean()),
    )


def _values(order: list[Limit], rooms: Rooms) -> FloatArray:
    """Room under each limit, shape (n_limits, 1 + n_samples)."""
    return np.asarray(np.maximum(np.stack([rooms[limit][0] for limit in order]), 0.0))


def _range(values: FloatArray, short: BoolArray) -> tuple[float, float]:
    """5th and 95th percentile of the samples that were not short before."""
    low, high = np.percentile(counted(values, short), [5, 95])
    return float(low), float(high)


def _shares(order: list[Limit], first: FloatArray) -> tuple[tuple[Limit, float], ...]:
    """How often each limit is the first, those that ever are."""
    share = [(limit, float((first == k).mean())) for k, limit in enumerate(order)]
    return tuple((limit, part) for limit, part in share if part > 0)
