"""What a site costs: capital by the year, the electricity bill, a budget turned into GPUs.

A capital sum costs each year `sum * r / (1 - (1 + r)^-life)` (an annuity at rate r).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import qmc

from sim.datum import Datum, data, ranged, sample
from sim.errors import InputError
from sim.facility.profile import FloatArray
from sim.randomness import stream
from sim.units import H_PER_YEAR, KILO, MEGA

FIGURES = "facility/capital.yaml"
DRAWS = 512
HOURS_A_DAY = 24
MONTH_ENDS_D = np.cumsum([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
SATURDAY = 5


def capital_figures() -> dict[str, Datum]:
    """Prices and lives of the data file."""
    return data(FIGURES)


def annuity_frac(rate_frac: float, life_y: float) -> float:
    """Yearly cost of a capital sum of 1."""
    if life_y <= 0 or rate_frac < 0:
        raise InputError(
            f"a life of {life_y:g} years at {rate_frac:g} a year", "give a life > 0 and a rate >= 0"
        )
    discounted = -math.expm1(-life_y * math.log1p(rate_frac))
    return rate_frac / discounted if discounted else 1 / life_y


# --- the bill -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Tariff:
    """Prices of electricity over a year of UTC hours.

    Attributes:
        energy_usd_per_mwh: price of each hour, shape (hours,).
        peak_usd_per_mwh: on top in `peak_hours` (0 to 23, local standard time) of weekdays.
        demand_usd_per_kw_month: for the highest hour of each month.
        minimum_take_frac: part of the contract's energy that is paid in any case.
        contract_w: None for the highest hour of the year.
        first_weekday: weekday of 1 January, 0 Monday (2024: 0; 2023: 6).
    """

    energy_usd_per_mwh: FloatArray
    peak_usd_per_mwh: float = 0.0
    peak_hours: tuple[int, ...] = ()
    demand_usd_per_kw_month: float = 0.0
    minimum_take_frac: float = 0.0
    contract_w: float | None = None
    export_usd_per_mwh: float = 0.0
    utc_offset_h: float = 0.0
    first_weekday: int = 0

    def prices(self) -> FloatArray:
        """Price of each hour with the peak hours' extra."""
        hours = np.arange(self.energy_usd_per_mwh.size)
        local = hours + round(self.utc_offset_h)
        weekday = (local // HOURS_A_DAY + self.first_weekday) % 7
        peak = np.isin(local % HOURS_A_DAY, self.peak_hours) & (weekday < SATURDAY)
        return self.energy_usd_per_mwh + self.peak_usd_per_mwh * peak


@dataclass(frozen=True, slots=True)
class Bill:
    """A year's bill, USD; `export_usd` is earned."""

    energy_usd: float
    demand_usd: float
    minimum_take_usd: float
    export_usd: float

    @property
    def total_usd(self) -> float:
        """What is paid in the end."""
        return self.energy_usd + self.demand_usd + self.minimum_take_usd - self.export_usd


def bill(tariff: Tariff, import_w: FloatArray, export_w: FloatArray) -> Bill:
    """The bill of a year.

    Args:
        import_w, export_w: hourly means, shape (hours,), UTC.

    Raises:
        InputError: the series is not as long as the prices.
    """
    prices = tariff.prices()
    if prices.size != import_w.size:
        raise InputError(
            f"{import_w.size} hours of import, {prices.size} hours of prices",
            "give series of the same year",
        )
    imported_mwh = import_w / MEGA
    demand_kw = float(sum(month_peaks_w(import_w))) / KILO
    contract_w = float(import_w.max()) if tariff.contract_w is None else tariff.contract_w
    least_mwh = tariff.minimum_take_frac * contract_w / MEGA * import_w.size
    missing_mwh = max(0.0, least_mwh - float(imported_mwh.sum()))
    mean_price = float(prices.mean())
    return Bill(
        energy_usd=float(prices @ imported_mwh),
        demand_usd=tariff.demand_usd_per_kw_month * demand_kw,
        minimum_take_usd=missing_mwh * max(mean_price, 0.0),
        export_usd=tariff.export_usd_per_mwh * float(export_w.sum()) / MEGA,
    )


def months(hours: int) -> list[slice]:
    """Hours of each month of a year of 365 days (the last one takes what is left)."""
    ends = [min(int(d) * HOURS_A_DAY, hours) for d in MONTH_ENDS_D]
    starts = [0, *ends[:-1]]
    return [slice(a, b) for a, b in zip(starts, ends, strict=True) if b > a]


def month_peaks_w(import_w: FloatArray) -> list[float]:
    """Highest hour of each month."""
    return [float(import_w[month].max()) for month in months(import_w.size)]


# --- capital --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SiteSize:
    """What is bought for each GPU.

    Attributes:
        it_kw_per_gpu: IT power that the building is made for.
        meter_kw_per_gpu: power that the connection is made for.
        mean_meter_kw_per_gpu: mean power, for the energy bill.
    """

    it_kw_per_gpu: float
    meter_kw_per_gpu: float
    mean_meter_kw_per_gpu: float


@dataclass(frozen=True, slots=True)
class GpuCost:
    """Cost of one GPU in a site: what is bought, and what it costs by the year."""

    capital_usd: dict[str, float]
    yearly_usd: dict[str, float]

    @property
    def capital_total_usd(self) -> float:
        """What must be paid before the first token."""
        return sum(self.capital_usd.values())

    @property
    def yearly_total_usd(self) -> float:
        """What a year costs."""
        return sum(self.yearly_usd.values())


def gpu_cost(
    size: SiteSize, figures: Mapping[str, Datum], energy_usd_per_mwh: float | None = None
) -> GpuCost:
    """What a GPU costs with its share of network, building and connection."""
    f = {name: d.value for name, d in figures.items()}
    price = f["energy.usd_per_mwh"] if energy_usd_per_mwh is None else energy_usd_per_mwh
    capital = {
        "server": f["gpu.server_usd_per_gpu"],
        "network": f["gpu.network_usd_per_gpu"],
        "building": f["shell.usd_per_mw_it"] * size.it_kw_per_gpu / KILO,
        "connection": f["grid.usd_per_mw"] * size.meter_kw_per_gpu / KILO,
    }
    rate = f["capital.rate_frac"]
    it = annuity_frac(rate, f["life.it_y"])
    house = annuity_frac(rate, f["life.facility_y"])
    yearly = {name: usd * (it if name in IT_PARTS else house) for name, usd in capital.items()}
    yearly["energy"] = size.mean_meter_kw_per_gpu / KILO * H_PER_YEAR * price
    yearly["other"] = f["operation.other_frac"] * sum(capital.values())
    return GpuCost(capital, yearly)


IT_PARTS = ("server", "network")


@dataclass(frozen=True, slots=True)
class Spread:
    """A value, and the 5th and 95th percentile over the ranges of its figures."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a budget buys.

    Attributes:
        usd_per_million_tokens: None where no throughput is given.
        parts_usd_per_gpu: capital by part, at the nominal figures.
    """

    budget_usd: float
    gpus: Spread
    it_mw: Spread
    meter_mw: Spread
    yearly_usd: Spread
    usd_per_million_tokens: Spread | None
    parts_usd_per_gpu: dict[str, float] = field(default_factory=dict)


def purchase(
    budget_usd: float,
    size: SiteSize,
    tokens_per_gpu_s: float | None = None,
    figures: Mapping[str, Datum] | None = None,
    energy_usd_per_mwh: float | None = None,
    seed: int = 1,
) -> Purchase:
    """GPUs, MW and the cost of tokens that a budget buys, with its range.

    Args:
        budget_usd: capital for servers, network, building and connection together.
        tokens_per_gpu_s: output tokens a second of each GPU, all hours of the year.

    Raises:
        InputError: a budget or throughput that is not positive.
    """
    if budget_usd <= 0 or (tokens_per_gpu_s is not None and tokens_per_gpu_s <= 0):
        raise InputError(
            f"a budget of {budget_usd:g} USD, {tokens_per_gpu_s} tokens/s", "give positive numbers"
        )
    chosen = figures or capital_figures()
    nominal = gpu_cost(size, chosen, energy_usd_per_mwh)
    names = [
        n for n in ranged(chosen) if not n.startswith(("pv.", "battery.", "life.pv", "life.b"))
    ]
    rows = qmc.Sobol(len(names), rng=stream(seed, "capital")).random(DRAWS)
    drawn = [
        gpu_cost(size, sample(chosen, dict(zip(names, row, strict=True))), energy_usd_per_mwh)
        for row in rows
    ]
    gpus = _spread(
        budget_usd / nominal.capital_total_usd, [c.capital_total_usd for c in drawn], budget_usd
    )
    yearly = [budget_usd / c.capital_total_usd * c.yearly_total_usd for c in drawn]
    tokens = None
    if tokens_per_gpu_s is not None:
        per_year = tokens_per_gpu_s * H_PER_YEAR * 3600 / MEGA
        each = [c.yearly_total_usd / per_year for c in drawn]
        tokens = _around(nominal.yearly_total_usd / per_year, each)
    return Purchase(
        budget_usd=budget_usd,
        gpus=gpus,
        it_mw=_scaled(gpus, size.it_kw_per_gpu / KILO),
        meter_mw=_scaled(gpus, size.meter_kw_per_gpu / KILO),
        yearly_usd=_around(gpus.value * nominal.yearly_total_usd, yearly),
        usd_per_million_tokens=tokens,
        parts_usd_per_gpu=nominal.capital_usd,
    )


def _spread(value: float, costs: list[float], budget_usd: float) -> Spread:
    return _around(value, [budget_usd / cost for cost in costs])


def _around(value: float, drawn: list[float]) -> Spread:
    low, high = np.percentile(drawn, [5, 95])
    return Spread(value, min(float(low), value), max(float(high), value))


def _scaled(spread: Spread, factor: float) -> Spread:
    return Spread(spread.value * factor, spread.low * factor, spread.high * factor)
