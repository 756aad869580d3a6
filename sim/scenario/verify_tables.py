"""Laws of a finished run's tables: signals, hours of the grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.errors import InputError, LawViolation, Place
from sim.record.laws import Recorded, check_order, check_sum, check_times
from sim.scenario.laws import check_battery, check_site
from sim.scenario.verify_summary import BOUNDARIES
from sim.units import J_PER_MWH

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.facility.battery import Battery
    from sim.facility.meter import SitePlant

Json = Mapping[str, Any]
SIGNALS: Final = "signals.parquet"
GRID_HOURS: Final = "grid_hours.parquet"
TIME_TOLERANCE: Final = 1e-7
"""Times in the file are doubles of seconds: nanoseconds over a day."""
SINGLE_TOLERANCE: Final = 1e-5
"""The hours of the grid are kept in single precision."""


def read_table(path: Path) -> pa.Table:
    """A Parquet file of a run.

    Raises:
        InputError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        what = f"is damaged: {str(error).splitlines()[0]}"
        raise InputError(what, "run it again", place=Place(str(path))) from error


def check_signals(
    folder: Path,
    summary: Json,
    plants: Mapping[str, SitePlant],
    batteries: Mapping[str, Battery],
) -> str:
    """Time, order of boundaries, the chain of losses, batteries, and the summary's energies."""
    table = read_table(folder / SIGNALS)
    names = table.column("signal").to_pylist()
    times_s, values = (table.column(key).to_numpy() for key in ("time_s", "value"))
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    signals = {name: Recorded(name, times_s[own], values[own]) for name, own in rows.items()}
    for signal in signals.values():
        check_times(signal)
    for name, site in summary["sites"].items():
        boundaries = [signals[f"{name}.{b}_w"] for b in BOUNDARIES]
        check_order(boundaries)
        if name in plants:
            check_site(plants[name], boundaries)
        for b, told_j in site["energy_j"].items():
            found_j = signals[f"{name}.{b}_w"].energy_j(summary["horizon_s"])
            check_sum(f"signal {name}.{b}_w", told_j, [found_j], TIME_TOLERANCE)
        _check_import(name, signals, summary)
        if name in batteries:
            check_battery(name, signals, batteries[name])
    return f"signals: {table.num_rows:,} changes, in order, integrate to the energies"


def _check_import(name: str, signals: Mapping[str, Recorded], summary: Json) -> None:
    """What the grid saw is what the supply bought less what it sold.

    Without a supply it is no more than the building took.
    """
    seen = signals.get(f"{name}.import_w")
    if seen is None:
        return
    supply = summary.get("facility", {}).get(name, {}).get("supply")
    if not supply:
        check_order([seen, signals[f"{name}.facility_w"]])
        return
    found_mwh = seen.energy_j(summary["horizon_s"]) / J_PER_MWH
    told_mwh = supply["import_mwh"] - supply["export_mwh"]
    check_sum(f"signal {name}.import_w", told_mwh, [found_mwh], TIME_TOLERANCE)


def check_grid_hours(folder: Path, summary: Json) -> str:
    """Every hour: output + unserved + curtailed = load over all zones; nothing below zero."""
    table = read_table(folder / GRID_HOURS)
    hour = table.column("hour").to_numpy()
    names = ("load_mw", "output_mw", "unserved_mw", "site_curtailed_mw")
    columns = {name: table.column(name).to_numpy().astype(float) for name in names}
    if (np.diff(hour) < 0).any():
        raise LawViolation("hours of the grid: time runs backwards")
    starts = np.flatnonzero(np.diff(hour, prepend=hour[0] - 1))
    sums = {name: np.add.reduceat(values, starts) for name, values in columns.items()}
    given = sums["output_mw"] + sums["unserved_mw"] + sums["site_curtailed_mw"]
    off = np.abs(given - sums["load_mw"]) / np.maximum(1.0, sums["load_mw"])
    if not off.max() <= SINGLE_TOLERANCE:
        k = int(off.argmax())
        raise LawViolation(
            f"power balance at hour {int(hour[starts[k]])}: {float(given[k])!r} MW given, "
            f"{float(sums['load_mw'][k])!r} MW of load"
        )
    for name in names[2:]:
        if (low := columns[name].min()) < -SINGLE_TOLERANCE * columns["load_mw"].max():
            raise LawViolation(f"hours of the grid: {name} = {low!r}, below 0")
    told, unserved = summary["grid"]["unserved_mwh"], float(columns["unserved_mw"].sum())
    if abs(told - unserved) > SINGLE_TOLERANCE * max(1.0, abs(told)):
        raise LawViolation(f"unserved energy: {told!r} MWh, by hour and zone {unserved!r} MWh")
    return f"grid: {len(starts):,} hours balance"
