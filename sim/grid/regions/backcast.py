"""A year that was measured, run again: fuel shares of eight areas in 2022, predicted and measured.

Given as measured: wind, sun, nuclear, other, the water of each day, and the interchange where
demand is known. Asked: how much coal, gas and oil burn, hour by hour. One figure per area is
fitted on the odd weeks, a surcharge on coal (stocks and contracts of 2022), and judged on the
even weeks. The capacity of a fuel is its highest measured hours: the facts give none by area.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.datum import data
from sim.grid.network import FloatArray
from sim.grid.regions.hourly import MIX_FUELS, MIX_YEAR, measured_mix, mix_areas
from sim.grid.regions.lp import Block, Dispatcher, System, Window
from sim.grid.regions.profiles import TECHNOLOGY

GIVEN: Final = ("wind", "solar", "nuclear", "other")
BURNT: Final = ("coal", "gas", "oil")
STEPS: Final = 6
"""Slices of a fleet from its best to its worst heat rate."""
BEST_PERCENTILE: Final = 99.9
LEAST_PERCENTILE: Final = 1.0
SURCHARGES: Final = "grid/regions/backcast.yaml"
TARGET_FRAC: Final = 0.06
WINDOW_H: Final = 24
DAYS_PER_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Backcast:
    """Shares of the area's own generation over the weeks asked.

    Args:
        worst_frac: largest miss of any fuel, predicted less measured.
        unserved_mwh: demand that the fleet could not meet.
    """

    area: str
    weeks: str
    measured_frac: dict[str, float]
    predicted_frac: dict[str, float]
    worst_fuel: str
    worst_frac: float
    unserved_mwh: float
    demand_known: bool
    mean_import_mw: float | None
    filled_hours: int
    notes: tuple[str, ...]

    @property
    def within_target(self) -> bool:
        """True if no fuel is off by more than 6 percentage points."""
        return abs(self.worst_frac) <= TARGET_FRAC


def surcharge(area: str) -> float:
    """The fitted surcharge on coal of an area, USD/MWh."""
    return data(SURCHARGES)[f"coal_surcharge_usd_per_mwh.{area}"].value


def backcast(area: str, weeks: str = "even", coal_usd_per_mwh: float | None = None) -> Backcast:
    """Predict the mix of an area in 2022.

    Args:
        weeks: `odd` (fitted on), `even` (held out) or `all`.
        coal_usd_per_mwh: the surcharge; None takes the fitted one.
    """
    extra = surcharge(area) if coal_usd_per_mwh is None else coal_usd_per_mwh
    model = _Area(area, extra)
    days = [d for d in range(365) if weeks == "all" or _is_odd(d) == (weeks == "odd")]
    predicted, unserved = model.run(days)
    hours = np.concatenate([np.arange(d * 24, d * 24 + 24) for d in days])
    mix = measured_mix(area)
    measured = {fuel: float(mix.generation_mw[fuel][hours].sum()) for fuel in MIX_FUELS}
    given = {fuel: measured[fuel] for fuel in GIVEN}
    return _compare(area, weeks, measured, given | predicted, unserved)


def backcast_all(weeks: str = "even") -> list[Backcast]:
    """All areas whose mix was measured."""
    return [backcast(area, weeks) for area in mix_areas()]


def fit_surcharge(area: str) -> float:
    """The surcharge at which the odd weeks burn as much coal as was measured, by bisection."""
    mix = measured_mix(area)
    days = [d for d in range(365) if _is_odd(d)]
    hours = np.concatenate([np.arange(d * 24, d * 24 + 24) for d in days])
    wanted = float(mix.generation_mw["coal"][hours].sum())
    if wanted < 0.001 * float(mix.total_mw[hours].sum()):
        return 0.0
    low, high = -40.0, 120.0
    for _ in range(9):
        middle = (low + high) / 2
        burnt = _Area(area, middle).run(days)[0]["coal"]
        low, high = (middle, high) if burnt > wanted else (low, middle)
    return round((low + high) / 2, 1)


def _is_odd(day: int) -> bool:
    return (day // DAYS_PER_WEEK) % 2 == 1


class _Area:
    """The dispatch program of one area, a day at a time."""

    def __init__(self, area: str, coal_usd_per_mwh: float):
        self.mix = measured_mix(area)
        self.table = data(TECHNOLOGY)
        blocks: list[Block] = []
        most: list[float] = []
        least: list[float] = []
        for fuel in BURNT:
            extra = coal_usd_per_mwh if fuel == "coal" else 0.0
            values = self.mix.generation_mw[fuel]
            capacity = float(np.percentile(values, BEST_PERCENTILE))
            if fuel == "gas":
                capacity = max(capacity, self._needed())
            must = float(np.percentile(values, LEAST_PERCENTILE))
            for k, cost in enumerate(self._costs(fuel)):
                blocks.append(Block(0, fuel, cost + extra))
                most.append(capacity / STEPS)
                least.append(min(capacity / STEPS, max(0.0, must - k * capacity / STEPS)))
        water = self.mix.generation_mw["hydro"]
        blocks.append(Block(0, "hydro", 0.0, budgeted=True))
        self.most, self.least = np.array([*most, 0.0]), np.array([*least, 0.0])
        self.water_most = float(np.percentile(water, BEST_PERCENTILE))
        self.system = System((area,), tuple(blocks))
        self.fuels = [block.fuel for block in blocks]

    def _needed(self) -> float:
        """Gas capacity that leaves nobody short: what burnt in the highest hour, all fuels."""
        burnt = sum(self.mix.generation_mw[fuel] for fuel in BURNT)
        others = sum(
            float(np.percentile(self.mix.generation_mw[fuel], BEST_PERCENTILE))
            for fuel in ("coal", "oil")
        )
        return float(np.max(burnt)) - others

    def _costs(self, fuel: str) -> list[float]:
        """Cost of each slice, from the best to the worst heat rate of the published range."""
        price = self.table[f"fuel_price_usd_per_mmbtu.{fuel}.{MIX_YEAR}"].value
        names = {"coal": ["coal"], "gas": ["gas_cc", "gas_ct"], "oil": ["oil"]}[fuel]
        rates = [self.table[f"heat_rate_mmbtu_per_mwh.{name}"] for name in names]
        low, high = rates[0].low or rates[0].value, rates[-1].high or rates[-1].value
        om = self.table[f"variable_om_usd_per_mwh.{names[0]}"].value
        return [float(rate) * price + om for rate in np.linspace(low, high, STEPS)]

    def run(self, days: list[int]) -> tuple[dict[str, float], float]:
        """Energy by fuel and unserved energy, MWh, over the days."""
        solver = Dispatcher(self.system, WINDOW_H)
        burnt: dict[str, float] = dict.fromkeys((*BURNT, "hydro"), 0.0)
        unserved = 0.0
        for day in days:
            result = solver.solve(self._window(slice(day * 24, day * 24 + 24)))
            unserved += float(result.unserved_mw.sum())
            for k, fuel in enumerate(self.fuels):
                burnt[fuel] += float(result.generation_mw[:, k].sum())
        return burnt, unserved

    def _window(self, hours: slice) -> Window:
        mix = self.mix.generation_mw
        rest = sum((mix[fuel][hours] for fuel in (*BURNT, "hydro")), np.zeros(WINDOW_H))
        water: FloatArray = mix["hydro"][hours]
        most = np.tile(self.most, (WINDOW_H, 1))
        most[:, -1] = max(self.water_most, float(water.max()))
        least = np.tile(self.least, (WINDOW_H, 1))
        least[:, -1] = water.min()
        # What must run is less than the measured load in every hour but a few.
        factor = np.minimum(1.0, rest / np.maximum(least.sum(axis=1), 1e-9))
        return Window(
            load_mw=rest[:, None],
            least_mw=least * factor[:, None],
            most_mw=most,
            budget_mwh=np.array([water.sum()]),
            reserve_mw=np.zeros((WINDOW_H, 0)),
            stored_mwh=np.zeros(0),
            end_mwh=np.zeros(0),
        )


def _compare(
    area: str,
    weeks: str,
    measured: dict[str, float],
    predicted: dict[str, float],
    unserved: float,
) -> Backcast:
    mix = measured_mix(area)
    total, found = sum(measured.values()), sum(predicted.values())
    shares = {fuel: measured[fuel] / total for fuel in MIX_FUELS}
    guess = {fuel: predicted[fuel] / found for fuel in MIX_FUELS}
    worst = max(MIX_FUELS, key=lambda fuel: abs(guess[fuel] - shares[fuel]))
    notes = ["capacity by fuel = highest measured hours", f"{mix.filled_hours} hours filled"]
    if mix.demand_mw is None:
        notes.append("demand = sum of the mix; interchange not known")
    imports = mix.interchange_mw
    return Backcast(
        area=area,
        weeks=weeks,
        measured_frac=shares,
        predicted_frac=guess,
        worst_fuel=worst,
        worst_frac=guess[worst] - shares[worst],
        unserved_mwh=unserved,
        demand_known=mix.demand_mw is not None,
        mean_import_mw=None if imports is None else float(imports.mean()),
        filled_hours=mix.filled_hours,
        notes=tuple(notes),
    )
