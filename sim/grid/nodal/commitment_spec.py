"""What a unit commitment is asked: hours of load, what may run, storages."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sim.errors import InputError, Place
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Bools, Floats, Ints, Network

_NO_FLOATS: Floats = np.zeros(0)
_NO_HOURS: Ints = np.zeros(0, dtype=np.int64)


PER_MINUTE = ("case_RTS_GMLC",)
"""Cases whose column for the 30-minute ramp holds MW per minute: the figures are those of
`Ramp Rate MW/Min` in `gen.csv` of the RTS-GMLC (github.com/GridMod/RTS-GMLC), read 2026-11-24."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Hours of a unit commitment.

    Args:
        load_frac: load of each hour over the case's, shape (n_hours,).
        extra_load_mw: on top of it, shape (n_hours, n_buses); none if empty.
        available_frac: of each unit's Pmax, shape (n_hours, n_generators); all if empty.
        reserve_mw: room that running units keep, shape (n_hours,); none if empty.
        ramp_mw_per_h: shape (n_generators,); default twice the case's 30-minute ramp, 0 = none.
        least_up_h, least_down_h: whole hours, shape (n_generators,); 1 if empty.
        was_on, was_mw: what ran before the first hour, shape (n_generators,); without it the
            first hour is free of starts and ramps.
    """

    load_frac: Floats
    extra_load_mw: Floats = field(default_factory=lambda: _NO_FLOATS)
    available_frac: Floats = field(default_factory=lambda: _NO_FLOATS)
    reserve_mw: Floats = field(default_factory=lambda: _NO_FLOATS)
    ramp_mw_per_h: Floats | None = None
    least_up_h: Ints = field(default_factory=lambda: _NO_HOURS)
    least_down_h: Ints = field(default_factory=lambda: _NO_HOURS)
    was_on: Bools | None = None
    was_mw: Floats | None = None

    def checked(self, network: Network) -> Horizon:
        """Itself, if it fits the network.

        Raises:
            InputError: no hour, a negative or infinite figure, or a wrong shape.
        """
        hours, buses, units = len(self.load_frac), len(network.buses), len(network.generators)
        if not hours:
            raise InputError("a unit commitment over 0 hours", "give a load for each hour")
        for name, shape in (
            ("load_frac", (hours,)), ("extra_load_mw", (hours, buses)),
            ("available_frac", (hours, units)), ("reserve_mw", (hours,)),
            ("ramp_mw_per_h", (units,)), ("least_up_h", (units,)), ("least_down_h", (units,)),
            ("was_on", (units,)), ("was_mw", (units,)),
        ):  # fmt: skip
            values = getattr(self, name)
            if values is None or not values.size:
                continue
            if values.shape != shape:
                raise InputError(f"{name} has shape {values.shape}, not {shape}", "mend its shape")
            if not (np.isfinite(values) & (values >= 0)).all() and name != "was_mw":
                raise InputError(f"{name} is negative or not finite", "give figures from 0 on")
        return self

    def demand_mw(self, network: Network, case_mw: Floats) -> Floats:
        """Demand by hour and bus: loads scaled, shunts and DC lines as they are."""
        fixed = case_mw - network.buses.load_mw
        demand: Floats = fixed + self.load_frac[:, None] * network.buses.load_mw
        return demand + self.extra_load_mw if self.extra_load_mw.size else demand

    def top_mw(self, network: Network) -> Floats:
        """The most that each unit can give, shape (n_hours, n_generators)."""
        top = np.broadcast_to(
            network.generators.max_mw, (len(self.load_frac), len(network.generators))
        )
        return top * self.available_frac if self.available_frac.size else top.copy()

    def ramp_mw(self, network: Network) -> Floats:
        """MW per hour by generator; infinite where there is no limit."""
        ramp = self.ramp_mw_per_h
        if ramp is None:
            per_h = 60 if network.name in PER_MINUTE else 2
            ramp = per_h * network.generators.ramp_30min_mw
        return np.where(ramp > 0, ramp, np.inf)


@dataclass(frozen=True, slots=True)
class Storage:
    """Energy that can be put by.

    Args:
        bus: index.
        charge_frac, discharge_frac: share kept on the way in and out (0.95 each: 0.90 in all).
        first_mwh: stored before the first hour; `least_last_mwh` at least after the last.
    """

    bus: int
    power_mw: float
    energy_mwh: float
    charge_frac: float = 0.95
    discharge_frac: float = 0.95
    first_mwh: float = 0.0
    least_last_mwh: float = 0.0

    def check(self, study: Study) -> None:
        """Refuse what cannot be.

        Raises:
            InputError: a figure out of its range, or a bus out of service.
        """
        number = int(study.network.buses.number[self.bus])
        if study.grid.island[self.bus] < 0:
            raise InputError(f"storage at bus {number}: the bus is out of service", "move it")
        sizes_hold = 0 < self.power_mw < np.inf and 0 < self.energy_mwh < np.inf
        shares_hold = 0 < self.charge_frac <= 1 and 0 < self.discharge_frac <= 1
        levels_hold = all(0 <= e <= self.energy_mwh for e in (self.first_mwh, self.least_last_mwh))
        if not (sizes_hold and shares_hold and levels_hold):
            raise InputError(
                f"storage at bus {number}: {self}",
                "power and energy above 0, shares in 0 to 1, levels within the energy",
            )


def read_profile(path: Path) -> tuple[Floats, dict[str, Floats]]:
    """Hours from a CSV file: `load_frac`, and `FUEL_frac` for fuels with changing output.

    Raises:
        InputError: the file or its column is missing, or a figure is no number from 0 on.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}", "give a CSV file with load_frac") from error
    head = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    rows = list(csv.DictReader(lines[head:]))
    if not rows or "load_frac" not in rows[0]:
        raise InputError("no column load_frac", "one row an hour", place=Place(str(path), head + 1))
    columns: dict[str, list[float]] = {name: [] for name in rows[0] if name.endswith("_frac")}
    for line, row in enumerate(rows, head + 2):
        for name, values in columns.items():
            values.append(_figure(row[name], name, Place(str(path), line)))
    found = {name.removesuffix("_frac"): np.array(values) for name, values in columns.items()}
    return found.pop("load"), found


def _figure(text: str | None, name: str, place: Place) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0 <= value < np.inf:
        raise InputError(f"{name} {text!r} is no number from 0 on", "give a share", place=place)
    return value


def with_fuels(horizon: Horizon, network: Network, by_fuel: dict[str, Floats]) -> Horizon:
    """The horizon with the output of some fuels limited by hour.

    Raises:
        InputError: no generator of the case has that fuel.
    """
    if not by_fuel:
        return horizon
    frac = np.ones((len(horizon.load_frac), len(network.generators)))
    fuel = np.array([name.lower() for name in network.generators.fuel], dtype=object)
    for name, values in by_fuel.items():
        units = np.flatnonzero(fuel == name.lower())
        if not len(units):
            known = ", ".join(sorted(set(fuel.tolist()))) or "none"
            raise InputError(f"no generator of fuel {name!r} in {network.name}", f"known: {known}")
        frac[:, units] = values[:, None]
    return replace(horizon, available_frac=frac)
