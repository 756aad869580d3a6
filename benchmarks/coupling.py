"""A week of 100,000 H100 with the zonal grid dispatched every five minutes; a day on 2,000 buses.

Run with `make bench` or `python benchmarks/coupling.py`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sim.scenario.run import load_scenario, run_scenario
from sim.scenario.simulate import simulate

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
WEEK = SCENARIOS / "coupled-week.yaml"
DAY = SCENARIOS / "studies" / "lines-and-orders" / "baseline.yaml"
WAYS = (("none", "base"), ("none", "n1"), ("dc-opf", "base"), ("n1-secure", "n1"))


def zonal_week() -> None:
    """Print the time of the whole run, and of its parts."""
    _, scenario = load_scenario(WEEK)
    started_s = time.perf_counter()
    outcome = simulate(scenario, 1)
    simulated_s = time.perf_counter() - started_s
    ticks = scenario.horizon_h * 3600 / scenario.control.coupling.interval_s
    started_s = time.perf_counter()
    run_scenario(scenario, 1)
    whole_s = time.perf_counter() - started_s
    print(f"week, 50 zones, {ticks:,.0f} ticks   {simulated_s:8.2f} s   aim: below 60 s")
    print(f"  per tick                   {1000 * simulated_s / ticks:8.2f} ms")
    print(f"with verdicts and hosting    {whole_s:8.2f} s")
    print(f"  fidelity fluid, {len(outcome.sites)} sites, 100,000 GPUs")


def nodal_day() -> None:
    """Print the time of a day on 2,000 buses under every way to dispatch it."""
    for redispatch, security in WAYS:
        way = [f"grid.redispatch={redispatch}", f"grid.security={security}"]
        _, scenario = load_scenario(DAY, way)
        started_s = time.perf_counter()
        simulate(scenario, 1)
        took_s = time.perf_counter() - started_s
        ticks = scenario.horizon_h * 3600 / scenario.control.coupling.interval_s
        print(
            f"day, 2,000 buses, {redispatch}, {security}: {took_s:6.2f} s, "
            f"{1000 * took_s / ticks:6.2f} ms a tick   aim: below 60 s"
        )


def main() -> int:
    """Run both."""
    zonal_week()
    nodal_day()
    return 0


if __name__ == "__main__":
    sys.exit(main())
