"""A site in the hours of a year: the run's mean IT power in a climate, folded for figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.facility.cooling import cooling_year
from sim.facility.cost import (
    months,
)
from sim.facility.meter import SitePlant
from sim.facility.profile import FloatArray
from sim.facility.supply import SupplyPlant
from sim.facility.year import FacilityYear, facility_year, overhead
from sim.scenario.schema.facility import Facility
from sim.scenario.simulate import SiteOutcome
from sim.scenario.site_building import cooling_settings, design_it_w, find_weather, site_chain
from sim.scenario.site_supply import supply_plant
from sim.units import H_PER_YEAR

Json = dict[str, Any]


def constant_year(it_w: float) -> FloatArray:
    """A power held in every hour of a year."""
    return np.full(H_PER_YEAR, it_w)


def run_year(site: SiteOutcome) -> FacilityYear:
    """The run's mean IT power held for a year of UTC hours."""
    facility, plant = site.run.spec.facility, site.run.plant
    load_w = constant_year(site.power["it"].mean)
    if facility.cooling is None:
        parts = plant.parts(site.power["chip"].mean)
        loss_w, cooling_w = (
            np.full((1, H_PER_YEAR), w) for w in (parts.power_train_loss_w, parts.cooling_w)
        )
        return FacilityYear(load_w[None, :], loss_w, cooling_w, np.zeros((1, H_PER_YEAR)))
    return year_in(plant, facility, facility.cooling.kind, facility.cooling.weather, load_w)


def year_in(
    plant: SitePlant, facility: Facility, kind: str, weather_name: str, load_w: FloatArray
) -> FacilityYear:
    """A year of a site with a cooling plant in a climate."""
    weather = find_weather(weather_name)
    chain = site_chain(plant.nodes, plant.node, facility.chain)
    cooling = cooling_year(kind, weather, cooling_settings(facility))
    design_w = design_it_w(plant.nodes, plant.node, facility.chain)
    return facility_year(load_w, [overhead(chain, cooling, weather, design_w)])


def year_plant(site: SiteOutcome) -> SupplyPlant:
    """What stands behind the meter, in the hours of the UTC year."""
    facility, plant = site.run.spec.facility, site.run.plant
    return supply_plant(facility, design_it_w(plant.nodes, plant.node, facility.chain))


def local_offset_h(facility: Facility) -> int:
    """Local standard time of the site's weather less UTC; 0 where none is named."""
    name = facility.cooling.weather if facility.cooling else facility.pv and facility.pv.weather
    return round(find_weather(name).utc_offset_h) if name else 0


def by_month_hour(series: FloatArray, offset_h: int) -> list[list[float]]:
    """Means by month (12 rows) and hour of the local day (24 columns) of a UTC year."""
    local = np.roll(series, offset_h)
    rows = [local[part].reshape(-1, 24).mean(axis=0) for part in months(local.size)]
    return [[round(float(v), 5) for v in row] for row in rows]
