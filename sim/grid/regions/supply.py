"""From a case to the dispatch program: blocks with costs, and what they can give each hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.datum import Datum, data
from sim.errors import InputError
from sim.grid.network import FloatArray
from sim.grid.regions.case import RegionCase, RegionZone
from sim.grid.regions.lp import Block, Line, StorageUnit, System
from sim.grid.regions.profiles import TECHNOLOGY
from sim.grid.wording import shortage_note

FREE: Final = "free"
"""Nuclear, wind and sun: taken as they come, the surplus is curtailed."""
HALVES: Final = (("low", -1.0), ("high", 1.0))
WHOLE: Final = (("all", 0.0),)
PEAKERS: Final = ("gas_ct", "oil")
MIN_MW: Final = 1.0


@dataclass(frozen=True, slots=True)
class Supply:
    """The program and the hourly bounds of its blocks.

    Args:
        least_mw, most_mw: shape (n_hours, n_blocks).
        nuclear_mw, wind_mw, solar_mw: what can be given, shape (n_hours, n_zones).
        budget_mw: mean output of each budgeted block, shape (n_hours, n_budgeted).
        reserve_mw: shape (n_hours, n_groups).
        co2_kg_per_mwh: by block.
    """

    system: System
    least_mw: FloatArray
    most_mw: FloatArray
    nuclear_mw: FloatArray
    wind_mw: FloatArray
    solar_mw: FloatArray
    budget_mw: FloatArray
    reserve_mw: FloatArray
    co2_kg_per_mwh: FloatArray
    groups: tuple[str, ...]
    assumptions: tuple[str, ...]


def figures(changes: Mapping[str, float] | None = None) -> dict[str, Datum]:
    """The table of technologies with some values changed by name.

    Raises:
        InputError: a name that is not in the table.
    """
    table = dict(data(TECHNOLOGY))
    for name, value in (changes or {}).items():
        if name not in table:
            raise InputError(f"unknown figure {name!r}", "see sim/data/grid/regions")
        old = table[name]
        table[name] = Datum(name, value, old.unit, "given", old.as_of)
    return table


class Builder:
    """Collects the blocks of a case."""

    def __init__(self, case: RegionCase, table: Mapping[str, Datum]):
        """Take the figures from a table of technologies."""
        self.case, self.table = case, table
        self.n_hours = len(case.load_mw)
        self.blocks: list[Block] = []
        self.least: list[FloatArray] = []
        self.most: list[FloatArray] = []
        self.co2: list[float] = []
        self.budget: list[FloatArray] = []
        self.storage: list[StorageUnit] = []
        self.used: set[str] = set()

    def value(self, name: str) -> float:
        """A figure, remembered as used."""
        self.used.add(name)
        return self.table[name].value

    def add(self, block: Block, least: FloatArray, most: FloatArray, co2: float = 0.0) -> None:
        """One block."""
        self.blocks.append(block)
        self.least.append(least)
        self.most.append(most)
        self.co2.append(co2)

    def fossil(self, k: int, technology: str, fuel: str, capacity_mw: float) -> None:
        """A fleet in two halves, one better and one worse than its mean; a peaker as one."""
        if capacity_mw < MIN_MW:
            return
        rate = self.value(f"heat_rate_mmbtu_per_mwh.{technology}")
        price = self.value(f"fuel_price_usd_per_mmbtu.{fuel}.{self.case.year}")
        om = self.value(f"variable_om_usd_per_mwh.{technology}")
        co2 = self.value(f"co2_kg_per_mmbtu.{fuel}")
        spread = self.value("fleet.heat_rate_spread")
        halves = WHOLE if technology in PEAKERS else HALVES
        most = np.full(self.n_hours, capacity_mw / len(halves) * self.value(f"availability.{fuel}"))
        ramp, least = None, np.zeros(self.n_hours)
        for half, sign in halves:
            if fuel == "coal":
                ramp = max(1.0, self.value("fleet.coal_ramp_per_h") * capacity_mw / 2)
                least = most * self.value("fleet.coal_minimum") * (2 if half == "low" else 0)
            own = rate * (1 + sign * spread)
            cost = (own * price + om) * self.spread(k)
            self.add(Block(k, f"{technology}.{half}", cost, ramp), least, most, own * co2)

    def spread(self, k: int) -> float:
        """A little dearer from zone to zone: ties break the same way every time."""
        return 1.0 + self.value("fleet.zone_spread") * k / len(self.case.zones)

    def other(self, k: int, zone: RegionZone) -> None:
        """Biomass, geothermal and other gases."""
        mw = zone.capacity("other")
        if mw >= MIN_MW:
            most = np.full(self.n_hours, mw * self.value("availability.other"))
            cost = self.value("variable_om_usd_per_mwh.other") * self.spread(k)
            self.add(Block(k, "other", cost), np.zeros(self.n_hours), most)

    def hydro(self, k: int, zone: RegionZone) -> None:
        """Water: a mean for the day, a least flow, and a most at once."""
        mw = zone.capacity("hydro")
        if mw < MIN_MW:
            return
        mean = mw * zone.mixed(self.case.profiles.hydro_mean)
        most = np.full(self.n_hours, mw * self.value("availability.hydro_peak"))
        least = np.minimum(mean * self.value("availability.hydro_minimum"), most)
        cost = self.value("variable_om_usd_per_mwh.hydro") * self.spread(k)
        self.add(Block(k, "hydro", cost, budgeted=True), least, most)
        self.budget.append(np.minimum(mean, most))

    def store(self, k: int, zone: RegionZone) -> None:
        """Batteries and pumped storage as one."""
        mw = zone.capacity("storage")
        if mw >= MIN_MW:
            hours = self.value("storage.duration_h")
            efficiency = self.value("storage.efficiency")
            self.storage.append(StorageUnit(k, mw, mw * hours, efficiency))

    def zone(self, k: int, zone: RegionZone) -> None:
        """All blocks of a zone but the free one."""
        gas, share = zone.capacity("gas"), self.value("fleet.gas_cc_share")
        self.fossil(k, "coal", "coal", zone.capacity("coal"))
        self.fossil(k, "gas_cc", "gas", gas * share)
        self.fossil(k, "gas_ct", "gas", gas * (1 - share))
        self.fossil(k, "oil", "oil", zone.capacity("oil"))
        self.other(k, zone)
        self.hydro(k, zone)
        self.store(k, zone)


def _group_load_mw(case: RegionCase, group_of: tuple[int, ...]) -> NDArray[np.float64]:
    """Load of each interconnection, shape (n_hours, n_groups)."""
    groups = range(max(group_of) + 1)
    inside = [[g == k for g in group_of] for k in groups]
    return np.stack([case.load_mw[:, chosen].sum(axis=1) for chosen in inside], axis=1)


def build_supply(
    case: RegionCase,
    changes: Mapping[str, float] | None = None,
    flexible_mw: Mapping[str, float] | None = None,
    flexible_usd_per_mwh: float = 500.0,
) -> Supply:
    """The dispatch program of a case.

    Args:
        changes: figures of the technology table by name, to study an assumption.
        flexible_mw: new load by zone that may be curtailed for a payment.

    Raises:
        InputError: an unknown figure or zone.
    """
    builder = Builder(case, figures(changes))
    free = {fuel: _free(builder, fuel) for fuel in ("nuclear", "wind", "solar")}
    total = sum(free.values(), np.zeros_like(case.load_mw))
    for k, zone in enumerate(case.zones):
        builder.add(
            Block(k, FREE, 0.001 * builder.spread(k), spins=False),
            np.zeros(builder.n_hours),
            total[:, k],
        )
        builder.zone(k, zone)
    groups = tuple(sorted({zone.interconnection for zone in case.zones}))
    group_of = tuple(groups.index(zone.interconnection) for zone in case.zones)
    system = System(
        zones=tuple(zone.name for zone in case.zones),
        blocks=tuple(builder.blocks),
        storage=tuple(builder.storage),
        lines=_lines(case, builder.value("fleet.transfer_cost_usd_per_mwh")),
        reserve_group=group_of,
        lost_load_usd_per_mwh=builder.value("fleet.lost_load_usd_per_mwh"),
        reserve_usd_per_mwh=builder.value("fleet.reserve_shortfall_usd_per_mwh"),
        flexible_mw=_flexible(case, flexible_mw),
        flexible_usd_per_mwh=flexible_usd_per_mwh,
    )
    return Supply(
        system=system,
        least_mw=np.stack(builder.least, axis=1),
        most_mw=np.stack(builder.most, axis=1),
        nuclear_mw=free["nuclear"],
        wind_mw=free["wind"],
        solar_mw=free["solar"],
        budget_mw=np.stack(builder.budget, axis=1)
        if builder.budget
        else np.zeros((builder.n_hours, 0)),
        reserve_mw=_group_load_mw(case, group_of) * builder.value("fleet.spinning_reserve_frac"),
        co2_kg_per_mwh=np.array(builder.co2),
        groups=groups,
        assumptions=(
            *case.profiles.assumptions,
            shortage_note(case.year, case.profiles.weather_year),
            *(builder.table[name].describe() for name in sorted(builder.used)),
        ),
    )


def _free(builder: Builder, fuel: str) -> FloatArray:
    """What a fuel that is taken as it comes can give, shape (n_hours, n_zones)."""
    shares = builder.case.profiles
    columns = []
    for zone in builder.case.zones:
        if fuel == "nuclear":
            share = np.full(builder.n_hours, builder.value("availability.nuclear"))
        else:
            share = zone.mixed(shares.wind if fuel == "wind" else shares.solar)
        columns.append(zone.capacity(fuel) * share)
    return np.stack(columns, axis=1)


def _lines(case: RegionCase, cost: float) -> tuple[Line, ...]:
    return tuple(
        Line(case.index(x.source), case.index(x.target), x.forward_mw, x.reverse_mw, cost)
        for x in case.lines
    )


def _flexible(case: RegionCase, flexible_mw: Mapping[str, float] | None) -> tuple[float, ...]:
    if not flexible_mw:
        return ()
    found = [0.0] * len(case.zones)
    for zone, mw in flexible_mw.items():
        if mw < 0:
            raise InputError(f"flexible load in {zone}: {mw:g} MW", "give >= 0 MW")
        found[case.index(zone)] = mw
    return tuple(found)
