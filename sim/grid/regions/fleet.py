"""Adequacy of the regions: units of a zone, its hourly net load, and what still fits.

Unit sizes are those of the synthetic-USA case, outage rates typical figures: the list of units
is synthetic, and every answer says so. Wind and sun lower the load by their hours, storage
shaves each day's peak, hydro counts at the most that its fleet gives at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from sim.datum import Datum, read_table
from sim.errors import InputError
from sim.grid.adequacy.areas import Area, Tie, simulate_areas
from sim.grid.adequacy.elcc import elcc_mw, with_battery, with_flexible_load, with_profile
from sim.grid.adequacy.indices import TARGET_LOLE_D_PER_Y, largest, sums
from sim.grid.adequacy.monte_carlo import Sampled, Store
from sim.grid.adequacy.outage_table import OutageTable, outage_table
from sim.grid.adequacy.units import Unit
from sim.grid.network import FloatArray
from sim.grid.regions.case import RegionCase, RegionZone
from sim.grid.regions.supply import figures

SIZES: Final = "grid/regions/unit_sizes.csv"
THERMAL: Final = ("coal", "gas", "nuclear", "hydro", "oil", "other")
SEASONS: Final = ("summer", "winter")
WINTER_MONTHS: Final = (11, 12, 1, 2, 3, 4)
SYNTHETIC: Final = (
    "units are synthetic: sizes of the synthetic-USA case (MATPOWER case_SyntheticUSA), "
    "capacity of the zone"
)
LEAST_RISK: Final = (
    "outages independent, no planned outages, no limits inside: the least risk there is; "
    "cold that takes many units at once is not in it"
)


@dataclass(frozen=True, slots=True)
class RegionAdequacy:
    """Indices of one zone or interconnection over a year.

    Args:
        room_mw: constant load that fits at the target LOLE, after the new load.
        net_peak_mw: highest load after wind and sun.
    """

    name: str
    scope: str
    lole_d_per_y: float
    lolh_h_per_y: float
    eue_mwh: float
    peak_mw: float
    net_peak_mw: float
    installed_mw: float
    reserve_margin_frac: float
    room_mw: float
    lole_by_season: dict[str, float]


@cache
def unit_sizes() -> dict[str, float]:
    """MW of a unit by fuel, synthetic."""
    sizes = {row["fuel"]: float(row["unit_mw"]) for row in read_table(SIZES)}
    return sizes | {"other": figures()["default_unit_mw.other"].value}


def zone_units(
    zones: Sequence[RegionZone], table: Mapping[str, Datum], season: str = "summer"
) -> tuple[Unit, ...]:
    """Units of zones: equal units of about the usual size per zone and fuel."""
    units: list[Unit] = []
    for zone in zones:
        for fuel in THERMAL:
            units += _units(zone, fuel, table, season)
    return tuple(units)


def _units(zone: RegionZone, fuel: str, table: Mapping[str, Datum], season: str) -> list[Unit]:
    mw = zone.capacity(fuel)
    if fuel == "hydro":
        mw *= table["availability.hydro_peak"].value
    factor = table.get(f"winter_factor.{fuel}")
    if season == "winter" and factor:
        mw *= factor.value
    if mw < 1.0:
        return []
    count = max(1, round(mw / unit_sizes()[fuel]))
    unit = Unit(
        f"{zone.name} {fuel}",
        mw / count,
        table[f"forced_outage_rate.{fuel}"].value,
        mttr_h=table[f"repair_h.{fuel}"].value,
    )
    return [unit] * count


def net_load_mw(case: RegionCase, members: Sequence[int], table: Mapping[str, Datum]) -> FloatArray:
    """Load after wind, sun and storage of some zones, as one, shape (n_hours,)."""
    load = case.load_mw[:, members].sum(axis=1)
    power = 0.0
    for k in members:
        zone = case.zones[k]
        load = load - zone.capacity("wind") * zone.mixed(case.profiles.wind)
        load = load - zone.capacity("solar") * zone.mixed(case.profiles.solar)
        power += zone.capacity("storage")
    hours = table["storage.duration_h"].value
    shaved = with_battery(
        np.maximum(load, 0.0), power, power * hours, table["storage.efficiency"].value
    )
    return np.maximum(shaved, 0.0)


def is_winter(case: RegionCase) -> np.ndarray:
    """Whether an hour is in November to April."""
    days = np.arange(len(case.load_mw) // 24)
    start = np.datetime64(f"{case.year}-01-01")
    months = (start + days).astype("datetime64[M]").astype(int) % 12 + 1
    return np.repeat(np.isin(months, WINTER_MONTHS), 24)


class _Pool:
    """Zones as one: a table and a net load for each season."""

    def __init__(
        self, case: RegionCase, members: Sequence[int], table: Mapping[str, Datum], import_mw: float
    ):
        zones = [case.zones[k] for k in members]
        ties = (Unit("imports", import_mw, 0.0),) if import_mw > 0 else ()
        winter, net = is_winter(case), net_load_mw(case, members, table)
        self.units = {s: (*zone_units(zones, table, s), *ties) for s in SEASONS}
        self.tables: dict[str, OutageTable] = {s: outage_table(u) for s, u in self.units.items()}
        self.net = {"summer": net[~winter], "winter": net[winter]}
        self.peak_mw = float(case.load_mw[:, members].sum(axis=1).max())
        self.installed_mw = sum(sum(zone.capacity_mw) for zone in zones)

    def indices(self, extra_mw: float, uncertainty: float) -> dict[str, tuple[float, float, float]]:
        """LOLE, LOLH and EUE by season with a constant load added."""
        return {s: sums(self.tables[s], self.net[s] + extra_mw, uncertainty) for s in SEASONS}

    def answer(
        self, name: str, scope: str, extra_mw: float, uncertainty: float, room_mw: float
    ) -> RegionAdequacy:
        """Indices of the year with a constant load added."""
        found = self.indices(extra_mw, uncertainty)
        total = np.sum(list(found.values()), axis=0)
        return RegionAdequacy(
            name=name,
            scope=scope,
            lole_d_per_y=float(total[0]),
            lolh_h_per_y=float(total[1]),
            eue_mwh=float(total[2]),
            peak_mw=self.peak_mw + extra_mw,
            net_peak_mw=max(float(net.max()) for net in self.net.values()) + extra_mw,
            installed_mw=self.installed_mw,
            reserve_margin_frac=self.installed_mw / (self.peak_mw + extra_mw) - 1,
            room_mw=room_mw,
            lole_by_season={s: values[0] for s, values in found.items()},
        )

    def lole(self, extra_mw: float, uncertainty: float) -> float:
        """LOLE of the year."""
        return sum(found[0] for found in self.indices(extra_mw, uncertainty).values())


def pool_adequacy(
    case: RegionCase,
    members: Sequence[int],
    name: str,
    scope: str,
    *,
    extra_mw: float = 0.0,
    import_mw: float = 0.0,
    load_uncertainty_frac: float = 0.0,
    target_lole: float = TARGET_LOLE_D_PER_Y,
    changes: Mapping[str, float] | None = None,
) -> tuple[RegionAdequacy, RegionAdequacy]:
    """Indices of zones taken as one, without limits between them, before and after a load.

    Outages are independent and nothing is planned out, so this is the least risk there is.

    Args:
        extra_mw: constant new load.
        import_mw: capacity from outside that is always there (an upper bound on help).
    """
    pool = _Pool(case, members, figures(changes), import_mw)
    upper = pool.tables["summer"].capacity_mw
    room = largest(lambda mw: pool.lole(mw, load_uncertainty_frac) <= target_lole, upper, 1.0)
    before, after = (
        pool.answer(name, scope, mw, load_uncertainty_frac, max(0.0, room - mw))
        for mw in (0.0, extra_mw)
    )
    return before, after


def interconnection_members(case: RegionCase, name: str) -> list[int]:
    """Zones of an interconnection.

    Raises:
        InputError: no zone is in it.
    """
    found = [k for k, zone in enumerate(case.zones) if zone.interconnection == name]
    if not found:
        raise InputError(f"no zone in the {name!r} interconnection", "eastern, western or ercot")
    return found


def import_limit_mw(case: RegionCase, k: int) -> float:
    """Sum of the limits into a zone."""
    name = case.zones[k].name
    into = sum(line.forward_mw for line in case.lines if line.target == name)
    return into + sum(line.reverse_mw for line in case.lines if line.source == name)


def sampled_areas(
    case: RegionCase,
    sites_mw: Mapping[str, float] | None = None,
    years: int = 1,
    seed: int = 1,
    load_uncertainty_frac: float = 0.0,
    hours: int | None = None,
) -> dict[str, Sampled]:
    """Sequential sampling of all zones with their limits and stores.

    Args:
        hours: only the first hours of the year, None for all.
    """
    table = figures()
    site = {case.index(zone): mw for zone, mw in (sites_mw or {}).items()}
    areas = []
    for k, zone in enumerate(case.zones):
        net = case.load_mw[:, k] + site.get(k, 0.0)
        net = net - zone.capacity("wind") * zone.mixed(case.profiles.wind)
        net = net - zone.capacity("solar") * zone.mixed(case.profiles.solar)
        power = zone.capacity("storage")
        store = Store(
            power, power * table["storage.duration_h"].value, table["storage.efficiency"].value
        )
        units = zone_units([zone], table)
        areas.append(Area(zone.name, units, np.maximum(net, 0.0)[:hours], store))
    ties = [Tie(x.source, x.target, x.forward_mw, x.reverse_mw) for x in case.lines]
    return simulate_areas(areas, ties, years, seed, load_uncertainty_frac)


def elcc_of(case: RegionCase, interconnection: str, mw: float, kind: str, hours: int = 4) -> float:
    """ELCC of `mw` of a resource added to an interconnection without inner limits, MW.

    The load is first raised until LOLE stands at the target, the usual base of an ELCC.

    Args:
        kind: `solar`, `wind`, `battery` (of `hours`) or `flexible` (load dropped in `hours` a
            year).

    Raises:
        InputError: an unknown kind.
    """
    members = interconnection_members(case, interconnection)
    table = figures()
    units = zone_units([case.zones[k] for k in members], table)
    net = net_load_mw(case, members, table)
    found = outage_table(units)
    room = largest(lambda x: sums(found, net + x)[0] <= TARGET_LOLE_D_PER_Y, found.capacity_mw, 1.0)
    load = net + room
    if sums(found, load)[0] <= 0:
        raise InputError(f"{interconnection}: LOLE stays 0", "it cannot be short")
    if kind in ("solar", "wind"):
        shares = case.profiles.solar if kind == "solar" else case.profiles.wind
        weights = [case.zones[k].capacity(kind) for k in members]
        profile = sum(
            w / sum(weights) * case.zones[k].mixed(shares)
            for k, w in zip(members, weights, strict=True)
        )
        after = with_profile(load, mw * np.asarray(profile))
    elif kind == "battery":
        after = with_battery(load, mw, mw * hours, table["storage.efficiency"].value)
    elif kind == "flexible":
        after = with_flexible_load(load, mw, hours)
    else:
        raise InputError(f"unknown resource {kind!r}", "solar, wind, battery or flexible")
    return elcc_mw(units, load, after)


def fleet_figures() -> tuple[str, ...]:
    """Outage rates, repair times and winter factors behind an answer, in words."""
    kinds = ("forced_outage_rate", "repair_h", "winter_factor", "storage")
    return tuple(
        figure.describe() for name, figure in figures().items() if name.split(".")[0] in kinds
    )


def with_outage_rates(high: bool) -> dict[str, float]:
    """Changes that set every outage rate to one end of its range."""
    table = figures()
    names = [name for name in table if name.startswith("forced_outage_rate.")]
    return {n: float((table[n].high if high else table[n].low) or table[n].value) for n in names}
