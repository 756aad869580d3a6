"""The dispatch that is cheapest over a whole horizon, as a linear program (HiGHS).

Each hour: import - export + generation - charge + discharge - curtailed + unserved
= load - PV - wind, and the stored energy follows. The program sees every price and every hour
of sun in advance, which no rule can: the gap to a rule is the most that foresight is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from sim.errors import FlopgridError, InputError
from sim.facility.cost import months
from sim.facility.dispatch import SupplyYear
from sim.facility.profile import FloatArray
from sim.facility.supply import Source, SupplyPlant
from sim.units import MEGA, S_PER_H

IntArray = npt.NDArray[np.int64]

UNSERVED_USD_PER_MWH = 20_000.0
"""Worth of load that must go: high, so that it goes last."""
CYCLE_USD_PER_MWH = 0.01
"""A hair's weight on cycling, so that the program does not charge and discharge at once."""
MWH_PER_J = 1 / 3.6e9
PARTS = ("import", "export", "charge", "discharge", "curtailed", "unserved")


@dataclass(frozen=True, slots=True, eq=False)
class OptimalYear:
    """The cheapest dispatch, and its cost without what is fixed."""

    year: SupplyYear
    cost_usd: float


def dispatch_optimal(
    plant: SupplyPlant,
    facility_w: FloatArray,
    price_usd_per_mwh: FloatArray,
    *,
    export_usd_per_mwh: float = 0.0,
    demand_usd_per_kw_month: float = 0.0,
    cycling_usd_per_mwh: float = CYCLE_USD_PER_MWH,
) -> OptimalYear:
    """The cheapest dispatch of a site over all given hours.

    Generators run without ramps, least load and start (hours are long); the battery starts as
    its plant says and must hold as much at the end.

    Args:
        facility_w: load at the meter, shape (hours,); price of each hour of the same shape.
        demand_usd_per_kw_month: for the highest import of each month.

    Raises:
        InputError: series of different length, or an export that pays more than the import.
        FlopgridError: the solver found no optimum.
    """
    if facility_w.size != price_usd_per_mwh.size:
        raise InputError(
            f"{facility_w.size} hours of load, {price_usd_per_mwh.size} of prices",
            "give series of the same hours",
        )
    if plant.export_limit_w and (price_usd_per_mwh < export_usd_per_mwh).any():
        raise InputError(
            f"an export at {export_usd_per_mwh:g} USD/MWh pays more than the import of some hours",
            "a loop from import to export would earn money: lower the export price",
        )
    program = _Program(plant, facility_w)
    costs = program.costs(
        price_usd_per_mwh, export_usd_per_mwh, cycling_usd_per_mwh, demand_usd_per_kw_month
    )
    columns = program.solve(costs)
    return OptimalYear(program.year(columns), float(costs @ columns))


class _QuietHighs(highspy.Highs):
    """HiGHS without its banner, which its callbacks would print on standard output."""

    def enableCallbacks(self) -> None:  # noqa: N802  the name is HiGHS's
        """Silence the solver and leave the callbacks off."""
        self.setOptionValue("output_flag", False)


class _Program:
    """Columns: for each hour the parts, generators, stored energy; then a peak for each month.

    Powers in MW, energies in MWh.
    """

    def __init__(self, plant: SupplyPlant, facility_w: FloatArray):
        self.plant, self.load_mw = plant, facility_w / MEGA
        self.hours = facility_w.size
        self.sun_mw, self.wind_mw = (_there_mw(s, self.hours) for s in (plant.pv, plant.wind))
        self.width = len(PARTS) + len(plant.generators) + 1
        self.months = months(self.hours)
        self.columns = self.hours * self.width + len(self.months)

    def place(self, part: int) -> IntArray:
        """Columns of a part, by hour."""
        return np.arange(self.hours) * self.width + part

    @property
    def stored(self) -> int:
        """Place of the stored energy within an hour."""
        return self.width - 1

    def costs(self, price: FloatArray, export: float, cycling: float, demand: float) -> FloatArray:
        """USD per MW over an hour, by column."""
        costs = np.zeros(self.columns)
        costs[self.place(0)] = price
        costs[self.place(1)] = -export
        costs[self.place(2)] = costs[self.place(3)] = cycling
        costs[self.place(5)] = UNSERVED_USD_PER_MWH
        for k, generator in enumerate(self.plant.generators):
            costs[self.place(len(PARTS) + k)] = generator.cost_usd_per_mwh
        costs[self.hours * self.width :] = demand * 1e3
        return costs

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Least and largest value of each column."""
        low, high = np.zeros(self.columns), np.full(self.columns, highspy.kHighsInf)
        plant, battery = self.plant, self.plant.battery
        limits = (
            plant.import_limit_w / MEGA,
            plant.export_limit_w / MEGA,
            battery.power_w / MEGA,
            battery.power_w / MEGA,
            self.sun_mw + self.wind_mw,
            self.load_mw,
        )
        for part, limit in enumerate(limits):
            high[self.place(part)] = limit
        for k, generator in enumerate(plant.generators):
            high[self.place(len(PARTS) + k)] = generator.capacity_w / MEGA
        low[self.place(self.stored)] = battery.floor_j() * MWH_PER_J
        high[self.place(self.stored)] = battery.ceiling_j() * MWH_PER_J
        low[self.place(self.stored)[-1]] = self.start_mwh
        return low, high

    @property
    def start_mwh(self) -> float:
        """Stored energy before the first hour."""
        return self.plant.battery.initial_frac * self.plant.battery.energy_j * MWH_PER_J

    def rows(self) -> tuple[coo_array, FloatArray, FloatArray]:
        """Matrix and bounds: balance of each hour, storage of each hour, peak of each month."""
        n, way = self.hours, self.plant.battery.one_way_frac
        hour = np.arange(n)
        entries = [
            (hour, self.place(p), sign) for p, sign in enumerate((1.0, -1.0, -1.0, 1.0, -1.0, 1.0))
        ]
        entries += [
            (hour, self.place(len(PARTS) + k), 1.0) for k in range(len(self.plant.generators))
        ]
        stored = self.place(self.stored)
        entries += [
            (n + hour, stored, 1.0),
            (n + hour[1:], stored[:-1], -1.0),
            (n + hour, self.place(2), -way),
            (n + hour, self.place(3), 1 / way),
        ]
        month_of = np.concatenate([np.full(m.stop - m.start, k) for k, m in enumerate(self.months)])
        entries += [
            (2 * n + hour, self.place(0), 1.0),
            (2 * n + hour, self.hours * self.width + month_of, -1.0),
        ]
        row, column, value = (
            np.concatenate([np.broadcast_to(e[k], e[0].shape) for e in entries]) for k in range(3)
        )
        matrix = coo_array((value, (row.astype(int), column.astype(int))), (3 * n, self.columns))
        needed = self.load_mw - self.sun_mw - self.wind_mw
        storage = np.zeros(n)
        storage[0] = self.start_mwh
        low = np.r_[needed, storage, np.full(n, -highspy.kHighsInf)]
        return matrix, low, np.r_[needed, storage, np.zeros(n)]

    def solve(self, costs: FloatArray) -> FloatArray:
        """The columns of the optimum."""
        matrix, row_low, row_high = self.rows()
        low, high = self.bounds()
        packed = matrix.tocsc()
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, row_low.size
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = costs, low, high
        lp.row_lower_, lp.row_upper_ = row_low, row_high
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_ = packed.indptr, packed.indices
        lp.a_matrix_.value_ = packed.data
        highs = _QuietHighs()  # type: ignore[no-untyped-call]
        highs.setOptionValue("threads", 1)
        highs.passModel(lp)
        highs.run()
        status = highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise FlopgridError(f"dispatch: the solver says {highs.modelStatusToString(status)}")
        return np.asarray(highs.getSolution().col_value, dtype=np.float64)

    def year(self, columns: FloatArray) -> SupplyYear:
        """The optimum as hourly powers; what the solver leaves of both ways of a flow is netted."""
        flow = [columns[self.place(p)] * MEGA for p in range(len(PARTS))]
        made = [
            columns[self.place(len(PARTS) + k)] * MEGA for k in range(len(self.plant.generators))
        ]
        burnt = [w / g.efficiency_frac for w, g in zip(made, self.plant.generators, strict=True)]
        nothing = np.zeros(self.hours)
        cut_sun = np.minimum(flow[4], self.sun_mw * MEGA)
        stored_j = columns[self.place(self.stored)] / MWH_PER_J
        each = {
            "facility_w": self.load_mw * MEGA,
            "import_w": flow[0],
            "export_w": flow[1],
            "battery_w": flow[2] - flow[3],
            "pv_w": self.sun_mw * MEGA - cut_sun,
            "wind_w": self.wind_mw * MEGA - (flow[4] - cut_sun),
            "generation_w": np.sum(made, axis=0) if made else nothing,
            "fuel_w": np.sum(burnt, axis=0) if burnt else nothing,
            "curtailed_pv_w": cut_sun,
            "curtailed_wind_w": flow[4] - cut_sun,
            "unserved_w": flow[5],
            "stored_j": stored_j,
        }
        return SupplyYear(**{name: values[None, :] for name, values in each.items()})


def _there_mw(source: Source | None, hours: int) -> FloatArray:
    if source is None:
        return np.zeros(hours)
    place = (np.arange(hours) + source.profile.start_h) % source.profile.hourly.size
    return source.capacity_w / MEGA * source.profile.hourly[place]


def energy_cost_usd(year: SupplyYear, price_usd_per_mwh: FloatArray, plant: SupplyPlant) -> float:
    """What import and fuel of a dispatch cost (one site), for a comparison with the optimum.

    Generators of one plant are taken at their mean cost of fuel where there are several.
    """
    hours = S_PER_H / 3600
    bought = float(price_usd_per_mwh @ year.import_w[0]) / MEGA * hours
    fuel = float(year.fuel_w.sum()) / MEGA * hours
    prices = [g.fuel_usd_per_mwh for g in plant.generators]
    return bought + fuel * (sum(prices) / len(prices) if prices else 0.0)
