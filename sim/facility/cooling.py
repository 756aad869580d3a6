"""Cooling plants: from weather and heat to power and water, hour by hour.

Within an hour the plant's power is a constant plus a share of the heat:

    cooling_w = fixed_w + share[h] * heat_w,      water_kg_per_s = water[h] * heat_w

The constant (least speeds of fans and pumps, lighting) makes the PUE rise as the load falls;
the share holds the fans, pumps and chillers of the hour and rises with the wet bulb. A chiller
takes the part of the heat that the outdoors cannot, at a COP that falls with the lift:

    COP = min(most, carnot_frac * T_evaporator / (T_condenser - T_evaporator))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.datum import Datum, data
from sim.errors import UnknownNameError
from sim.facility.profile import FloatArray
from sim.facility.psychrometrics import AIR_J_PER_KG_K, EVAPORATION_J_PER_KG
from sim.facility.weather import Weather

KELVIN = 273.15
FIGURES = "facility/cooling.yaml"

CoolingKind = Literal[
    "economiser", "chilled-water", "chilled-water-no-economiser", "direct-liquid", "dry-liquid"
]


@dataclass(frozen=True, slots=True, eq=False)
class CoolingYear:
    """A plant in a year of weather, in the hours of its weather.

    Attributes:
        fixed_frac: power at no heat, over design heat.
        share: power per W of heat, shape (hours,).
        water_kg_per_j: make-up water per J of heat, shape (hours,).
        chilled_frac: part of the heat that needs a chiller, shape (hours,).
    """

    kind: str
    fixed_frac: float
    share: FloatArray
    water_kg_per_j: FloatArray
    chilled_frac: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class _Hourly:
    """What one way of removing heat takes, per W of heat."""

    moved_frac: float
    chiller: FloatArray
    water_kg_per_j: FloatArray
    chilled_frac: FloatArray


def cooling_figures() -> dict[str, Datum]:
    """Set points, approaches and efficiencies of the data file."""
    return data(FIGURES)


def cooling_year(
    kind: str, weather: Weather, figures: Mapping[str, Datum] | None = None
) -> CoolingYear:
    """A plant of a kind in the hours of a weather year.

    Args:
        figures: those of the data file by default, or changed ones.

    Raises:
        UnknownNameError: no such kind.
    """
    if kind not in PLANTS:
        raise UnknownNameError("cooling", kind, PLANTS)
    f = {name: d.value for name, d in (figures or cooling_figures()).items()}
    hourly = PLANTS[kind](weather, f)
    fixed = f["plant.fixed_frac"]
    return CoolingYear(
        kind=kind,
        fixed_frac=fixed * hourly.moved_frac + f["plant.base_frac"],
        share=(1 - fixed) * hourly.moved_frac + hourly.chiller,
        water_kg_per_j=hourly.water_kg_per_j,
        chilled_frac=hourly.chilled_frac,
    )


def _economiser(weather: Weather, f: Mapping[str, float]) -> _Hourly:
    """Outdoor air, wetted where it is too warm, and air-cooled chillers for what is left."""
    supply, rise = f["air.supply_c"], f["air.rise_k"]
    dry, wet = weather.dry_bulb_c, weather.wet_bulb_c
    reachable = dry - f["air.evaporative_effectiveness_frac"] * (dry - wet)
    entering = np.where(dry <= supply, dry, np.maximum(reachable, supply))
    chilled = np.clip((entering - supply) / rise, 0.0, 1.0)
    lift_to = dry + f["air.condenser_approach_k"]
    chiller = chilled / _cop(supply - 4 - f["chiller.evaporator_approach_k"], lift_to, f)
    # One W of heat warms rise K of air; wetting cools it by dry - entering.
    evaporated = np.maximum(dry - entering, 0.0) / rise / EVAPORATION_J_PER_KG
    return _Hourly(f["air.fan_frac"], chiller, _make_up(evaporated, f), chilled)


def _chilled_water(weather: Weather, f: Mapping[str, float]) -> _Hourly:
    """Towers, a heat exchanger for cool hours, water-cooled chillers."""
    from_tower = weather.wet_bulb_c + f["water.tower_approach_k"]
    free_c = from_tower + f["water.exchanger_approach_k"]
    chilled = np.clip((free_c - f["water.supply_c"]) / f["water.rise_k"], 0.0, 1.0)
    return _towers(weather, f, chilled)


def _chilled_water_only(weather: Weather, f: Mapping[str, float]) -> _Hourly:
    """Towers and chillers all year, no economiser."""
    return _towers(weather, f, np.ones_like(weather.wet_bulb_c))


def _towers(weather: Weather, f: Mapping[str, float], chilled: FloatArray) -> _Hourly:
    from_tower = weather.wet_bulb_c + f["water.tower_approach_k"]
    lift_to = from_tower + f["water.condenser_approach_k"]
    evaporator = f["water.supply_c"] - f["chiller.evaporator_approach_k"]
    chiller = chilled / _cop(evaporator, lift_to, f)
    moved = f["air.fan_frac"] + f["water.pump_frac"] + f["water.tower_fan_frac"]
    evaporated = f["evaporation.latent_frac"] * (1 + chiller) / EVAPORATION_J_PER_KG
    return _Hourly(moved, chiller, _make_up(evaporated, f), chilled)


def _direct_liquid(weather: Weather, f: Mapping[str, float]) -> _Hourly:
    """Cold plates on dry coolers, wetted in hot hours; the rest of the heat as chilled water."""
    supply, approach = f["liquid.supply_c"], f["liquid.cooler_approach_k"]
    dry, wet = weather.dry_bulb_c, weather.wet_bulb_c
    wetted = dry - f["air.evaporative_effectiveness_frac"] * (dry - wet)
    entering = np.where(dry + approach <= supply, dry, np.maximum(wetted, supply - approach))
    return _plates_and_air(_plates(weather, f, entering), _chilled_water(weather, f), f)


def _dry_liquid(weather: Weather, f: Mapping[str, float]) -> _Hourly:
    """Cold plates on dry coolers that are never wetted; air-cooled chillers, also for the rest."""
    return _plates_and_air(
        _plates(weather, f, weather.dry_bulb_c), _dry_chilled_water(weather, f), f
    )


def _plates(weather: Weather, f: Mapping[str, float], entering: FloatArray) -> _Hourly:
    """Cold plates whose dry coolers take in air at `entering`, and chillers above its reach."""
    supply, rise = f["liquid.supply_c"], f["liquid.rise_k"]
    chilled = np.clip((entering + f["liquid.cooler_approach_k"] - supply) / rise, 0.0, 1.0)
    lift_to = entering + f["air.condenser_approach_k"]
    chiller = chilled / _cop(supply - f["chiller.evaporator_approach_k"], lift_to, f)
    # A dry cooler passes about 1 W per `rise` K of air and W of heat; wetting costs as above.
    evaporated = np.maximum(weather.dry_bulb_c - entering, 0.0) / rise / EVAPORATION_J_PER_KG
    moved = f["liquid.pump_frac"] + f["liquid.cooler_fan_frac"]
    return _Hourly(moved, chiller, _make_up(evaporated, f), chilled)


def _dry_chilled_water(weather: Weather, f: Mapping[str, float]) -> _Hourly:
    """Chilled water without towers: dry coolers in cool hours, air-cooled chillers."""
    dry, supply = weather.dry_bulb_c, f["water.supply_c"]
    free_c = dry + f["liquid.cooler_approach_k"] + f["water.exchanger_approach_k"]
    chilled = np.clip((free_c - supply) / f["water.rise_k"], 0.0, 1.0)
    evaporator = supply - f["chiller.evaporator_approach_k"]
    chiller = chilled / _cop(evaporator, dry + f["air.condenser_approach_k"], f)
    moved = f["air.fan_frac"] + f["water.pump_frac"] + f["liquid.cooler_fan_frac"]
    return _Hourly(moved, chiller, np.zeros_like(dry), chilled)


def _plates_and_air(plates: _Hourly, air: _Hourly, f: Mapping[str, float]) -> _Hourly:
    """Both in the shares of the heat that they take."""
    share, rest = f["liquid.share_frac"], 1 - f["liquid.share_frac"]
    return _Hourly(
        share * plates.moved_frac + rest * air.moved_frac,
        share * plates.chiller + rest * air.chiller,
        share * plates.water_kg_per_j + rest * air.water_kg_per_j,
        share * plates.chilled_frac + rest * air.chilled_frac,
    )


def _cop(evaporator_c: float, condenser_c: FloatArray, f: Mapping[str, float]) -> FloatArray:
    cold_k = evaporator_c + KELVIN
    lift_k = np.maximum(condenser_c - evaporator_c, 1e-3)
    return np.minimum(f["chiller.most_cop"], f["chiller.carnot_frac"] * cold_k / lift_k)


def _make_up(evaporated: FloatArray, f: Mapping[str, float]) -> FloatArray:
    """Water to be replaced: what evaporates, and what is drained to keep it clean."""
    return np.asarray(evaporated * f["evaporation.cycles"] / (f["evaporation.cycles"] - 1))


PLANTS: dict[str, Callable[[Weather, Mapping[str, float]], _Hourly]] = {
    "economiser": _economiser,
    "chilled-water": _chilled_water,
    "chilled-water-no-economiser": _chilled_water_only,
    "direct-liquid": _direct_liquid,
    "dry-liquid": _dry_liquid,
}
"""Cooling kind -> what it takes in each hour."""


@dataclass(frozen=True, slots=True)
class CoolingBuffer:
    """Heat that room and water can hold: a short buffer for demand response.

    Attributes:
        capacity_j: heat between the normal state and the limit.
    """

    capacity_j: float

    def hold_s(self, unremoved_w: float) -> float:
        """How long so much heat may go unremoved; infinity if none."""
        return self.capacity_j / unremoved_w if unremoved_w > 0 else float("inf")


def cooling_buffer(
    design_heat_w: float, figures: Mapping[str, Datum] | None = None
) -> CoolingBuffer:
    """The buffer of a plant, from the time for which it holds the design heat."""
    hold_s = (figures or cooling_figures())["inertia.hold_s"].value
    return CoolingBuffer(design_heat_w * hold_s)


def air_flow_kg_per_s(heat_w: float, rise_k: float) -> float:
    """Air that carries a heat at a temperature rise."""
    return heat_w / (AIR_J_PER_KG_K * rise_k)
