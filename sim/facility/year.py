"""A year of hours at the meter, for one site or for many at once.

Arrays have the shape (sites, hours). The building is that of `sim.facility.building`: loss and
cooling are a constant plus a share of the load, the share of the cooling follows the weather.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sim.errors import InputError
from sim.facility.building import HourlyOverhead
from sim.facility.chain import PowerChain
from sim.facility.cooling import CoolingYear
from sim.facility.profile import FloatArray, Profile
from sim.facility.weather import Weather


@dataclass(frozen=True, slots=True, eq=False)
class FacilityYear:
    """Power and water of sites in the hours of a year; arrays (sites, hours).

    Attributes:
        water_kg_per_s: make-up water.
    """

    it_w: FloatArray
    power_train_loss_w: FloatArray
    cooling_w: FloatArray
    water_kg_per_s: FloatArray

    @property
    def facility_w(self) -> FloatArray:
        """Power at the meter."""
        return self.it_w + self.power_train_loss_w + self.cooling_w

    @property
    def pue(self) -> FloatArray:
        """Facility over IT power in each hour."""
        return self.facility_w / self.it_w

    @property
    def mean_pue(self) -> FloatArray:
        """Facility over IT energy of the year, shape (sites,)."""
        return np.asarray(self.facility_w.sum(axis=1) / self.it_w.sum(axis=1))

    @property
    def wue_l_per_kwh(self) -> FloatArray:
        """Litres of water over kWh of IT energy, shape (sites,)."""
        return np.asarray(self.water_kg_per_s.sum(axis=1) / self.it_w.sum(axis=1) * 3.6e6)


def overhead(
    chain: PowerChain, cooling: CoolingYear, weather: Weather, design_it_w: float, start_h: int = 0
) -> HourlyOverhead:
    """Losses and cooling of a building in the hours of the UTC year.

    Args:
        design_it_w: IT power for which chain and plant are built.
        start_h: hour of the UTC year at which the run starts.
    """
    design_heat_w = design_it_w + chain.loss_w(design_it_w)
    return HourlyOverhead(
        train_fixed_w=chain.fixed_w,
        train_share=chain.share,
        cooling_fixed_w=cooling.fixed_frac * design_heat_w,
        cooling_share=Profile(weather.utc(cooling.share), start_h),
        water_kg_per_j=Profile(weather.utc(cooling.water_kg_per_j), start_h),
    )


def facility_year(it_w: FloatArray, overheads: Sequence[HourlyOverhead]) -> FacilityYear:
    """Sites in the hours of a year.

    Args:
        it_w: IT power, shape (sites, hours) or (hours,) for the same load everywhere.
        overheads: one for each site, over the same hours.

    Raises:
        InputError: shapes that do not fit, or a load that is negative or not a number.
    """
    shares = np.stack([o.cooling_share.hourly for o in overheads])
    load_w = np.broadcast_to(np.atleast_2d(it_w), shares.shape)
    if not (np.isfinite(load_w).all() and (load_w >= 0).all()):
        raise InputError("an hourly load is negative or has gaps", "mend the series")
    loss_w = _column([o.train_fixed_w for o in overheads]) + load_w * _column(
        [o.train_share for o in overheads]
    )
    heat_w = load_w + loss_w
    cooling_w = _column([o.cooling_fixed_w for o in overheads]) + shares * heat_w
    water = np.stack([o.water_kg_per_j.hourly for o in overheads]) * heat_w
    return FacilityYear(np.array(load_w), loss_w, cooling_w, water)


def _column(values: Sequence[float]) -> FloatArray:
    return np.array(values)[:, None]
