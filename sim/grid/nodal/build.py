"""From the tables of a case file to a `Network`; what cannot be solved is refused here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.datum import read_table
from sim.errors import InputError, Place
from sim.grid.nodal.islands import labels
from sim.grid.nodal.matpower import RawCase
from sim.grid.nodal.tables import (
    ISOLATED,
    Branches,
    Buses,
    Cost,
    DcLines,
    Floats,
    Generators,
    Ints,
    Network,
)

_COLUMNS = {"bus": 13, "gen": 10, "branch": 11, "dcline": 11}
"""Columns that are read, by table; files may have more."""

_USED = {
    "bus": (0, 1, 2, 3, 4, 5, 6, 9),
    "gen": (0, 1, 2, 7, 8, 9),
    "branch": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
    "dcline": (0, 1, 2, 3, 4),
}
"""Columns in which NaN is refused."""

_ALWAYS_FINITE = {
    "bus": (0, 1, 2, 3, 4, 5),
    "gen": (0, 1, 7),
    "branch": (0, 1, 2, 3, 4, 8, 9, 10),
    "dcline": (0, 1, 2, 3, 4),
}

_NAMES = {
    "bus": [
        "bus_i",
        "type",
        "Pd",
        "Qd",
        "Gs",
        "Bs",
        "area",
        "Vm",
        "Va",
        "baseKV",
        "zone",
        "Vmax",
        "Vmin",
    ],
    "gen": ["bus", "Pg", "Qg", "Qmax", "Qmin", "Vg", "mBase", "status", "Pmax", "Pmin"],
    "branch": [
        "fbus",
        "tbus",
        "r",
        "x",
        "b",
        "rateA",
        "rateB",
        "rateC",
        "ratio",
        "angle",
        "status",
    ],
    "dcline": ["fbus", "tbus", "status", "Pf", "Pt", "Qf", "Qt", "Vf", "Vt", "Pmin", "Pmax"],
}


def build(
    raw: RawCase, *, source: str = "", accept_negative_x: bool = False, least_bus: int = 1
) -> Network:
    """Check the tables of a case and give them their meaning.

    Args:
        source: origin and licence of the figures.
        accept_negative_x: series capacitors and star points of three-winding transformers have
            a negative reactance. Published cases that hold some are known by name; in any
            other file it is taken for a mistake unless this is set.
        least_bus: the lowest bus number that is allowed (other tools count from 0).

    Raises:
        InputError: a table or column is missing, a bus is unknown or named twice, a figure is
            NaN, a reactance is zero or negative, a rating is negative, or a load has no path
            to a generator; with file and line.
    """
    for table in ("bus", "gen", "branch"):
        _check_table(raw, table)
    if "dcline" in raw.tables:
        _check_table(raw, "dcline")
    index = _bus_index(raw, least_bus)
    network = Network(
        name=raw.name,
        base_mva=raw.base_mva,
        buses=_buses(raw),
        generators=_generators(raw, index),
        branches=_branches(raw, index),
        dc_lines=_dc_lines(raw, index),
        source=source,
    )
    _check_branches(raw, network, accept_negative_x)
    _check_generators(raw, network)
    _check_loads(raw, network)
    return network


def _refuse(raw: RawCase, table: str, row: int, what: str, todo: str) -> InputError:
    return InputError(f"mpc.{table} row {row + 1}: {what}", todo, place=raw.place(table, row))


def _check_table(raw: RawCase, table: str) -> None:
    if table not in raw.tables:
        raise InputError(
            f"not a MATPOWER case: mpc.{table} is missing", "add it", place=Place(raw.file)
        )
    values = raw.tables[table]
    if not len(values) and table != "dcline":
        raise InputError(f"mpc.{table} has no rows", "add some", place=Place(raw.file))
    if len(values) and values.shape[1] < _COLUMNS[table]:
        missing = " ".join(_NAMES[table][values.shape[1] :])
        raise _refuse(
            raw,
            table,
            0,
            f"{values.shape[1]} columns, at least {_COLUMNS[table]} needed; missing: {missing}",
            "complete the table (MATPOWER case format, version 2)",
        )
    for columns, test, word in (
        (_USED[table], np.isnan, "NaN"),
        (_ALWAYS_FINITE.get(table, ()), np.isinf, "infinite"),
    ):
        _check_figures(raw, table, columns, test, word)


def _check_figures(
    raw: RawCase,
    table: str,
    columns: tuple[int, ...],
    test: Callable[[Floats], Floats],
    word: str,
) -> None:
    values = raw.tables[table]
    for column in columns if len(values) else ():
        bad = np.flatnonzero(test(values[:, column]))
        if len(bad):
            raise _refuse(
                raw, table, int(bad[0]), f"{_NAMES[table][column]} is {word}", "give a number"
            )


def _bus_index(raw: RawCase, least: int) -> dict[int, int]:
    index: dict[int, int] = {}
    for row, number in enumerate(raw.tables["bus"][:, 0].tolist()):
        if number != int(number) or number < least:
            todo = f"use whole numbers from {least}"
            raise _refuse(raw, "bus", row, f"bus number {number:g}", todo)
        if int(number) in index:
            raise _refuse(raw, "bus", row, f"bus {number:g} is named twice", "renumber one")
        index[int(number)] = row
    return index


def _ends(raw: RawCase, table: str, column: int, index: dict[int, int]) -> Ints:
    """Indices of the buses that a column refers to."""
    found = [index.get(int(number), -1) for number in raw.tables[table][:, column].tolist()]
    for row, bus in enumerate(found):
        if bus < 0:
            number = raw.tables[table][row, column]
            raise _refuse(
                raw, table, row, f"bus {number:g} is not in mpc.bus", "add the bus or mend the row"
            )
    return np.array(found, dtype=np.int64)


def _whole(raw: RawCase, table: str, column: int) -> Ints:
    """A column of whole numbers; a fraction is cut off.

    Raises:
        InputError: no whole number of 32 bits is near, or none at all.
    """
    values = raw.tables[table][:, column]
    bad = np.flatnonzero(~(np.abs(values) < 2**31))
    if len(bad):
        what = f"{_NAMES[table][column]} is {values[bad[0]]:g}"
        raise _refuse(raw, table, int(bad[0]), what, "give a whole number")
    return values.astype(np.int64)


def _buses(raw: RawCase) -> Buses:
    t = raw.tables["bus"]
    return Buses(
        number=_whole(raw, "bus", 0),
        kind=_whole(raw, "bus", 1),
        load_mw=t[:, 2].copy(),
        load_mvar=t[:, 3].copy(),
        shunt_mw=t[:, 4].copy(),
        shunt_mvar=t[:, 5].copy(),
        area=_whole(raw, "bus", 6),
        voltage_pu=t[:, 7].copy(),
        angle_deg=t[:, 8].copy(),
        base_kv=t[:, 9].copy(),
        zone=_whole(raw, "bus", 10),
        name=raw.strings.get("bus_name", ()),
    )


def _generators(raw: RawCase, index: dict[int, int]) -> Generators:
    t = raw.tables["gen"]
    return Generators(
        bus=_ends(raw, "gen", 0, index),
        output_mw=t[:, 1].copy(),
        output_mvar=t[:, 2].copy(),
        max_mvar=t[:, 3].copy(),
        min_mvar=t[:, 4].copy(),
        setpoint_pu=t[:, 5].copy(),
        is_on=t[:, 7] > 0,
        max_mw=t[:, 8].copy(),
        min_mw=t[:, 9].copy(),
        ramp_30min_mw=t[:, 18].copy() if t.shape[1] > 18 else np.zeros(len(t)),
        cost=_costs(raw, len(t)),
        fuel=raw.strings.get("genfuel", ()),
    )


def _costs(raw: RawCase, generators: int) -> tuple[Cost, ...]:
    """Costs of real power; rows beyond the generators are costs of reactive power."""
    table = raw.tables.get("gencost")
    if table is None or not len(table):
        return ()
    if len(table) not in (generators, 2 * generators):
        raise _refuse(
            raw,
            "gencost",
            0,
            f"{len(table)} rows for {generators} generators",
            "give one row for each generator (or two, the second for reactive power)",
        )
    return tuple(_cost(raw, row) for row in range(generators))


def _cost(raw: RawCase, row: int) -> Cost:
    """One row of gencost: model, start-up, shut-down, n, then corners or coefficients."""
    values = raw.tables["gencost"][row]
    model, count = _small(values[0]), _small(values[3])
    width = 2 * count if model == 1 else count
    figures = values[4 : 4 + width]
    if model not in (1, 2) or len(figures) != width or np.isnan(figures).any():
        raise _refuse(
            raw,
            "gencost",
            row,
            f"model {values[0]:g} with n = {values[3]:g} and {len(values) - 4} figures",
            "model 1 needs 2n figures, model 2 needs n",
        )
    if model == 2:
        return Cost(float(values[1]), tuple(figures[::-1].tolist()))
    points = [(float(x), float(y)) for x, y in figures.reshape(-1, 2)]
    return Cost(float(values[1]), (), tuple(sorted(dict(points).items())))


def _small(value: float) -> int:
    """A whole number below a million, or -1 for what is none."""
    return int(value) if 0 <= value < 1e6 else -1


def _branches(raw: RawCase, index: dict[int, int]) -> Branches:
    t = raw.tables["branch"]
    ratings = np.where(t[:, 5:8] == 0, np.inf, t[:, 5:8])
    ratings[:, 1:] = np.where(np.isinf(ratings[:, 1:]), ratings[:, :1], ratings[:, 1:])
    low, high = (
        (t[:, 11].copy(), t[:, 12].copy())
        if t.shape[1] > 12
        else (np.full(len(t), -np.inf), np.full(len(t), np.inf))
    )
    unlimited = (low == 0) & (high == 0)
    low[unlimited | (low <= -360) | (low == 0)] = -np.inf
    high[unlimited | (high >= 360) | (high == 0)] = np.inf
    return Branches(
        start=_ends(raw, "branch", 0, index),
        end=_ends(raw, "branch", 1, index),
        r_pu=t[:, 2].copy(),
        x_pu=t[:, 3].copy(),
        charging_pu=t[:, 4].copy(),
        rating_mw=ratings[:, 0],
        rating_b_mw=ratings[:, 1],
        rating_c_mw=ratings[:, 2],
        tap=np.where(t[:, 8] == 0, 1.0, t[:, 8]),
        is_transformer=t[:, 8] != 0,
        shift_deg=t[:, 9].copy(),
        is_on=t[:, 10] > 0,
        min_angle_deg=low,
        max_angle_deg=high,
    )


def _dc_lines(raw: RawCase, index: dict[int, int]) -> DcLines:
    t = raw.tables.get("dcline")
    if t is None or not len(t):
        t = np.zeros((0, 17))
        raw = RawCase(raw.file, raw.name, raw.base_mva, {"dcline": t}, {"dcline": []})
    loss = t[:, 15:17] if t.shape[1] > 16 else np.zeros((len(t), 2))
    return DcLines(
        start=_ends(raw, "dcline", 0, index),
        end=_ends(raw, "dcline", 1, index),
        is_on=t[:, 2] > 0,
        sent_mw=t[:, 3].copy(),
        received_mw=t[:, 4].copy(),
        min_mw=t[:, 9].copy(),
        max_mw=t[:, 10].copy(),
        loss_mw=loss[:, 0].copy(),
        loss_frac=loss[:, 1].copy(),
    )


def _known_negative(name: str) -> int:
    """Branches with negative reactance in the published case of that name."""
    rows = read_table("grid/nodal/negative_reactance.csv")
    return next((int(row["branches"]) for row in rows if row["case"] == name), 0)


def _check_branches(raw: RawCase, network: Network, accept_negative_x: bool) -> None:
    b = network.branches
    negative = np.flatnonzero(b.is_on & (b.x_pu < 0))
    accepted = accept_negative_x or len(negative) == _known_negative(raw.name)
    checks = (
        (b.is_on & (b.x_pu == 0), b.x_pu, "reactance", "merge the two buses or give a reactance"),
        (
            b.is_on & (b.x_pu < 0) & (not accepted),
            b.x_pu,
            "reactance",
            (
                "a negative reactance is read only where it is meant (series capacitor, star point "
                "of a transformer): accept_negative_x"
            ),
        ),
        (b.rating_mw < 0, b.rating_mw, "rateA", "0 means unlimited"),
        (b.tap < 0, b.tap, "ratio", "give the turns ratio"),
        (b.is_on & (b.start == b.end), b.start.astype(float), "both ends at index", "remove it"),
    )
    for bad, values, what, todo in checks:
        rows = np.flatnonzero(bad)
        if len(rows):
            raise _refuse(raw, "branch", int(rows[0]), f"{what} {values[rows[0]]:g}", todo)


def _check_generators(raw: RawCase, network: Network) -> None:
    g = network.generators
    bad = np.flatnonzero(g.is_on & (g.min_mw > g.max_mw))
    if len(bad):
        row = int(bad[0])
        raise _refuse(
            raw, "gen", row, f"Pmin {g.min_mw[row]:g} over Pmax {g.max_mw[row]:g} MW", "swap them"
        )


def _check_loads(raw: RawCase, network: Network) -> None:
    """Every load needs a path over branches in service to a generator or a DC line."""
    island = labels(network)
    dc = network.dc_lines
    fed = np.zeros(island.max() + 2, dtype=bool)
    fed[island[network.generators.bus[network.generator_on]]] = True
    fed[island[dc.start[dc.is_on]]] = True
    fed[island[dc.end[dc.is_on]]] = True
    stranded = (network.buses.load_mw > 0) & (network.buses.kind != ISOLATED) & ~fed[island]
    if stranded.any():
        row = int(np.flatnonzero(stranded)[0])
        raise _refuse(
            raw,
            "bus",
            row,
            f"disconnected load: {network.buses.load_mw[row]:g} MW at bus "
            f"{network.buses.number[row]} has no path to a generator in service",
            "close a branch, or set the bus type to 4 (out of service)",
        )
