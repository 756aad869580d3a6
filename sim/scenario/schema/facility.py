"""The building of a site: cooling, power chain, what stands behind the meter, its bill."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.scenario.schema.base import Name, Strict, Whole, refuse_duplicates, refuse_idle

Fraction = Annotated[float, Field(ge=0, le=1)]
SET_POINTS = {
    "economiser": ("air_supply_c",),
    "chilled-water": ("water_supply_c",),
    "chilled-water-no-economiser": ("water_supply_c",),
    "direct-liquid": ("water_supply_c", "liquid_supply_c"),
    "dry-liquid": ("water_supply_c", "liquid_supply_c"),
    "all": ("air_supply_c", "water_supply_c", "liquid_supply_c"),
}
"""Temperatures that each kind of cooling plant is run by, and all of them."""
CoolingKind = Literal[
    "economiser", "chilled-water", "chilled-water-no-economiser", "direct-liquid", "dry-liquid"
]


class CoolingSpec(Strict):
    """A cooling plant in a year of weather; it takes the place of `pue_design`.

    `weather` is a shipped climate (phoenix, dallas, virginia, ...), `by-zone` for the one that
    stands for the site's state, or an EPW or TMY3 file, relative to the file that names it.
    Left out, a set point is that of `sim/data/facility/cooling.yaml`.
    """

    kind: CoolingKind = Field(
        description="`dry-liquid` takes no water: dry coolers never wetted, air-cooled chillers"
    )
    weather: str = Field(description="a climate, or an EPW or TMY3 file")
    air_supply_c: float | None = Field(None, ge=10, le=40)
    water_supply_c: float | None = Field(None, ge=4, le=35)
    liquid_supply_c: float | None = Field(None, ge=15, le=50)
    pause: bool = Field(
        False, description="orders and limits may pause the plant for as long as the hall holds"
    )

    @model_validator(mode="after")
    def _set_points_are_of_this_plant(self) -> Self:
        used = SET_POINTS[self.kind]
        idle = [point for point in SET_POINTS["all"] if point not in used]
        refuse_idle(self, idle, f"in a plant of kind {self.kind}")
        return self


class ChainSpec(Strict):
    """The power chain; ratings follow from `design_it_mw` (default: all servers as rated)."""

    redundancy: Literal["N", "N+1", "2N"] = "N+1"
    design_it_mw: float | None = Field(None, gt=0, le=100_000)
    rows: Whole = Field(1, ge=1, le=1_000_000)
    ups_blocks: Whole = Field(1, ge=1, le=100_000)
    transformers: Whole = Field(1, ge=1, le=10_000)
    oversubscription_frac: float = Field(
        0.0, ge=0, le=2, description="load beyond the rating of rows, UPS and transformers"
    )
    breakers: bool = Field(False, description="say when the breakers of the chain trip")
    ups_grid_frac: Fraction = Field(
        0.0, description="part of the UPS batteries that orders and limits may use; the rest waits"
    )


class SelfConsumptionSpec(Strict):
    """Store the surplus of PV and wind, give it back when they fall short."""

    kind: Literal["self-consumption"]


class PeakShavingSpec(Strict):
    """Hold the import at or below a target."""

    kind: Literal["peak-shaving"]
    target_mw: float = Field(ge=0, le=100_000)


class SmoothingSpec(Strict):
    """Let the import follow the load with a time constant."""

    kind: Literal["smoothing"]
    time_constant_s: float = Field(gt=0, le=86_400)
    recover_s: float = Field(3600.0, gt=0, le=604_800)


class ArbitrageSpec(Strict):
    """Charge below one price, discharge above another."""

    kind: Literal["arbitrage"]
    buy_below_usd_per_mwh: float = Field(ge=-1000, le=100_000)
    sell_above_usd_per_mwh: float = Field(ge=-1000, le=100_000)


class RideThroughSpec(Strict):
    """Stay full for the moment when the grid fails."""

    kind: Literal["ride-through"]
    charge_frac: float = Field(0.1, gt=0, le=1)


Dispatch = Annotated[
    SelfConsumptionSpec | PeakShavingSpec | SmoothingSpec | ArbitrageSpec | RideThroughSpec,
    Field(discriminator="kind"),
]


class BatterySpec(Strict):
    """A battery, seen from its AC side."""

    power_mw: float = Field(gt=0, le=100_000)
    energy_mwh: float = Field(gt=0, le=1_000_000)
    inverter_mw: float | None = Field(None, gt=0, le=100_000)
    round_trip_frac: float = Field(0.86, gt=0, le=1)
    min_frac: Fraction = 0.05
    max_frac: Fraction = 0.95
    initial_frac: Fraction = 0.5
    max_c_per_h: float = Field(4.0, gt=0, le=60, description="largest power over energy")
    fade_frac_per_cycle: float = Field(3e-5, ge=0, le=0.01)
    dispatch: Dispatch = SelfConsumptionSpec(kind="self-consumption")


class PvSpec(Strict):
    """PV; its weather is that of the cooling plant where it is left out."""

    capacity_mw: float = Field(gt=0, le=1_000_000, description="AC rating")
    mounting: Literal["fixed", "tracking"] = "tracking"
    weather: str | None = Field(None, description="a climate, or an EPW or TMY3 file")


class WindSpec(Strict):
    """Wind from a profile: a CSV of hourly output per rating, or a station's wind."""

    capacity_mw: float = Field(gt=0, le=1_000_000)
    profile: str | None = Field(None, description="CSV of 8,760 hours (UTC), output over rating")
    weather: str | None = Field(None, description="a climate, or an EPW or TMY3 file")


class GeneratorSpec(Strict):
    """A generator; left out, a figure is that of `sim/data/facility/generators.yaml`."""

    name: Name = "generator"
    kind: Literal["gas-engine", "gas-turbine", "diesel", "fuel-cell"]
    capacity_mw: float = Field(gt=0, le=100_000)
    rule: Literal["backup", "baseload", "price"] = "backup"
    min_load_frac: Fraction | None = None
    ramp_frac_per_min: float | None = Field(None, gt=0, le=60)
    start_s: float | None = Field(None, ge=0, le=86_400)
    efficiency_frac: float | None = Field(None, gt=0, le=1)
    fuel_usd_per_mwh: float | None = Field(None, ge=0, le=10_000)


class ConnectionSpec(Strict):
    """What the grid connection allows; nothing is limited by default, and nothing is sold."""

    import_limit_mw: float | None = Field(None, ge=0, le=1_000_000)
    export_limit_mw: float = Field(0.0, ge=0, le=1_000_000)
    ramp_limit_mw_per_min: float | None = Field(None, gt=0, le=1_000_000)


class ExcursionSpec(Strict):
    """A time at which voltage or frequency leave their band."""

    at_s: float = Field(ge=0, le=1e8)
    duration_s: float = Field(gt=0, le=86_400)
    voltage_pu: float = Field(1.0, ge=0, le=2)
    frequency_hz: float = Field(60.0, ge=40, le=80)


class DisturbancesSpec(Strict):
    """What the site does in voltage and frequency excursions, at its mean power.

    Cooling counts as load without a UPS. With generators in the site, the autonomy has no end.
    """

    excursions: list[ExcursionSpec] = Field(min_length=1, max_length=1000)
    back: Literal["staged", "manual"] = "staged"


class SwingSpec(Strict):
    """What takes the swing of training steps off the meter, inside the servers.

    `psu_j_per_gpu` is energy that power supplies store for each GPU; `floor_frac` is the power
    that dummy work keeps working GPUs at, over their limit (it burns energy).
    """

    psu_j_per_gpu: float = Field(0.0, ge=0, le=100_000)
    floor_frac: Fraction = 0.0


class TariffSpec(Strict):
    """What electricity costs: a market, or a flat price, with a demand charge.

    `market` is caiso, pjm, nyiso or ercot in 2021, 2023 or 2024.
    """

    market: Literal["caiso", "pjm", "nyiso", "ercot"] | None = None
    market_year: Literal[2021, 2023, 2024] = 2024
    energy_usd_per_mwh: float = Field(0.0, ge=-1000, le=100_000, description="added to a market")
    peak_usd_per_mwh: float = Field(0.0, ge=0, le=100_000, description="extra in peak hours")
    peak_hours: list[Annotated[Whole, Field(ge=0, le=23)]] = Field(
        [], max_length=24, description="local standard hours of weekdays"
    )
    demand_usd_per_kw_month: float = Field(0.0, ge=0, le=1000)
    minimum_take_frac: Fraction = Field(0.0, description="of the contract, paid in any case")
    contract_mw: float | None = Field(None, gt=0, le=1_000_000, description="default: the peak")
    export_usd_per_mwh: float = Field(0.0, ge=-1000, le=100_000)

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        if self.market is None and not self.energy_usd_per_mwh:
            raise ValueError("a tariff without a price; give market or energy_usd_per_mwh")
        return self


class CarbonSpec(Strict):
    """Emissions of the grid: the hourly mix of an area in 2022; embodied ones as an option."""

    area: Literal["AZPS", "BPAT", "CISO", "ERCO", "MISO", "NYIS", "PJM", "SOCO"]
    embodied: bool = False


class YearStudy(Strict):
    """The run's mean IT power held for a year: PUE, water, supply, cost, carbon by the hour."""

    kind: Literal["year"]
    optimal: bool = Field(False, description="also the dispatch that is optimal over the year")


class ClimatesStudy(Strict):
    """The same IT power in other climates and with other cooling plants."""

    kind: Literal["climates"]
    climates: list[str] = Field(min_length=1, max_length=64)
    coolings: list[CoolingKind] = Field(min_length=1, max_length=8)
    load_fracs: list[Annotated[float, Field(gt=0, le=1)]] = Field([1.0], min_length=1)


class SelfSupplyStudy(Strict):
    """The cheapest PV and battery that supply a part of the year's energy."""

    kind: Literal["self-supply"]
    climates: list[str] = Field(min_length=1, max_length=16)
    targets_frac: list[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=1, max_length=8)
    mounting: Literal["fixed", "tracking"] = "tracking"
    load_mw: float | None = Field(
        None, gt=0, le=1_000_000, description="mean load at the meter; default: the run's"
    )


Study = Annotated[YearStudy | ClimatesStudy | SelfSupplyStudy, Field(discriminator="kind")]


class Facility(Strict):
    """The building of a site."""

    pue_design: float = Field(
        1.2, ge=1.0, le=3.0, description="facility energy / IT energy; not used beside `cooling`"
    )
    cooling: CoolingSpec | None = None
    chain: ChainSpec | None = None
    battery: BatterySpec | None = None
    pv: PvSpec | None = None
    wind: WindSpec | None = None
    generators: list[GeneratorSpec] = Field([], max_length=16)
    connection: ConnectionSpec = ConnectionSpec()
    supply_step_s: float = Field(60.0, ge=0.1, le=3600, description="longest set point of supply")
    swing: SwingSpec = SwingSpec()
    ride_through: DisturbancesSpec | None = None
    tariff: TariffSpec | None = None
    carbon: CarbonSpec | None = None
    study: Study | None = None

    @model_validator(mode="after")
    def _one_battery(self) -> Self:
        stores = {
            "a battery": self.battery is not None,
            "a UPS that serves the grid": bool(self.chain and self.chain.ups_grid_frac),
            "a cooling plant that may pause": bool(self.cooling and self.cooling.pause),
        }
        given = [name for name, there in stores.items() if there]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}; give one of them")
        return self

    @model_validator(mode="after")
    def _export_has_a_source(self) -> Self:
        has_source = bool(self.pv or self.wind or self.generators or self.battery)
        if self.connection.export_limit_mw and not has_source:
            raise ValueError(
                "connection.export_limit_mw changes nothing without pv, wind, generators or a "
                "battery; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _distinct_generators(self) -> Self:
        refuse_duplicates("generator", [g.name for g in self.generators])
        return self
