"""How long the regional grid takes: python benchmarks/grid_regions.py [NAME...] [--json].

NAMES: states areas monte-carlo frequency interval backcast headroom. Wall and processor seconds
of this process; the dispatch works on two threads.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from measured import run_named


def states() -> str:
    """A year of the 50 zones with storage (target: 20 s)."""
    from sim.grid.regions.case import region_case
    from sim.grid.regions.dispatch import run_year

    year = run_year(region_case("us-states", mixed_years=True))
    return (
        f"{year.n_hours} h, {len(year.case.zones)} zones, {year.unserved_mw.sum():.0f} MWh unserved"
    )


def areas() -> str:
    """A year of the 134 balancing areas (target: 90 s)."""
    from sim.grid.regions.case import region_case
    from sim.grid.regions.dispatch import run_year

    year = run_year(region_case("us-balancing-areas", mixed_years=True))
    return (
        f"{year.n_hours} h, {len(year.case.zones)} zones, {year.unserved_mw.sum():.0f} MWh unserved"
    )


def monte_carlo() -> str:
    """1,000 sequential years of one area of 32 units, with a battery (target: 10 s)."""
    from sim.grid.adequacy.monte_carlo import Store, simulate
    from sim.grid.adequacy.units import Unit

    units = [Unit(f"u{k}", 100.0, 0.06) for k in range(32)]
    hours = np.arange(8760)
    load = 2200 + 350 * np.sin(hours / 24 * 2 * np.pi) + 250 * np.cos(hours / 8760 * 2 * np.pi)
    found = simulate(units, load, 1000, 1, store=Store(100, 400))
    return f"LOLH {found.lolh_h_per_y:.2f} +- {found.lolh_error:.2f} h/y"


def frequency() -> str:
    """One run of 60 s of ERCOT (target: 20 ms); the figure is that of 20 runs."""
    from sim.grid.dynamic.interconnections import interconnection
    from sim.grid.dynamic.model import Step
    from sim.grid.dynamic.swing import simulate

    island = interconnection("ercot")
    start = time.process_time()
    for _ in range(20):
        run = simulate(island, [Step(1.0, 2555.0)])
    each_ms = (time.process_time() - start) / 20 * 1e3
    return f"{each_ms:.1f} ms of processor time a run, nadir {run.nadir_hz:.3f} Hz"


def interval() -> str:
    """A day of 5-minute intervals of the 50 zones, warm (target: 3 ms each)."""
    from sim.grid.regions.interval import IntervalDispatch

    dispatch = IntervalDispatch.of_case("us-states", mixed_years=True)
    dispatch.solve(5000)
    start = time.process_time()
    for k in range(288):
        dispatch.solve(4992 + k // 12, {"VA": 1000.0 + k, "TX-ERCOT": 500.0 - k})
    each_ms = (time.process_time() - start) / 288 * 1e3
    return f"{each_ms:.2f} ms of processor time an interval"


def backcast() -> str:
    """The eight measured mixes of 2022, even weeks."""
    from sim.grid.regions.backcast import backcast_all

    worst = max(backcast_all(), key=lambda row: abs(row.worst_frac))
    return f"worst {worst.area} {worst.worst_fuel} {worst.worst_frac:+.3f}"


def headroom() -> str:
    """Headroom of all areas with nine years at three rates."""
    from sim.grid.regions.headroom import areas as known
    from sim.grid.regions.headroom import headroom as room

    names = known()["2016-2024"]
    found = {name: room(name, 0.005).load_mw for name in names}
    return ", ".join(f"{name} {mw / 1e3:.2f} GW" for name, mw in found.items())


ALL: dict[str, Callable[[], str]] = {
    "states": states,
    "areas": areas,
    "monte-carlo": monte_carlo,
    "frequency": frequency,
    "interval": interval,
    "backcast": backcast,
    "headroom": headroom,
}


if __name__ == "__main__":
    run_named(ALL, sys.argv[1:])
