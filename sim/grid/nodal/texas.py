"""The synthetic Texas, 2,000 buses, from compact tables (no extra needed).

The figures are those of the case file to the last digit; see the heads of the tables for
source and licence.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from sim.datum import read_table
from sim.grid.nodal.tables import (
    Branches,
    Buses,
    Cost,
    DcLines,
    Floats,
    Generators,
    Ints,
    Network,
)

SOURCE = (
    "ACTIVSg2000, a synthetic grid on the footprint of Texas, not the actual one; A. B. "
    "Birchfield et al., doi 10.1109/TPWRS.2016.2616385, CC-BY-4.0 (columns selected)"
)

Rows = tuple[dict[str, str], ...]


def _floats(rows: Rows, column: str) -> Floats:
    return np.array([float(row[column]) for row in rows])


def _ints(rows: Rows, column: str) -> Ints:
    return np.array([int(row[column]) for row in rows], dtype=np.int64)


@cache
def texas() -> Network:
    """The synthetic Texas with the coordinates of its buses."""
    buses = _buses(read_table("grid/nodal/activsg2000_buses.csv"))
    index = {int(number): i for i, number in enumerate(buses.number)}
    return Network(
        name="case_ACTIVSg2000",
        base_mva=100.0,
        buses=buses,
        generators=_generators(read_table("grid/nodal/activsg2000_generators.csv"), index),
        branches=_branches(read_table("grid/nodal/activsg2000_branches.csv"), index),
        dc_lines=_no_dc_lines(),
        source=SOURCE,
    )


def _buses(rows: Rows) -> Buses:
    return Buses(
        number=_ints(rows, "bus"),
        kind=_ints(rows, "kind"),
        load_mw=_floats(rows, "load_mw"),
        load_mvar=_floats(rows, "load_mvar"),
        shunt_mw=_floats(rows, "shunt_mw"),
        shunt_mvar=_floats(rows, "shunt_mvar"),
        area=_ints(rows, "area"),
        voltage_pu=_floats(rows, "voltage_pu"),
        angle_deg=_floats(rows, "angle_deg"),
        base_kv=_floats(rows, "base_kv"),
        zone=_ints(rows, "zone"),
        name=tuple(row["name"] for row in rows),
        latitude_deg=_floats(rows, "latitude_deg"),
        longitude_deg=_floats(rows, "longitude_deg"),
    )


def _at(rows: Rows, column: str, index: dict[int, int]) -> Ints:
    return np.array([index[int(row[column])] for row in rows], dtype=np.int64)


def _generators(rows: Rows, index: dict[int, int]) -> Generators:
    return Generators(
        bus=_at(rows, "bus", index),
        output_mw=_floats(rows, "output_mw"),
        output_mvar=_floats(rows, "output_mvar"),
        max_mvar=_floats(rows, "max_mvar"),
        min_mvar=_floats(rows, "min_mvar"),
        setpoint_pu=_floats(rows, "setpoint_pu"),
        is_on=_ints(rows, "is_on") > 0,
        max_mw=_floats(rows, "max_mw"),
        min_mw=_floats(rows, "min_mw"),
        ramp_30min_mw=_floats(rows, "ramp_30min_mw"),
        cost=tuple(
            Cost(
                float(row["startup_usd"]),
                tuple(float(row[name]) for name in ("cost_0", "cost_1", "cost_2")),
            )
            for row in rows
        ),
        fuel=tuple(row["fuel"] for row in rows),
    )


def _branches(rows: Rows, index: dict[int, int]) -> Branches:
    rating = _floats(rows, "rating_mw")
    rating = np.where(rating == 0, np.inf, rating)
    ratio = _floats(rows, "ratio")
    unlimited = np.full(len(rows), np.inf)
    return Branches(
        start=_at(rows, "start", index),
        end=_at(rows, "end", index),
        r_pu=_floats(rows, "r_pu"),
        x_pu=_floats(rows, "x_pu"),
        charging_pu=_floats(rows, "charging_pu"),
        rating_mw=rating,
        rating_b_mw=rating.copy(),
        rating_c_mw=rating.copy(),
        tap=np.where(ratio == 0, 1.0, ratio),
        is_transformer=ratio != 0,
        shift_deg=_floats(rows, "shift_deg"),
        is_on=_ints(rows, "is_on") > 0,
        min_angle_deg=-unlimited,
        max_angle_deg=unlimited,
    )


def _no_dc_lines() -> DcLines:
    none = np.zeros(0)
    index = np.zeros(0, dtype=np.int64)
    return DcLines(index, index, none > 0, none, none, none, none, none, none)
