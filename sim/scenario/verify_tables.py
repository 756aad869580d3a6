"""Laws of a finished run's tables: signals, requests, hours of the grid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.errors import InputError, LawViolation, Place
from sim.record.laws import Floats, Recorded, check_order, check_sum, check_times
from sim.scenario.laws import check_battery, check_site
from sim.scenario.verify_summary import BOUNDARIES
from sim.units import J_PER_MWH

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.facility.battery import Battery
    from sim.facility.meter import SitePlant

Json = Mapping[str, Any]
SIGNALS: Final = "signals.parquet"
REQUESTS: Final = "requests.parquet"
GRID_HOURS: Final = "grid_hours.parquet"
TIME_TOLERANCE: Final = 1e-7
"""Times in the file are doubles of seconds: nanoseconds over a day."""
SINGLE_TOLERANCE: Final = 1e-5
"""The hours of the grid are kept in single precision."""
SCALED: Final = re.compile(r"(\d+) of (\d+) replicas simulated and scaled")
ORDER: Final = ("arrival_s", "start_s", "first_token_s", "end_s")


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


def check_requests(folder: Path, summary: Json) -> str:
    """Requests: each once, its times in order, and the window's counts those of the summary."""
    table = read_table(folder / REQUESTS)
    columns = {name: np.array(table.column(name).to_pylist()) for name in ("fleet", "status")}
    numbers = {
        name: np.array(table.column(name).to_pylist(), dtype=float)
        for name in (*ORDER, "request", "input_tokens", "output_tokens", "energy_chip_j")
    }
    fleets = summary["serving"]["fleets"] if "serving" in summary else {}
    for fleet in sorted(set(columns["fleet"].tolist())):
        own = columns["fleet"] == fleet
        mine = {name: values[own] for name, values in numbers.items()}
        done = columns["status"][own] == "completed"
        _check_times(fleet, mine, done, summary["horizon_s"])
        _check_window(fleet, mine, done, summary, fleets[fleet])
    return f"requests: {table.num_rows:,} rows, each once, counts of the window agree"


def _check_times(fleet: str, mine: dict[str, Floats], done: Any, horizon_s: float) -> None:
    ids, counts = np.unique(mine["request"], return_counts=True)
    if (counts > 1).any():
        raise LawViolation(f"requests of {fleet}: {int(ids[counts.argmax()])} stands there twice")
    times = np.stack([np.zeros(done.sum()), *(mine[name][done] for name in ORDER)], axis=1)
    wrong = ~((np.diff(times, axis=1) >= 0).all(axis=1) & (times[:, -1] <= horizon_s))
    if wrong.any():
        k = int(wrong.argmax())
        raise LawViolation(
            f"request {int(mine['request'][done][k])} of {fleet}: times out of order, "
            f"{times[k, 1:].tolist()} s in a run of {horizon_s!r} s"
        )
    if (mine["energy_chip_j"][done] < 0).any():
        raise LawViolation(f"requests of {fleet}: energy below 0")


def _check_window(
    fleet: str, mine: dict[str, Floats], done: Any, summary: Json, told: Json
) -> None:
    """What the summary says of the window, counted again from the rows."""
    scaled = SCALED.match(told["basis"])
    if not scaled:
        return
    scale = int(scaled[2]) / int(scaled[1])
    start_s = summary["horizon_s"] - told["window_s"]
    arrived = (mine["arrival_s"] >= start_s) & (mine["arrival_s"] < summary["horizon_s"])
    ended = done & (mine["end_s"] >= start_s) & (mine["end_s"] < summary["horizon_s"])
    counted = {
        "requests": arrived.sum() + told["shed"] / scale,
        "completed": ended.sum(),
        "tokens_in": mine["input_tokens"][ended].sum(),
        "tokens_out": mine["output_tokens"][ended].sum(),
    }
    for key, count in counted.items():
        check_sum(f"{key} of {fleet}", told[key], [scale * float(count)], 1e-9)
    shares_j = scale * float(np.nansum(mine["energy_chip_j"]))
    site_j = summary["sites"][fleet.partition(".")[0]]["energy_j"]["chip"]
    if shares_j > site_j * (1 + 1e-9):
        raise LawViolation(
            f"requests of {fleet}: shares {shares_j!r} J of {site_j!r} J at the chip"
        )


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
