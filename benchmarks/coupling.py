"""A week of 100,000 H100 with the grid dispatched every five minutes; and one tick of the loop.

Run with `make bench` or `python benchmarks/coupling.py`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from sim.scenario.run import load_scenario, run_scenario
from sim.scenario.simulate import simulate

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "coupled-week.yaml"


def main() -> int:
    """Print the time of the whole run, and of its parts."""
    _, scenario = load_scenario(SCENARIO)
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
