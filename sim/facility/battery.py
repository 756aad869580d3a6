"""A battery behind the meter: ratings, limits over an interval, exact storage.

Charging at `p` watts for `t` seconds stores `p * t * charge_efficiency`; discharging at `p`
takes `p * t / discharge_efficiency` out. The difference is heat. `battery_w > 0` charges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.errors import CapacityError
from sim.units import J_PER_MWH, MEGA, S_PER_H


@dataclass(frozen=True, slots=True)
class Battery:
    """Ratings of a battery system, seen from its AC side.

    Attributes:
        power_w: largest charge and discharge power.
        energy_j: nameplate energy of the cells.
        inverter_w: rating of its inverter; None for as large as `power_w`.
        round_trip_frac: AC energy out over AC energy in, split evenly over both ways.
        min_frac, max_frac: window of the state of charge that is used.
        initial_frac: state of charge at the start.
        max_c_per_h: largest power over energy, 1/h.
        fade_frac_per_cycle: nameplate energy lost for each full cycle of discharge.
    """

    power_w: float
    energy_j: float
    inverter_w: float | None = None
    round_trip_frac: float = 0.86
    min_frac: float = 0.05
    max_frac: float = 0.95
    initial_frac: float = 0.5
    max_c_per_h: float = 4.0
    fade_frac_per_cycle: float = 0.0

    def __post_init__(self) -> None:
        _check_ratings(self)
        _check_window(self)

    @property
    def one_way_frac(self) -> float:
        """Efficiency of charging, and of discharging."""
        return math.sqrt(self.round_trip_frac)

    def usable_j(self, discharged_j: float = 0.0) -> float:
        """Nameplate energy left after `discharged_j` has been taken out over the years."""
        if not self.energy_j:
            return 0.0
        cycles = discharged_j / self.energy_j
        return self.energy_j * max(0.0, 1 - self.fade_frac_per_cycle * cycles)

    def floor_j(self) -> float:
        """Least stored energy."""
        return self.min_frac * self.energy_j

    def ceiling_j(self, discharged_j: float = 0.0) -> float:
        """Most stored energy; wear lowers it, never below the floor."""
        return max(self.floor_j(), self.max_frac * self.usable_j(discharged_j))

    def most_charge_w(self, stored_j: float, duration_s: float, discharged_j: float = 0.0) -> float:
        """Largest power that it can take in for all of an interval."""
        room_j = max(0.0, self.ceiling_j(discharged_j) - stored_j)
        return min(self.power_w, room_j / (duration_s * self.one_way_frac))

    def most_discharge_w(self, stored_j: float, duration_s: float) -> float:
        """Largest power that it can give for all of an interval."""
        left_j = max(0.0, stored_j - self.floor_j())
        return min(self.power_w, left_j * self.one_way_frac / duration_s)

    def stored_after_j(self, stored_j: float, battery_w: float, duration_s: float) -> float:
        """Stored energy after an interval at constant power."""
        factor = self.one_way_frac if battery_w > 0 else 1 / self.one_way_frac
        return stored_j + battery_w * duration_s * factor


def _check_ratings(battery: Battery) -> None:
    inverter_w = battery.power_w if battery.inverter_w is None else battery.inverter_w
    if battery.power_w > inverter_w:
        raise CapacityError(
            f"the battery's {battery.power_w / MEGA:g} MW exceed its inverter of "
            f"{inverter_w / MEGA:g} MW",
            "lower power_mw or give a larger inverter_mw",
        )
    if battery.power_w < 0 or battery.energy_j < 0:
        raise CapacityError("a battery's power and energy cannot be negative", "give positive ones")
    most_w = battery.max_c_per_h * battery.energy_j / S_PER_H
    if battery.power_w > most_w * (1 + 1e-12):
        rate_per_h = battery.power_w * S_PER_H / battery.energy_j if battery.energy_j else math.inf
        raise CapacityError(
            f"{battery.power_w / MEGA:g} MW out of {battery.energy_j / J_PER_MWH:g} MWh is "
            f"{rate_per_h:g} C, above the limit of {battery.max_c_per_h:g} C",
            "give more energy_mwh, less power_mw, or another max_c_per_h",
        )


def _check_window(battery: Battery) -> None:
    if not 0 < battery.round_trip_frac <= 1:
        raise CapacityError(
            f"a round-trip efficiency of {battery.round_trip_frac:g} is outside 0 to 1",
            "give a fraction, for example 0.86",
        )
    if not 0 <= battery.min_frac <= battery.initial_frac <= battery.max_frac <= 1:
        raise CapacityError(
            f"state of charge: min {battery.min_frac:g}, initial {battery.initial_frac:g}, "
            f"max {battery.max_frac:g} are not in order within 0 to 1",
            "give min_frac <= initial_frac <= max_frac",
        )


NO_BATTERY = Battery(power_w=0.0, energy_j=0.0)
"""A site without a battery."""
