"""What a supply did over a run: energies of every interval, and their laws."""

from __future__ import annotations

import math

from sim.errors import LawViolation
from sim.facility.supply import SupplyPlant, SupplyStep

POWERS = (
    "facility_w",
    "import_w",
    "export_w",
    "pv_w",
    "wind_w",
    "generation_w",
    "fuel_w",
    "curtailed_pv_w",
    "curtailed_wind_w",
    "unserved_w",
)


class SupplyBook:
    """Observer of a supply's intervals; each lasts until the next one.

    Attributes:
        energy_j: power -> energy so far.
        charged_j, discharged_j: AC energy into and out of the battery.
        ramp_excess_w: largest change of the import beyond the ramp limit.
        low_j, high_j: least and most stored energy at an interval's end.
    """

    def __init__(self, plant: SupplyPlant):
        start_j = plant.battery.initial_frac * plant.battery.energy_j
        self.plant = plant
        self.energy_j = dict.fromkeys(POWERS, 0.0)
        self.charged_j = self.discharged_j = self.ramp_excess_w = 0.0
        self.start_j = self.low_j = self.high_j = self.stored_j = start_j
        self.current: SupplyStep | None = None

    def follow(self, step: SupplyStep) -> None:
        """A new interval begins."""
        self.close(step.time_s)
        self.ramp_excess_w = max(self.ramp_excess_w, step.ramp_excess_w)
        self.current = step

    def close(self, time_s: float) -> None:
        """Book the current interval up to a time."""
        step = self.current
        if step is None or time_s <= step.time_s:
            return
        elapsed_s = time_s - step.time_s
        for name in POWERS:
            self.energy_j[name] += getattr(step, name) * elapsed_s
        self.charged_j += max(step.battery_w, 0.0) * elapsed_s
        self.discharged_j += max(-step.battery_w, 0.0) * elapsed_s
        battery = self.plant.battery
        self.stored_j = battery.stored_after_j(self.stored_j, step.battery_w, elapsed_s)
        self.low_j = min(self.low_j, self.stored_j)
        self.high_j = max(self.high_j, self.stored_j)
        self.current = None

    def check_laws(self, name: str, facility_j: float, import_j: float) -> None:
        """In = out + losses + storage change; the book agrees with the meters.

        Args:
            facility_j, import_j: what the meters recorded (import less export).

        Raises:
            LawViolation: with the site and both numbers.
        """
        energy = self.energy_j
        given = ("import_w", "pv_w", "wind_w", "generation_w", "unserved_w")
        into_j = math.fsum([*(energy[k] for k in given), self.discharged_j])
        out_j = energy["facility_w"] + energy["export_w"] + self.charged_j
        way = self.plant.battery.one_way_frac
        stored_j = self.start_j + self.charged_j * way - self.discharged_j / way
        scale_j = max(into_j, 1.0)
        battery = self.plant.battery
        for law, found, expected in (
            ("energy in and out", into_j, out_j),
            ("facility energy of book and meter", energy["facility_w"], facility_j),
            ("import of book and meter", energy["import_w"] - energy["export_w"], import_j),
            ("stored energy", self.stored_j, stored_j),
            ("least stored energy", min(self.low_j, battery.floor_j()), battery.floor_j()),
            ("most stored energy", max(self.high_j, battery.ceiling_j()), battery.ceiling_j()),
        ):
            if abs(found - expected) > 1e-9 * max(scale_j, battery.energy_j):
                raise LawViolation(f"{name}: {law}: {found:.9e} J against {expected:.9e} J")
